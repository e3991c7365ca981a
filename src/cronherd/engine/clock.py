"""The only place that reads a clock.

Everything else gets a `Clock` and passes instants (UTC microseconds) on as values.
"""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, boot time and waiting, so that a test can hold all three."""

    def now_us(self) -> int:
        """The wall clock: UTC microseconds since 1970. May step either way."""
        ...

    def boot_us(self) -> int:
        """Microseconds since the host booted, suspend included. Never steps."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or `seconds` have passed; True when it was set."""
        ...


class SystemClock:
    """The host's own clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def boot_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class FakeClock:
    """A clock that moves only when a test moves it; waiting moves it at once."""

    def __init__(self, now_us: int = 1_800_000_000_000_000) -> None:
        self._now_us = now_us
        self._boot_us = 1_000_000_000

    def now_us(self) -> int:
        return self._now_us

    def boot_us(self) -> int:
        return self._boot_us

    def advance(self, seconds: float) -> None:
        """Let both clocks run on by `seconds`."""
        self._now_us += round(seconds * 1_000_000)
        self._boot_us += round(seconds * 1_000_000)

    def step(self, seconds: float) -> None:
        """Step the wall clock only, as an operator or NTP does."""
        self._now_us += round(seconds * 1_000_000)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        self.advance(seconds)
        return event.is_set()
