"""What Debian's cron would do, by brute force: a second opinion on every schedule.

Written from crontab(5) and cron.c, apart from cronsim and from our own reader, and with another
method: every minute of the wall clock is looked at, so there is no search that could go wrong.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Minutes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DAY_MINUTES = 1_440
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Minutes since 1970 of a stretch of time in a zone, with what its clocks show."""

    utc: Minutes  # each real minute, in order
    wall: Minutes  # the wall clock at each of them, in minutes since 1970-01-01 00:00 local


def make_span(first_day: date, days: int, zone: ZoneInfo) -> Span:
    """Every minute from local midnight of `first_day`, for `days` days."""
    epoch = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    start = (datetime(first_day.year, first_day.month, first_day.day, tzinfo=zone) - epoch) // (
        timedelta(minutes=1)
    )
    utc = np.arange(start, start + days * _DAY_MINUTES, dtype=np.int64)
    # Offsets change on a quarter of an hour at the finest, so one look per quarter is enough.
    quarters = np.unique(utc // 15)
    offsets = np.array([_offset(int(q) * 15, zone) for q in quarters], dtype=np.int64)
    wall = utc + offsets[np.searchsorted(quarters, utc // 15)]
    return Span(utc=utc, wall=wall)


def _offset(minute: int, zone: ZoneInfo) -> int:
    moment = datetime.fromtimestamp(minute * 60, tz=zone)
    offset = moment.utcoffset()
    assert offset is not None
    return offset // timedelta(minutes=1)


def expect_instants(expression: str, span: Span) -> Minutes:
    """The UTC minutes at which a five-field expression fires in the span."""
    first_day = int(span.wall.min()) // _DAY_MINUTES
    days = np.arange(first_day, int(span.wall.max()) // _DAY_MINUTES + 1, dtype=np.int64)
    shown = _matches(expression, days)
    origin = first_day * _DAY_MINUTES
    minute, hour, *_ = expression.split()
    if minute.startswith("*") or hour.startswith("*"):
        # A wildcard job follows the clock on the wall, whatever it does.
        return span.utc[shown[span.wall - origin]]
    wanted = np.flatnonzero(shown) + origin
    return _once_each(wanted[wanted >= span.wall[0]], span)


def _once_each(wanted: Minutes, span: Span) -> Minutes:
    """Jobs at set times: in the gap once right after it, in the fold once, the first time."""
    # The first real minute whose clock shows the wanted time or, in a gap, a later one. The
    # highest clock so far never falls, so a second passage is never the first.
    highest = np.maximum.accumulate(span.wall)
    places = np.searchsorted(highest, wanted, side="left")
    return np.unique(span.utc[places[places < len(span.utc)]])


def _matches(expression: str, days: Minutes) -> Flags:
    """For each minute of the given days, whether the five fields let it through."""
    minute, hour, dom, month, dow = expression.lower().split()
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_starts = months.astype("datetime64[D]")
    day = (dates - month_starts).astype(np.int64) + 1
    length = ((months + 1).astype("datetime64[D]") - month_starts).astype(np.int64)
    weekday = (days + 4) % 7  # 1970-01-01 was a Thursday
    by_dom = _day_of_month(dom, day, length, weekday)
    by_dow = _day_of_week(dow, day, length, weekday)
    both = dom.startswith("*") or dow.startswith("*")
    on_day = by_dom & by_dow if both else by_dom | by_dow
    on_day &= np.isin(months.astype(np.int64) % 12 + 1, _members(month, 1, 12, _MONTH_NAMES))
    time = np.arange(_DAY_MINUTES)
    on_time = np.isin(time % 60, _members(minute, 0, 59))
    on_time &= np.isin(time // 60, _members(hour, 0, 23))
    return np.outer(on_day, on_time).reshape(-1)


def _members(word: str, low: int, high: int, names: list[str] | None = None) -> list[int]:
    """All numbers one plain field lets through; a list is read item by item."""
    found: list[int] = []
    for item in word.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        else:
            first, last = (_number(end, low, names) for end in (span.split("-") * 2)[:2])
        assert low <= first <= last <= high, f"{item} in {word}"
        found.extend(range(first, last + 1, int(step or 1)))
    return found


def _number(text: str, low: int, names: list[str] | None) -> int:
    return names.index(text) + low if names and text in names else int(text)


def _day_of_month(word: str, day: Minutes, length: Minutes, weekday: Minutes) -> Flags:
    hit = np.zeros(len(day), dtype=np.bool_)
    for item in word.split(","):
        if item == "l":
            hit |= day == length
        elif item == "lw":
            last_weekday = (weekday + length - day) % 7  # of the last day of the month
            back = np.where(last_weekday == 6, 1, np.where(last_weekday == 0, 2, 0))
            hit |= day == length - back
        else:
            hit |= np.isin(day, _members(item, 1, 31))
    return hit


def _day_of_week(word: str, day: Minutes, length: Minutes, weekday: Minutes) -> Flags:
    hit = np.zeros(len(day), dtype=np.bool_)
    for item in word.split(","):
        if item.endswith("l"):
            hit |= (weekday == int(item[:-1]) % 7) & (day > length - 7)
        elif "#" in item:
            name, _, nth = item.partition("#")
            hit |= (weekday == _number(name, 0, _DAY_NAMES) % 7) & ((day + 6) // 7 == int(nth))
        else:
            hit |= np.isin(weekday, [n % 7 for n in _members(item, 0, 7, _DAY_NAMES)])
    return hit
