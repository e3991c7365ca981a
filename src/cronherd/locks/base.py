"""The one contract of a lock, and how its turn is awaited.

A lock keeps others out only while it is held. A holder that was stopped does not know that it
expired, so who must not write late passes the fence on: what remembers the highest fence it has
seen can refuse an older one.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cronherd.domain.errors import NotFound

_FIRST_LOOK_S = 0.01
_LOOK_S = 0.2

T = TypeVar("T")


class Clock(Protocol):
    """What waiting takes; engine/clock.py has it."""

    def now_us(self) -> int: ...

    def boot_us(self) -> int: ...

    def wait(self, event: threading.Event, seconds: float) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock: words for people, and microseconds since when."""

    who: str
    held_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold, for people; None is what this kind of lock does not know.

    `left_us`: until it expires unless it is renewed.
    """

    who: str | None
    shared: bool
    held_us: int | None
    left_us: int | None
    fence: int | None


class Held(Protocol):
    """One hold of a lock. Only who got it can renew or release it."""

    @property
    def shared(self) -> bool: ...

    @property
    def fence(self) -> int | None:
        """Larger for each exclusive hold of this lock; None where there is none."""
        ...

    def renew(self) -> bool:
        """Hold it for a whole expiry from now. False: it is not ours any more.

        Raises Unavailable: then nobody knows.
        """
        ...

    def release(self, *, gap_us: int = 0) -> bool:
        """Give it back, for others not before `gap_us` have passed. False: it was not ours.

        What others hold is never touched. Raises Unavailable; Invalid for a gap that this kind
        of lock cannot keep.
        """
        ...


class Lock(Protocol):
    """A lock by its name. It may be acquired from several threads, each with a hold of its own."""

    @property
    def name(self) -> str:
        """For people; without a password."""
        ...

    @property
    def expiry_us(self) -> int | None:
        """How long it is held without a renewal; None: until its holder ends."""
        ...

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> Held | None:
        """The hold, or None when others still have it after `wait_us`; None waits for ever.

        Raises Unavailable when the lock cannot be asked, Invalid when it cannot be shared.
        """
        ...

    def holder(self) -> Holder | None:
        """Who holds it alone; None when nobody does, or when this kind cannot tell."""
        ...

    def holds(self) -> list[Hold]:
        """All who hold it now. Raises Unavailable; Invalid where this kind cannot tell."""
        ...

    def clear(self, actor: str) -> list[Hold]:
        """Take it from whoever holds it: their next renewal fails. Those it was taken from.

        Raises NotFound when nobody holds it; Invalid where only its holder can give it back.
        """
        ...

    def close(self) -> None:
        """Forget the connection; what is held stays held until it is released or expires."""
        ...


def await_turn(
    attempt: Callable[[], T | None], clock: Clock, wait_us: int | None, most_s: float = _LOOK_S
) -> T | None:
    """Ask until something comes back, for at most `wait_us`, every `most_s`; at least once."""
    never, pause_s = threading.Event(), _FIRST_LOOK_S
    end = None if wait_us is None else clock.boot_us() + wait_us
    while True:
        got = attempt()
        if got is not None:
            return got
        left_s = pause_s if end is None else (end - clock.boot_us()) / 1_000_000
        if left_s <= 0:
            return None
        clock.wait(never, min(left_s, pause_s))
        pause_s = min(2 * pause_s, most_s)


def owner_name() -> str:
    """The name of this process, for people who look who holds a lock."""
    return f"{os.uname().nodename}:{os.getpid()}"


def nobody_holds(name: str) -> NotFound:
    """What clearing says of a lock that is free."""
    return NotFound(
        f"nobody holds the lock '{name}'",
        code="no_such_lock",
        hint="'cronherd locks list' shows who holds what",
    )
