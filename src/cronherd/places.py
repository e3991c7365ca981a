"""Where state and sockets live on a host. Standard library only: every command asks here."""

from collections.abc import Mapping
from pathlib import Path

from cronherd.domain.errors import Invalid

_NAME = "cronherd"


def state_dir(
    flag: str | None,
    environ: Mapping[str, str],
    is_root: bool,  # noqa: FBT001 - one of four equal questions, always named by the caller
    home: Path | None,
) -> Path:
    """The directory of the database, spool and ids. Raises Invalid when nothing tells it.

    `--state` > `$STATE_DIRECTORY` > `/var/lib/cronherd` for root > `$XDG_STATE_HOME/cronherd`.
    """
    if flag is not None:
        if not flag or "\0" in flag:
            raise Invalid("the state directory has no name", where="--state")
        return Path(flag).absolute()
    if given := _systemd(environ, "STATE_DIRECTORY"):
        return given
    if is_root:
        return Path("/var/lib") / _NAME
    if base := _xdg(environ, "XDG_STATE_HOME"):
        return base / _NAME
    if home is None:
        raise Invalid(
            "there is no home directory to keep state in", code="no_home", hint="give --state DIR"
        )
    return home / ".local" / "state" / _NAME


def runtime_dir(
    state: Path,
    explicit: bool,  # noqa: FBT001
    environ: Mapping[str, str],
    is_root: bool,  # noqa: FBT001
) -> Path:
    """The directory of the sockets, short enough to be bound.

    `explicit`: the state directory was named by a person, so several may live on this host and
    each has its own sockets.
    """
    if given := _systemd(environ, "RUNTIME_DIRECTORY"):
        return given
    if explicit:
        return state / "run"
    if is_root:
        return Path("/run") / _NAME
    if base := _xdg(environ, "XDG_RUNTIME_DIR"):
        return base / _NAME
    return state / "run"


def _systemd(environ: Mapping[str, str], name: str) -> Path | None:
    """A unit lists its directories with colons; the first is ours."""
    first = environ.get(name, "").split(":")[0]
    return Path(first) if first.startswith("/") else None


def _xdg(environ: Mapping[str, str], name: str) -> Path | None:
    """The XDG rules: a relative path is to be ignored."""
    value = environ.get(name, "")
    return Path(value) if value.startswith("/") else None
