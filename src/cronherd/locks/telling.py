"""What a lock says of itself: nothing, what looks abandoned, or each step."""

from collections.abc import Callable

from cronherd.domain.duration import format_duration
from cronherd.domain.lock import LogLevel
from cronherd.locks.base import Held, Hold, Holder, Lock

ABANDONED_US = 600_000_000
"""Held for this long, a lock that is in somebody's way is worth a word."""


class ToldHeld:
    def __init__(self, held: Held, name: str, say: Callable[[str], None]) -> None:
        self._held = held
        self._name = name
        self._say = say
        self.shared = held.shared
        self.fence = held.fence

    def renew(self) -> bool:
        ours = self._held.renew()
        if not ours:
            self._say(f"lock '{self._name}' is lost: it expired, or somebody cleared it")
        return ours

    def release(self, *, gap_us: int = 0) -> bool:
        ours = self._held.release(gap_us=gap_us)
        self._say(f"lock '{self._name}' {'is released' if ours else 'was not ours any more'}")
        return ours


class Teller:
    """What is to be said of one lock, at one level."""

    def __init__(self, lock: Lock, level: LogLevel, say: Callable[[str], None]) -> None:
        self._lock = lock
        self._level = level
        self._say = say
        self._abandoned = False

    def asked(self) -> None:
        """Before the first attempt."""
        self.tell(f"lock '{self._lock.name}' is asked for")

    def refused(self) -> None:
        """Others have it. That it looks abandoned is said once."""
        if self._level == LogLevel.NONE or self._abandoned:
            return
        holder = self._lock.holder()
        if holder is not None and holder.held_us >= ABANDONED_US:
            self._abandoned = True
            since = format_duration(holder.held_us // 1_000_000 * 1_000_000)
            name = self._lock.name
            self._say(f"lock '{name}' looks abandoned: {holder.who} has held it for {since}")
        else:
            by = f" by {holder.who}" if holder else ""
            self.tell(f"lock '{self._lock.name}' is held{by}")

    def gained(self, held: Held) -> Held:
        """The hold, which says what becomes of it."""
        if self._level != LogLevel.VERBOSE:
            return held
        self._say(f"lock '{self._lock.name}' is ours")
        return ToldHeld(held, self._lock.name, self._say)

    def tell(self, sentence: str) -> None:
        """A step."""
        if self._level == LogLevel.VERBOSE:
            self._say(sentence)


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
        teller = Teller(self._lock, self._level, self._say)
        teller.asked()
        held = self._lock.acquire(wait_us=0, shared=shared)
        if held is None:  # said before the wait, which may be long
            teller.refused()
            held = None if wait_us == 0 else self._lock.acquire(wait_us=wait_us, shared=shared)
            if held is None and wait_us:
                teller.refused()
        return None if held is None else teller.gained(held)

    def holder(self) -> Holder | None:
        return self._lock.holder()

    def holds(self) -> list[Hold]:
        return self._lock.holds()

    def clear(self, actor: str) -> list[Hold]:
        return self._lock.clear(actor)

    def close(self) -> None:
        self._lock.close()
