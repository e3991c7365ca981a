"""From which instant on due rows are looked for.

Entries of fired rows stay in the index as long as somebody's old snapshot might need them. A scan
from the beginning of time would read all of them at each look: it grew from 0.9 to 7 ms within a
minute. So a look begins a little before the oldest row that was due at the last one.
"""

from cronherd.domain.instant import SECOND_US

# Longer than anybody can hold a row unseen: idle time-out and call deadline, 5 s each.
MARGIN_US = 15 * SECOND_US
# Whatever slipped past, such as a row that was written under an older clock, is found by then.
FULL_EVERY_US = 30 * SECOND_US


class LowBound:
    """One for all threads of a store: each only ever replaces whole numbers."""

    def __init__(self) -> None:
        self._low_us = 0
        self._full_us = 0
        self._now_us = 0

    def low_us(self) -> int:
        """Where the next look begins; now and then at the beginning."""
        if self._now_us - self._full_us >= FULL_EVERY_US:
            self._full_us = self._now_us
            return 0
        return self._low_us

    def saw(self, oldest_us: int | None, now_us: int) -> None:
        """What a look found due, by the database's clock, which may step back."""
        oldest_us = now_us if oldest_us is None else min(oldest_us, now_us)
        self._low_us = oldest_us - MARGIN_US
        self._now_us = now_us
        self._full_us = min(self._full_us, now_us)
