# ruff: noqa: PTH100, PTH116, PTH118, PTH120 -- pathlib would cost this process 5 ms of its birth
"""The supervisor's side of its guardian: start it, fill its table, replace it when it dies."""

import fcntl
import os
import signal
import sys
from struct import Struct

_NUMBER = Struct("=i")
_NOBODY = _NUMBER.pack(0)
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guardian.py")
_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""A service manager signals the whole control group: the guardian must outlive the supervisor."""


LOCK_NAME = "supervisor.lock"


class GuardianError(Exception):
    """There is no guardian, and nothing may be spawned without one."""


class Table:
    """The process groups that are to die with this process: see guardian.py.

    It outlives its guardian: the next one gets the same table.
    """

    __slots__ = ("_free", "_size", "fd")

    def __init__(self) -> None:
        self.fd = os.memfd_create("groups", os.MFD_CLOEXEC)
        self._free: list[int] = []
        self._size = 0

    def enter(self, group: int) -> int:
        """Have `group` killed when this process dies; the place it was written to."""
        if self._free:
            place = self._free.pop()
        else:
            place = self._size
            self._size += _NUMBER.size
        os.pwrite(self.fd, _NUMBER.pack(group), place)
        return place

    def leave(self, place: int) -> None:
        """Free a place. Before the group's leader is reaped: its number may be reused then."""
        os.pwrite(self.fd, _NOBODY, place)
        self._free.append(place)


class Guard:
    """A running guardian process and the pipe whose end tells it of our death."""

    __slots__ = ("_pipe", "pid", "pidfd")

    def __init__(self, lock: int, table: Table, tree: str) -> None:
        """Start one that holds `lock` (open and locked; closed here). Raises GuardianError.

        `tree` is the directory of the runs' control groups, "" where there are none.
        """
        end, self._pipe = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        ends = ((end, 0), (lock, 1), (null, 2), (table.fd, 3))
        try:
            self.pid = os.posix_spawn(
                sys.executable, [sys.executable, "-I", "-S", _SCRIPT, tree], {},
                file_actions=[(os.POSIX_SPAWN_DUP2, *pair) for pair in ends],
                setsid=True, setsigmask=_BLOCKED,
            )  # fmt: skip
        except OSError as error:
            os.close(self._pipe)
            raise GuardianError(f"cannot start a guardian: {error.strerror}") from None
        finally:
            for descriptor in (end, null, lock):
                os.close(descriptor)
        self.pidfd = os.pidfd_open(self.pid)

    def bury(self) -> None:
        """Reap a dead guardian: a new one takes over."""
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        os.close(self._pipe)


def home_of(path: str) -> str:
    """What tells this file from another one of its name; "" when there is none."""
    try:
        seen = os.stat(path)
    except OSError:
        return ""
    return f"{seen.st_dev}:{seen.st_ino}"


def take(path: str, wait_s: float) -> int:
    """Lock the file at `path` exclusively. Raises TimeoutError after `wait_s` seconds.

    The wait is a blocking flock ended by an alarm: no clock is read and nobody sleeps.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _wait_for(descriptor, wait_s)
    return descriptor


def _wait_for(descriptor: int, wait_s: float) -> None:
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, wait_s)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except TimeoutError:
        os.close(descriptor)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _give_up(*_: object) -> None:
    raise TimeoutError
