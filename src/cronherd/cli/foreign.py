"""Jobs of other users: taken, and said what their runs need to start."""

from collections.abc import Iterable, Mapping

from cronherd.cli.output import talk
from cronherd.cli.session import user_name

ALLOW = "/etc/cronherd/run-as.allow"
_SHOWN = 3  # names in a sentence


def warn_of_users(definitions: Iterable[Mapping[str, object]]) -> None:
    """Say which of them belong to somebody else than the user this command runs as."""
    own = user_name()
    names: dict[str, list[str]] = {}
    for definition in definitions:
        user = definition.get("user")
        if user not in {None, own}:
            names.setdefault(str(user), []).append(f"'{definition['name']}'")
    for user, jobs in names.items():
        listed = ", ".join(jobs[:_SHOWN]) + _more(len(jobs) - _SHOWN)
        talk(f"cronherd: warning: {listed} with user: {user}: {_what_is_needed(own, user)}")


def _what_is_needed(own: str, user: str) -> str:
    if own == "root":
        return f"each host that runs it needs a line '{user}' in {ALLOW}"
    return (
        "only an agent of root can become another user, "
        f"so under an agent of {own} the runs end as not started"
    )


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
