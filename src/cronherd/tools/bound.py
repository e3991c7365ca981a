"""The command of a run whose lock this process holds: in the same session, and bound to it.

The supervisor's signals go to the whole group, so the command gets them by itself; all that this
process does with them is to live on until the command has ended.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cronherd.locks.base import Clock
from cronherd.tools.held import PASSED_ON, Keeping

Mask = AbstractSet[int]
ASKS = {*PASSED_ON} - {signal.SIGTSTP}
"""Whatever a job may have as its stop signal, save KILL."""
HEARD = {signal.SIGCHLD, *ASKS}
IDLE_US = 3_600_000_000

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_PATIENCE_US = 10_000_000  # between SIGTERM and SIGKILL, once the lock is lost
_NO_PARENT = 125  # nobody judges by it: what counts is on the holder's pipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the command ended: its exit code, or less than 0 its signal; `lost`: the lock was."""

    status: int
    lost: bool


def start_held(
    argv: Sequence[str], environ: Mapping[str, str], mask: Mask, path: str | None = None
) -> subprocess.Popen[bytes]:
    """Start the command, of the file `path`; it dies with this process. Raises OSError."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be said
            os._exit(_NO_PARENT)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    # What the caller had open is the command's as well; our own descriptors close by themselves.
    return subprocess.Popen(
        list(argv),
        executable=path,
        env=dict(environ),
        close_fds=False,
        preexec_fn=prepare,  # noqa: PLW1509 - one thread
    )


def watch_held(
    child: subprocess.Popen[bytes],
    keeping: Keeping,
    clock: Clock,
) -> Ending:
    """Wait for its end, and renew meanwhile; what has lost its lock is ended."""
    kill_us: int | None = None
    while child.poll() is None:
        due_us = keeping.due_us if kill_us is None else kill_us
        wait_us = IDLE_US if due_us is None else max(0, due_us - clock.boot_us())
        signal.sigtimedwait(HEARD, wait_us / 1_000_000)
        if kill_us is None and not keeping.look_after():
            child.terminate()
            kill_us = clock.boot_us() + _PATIENCE_US
        elif kill_us is not None and clock.boot_us() >= kill_us:
            child.kill()
            kill_us += _PATIENCE_US
    return Ending(status=child.returncode, lost=kill_us is not None)
