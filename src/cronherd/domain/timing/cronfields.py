"""What a cron expression lets through, as bit masks, and the first day and time that it does.

Bit n of `minutes` is minute n, bit n of a mask of days is day n of the month; weekdays count from
Sunday, 0. Days are counted since 1970-01-01, without any zone: that is wallclock.py's business.
"""

from calendar import isleap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

LAST_YEAR = 9998  # later ones leave datetime's range in zones ahead of UTC
FIELD_NAMES = ("second", "minute", "hour", "day of month", "month", "day of week")

_EPOCH = date(1970, 1, 1).toordinal()
_THURSDAY = 4  # 1970-01-01
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EACH_SEVENTH = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """Which days of a month match, whatever the month's length and first weekday."""

    days: int = 0
    from_last: int = 0  # bit n: n days before the last one
    nearest: int = 0  # bit n: the weekday (Monday to Friday) nearest to day n; 0 is the last day
    weekdays: int = 0
    last_of: int = 0  # bit w: the last weekday w of the month
    nth_of: int = 0  # bit 8 * n + w: the n-th weekday w
    together: bool = True  # day of month and day of week must both match, else either
    _months: dict[tuple[int, int], int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of_month(self, length: int, first: int) -> int:
        """The matching days of a month with so many days that begins on weekday `first`."""
        known = self._months.get((length, first))
        if known is None:
            by_date, by_weekday = self.by_date(length, first), self.by_weekday(length, first)
            known = by_date & by_weekday if self.together else by_date | by_weekday
            self._months[length, first] = known  # at most 28 shapes
        return known

    def by_date(self, length: int, first: int) -> int:
        """What the field for days of the month lets through."""
        found = self.days
        for back in bits(self.from_last):
            found |= 1 << max(length - back, 0)
        for day in bits(self.nearest):
            found |= _nearest_weekday(day or length, length, first)
        return found & _all_days(length)

    def by_weekday(self, length: int, first: int) -> int:
        """What the field for days of the week lets through."""
        found = 0
        for weekday in bits(self.weekdays):
            found |= _EACH_SEVENTH << _first_on(weekday, first)
        for weekday in bits(self.last_of):
            day = _first_on(weekday, first) + 28
            found |= 1 << (day if day <= length else day - 7)
        for place in bits(self.nth_of):
            nth, weekday = divmod(place, 8)
            found |= 1 << (_first_on(weekday, first) + 7 * (nth - 1))
        return found & _all_days(length)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """A cron expression as masks; equal for all spellings that mean the same."""

    seconds: int
    minutes: int
    hours: int
    months: int
    days: DayRule
    # Minute or hour begins with `*`: follows the wall clock through changes. Else a fixed time.
    wildcard: bool
    # What was drawn for the job: field, term, value or first value, as ("minute", "H/15", 7).
    drawn: tuple[tuple[str, str, int], ...] = ()

    def first_time(self, second: int) -> int | None:
        """The first matching second of a day at or after `second`."""
        hour, rest = divmod(second, 3600)
        minute, second = divmod(rest, 60)
        if self.hours >> hour & 1:
            if self.minutes >> minute & 1 and self.seconds >> second:
                return hour * 3600 + minute * 60 + second + _lowest(self.seconds >> second)
            later = self.minutes >> minute + 1
            if later:
                minute += 1 + _lowest(later)
                return hour * 3600 + minute * 60 + _lowest(self.seconds)
        later = self.hours >> hour + 1
        if not later:
            return None
        hour += 1 + _lowest(later)
        return hour * 3600 + _lowest(self.minutes) * 60 + _lowest(self.seconds)

    def first_day(self, day: int) -> int | None:
        """The first matching day at or after `day`, None when there is none until LAST_YEAR."""
        at = date.fromordinal(day + _EPOCH)
        year, month, number = at.year, at.month, at.day
        first = day - number + 1  # of the month
        while year <= LAST_YEAR:
            if self.months >> month & 1:
                length = _LENGTHS[month] + (month == 2 and isleap(year))
                left = self.days.of_month(length, (first + _THURSDAY) % 7) >> number
                if left:
                    return first + number - 1 + _lowest(left)
            later = self.months >> month + 1
            if later:
                month += 1 + _lowest(later)
            else:
                year, month = year + 1, _lowest(self.months)
            first, number = date(year, month, 1).toordinal() - _EPOCH, 1
        return None

    def first_wall(self, wall: int) -> int | None:
        """The first match at or after a wall time, in seconds since 1970-01-01 00:00 local."""
        today, second = divmod(wall, 86_400)
        day = self.first_day(today)
        if day == today:
            time = self.first_time(second)
            if time is not None:
                return today * 86_400 + time
            day = self.first_day(today + 1)
        if day is None:
            return None
        time = self.first_time(0)
        assert time is not None  # no field is empty
        return day * 86_400 + time

    def ever_fires(self) -> bool:
        """Whether any date matches: each month comes with each first weekday."""
        lengths = {_LENGTHS[month] for month in bits(self.months)}
        lengths |= {29} if 28 in lengths else set()
        return any(self.days.of_month(length, first) for length in lengths for first in range(7))


def mismatch(fields: CronFields, wall: datetime) -> list[str]:
    """The names of the fields that a wall time does not match, in the order of FIELD_NAMES.

    Where either day may match, both are named or none.
    """
    length = _LENGTHS[wall.month] + (wall.month == 2 and isleap(wall.year))
    first = date(wall.year, wall.month, 1).isoweekday() % 7
    on_date = fields.days.by_date(length, first) >> wall.day & 1
    on_weekday = fields.days.by_weekday(length, first) >> wall.day & 1
    if not fields.days.together:
        on_date = on_weekday = on_date | on_weekday
    matched = (
        fields.seconds >> wall.second & 1,
        fields.minutes >> wall.minute & 1,
        fields.hours >> wall.hour & 1,
        on_date,
        fields.months >> wall.month & 1,
        on_weekday,
    )
    return [name for name, hit in zip(FIELD_NAMES, matched, strict=True) if not hit]


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, from the lowest."""
    while mask:
        yield _lowest(mask)
        mask &= mask - 1


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _all_days(length: int) -> int:
    return (2 << length) - 2


def _first_on(weekday: int, first: int) -> int:
    """The first day of the month on that weekday."""
    return (weekday - first) % 7 + 1


def _nearest_weekday(day: int, length: int, first: int) -> int:
    """Bit of the Monday to Friday nearest to a day, in the same month; 0 without such a day."""
    if day > length:
        return 0
    weekday = (first + day - 1) % 7
    if weekday == 6:
        day += -1 if day > 1 else 2
    elif weekday == 0:
        day += 1 if day < length else -2
    return 1 << day
