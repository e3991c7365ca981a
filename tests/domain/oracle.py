"""What Debian's cron would do, by brute force: a second opinion on every schedule.

Written from crontab(5) and cron.c, and for what Debian has not from the words in docs/time.md,
apart from our own reader and evaluator and with another method: every minute (or second) of the
wall clock is looked at, so there is no search that could go wrong.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Minutes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DAY_S = 86_400
MINUTE_US = 60_000_000
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Each step of a stretch of time in a zone, with what its clocks show; steps since 1970."""

    step: int  # seconds: 60 or 1
    utc: Minutes  # each real step, in order
    wall: Minutes  # the wall clock at each of them, since 1970-01-01 00:00 local
    highest: Minutes  # the highest wall time so far: it never falls
    fresh: Flags  # whether the clock shows this for the first time

    @property
    def step_us(self) -> int:
        return self.step * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A line and what goes with it."""

    line: str
    seconds: str | None = None
    key: str = ""
    gap: str = "after"
    fold: str = "first"


def make_span(first_day: date, days: int, zone: ZoneInfo) -> Span:
    """Every minute from local midnight of `first_day`, for `days` days."""
    start = datetime(first_day.year, first_day.month, first_day.day, tzinfo=zone)
    epoch = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    first_s = (start - epoch) // timedelta(seconds=1)
    return span_of(first_s, first_s + days * _DAY_S, zone, step=60)


def span_of(start_s: int, end_s: int, zone: ZoneInfo, *, step: int) -> Span:
    """Every step of a stretch of seconds since 1970."""
    utc = np.arange(start_s // step, end_s // step, dtype=np.int64)
    # One look per quarter of an hour; one per second where two looks differ.
    marks = list(range(start_s, end_s + 900, 900))
    known = [_offset(mark, zone) for mark in marks]
    offsets = np.empty(len(utc), dtype=np.int64)
    for mark, before, after in zip(marks, known, known[1:], strict=False):
        first, last = -(-mark // step) - int(utc[0]), -(-(mark + 900) // step) - int(utc[0])
        if before == after:
            offsets[first:last] = before
        else:
            for place in range(max(first, 0), min(last, len(utc))):
                offsets[place] = _offset(int(utc[place]) * step, zone)
    assert not (offsets % step).any(), "this zone needs steps of a second"
    wall = utc + offsets // step
    highest = np.maximum.accumulate(wall)
    fresh = np.concatenate([[True], wall[1:] > highest[:-1]])
    return Span(step=step, utc=utc, wall=wall, highest=highest, fresh=fresh)


def _offset(second: int, zone: ZoneInfo) -> int:
    moment = datetime.fromtimestamp(second, tz=zone)
    shown = moment.replace(tzinfo=None) - datetime(1970, 1, 1)
    return shown // timedelta(seconds=1) - second


def expect_instants(asked: str | Question, span: Span) -> Minutes:
    """The steps of UTC at which an expression fires in the span."""
    if isinstance(asked, str):
        asked = Question(line=asked)
    in_a_day = _DAY_S // span.step
    first_day = int(span.wall.min()) // in_a_day
    days = np.arange(first_day, int(span.wall.max()) // in_a_day + 1, dtype=np.int64)
    second, minute, hour, *_ = split(asked)
    times = np.arange(in_a_day) * span.step
    on_time = np.isin(times % 60, _members(second, "second", asked.key))
    on_time &= np.isin(times // 60 % 60, _members(minute, "minute", asked.key))
    on_time &= np.isin(times // 3600, _members(hour, "hour", asked.key))
    wanted = np.outer(match_days(asked, days), on_time).reshape(-1)
    origin = first_day * in_a_day
    hits = wanted[span.wall - origin]
    if minute.startswith("*") or hour.startswith("*"):
        # A wildcard job follows the clock on the wall, whatever it does.
        return span.utc[hits]
    if asked.fold == "first":
        hits &= span.fresh
    found = span.utc[hits]
    if asked.gap == "skip":
        return found
    # What the clock leaves out comes at the first real step whose clock shows a later time.
    wanted[span.wall[span.fresh] - origin] = False
    lost = np.flatnonzero(wanted) + origin
    lost = lost[(lost > span.wall[0]) & (lost < span.highest[-1])]
    return np.union1d(found, span.utc[np.searchsorted(span.highest, lost, side="left")])


def split(asked: Question) -> list[str]:
    """Second, minute, hour, day of month, month, day of week."""
    words = asked.line.lower().split()
    if asked.seconds == "last":
        return [words[5], *words[:5]]
    return words if asked.seconds == "first" else ["0", *words]


def match_days(asked: Question, days: Minutes) -> Flags:
    """For each of the given days since 1970, whether the three fields of days let it through."""
    *_, dom, month, dow = (word.replace("?", "*") for word in split(asked))
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_starts = months.astype("datetime64[D]")
    day = (dates - month_starts).astype(np.int64) + 1
    length = ((months + 1).astype("datetime64[D]") - month_starts).astype(np.int64)
    weekday = (days + 4) % 7  # 1970-01-01 was a Thursday
    by_dom = _day_of_month(dom, day, length, weekday, asked.key)
    by_dow = _day_of_week(dow, day, length, weekday, asked.key)
    both = dom.startswith("*") or dow.startswith("*")
    on_day = by_dom & by_dow if both else by_dom | by_dow
    month_number = months.astype(np.int64) % 12 + 1
    return on_day & np.isin(month_number, _members(month, "month", asked.key))


# Name: lowest, highest, highest that is drawn when no end is named.
_BOUNDS = {
    "second": (0, 59, 59),
    "minute": (0, 59, 59),
    "hour": (0, 23, 23),
    "day of month": (1, 31, 28),
    "month": (1, 12, 12),
    "day of week": (0, 7, 6),
}


def _members(word: str, name: str, key: str) -> list[int]:
    """All numbers one plain field lets through; a list is read item by item."""
    found: list[int] = []
    for item in word.split(","):
        span, _, step = item.partition("/")
        low, high, drawn_high = _BOUNDS[name]
        if span.startswith("h") or "~" in span:
            first, last = _ends(span.strip("h()").replace("~", "-") or "-", low, drawn_high, name)
            text = f"{key}\0{name}\0{first}-{last}".encode()
            number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
            if step:
                found.extend(range(first + number % int(step), last + 1, int(step)))
            else:
                found.append(first + number % (last - first + 1))
            continue
        first, last = (low, high) if span == "*" else _ends(span, low, high, name)
        assert low <= first <= last <= high, f"{item} in {word}"
        found.extend(range(first, last + 1, int(step or 1)))
    return found


def _ends(span: str, low: int, high: int, name: str) -> tuple[int, int]:
    first, dash, last = span.partition("-")
    begin = _number(first, name) if first else low
    if not dash:
        return begin, begin
    return begin, _number(last, name) if last else max(high, begin)


def _number(text: str, name: str) -> int:
    if name == "month" and text in _MONTH_NAMES:
        return _MONTH_NAMES.index(text) + 1
    return _DAY_NAMES.index(text) if name == "day of week" and text in _DAY_NAMES else int(text)


def _day_of_month(word: str, day: Minutes, length: Minutes, weekday: Minutes, key: str) -> Flags:
    hit = np.zeros(len(day), dtype=np.bool_)
    for item in word.split(","):
        if item == "l":
            hit |= day == length
        elif item == "lw":
            last_weekday = (weekday + length - day) % 7  # of the last day of the month
            back = np.where(last_weekday == 6, 1, np.where(last_weekday == 0, 2, 0))
            hit |= day == length - back
        elif item.startswith("l-"):
            hit |= length - day == int(item[2:])
        elif item.endswith("w"):
            hit |= _nearest(int(item[:-1]), day, length, weekday)
        else:
            hit |= np.isin(day, _members(item, "day of month", key))
    return hit


def _nearest(wanted: int, day: Minutes, length: Minutes, weekday: Minutes) -> Flags:
    """The day from Monday to Friday of the same month that lies nearest to the wanted one."""
    hit = np.zeros(len(day), dtype=np.bool_)
    for n in range(max(wanted - 3, 1), min(wanted + 3, 31) + 1):
        # All days of the span as if each looked at the n-th of its month.
        away = np.abs(n - wanted)
        shown = (day == n) & (weekday % 6 != 0) & (wanted <= length)
        for m in range(max(wanted - 3, 1), min(wanted + 3, 31) + 1):
            if abs(m - wanted) < away:
                shown &= ((weekday + m - n) % 7 % 6 == 0) | (m > length)
        hit |= shown
    return hit


def _day_of_week(word: str, day: Minutes, length: Minutes, weekday: Minutes, key: str) -> Flags:
    hit = np.zeros(len(day), dtype=np.bool_)
    for item in word.split(","):
        if item.endswith("l"):
            hit |= (weekday == int(item[:-1]) % 7) & (day > length - 7)
        elif "#" in item:
            name, _, nth = item.partition("#")
            number = _number(name, "day of week") % 7
            hit |= (weekday == number) & ((day + 6) // 7 == int(nth))
        else:
            hit |= np.isin(weekday, [n % 7 for n in _members(item, "day of week", key)])
    return hit
