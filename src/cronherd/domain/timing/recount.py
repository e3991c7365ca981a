"""The slots of a stretch of time, counted again apart from the planner.

A second opinion: every day and every matching time of it is written down and turned into instants
by the zone itself, and what windows and exclusions say is asked of each. There is no search for a
next one that could go wrong, and so nothing here is fast. Only calendar events are stepped through
as the planner does, since their library has no other way.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from cronherd.domain.instant import SECOND_US, from_datetime, to_datetime
from cronherd.domain.timing.cron import Cron
from cronherd.domain.timing.cronfields import DayRule, bits
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import AnyOf, At, Every
from cronherd.domain.timing.timetable import Timetable

_DAY = timedelta(days=1)
_MONDAY_TO_FRIDAY = range(5)


@dataclass(frozen=True, slots=True)
class Recount:
    """Slots in order: those that exist, and those that `excluding` took out."""

    slots: list[int]
    excluded: list[int]


def recount(schedule: Schedule, after_us: int, until_us: int) -> Recount:
    """The slots in (after, until]."""
    if not isinstance(schedule, Timetable):
        return Recount(sorted(set(_slots(schedule, after_us, until_us))), [])
    slots: list[int] = []
    excluded: list[int] = []
    for slot_us in sorted(set(_slots(schedule.rule, after_us, until_us))):
        if schedule.start_us is not None and slot_us < schedule.start_us:
            continue
        if schedule.end_us is not None and slot_us >= schedule.end_us:
            continue
        wall_us = _wall(slot_us, schedule.zone)
        if schedule.windows and not any(part.contains(wall_us) for part in schedule.windows):
            continue
        gone = any(part.contains(wall_us) for part in schedule.excluding)
        (excluded if gone else slots).append(slot_us)
    return Recount(slots, excluded)


def _slots(rule: Schedule, after_us: int, until_us: int) -> Iterator[int]:
    if isinstance(rule, AnyOf):
        for part in rule.rules:
            yield from _slots(part, after_us, until_us)
    elif isinstance(rule, At):
        yield from (at_us for at_us in rule.instants if after_us < at_us <= until_us)
    elif isinstance(rule, Every):
        first_us = after_us - (after_us - rule.phase_us) % rule.period_us + rule.period_us
        yield from range(first_us, until_us + 1, rule.period_us)
    elif isinstance(rule, Cron):
        found = (slot_us for slot_us in _of_cron(rule, after_us, until_us))
        yield from (slot_us for slot_us in found if after_us < slot_us <= until_us)
    else:
        slot_us = rule.next_after(after_us)
        while slot_us is not None and slot_us <= until_us:
            yield slot_us
            slot_us = rule.next_after(slot_us)


def _of_cron(rule: Cron, after_us: int, until_us: int) -> Iterator[int]:
    fields = rule.fields
    times = list(product(bits(fields.hours), bits(fields.minutes), bits(fields.seconds)))
    day = to_datetime(after_us, rule.zone).date() - 2 * _DAY
    last = to_datetime(until_us, rule.zone).date() + 2 * _DAY
    while day <= last:
        if fields.months >> day.month & 1 and _is_named(fields.days, day):
            for hour, minute, second in times:
                wall = datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001
                yield from _instants(wall, rule)
        day += _DAY


def _instants(wall: datetime, rule: Cron) -> Iterator[int]:
    """The instants at which a clock of the zone shows this wall time, by the job's policies."""
    readings = [wall.replace(tzinfo=rule.zone, fold=fold) for fold in (0, 1)]
    shown = sorted({from_datetime(moment) for moment in readings if _is_shown(moment)})
    if rule.fields.wildcard:
        yield from shown
    elif shown:
        yield from shown if rule.fold == "both" else shown[:1]
    elif rule.gap == "after":
        yield _end_of_gap(sorted(from_datetime(moment) for moment in readings), rule.zone)


def _is_shown(moment: datetime) -> bool:
    """Whether the clock really shows it: what is skipped comes back as another time."""
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None) == moment.replace(tzinfo=None)


def _end_of_gap(around: list[int], zone: ZoneInfo) -> int:
    """The first second behind the change that lies between two instants."""
    before, after = around[0] // SECOND_US, around[1] // SECOND_US
    offset = to_datetime(before * SECOND_US, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if to_datetime(middle * SECOND_US, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after * SECOND_US


def _wall(at_us: int, zone: ZoneInfo) -> int:
    """What the clock on the wall shows, in microseconds since 1970-01-01 00:00 local."""
    return from_datetime(to_datetime(at_us, zone).replace(tzinfo=UTC))


def _is_named(rule: DayRule, day: date) -> bool:
    on_date, on_weekday = _by_date(rule, day), _by_weekday(rule, day)
    return (on_date and on_weekday) if rule.together else (on_date or on_weekday)


def _by_date(rule: DayRule, day: date) -> bool:
    length = monthrange(day.year, day.month)[1]
    if rule.days >> day.day & 1 or day.day in {length - back for back in bits(rule.from_last)}:
        return True
    wanted = [number or length for number in bits(rule.nearest)]
    return any(_workday(day.replace(day=number)) == day for number in wanted if number <= length)


def _workday(day: date) -> date:
    """The day from Monday to Friday of the same month that is nearest."""
    month = [day + step * _DAY for step in (0, -1, 1, -2, 2)]
    return next(
        other
        for other in month
        if other.weekday() in _MONDAY_TO_FRIDAY and other.month == day.month
    )


def _by_weekday(rule: DayRule, day: date) -> bool:
    weekday = day.isoweekday() % 7
    if rule.weekdays >> weekday & 1:
        return True
    length = monthrange(day.year, day.month)[1]
    if rule.last_of >> weekday & 1 and day.day + 7 > length:
        return True
    return bool(rule.nth_of >> 8 * ((day.day - 1) // 7 + 1) + weekday & 1)
