"""Where state and sockets live on a host, and who owns them.

Standard library only: every command asks here.
"""

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from cronherd.domain.errors import Conflict, Invalid, Unavailable

_NAME = "cronherd"
NODE_ID = "node_id"
AGENT_LOCK = "agent.lock"


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


def claim_state(state: Path) -> None:
    """Make the directory, private to this user. Raises Unavailable."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the state directory {state}: {error.strerror}",
            code="not_writable",
            hint="choose another one with --state DIR",
        ) from error
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise Unavailable(
            f"cannot use the state directory {state}",
            code="not_writable",
            hint="check owner and mode, or choose another one with --state DIR",
        )


def open_lock(state: Path) -> int:
    """Hold the directory for one agent, as a descriptor to close. Raises Conflict."""
    lock = os.open(state / AGENT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Conflict(
            f"another cronherd runs with the state directory {state}",
            code="already_running",
            hint="stop it, or choose another one with --state DIR",
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def agent_pid(state: Path) -> int | None:
    """The process that holds the directory; None when nobody does."""
    try:
        lock = os.open(state / AGENT_LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(lock, 32, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(lock)
    return None


def owns(lock: int, state: Path) -> bool:
    """Whether the lock that is held is still the one that others would find."""
    try:
        return os.path.samestat(os.fstat(lock), (state / AGENT_LOCK).stat())
    except OSError:
        return False


def node_id(state: Path, new_id: Callable[[], str]) -> str:
    """The stable id of this host, made once and kept."""
    path = state / NODE_ID
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    made = new_id()
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{made}\n")
    fresh.replace(path)
    return made


def home_of(state: Path) -> str:
    """What tells this directory from a copy of it: where its own file lies on which disk."""
    seen = (state / NODE_ID).stat()
    return f"{seen.st_dev}:{seen.st_ino}"


def _systemd(environ: Mapping[str, str], name: str) -> Path | None:
    """A unit lists its directories with colons; the first is ours."""
    first = environ.get(name, "").split(":")[0]
    return Path(first) if first.startswith("/") else None


def _xdg(environ: Mapping[str, str], name: str) -> Path | None:
    """The XDG rules: a relative path is to be ignored."""
    value = environ.get(name, "")
    return Path(value) if value.startswith("/") else None
