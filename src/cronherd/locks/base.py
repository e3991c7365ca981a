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

from cronherd.domain.errors import Invalid

EXPIRY_US = 3_600_000_000
"""How long a lock that nobody renews is held, unless somebody says otherwise: an hour."""
SHORTEST_EXPIRY_US = 1_000_000

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

    def close(self) -> None:
        """Forget the connection; what is held stays held until it is released or expires."""
        ...


def await_turn(attempt: Callable[[], T | None], clock: Clock, wait_us: int | None) -> T | None:
    """Ask until something comes back, for at most `wait_us`; at least once."""
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
        pause_s = min(2 * pause_s, _LOOK_S)


def owner_name() -> str:
    """The name of this process, for people who look who holds a lock."""
    return f"{os.uname().nodename}:{os.getpid()}"


def check_expiry(expiry_us: int, most_us: int) -> None:
    """Raise Invalid for an expiry that would be none."""
    if not SHORTEST_EXPIRY_US <= expiry_us <= most_us:
        days = most_us // 86_400_000_000
        raise Invalid(
            f"a lock must expire after a second to {days} days",
            code="bad_expiry",
            hint="what lasts longer is renewed while it lives",
        )
