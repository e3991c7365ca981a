"""The lock of a run: this process is born as the run, takes the lock and starts the command.

It ends as its command does. Whatever else it has to say goes to the supervisor by a pipe of its
own (supervisor/lockword.py), so no exit code is ever taken for the command's. The supervisor's
signals reach the whole group, so nothing is passed on here.
"""

import contextlib
import errno
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cronherd.domain.duration import format_duration
from cronherd.domain.errors import CronherdError, Unavailable
from cronherd.domain.lock import LOCKED, UNAVAILABLE, Away, LockUse
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Held, Lock
from cronherd.locks.fleet import Ask
from cronherd.locks.telling import Teller
from cronherd.supervisor.launcher import look_up
from cronherd.tools.bound import ASKS, HEARD, Ending, Mask, start_held, watch_held
from cronherd.tools.held import FENCE, Keeping

SECOND_US = 1_000_000

ENDED_BEFORE = "it was asked to end before its lock was had, and its command was not executed"
_FIRST_LOOK_US = 10_000
_LOOK_US = 500_000
_NO_CODE = 125  # nobody judges by it: what counts is on the pipe


class Refusal(Exception):
    """The command is not executed: a code of lockword.py and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The pipe to the supervisor. No command inherits it."""

    descriptor: int

    def say(self, word: str, text: str = "") -> None:
        line = " ".join(f"{word} {text}".split())
        with contextlib.suppress(OSError):  # a supervisor that died has killed us
            os.write(self.descriptor, f"{line}\n".encode("utf-8", "replace"))


def run_job(
    use: LockUse,
    argv: Sequence[str],
    environ: Mapping[str, str],
    words: Words,
    complain: Callable[[str], None],
    fleet: Ask | None = None,
) -> NoReturn:
    """Take the lock, run the command, give it back, and end as the command did."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    os.set_inheritable(words.descriptor, False)  # noqa: FBT003 - its only form
    try:
        ending = _run(use, argv, environ, words, complain, fleet, before)
    except Refusal as refused:
        words.say(f"refused {refused.code}", refused.text)
        os._exit(_NO_CODE)
    if ending.lost:
        words.say("lost", f"its lock '{_name(use)}' was lost while it ran, so it was ended")
        os._exit(_NO_CODE)
    words.say("ended")
    _end_as(ending.status)


def _run(
    use: LockUse,
    argv: Sequence[str],
    environ: Mapping[str, str],
    words: Words,
    complain: Callable[[str], None],
    fleet: Ask | None,
    before: Mask,
) -> Ending:
    clock = SystemClock()
    try:
        lock = open_lock(use.where, clock, environ, expiry_us=use.expiry_us, fleet=fleet)
    except CronherdError as error:
        raise Refusal(UNAVAILABLE, str(error)) from None
    held, asked_us = Turn(use, lock, Teller(lock, use.log, complain), clock).take()
    told = environ if held.fence is None else {**environ, FENCE: str(held.fence)}
    try:
        if signal.sigpending() & ASKS:
            raise Refusal(LOCKED, ENDED_BEFORE)
        child = _start(argv, told, before)
        words.say("ran")
        for number in signal.sigpending() & ASKS:  # it may have come before there was a command
            child.send_signal(number)
        keeping = Keeping(held, lock.expiry_us, clock, asked_us)
        return watch_held(child, keeping, clock)
    finally:
        with contextlib.suppress(Unavailable):  # then it expires
            held.release()


class Turn:
    """The wait for a lock, for as long as the job says; signals are looked at in between."""

    def __init__(self, use: LockUse, lock: Lock, teller: Teller, clock: SystemClock) -> None:
        self._use = use
        self._lock = lock
        self._teller = teller
        self._clock = clock
        self._until_us = clock.boot_us() + use.wait_us
        self._away: Unavailable | None = None

    def take(self) -> tuple[Held, int]:
        """The hold, and the boot clock before it was asked for. Raises Refusal."""
        pause_us = _FIRST_LOOK_US
        self._teller.asked()
        while True:
            asked_us = self._clock.boot_us()
            held = self._attempt()
            if held is not None:
                return self._teller.gained(held), asked_us
            left_us = self._until_us - self._clock.boot_us()
            if left_us <= 0:
                raise self._refusal()
            if signal.sigtimedwait(ASKS, min(left_us, pause_us) / 1_000_000) is not None:
                raise Refusal(LOCKED, ENDED_BEFORE)
            pause_us = min(2 * pause_us, _LOOK_US)

    def _attempt(self) -> Held | None:
        """None when others have it, or when it cannot be asked for just now."""
        was_away, self._away = self._away, None
        try:
            held = self._lock.acquire(shared=self._use.shared)
            if held is None:
                self._teller.refused()
        except Unavailable as error:
            self._away = error
            if was_away is None:
                self._teller.tell(str(error))
            if self._use.away is Away.SKIP:
                raise Refusal(UNAVAILABLE, str(error)) from None
            return None
        except CronherdError as error:
            raise Refusal(UNAVAILABLE, str(error)) from None
        return held

    def _refusal(self) -> Refusal:
        if self._away is not None:
            return Refusal(UNAVAILABLE, f"{self._away}{self._waited()}")
        holder = None
        with contextlib.suppress(Unavailable):
            holder = self._lock.holder()
        by = "somebody else"
        if holder is not None:
            held_us = holder.held_us // SECOND_US * SECOND_US
            by = f"{holder.who} for {format_duration(held_us)}"
        return Refusal(LOCKED, f"its {self._called()} is held by {by}{self._waited()}")

    def _waited(self) -> str:
        waited_us = self._use.wait_us
        return f"; it waited {format_duration(waited_us)}" if waited_us else ""

    def _called(self) -> str:
        return f"lock '{self._lock.name}'"


def _name(use: LockUse) -> str:
    return use.where.rpartition("/")[2] if "://" in use.where else use.where


def _start(
    argv: Sequence[str], environ: Mapping[str, str], before: Mask
) -> subprocess.Popen[bytes]:
    """As the supervisor executes a command, with its codes. Raises Refusal."""
    name = argv[0]
    try:
        path = name if "/" in name else look_up(name, environ.get("PATH", ""))
        try:
            return start_held(argv, environ, before, path)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
        return start_held(["/bin/sh", path, *argv[1:]], environ, before)
    except (OSError, ValueError) as error:
        missing = getattr(error, "errno", None) in {errno.ENOENT, errno.ENOTDIR}
        reason = getattr(error, "strerror", None) or str(error)
        code = "not_found" if missing else "not_executable"
        raise Refusal(code, f"cannot execute {name!r}: {reason}") from None


def _end_as(code: int) -> NoReturn:
    """Exit as the command did; by its signal, if one ended it."""
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left one, if any
    number = -code
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
