"""What a door refuses, as events: at most one for each who is refused in ten minutes.

The counts are of one process. Whoever floods a door adds to a number, not to a table.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock

from cronherd.domain.errors import CronherdError
from cronherd.domain.event import EventKind
from cronherd.domain.instant import MINUTE_US

QUIET_US = 10 * MINUTE_US
MOST = 100  # events in that time, whoever they are of

Note = Callable[[EventKind, str, str, str], None]


class Refusals:
    """Writes down who was refused what; never a reason for a request to fail."""

    def __init__(self, note: Note, now_us: Callable[[], int]) -> None:
        self._note = note
        self._now_us = now_us
        self._lock = Lock()
        self._told: dict[tuple[EventKind, str], tuple[int, int]] = {}  # when, and how many since

    def tell(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        with suppress(CronherdError):
            more = self._count((kind, subject), self._now_us())
            if more is not None:
                before = f"; and {more} more before" if more else ""
                self._note(kind, subject, actor, text + before)

    def _count(self, key: tuple[EventKind, str], now_us: int) -> int | None:
        """How many were passed over since the last one that was told; None: so is this one."""
        with self._lock:
            told_us, more = self._told.get(key, (now_us - QUIET_US - 1, 0))
            if now_us - told_us <= QUIET_US:
                self._told[key] = told_us, more + 1
                return None
            if len(self._told) >= MOST:
                self._forget(now_us)
            if len(self._told) >= MOST:
                return None
            self._told[key] = now_us, 0
            return more

    def _forget(self, now_us: int) -> None:
        old = [key for key, (told_us, _) in self._told.items() if now_us - told_us > QUIET_US]
        for key in old:
            del self._told[key]
