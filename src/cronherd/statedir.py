"""The state directory of a host: who owns it, and which node it is."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from cronherd.domain.errors import Conflict, Unavailable

NODE_ID = "node_id"
AGENT_LOCK = "agent.lock"


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
    return lock


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
