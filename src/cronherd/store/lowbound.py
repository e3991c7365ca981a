"""From which instant on due rows are looked for.

Entries of fired rows stay in the index as long as somebody's old snapshot might need them. A scan
from the beginning of time would read all of them at each look: it grew from 0.9 to 7 ms within a
minute. So a look begins a little before the oldest row that was due at the last one. A look locks
nothing and so sees rows that others hold: what it can miss are rows that were written late, under
an older clock or by a commit that took its time. For those it goes back further now and then.
"""

import threading

from cronherd.domain.instant import SECOND_US

# How far back a look goes usually, how far every few seconds, and when it sees all there is.
SHORT_US = SECOND_US
# Longer than anybody can hold a row unseen: idle time-out and call deadline, 5 s each.
WIDE_US = 15 * SECOND_US
WIDE_EVERY_US = 5 * SECOND_US
FULL_EVERY_US = 30 * SECOND_US


class _Asked(threading.local):
    """What this thread's look counts as once it is answered: full or wide, as of then."""

    full_us = 0
    wide_us = 0


class LowBound:
    """One for all threads of a store: each only ever replaces whole numbers.

    A look that failed saw nothing: only an answer counts as the full or the wide one.
    """

    def __init__(self) -> None:
        self._oldest_us = 0
        self._full_us = 0
        self._wide_us = 0
        self._now_us = 0
        self._asked = _Asked()

    def low_us(self) -> int:
        """Where the next look begins."""
        now_us, asked = self._now_us, self._asked
        asked.full_us = asked.wide_us = 0
        if now_us - self._full_us >= FULL_EVERY_US:
            asked.full_us = asked.wide_us = now_us
            return 0
        if now_us - self._wide_us >= WIDE_EVERY_US:
            asked.wide_us = now_us
            return max(0, self._oldest_us - WIDE_US)
        return max(0, self._oldest_us - SHORT_US)

    def saw(self, oldest_us: int | None, now_us: int) -> None:
        """What a look found due, by the database's clock, which may step back."""
        self._oldest_us = now_us if oldest_us is None else min(oldest_us, now_us)
        self._at(now_us)

    def fired(self, oldest_us: int | None, now_us: int) -> None:
        """What a batch got; it leaves out what others hold, so it proves less than a look."""
        if oldest_us is not None:
            passed_us = oldest_us - (WIDE_US - SHORT_US)
            self._oldest_us = min(max(self._oldest_us, passed_us), oldest_us)
        self._at(now_us)

    def _at(self, now_us: int) -> None:
        if now_us < self._now_us:  # the clock stepped back: what was seen says nothing any more
            self._oldest_us = 0
        asked = self._asked
        self._now_us = now_us
        self._full_us = min(max(self._full_us, asked.full_us), now_us)
        self._wide_us = min(max(self._wide_us, asked.wide_us), now_us)
        asked.full_us = asked.wide_us = 0
