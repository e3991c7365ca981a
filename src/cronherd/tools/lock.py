"""A command under a lock: wait for it, run, give it back."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from cronherd.domain.errors import Unavailable
from cronherd.domain.lock import LogLevel
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Held, Lock
from cronherd.locks.fleet import Ask
from cronherd.locks.telling import ToldLock
from cronherd.tools.crew import Crew
from cronherd.tools.held import FENCE, LOST, PASSED_ON, Keeping, run_held

LEVELS = tuple(str(level) for level in LogLevel)
Complain = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the lock `where` is wanted: `wait_us` None waits for as long as it takes.

    `code` is the exit code when others have it; `variable` tells the command its holder, behind
    `prefix`.
    """

    where: str
    shared: bool = False
    wait_us: int | None = None
    code: int = 1
    variable: str = ""
    prefix: str = ""
    expiry_us: int
    level: str = "none"
    quiet: bool = False


class _Ended(BaseException):
    """A signal asked this process to end while it waited."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run_locked(
    wish: Wish,
    argv: Sequence[str],
    environ: Mapping[str, str],
    complain: Complain,
    fleet: Ask | None = None,
) -> int:
    """The exit code: the command's, `code` when others have the lock, LOST when nobody knows.

    `fleet` is asked for a lock that is a name. Raises Invalid for an address that names no lock.
    """
    clock = SystemClock()
    try:
        opened = open_lock(wish.where, clock, environ, expiry_us=wish.expiry_us, fleet=fleet)
        lock = ToldLock(opened, LogLevel(wish.level), complain)
        _end_by_signals()
        held = lock.acquire(wait_us=wish.wait_us, shared=wish.shared)
        if held is None:
            if not wish.quiet:
                complain(f"{lock.name} is locked by somebody else")
            return wish.code
        keeping = Keeping(held, lock.expiry_us, clock, clock.boot_us())
        told = {**environ, **_told(held, wish.variable, wish.prefix)}
        # Blocked until they are caught: a signal in between would leave the lock behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        with Crew(clock, _heard(), told) as crew:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ended = run_held(argv, crew, keeping, complain)
            _give_back(held, lock, complain)
    except Unavailable as error:
        complain(str(error))
        return LOST
    except _Ended as signalled:
        return 128 + signalled.number
    return ended


def _heard() -> list[signal.Signals]:
    """What is passed on; not what the caller ignores, as nohup does: so does the command."""
    return [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]


def _told(held: Held, variable: str, prefix: str) -> dict[str, str]:
    told = {variable: f"{prefix}{os.getpid()}"} if variable else {}
    return told if held.fence is None else {**told, FENCE: str(held.fence)}


def _give_back(held: Held, lock: Lock, complain: Complain) -> None:
    """The command has run: that its lock stays until it expires is no reason to say otherwise."""
    try:
        held.release()
    except Unavailable as error:
        complain(str(error))
    lock.close()


def _end_by_signals() -> None:
    """While it waits a signal ends it so that what it asked a server for is taken back."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
