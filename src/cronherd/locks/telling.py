"""What a lock says of itself: nothing, what looks abandoned, or each step."""

from collections.abc import Callable
from enum import StrEnum

from cronherd.domain.duration import format_duration
from cronherd.locks.base import Held, Holder, Lock

ABANDONED_US = 600_000_000
"""Held for this long, a lock that is in somebody's way is worth a word."""


class LogLevel(StrEnum):
    NONE = "none"
    ABANDONED = "abandoned"
    VERBOSE = "verbose"


class ToldHeld:
    def __init__(self, held: Held, name: str, say: Callable[[str], None]) -> None:
        self._held = held
        self._name = name
        self._say = say
        self.shared = held.shared
        self.fence = held.fence

    def renew(self) -> bool:
        return self._held.renew()

    def release(self, *, gap_us: int = 0) -> bool:
        ours = self._held.release(gap_us=gap_us)
        self._say(f"lock '{self._name}' {'is released' if ours else 'was not ours any more'}")
        return ours


class ToldLock:
    """A lock that says what becomes of it, one sentence at a time."""

    def __init__(self, lock: Lock, level: LogLevel, say: Callable[[str], None]) -> None:
        self._lock = lock
        self._level = level
        self._say = say
        self.name = lock.name
        self.expiry_us = lock.expiry_us

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> Held | None:
        if self._level == LogLevel.NONE:
            return self._lock.acquire(wait_us=wait_us, shared=shared)
        self._tell(f"lock '{self.name}' is asked for")
        held = self._lock.acquire(wait_us=0, shared=shared)
        if held is None:  # said before the wait, which may be long
            self._tell_holder()
            held = None if wait_us == 0 else self._lock.acquire(wait_us=wait_us, shared=shared)
        if held is None or self._level != LogLevel.VERBOSE:
            return held
        self._say(f"lock '{self.name}' is ours")
        return ToldHeld(held, self.name, self._say)

    def holder(self) -> Holder | None:
        return self._lock.holder()

    def close(self) -> None:
        self._lock.close()

    def _tell(self, sentence: str) -> None:
        if self._level == LogLevel.VERBOSE:
            self._say(sentence)

    def _tell_holder(self) -> None:
        holder = self._lock.holder()
        if holder is not None and holder.held_us >= ABANDONED_US:
            since = format_duration(holder.held_us // 1_000_000 * 1_000_000)
            self._say(f"lock '{self.name}' looks abandoned: {holder.who} has held it for {since}")
        else:
            by = f" by {holder.who}" if holder else ""
            self._tell(f"lock '{self.name}' is held{by}")
