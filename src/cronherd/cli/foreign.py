"""Jobs of other users: taken, and said to be such that their runs do not start yet."""

from collections.abc import Iterable, Mapping

from cronherd.cli.output import talk
from cronherd.cli.session import user_name

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
        talk(
            f"cronherd: warning: {listed} with user: {user}: this version cannot change users, "
            f"so under an agent of {own} the runs end as not started"
        )


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
