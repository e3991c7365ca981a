"""Times that are taken out of a schedule: days, stretches, dates, holidays, cron minutes.

Each rule counts in wall time (see changes.py) and answers three questions: whether a wall time is
taken out, until when that goes on, and when it begins next.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Protocol

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from cronherd.domain.timing.cronexpr import is_drawn, read_cron
from cronherd.domain.timing.cronfields import CronFields
from cronherd.domain.timing.days import (
    DAY_MINUTES,
    short_day,
    spell_clock,
    split_wall,
    wall_at,
)
from cronherd.domain.timing.holiday import check_region, holidays_of

WEEK_MINUTES = 7 * DAY_MINUTES
EPOCH_DAY = date(1970, 1, 1).toordinal()
_WHOLE_HOUR = (1 << 60) - 1
_WHOLE_DAY = (1 << 24) - 1
CRON_HINT = "write {cron: '* * 13 * *'}"
# How many days in a row are looked at before an answer is given that is right but not the last.
_DAYS_AHEAD = 400


class Exclusion(Protocol):
    """A rule of wall times that are taken out."""

    @property
    def text(self) -> str:
        """The rule as it is written."""
        ...

    def contains(self, wall_us: int) -> bool:
        """Whether this wall time is taken out."""
        ...

    def until(self, wall_us: int) -> int:
        """Asked for what is taken out: a later wall time up to which all is taken out."""
        ...

    def begins_after(self, wall_us: int) -> int | None:
        """The first later wall time at which a stretch begins, None when none does."""
        ...


@dataclass(frozen=True, slots=True)
class Weekly:
    """From a minute of the week to another: `Fri 18:00 - Mon 06:00`."""

    begins: int
    ends: int

    @property
    def text(self) -> str:
        return f"{_spell_week(self.begins)} - {_spell_week(self.ends)}"

    def contains(self, wall_us: int) -> bool:
        return self._since(wall_us, self.begins) < self._length

    def until(self, wall_us: int) -> int:
        return self._next(wall_us, self.ends)

    def begins_after(self, wall_us: int) -> int:
        return self._next(wall_us, self.begins)

    @property
    def _length(self) -> int:
        return ((self.ends - self.begins) % WEEK_MINUTES) * MINUTE_US

    @staticmethod
    def _since(wall_us: int, minute: int) -> int:
        # The week begins on a Monday, the count of days on a Thursday.
        return (wall_us + 3 * DAY_US - minute * MINUTE_US) % (7 * DAY_US)

    def _next(self, wall_us: int, minute: int) -> int:
        return wall_us - self._since(wall_us, minute) + 7 * DAY_US


@dataclass(frozen=True, slots=True)
class Yearly:
    """Each year from one (month, day, minute) to another; the second no longer belongs to it."""

    begins: tuple[int, int, int]
    ends: tuple[int, int, int]
    text: str

    def contains(self, wall_us: int) -> bool:
        day, rest_us = split_wall(wall_us)
        moment = date.fromordinal(day + EPOCH_DAY)
        now = (moment.month, moment.day, rest_us // MINUTE_US)
        if self.begins < self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends

    def until(self, wall_us: int) -> int:
        return self._next(wall_us, self.ends)

    def begins_after(self, wall_us: int) -> int:
        return self._next(wall_us, self.begins)

    @staticmethod
    def _next(wall_us: int, edge: tuple[int, int, int]) -> int:
        year = date.fromordinal(split_wall(wall_us)[0] + EPOCH_DAY).year
        for later in range(4):
            edge_us = _edge_of(year + later, edge)
            if edge_us > wall_us:
                return edge_us
        raise AssertionError("every year has its edge")


@dataclass(frozen=True, slots=True)
class Fixed:
    """Once, from one wall time to another."""

    begins_us: int
    ends_us: int
    text: str

    def contains(self, wall_us: int) -> bool:
        return self.begins_us <= wall_us < self.ends_us

    def until(self, wall_us: int) -> int:
        return max(self.ends_us, wall_us + 1)

    def begins_after(self, wall_us: int) -> int | None:
        return self.begins_us if self.begins_us > wall_us else None


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days that one of a few questions names; see `own_dates` and `holidays`."""

    text: str
    taken: Callable[[int], bool]
    following: Callable[[int], int | None]

    def contains(self, wall_us: int) -> bool:
        return self.taken(split_wall(wall_us)[0])

    def until(self, wall_us: int) -> int:
        return _end_of_days(split_wall(wall_us)[0], self.taken) * DAY_US

    def begins_after(self, wall_us: int) -> int | None:
        day = self.following(split_wall(wall_us)[0])
        return None if day is None else day * DAY_US


@dataclass(frozen=True, slots=True)
class Minutes:
    """Each minute that five cron fields name, whatever the zone's clock does."""

    text: str
    fields: CronFields

    def contains(self, wall_us: int) -> bool:
        minute = wall_us // MINUTE_US
        named = self.fields.minutes >> minute % 60 & self.fields.hours >> minute // 60 % 24 & 1
        return bool(named) and self._on_day(wall_us // DAY_US)

    def until(self, wall_us: int) -> int:
        if self.fields.minutes == _WHOLE_HOUR:
            if self.fields.hours == _WHOLE_DAY:
                return _end_of_days(wall_us // DAY_US, self._on_day) * DAY_US
            return (wall_us // HOUR_US + 1) * HOUR_US
        following = wall_us // MINUTE_US + 1
        while following % 60 and self.fields.minutes >> following % 60 & 1:
            following += 1
        return following * MINUTE_US

    def begins_after(self, wall_us: int) -> int | None:
        found = self.fields.first_wall(wall_us // SECOND_US + 1)
        return None if found is None else found * SECOND_US

    def _on_day(self, day: int) -> bool:
        return self.fields.first_day(day) == day


@lru_cache(maxsize=1_024)
def own_dates(dates: tuple[date, ...]) -> Days:
    """Dates of one's own."""
    days = [day.toordinal() - EPOCH_DAY for day in dates]
    known = frozenset(days)

    def following(day: int) -> int | None:
        place = bisect_right(days, day)
        return days[place] if place < len(days) else None

    return Days(
        f"dates {', '.join(day.isoformat() for day in dates)}", known.__contains__, following
    )


@lru_cache(maxsize=256)
def holidays(region: str) -> Days:
    """The public holidays of a country or of a part of it. Raises Invalid."""
    code = check_region(region)

    def taken(day: int) -> bool:
        moment = date.fromordinal(day + EPOCH_DAY)
        return moment in holidays_of(code, moment.year)

    def following(day: int) -> int | None:
        moment = date.fromordinal(day + EPOCH_DAY) + timedelta(days=1)
        for year in (moment.year, moment.year + 1):
            known = sorted(holidays_of(code, year))
            place = bisect_left(known, moment)
            if place < len(known):
                return known[place].toordinal() - EPOCH_DAY
        return None

    return Days(f"holidays {code}", taken, following)


@lru_cache(maxsize=256)
def cron_minutes(expression: str) -> Minutes:
    """The minutes that five fields name. Raises Invalid."""
    if len(expression.split()) != 5 or is_drawn(expression):
        text = f"'{expression[:40]}' cannot be excluded: five plain cron fields are needed"
        raise Invalid(text, code="bad_exclusion", hint=CRON_HINT)
    try:
        rule = Minutes(f"cron {expression}", read_cron(expression))
    except Invalid as error:
        raise Invalid(error.text, code="bad_exclusion", hint=error.hint) from None
    if rule.until(0) >= _DAYS_AHEAD * DAY_US:
        raise Invalid(f"'{expression}' takes out every minute", code="bad_exclusion")
    return rule


def _end_of_days(day: int, taken: Callable[[int], bool]) -> int:
    """The first day after one that is taken that is not, or one up to which all are."""
    last = day + _DAYS_AHEAD
    day += 1
    while day < last and taken(day):
        day += 1
    return day


def _edge_of(year: int, edge: tuple[int, int, int]) -> int:
    """The wall time of an edge in a year; the 29th of February is the 1st of March in most."""
    month, day, minute = edge
    try:
        moment = date(year, month, day)
    except ValueError:
        moment, minute = date(year, 3, 1), 0
    return wall_at(moment.toordinal() - EPOCH_DAY, minute)


def _spell_week(minute: int) -> str:
    day, clock = divmod(minute, DAY_MINUTES)
    return f"{short_day(day)} {spell_clock(clock)}"
