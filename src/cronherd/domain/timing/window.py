"""When starts are allowed: stretches of the local day, on some days of the week, over midnight.

Everything here counts in wall time (see changes.py): what a clock change does to it, the
schedule around it decides.
"""

import re
from dataclasses import dataclass

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import MINUTE_US
from cronherd.domain.timing.days import (
    ALL_DAYS,
    CLOCK_PATTERN,
    DAY_MINUTES,
    DAYS_PATTERN,
    read_clock,
    read_days,
    spell_clock,
    spell_days,
    split_wall,
    wall_at,
    weekday_of,
)

MAX_WINDOWS = 50
_SPAN = re.compile(
    rf"\s*(?:({DAYS_PATTERN})(?:\s+|\s*$))?(?:({CLOCK_PATTERN})\s*-\s*({CLOCK_PATTERN}))?\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Minutes of the local day: `opens` belongs to it, `closes` no longer does.

    `opens` > `closes` spans midnight: 23:00-03:00 is one window, not two. `days` are those on
    which it opens, so the small hours after the last of them still belong to it.
    """

    opens: int
    closes: int
    days: tuple[int, ...] = ALL_DAYS

    @property
    def text(self) -> str:
        """The window as it is written: `Mon-Fri 23:00-03:00`; whole days only by their names."""
        days = spell_days(self.days)
        if days and (self.opens, self.closes) == (0, DAY_MINUTES):
            return days
        return f"{days} {spell_clock(self.opens)}-{spell_clock(self.closes)}".lstrip()

    def contains(self, wall_us: int) -> bool:
        """Whether it is open at a wall time."""
        day, rest_us = split_wall(wall_us)
        minute = rest_us // MINUTE_US
        if self.opens < self.closes:
            return self.opens <= minute < self.closes and weekday_of(day) in self.days
        if minute >= self.opens and weekday_of(day) in self.days:
            return True
        return minute < self.closes and weekday_of(day - 1) in self.days

    def begins_after(self, wall_us: int) -> int:
        """The first opening strictly after a wall time."""
        return self._edge_after(wall_us, self.opens)

    def until(self, wall_us: int) -> int:
        """When it closes, asked while it is open."""
        over = 0 if self.opens < self.closes else DAY_MINUTES
        return self._edge_after(wall_us, self.closes + over)

    def _edge_after(self, wall_us: int, minute: int) -> int:
        today, _ = split_wall(wall_us)
        for day in range(today - 1, today + 9):
            if weekday_of(day) in self.days:
                edge_us = wall_at(day, minute)
                if edge_us > wall_us:
                    return edge_us
        raise AssertionError("a window opens at least every eighth day")


def parse_window(text: str) -> Window:
    """Read `[DAYS ]HH:MM-HH:MM`, or days alone. Raises Invalid."""
    found = _SPAN.fullmatch(text)
    if not found or not any(found.groups()):
        raise _bad(text)
    days = read_days(found[1]) if found[1] else ALL_DAYS
    if days is None:
        raise Invalid(
            f"'{found[1][:40]}' are no days of the week", code="bad_window", hint="write Mon-Fri"
        )
    if found[2] is None:
        return Window(opens=0, closes=DAY_MINUTES, days=days)
    opens, closes = read_clock(found[2], most=DAY_MINUTES - 1), read_clock(found[3])
    if opens is None or closes is None:
        raise _bad(text)
    if opens == closes:
        raise Invalid(
            f"the window '{text[:40]}' is empty",
            code="bad_window",
            hint="leave it out for the whole day",
        )
    return Window(opens=opens, closes=closes, days=days)


def parse_windows(spec: str | list[str] | tuple[str, ...]) -> tuple[Window, ...]:
    """One window or several; a slot must lie in one of them. Raises Invalid."""
    if isinstance(spec, str):
        return (parse_window(spec),)
    if not 0 < len(spec) <= MAX_WINDOWS:
        raise Invalid(
            f"must be a window or a list of 1 to {MAX_WINDOWS} of them", code="bad_window"
        )
    return tuple(parse_window(part) for part in spec)


def _bad(text: str) -> Invalid:
    return Invalid(
        f"'{text[:40]}' is not a window",
        code="bad_window",
        hint="write 23:00-03:00 or Mon-Fri 09:00-17:00, local time",
    )
