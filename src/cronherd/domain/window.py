"""When starts are allowed: one stretch of the local day, over midnight if need be."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import from_datetime, to_datetime

_TIME = r"(\d{1,2}):(\d{2})"
_SPAN = re.compile(rf"\s*{_TIME}\s*-\s*{_TIME}\s*")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Minutes of the local day: `opens` belongs to it, `closes` no longer does.

    `opens` > `closes` spans midnight: 23:00-03:00 is one window, not two jobs.
    """

    opens: int
    closes: int

    @property
    def text(self) -> str:
        """The window as it is written: `23:00-03:00`."""
        return f"{_clock(self.opens)}-{_clock(self.closes)}"

    def contains(self, at_us: int, zone: ZoneInfo) -> bool:
        """Whether a start at this instant is allowed."""
        local = to_datetime(at_us, zone)
        minute = local.hour * 60 + local.minute
        if self.opens < self.closes:
            return self.opens <= minute < self.closes
        return minute >= self.opens or minute < self.closes

    def opens_after(self, at_us: int, zone: ZoneInfo) -> int:
        """The first opening strictly after `at_us`; in a spring gap, the end of the gap."""
        local = to_datetime(at_us, zone)
        midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
        for days in range(3):
            day = (midnight + timedelta(days=days)).replace(tzinfo=None)
            opening = (day + timedelta(minutes=self.opens)).replace(tzinfo=zone)
            opening_us = from_datetime(opening)
            if opening_us > at_us:
                return opening_us
        raise AssertionError("a window opens at least every other day")


def parse_window(text: str) -> Window:
    """Read `HH:MM-HH:MM`. Raises Invalid."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise _bad(text)
    opens_hour, opens_minute, closes_hour, closes_minute = map(int, found.groups())
    opens = opens_hour * 60 + opens_minute
    closes = closes_hour * 60 + closes_minute
    if opens_minute > 59 or closes_minute > 59 or opens >= _DAY_MINUTES or closes > _DAY_MINUTES:
        raise _bad(text)
    if opens == closes:
        raise Invalid(
            f"the window '{text}' is empty",
            code="bad_window",
            hint="leave it out for the whole day",
        )
    return Window(opens=opens, closes=closes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _bad(text: str) -> Invalid:
    return Invalid(
        f"'{text[:40]}' is not a window", code="bad_window", hint="write 23:00-03:00, local time"
    )
