"""The instants of a frequency, counted apart: each day, minute and second is looked at.

It knows no cron field, no mask and no search; a case says with plain comparisons what its step
means.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

COUNT = 20


@dataclass(frozen=True, kw_only=True)
class Case:
    """A step, and when it is to run: by the day, by hour and minute, by the second."""

    step: str
    day: Callable[[date], bool] = lambda _: True
    clock: Callable[[int, int], bool] = lambda _hour, _minute: True
    second: Callable[[int], bool] = lambda second: second == 0


def by_days(case: Case, zone: ZoneInfo, after: datetime) -> list[datetime]:
    """In a zone whose clock never changes."""
    return list(islice(_by_days(case, zone, after), COUNT))


def _by_days(case: Case, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    day = after.astimezone(zone).date()
    while True:
        if case.day(day):
            for at in range(24 * 60):
                if case.clock(at // 60, at % 60):
                    begin = datetime(day.year, day.month, day.day, at // 60, at % 60, tzinfo=zone)
                    yield from _seconds(case, begin, after)
        day += timedelta(days=1)


def _seconds(case: Case, begin: datetime, after: datetime) -> Iterator[datetime]:
    for second in range(60):
        instant = (begin + timedelta(seconds=second)).astimezone(UTC)
        if case.second(second) and instant > after:
            yield instant


def by_minutes(case: Case, zone: ZoneInfo, after: datetime) -> list[datetime]:
    """Each minute that really passes, with what the clock of the zone shows then."""
    found: list[datetime] = []
    instant = after.replace(second=0, microsecond=0)
    while len(found) < COUNT:
        instant += timedelta(minutes=1)
        wall = instant.astimezone(zone)
        if case.day(wall.date()) and case.clock(wall.hour, wall.minute):
            found.append(instant)
    return found


def last_of_month(day: date) -> bool:
    return (day + timedelta(days=1)).month != day.month
