"""Cron fields against the wall clock of a zone: the library's answer, mended where it is wrong.

The library steps whole hours of real time. In a zone whose clock changes by half an hour (Lord
Howe Island) it then looks at half past only, until the next midnight, for expressions whose
minute or hour begins with `*`. Such a day is looked at again with the offset after the change.
"""

from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from cronherd.domain.instant import HOUR_US, SECOND_US, from_datetime, to_datetime

# Next instants remembered: jobs that share expression and zone share the work.
_MEMO = 65_536
# Wall times of a repeated stretch: no zone repeats more than a day, in minutes.
_FOLD_SEARCH = 1_500
_HOUR = timedelta(hours=1)


@lru_cache(maxsize=_MEMO)
def next_match(expression: str, zone: ZoneInfo, after_us: int) -> int | None:
    """The first instant after `after_us` that the five fields match, by Debian's rules."""
    moment = to_datetime(after_us, zone)
    if moment.year > 9900:  # the library looks up to fifty years ahead
        return None
    found_us = _first_later(expression, moment, after_us)
    minute, hour, *_ = expression.split()
    if found_us is None or not (minute.startswith("*") or hour.startswith("*")):
        return found_us
    for day in {moment.date(), to_datetime(found_us, zone).date()}:
        change_us = _odd_change(zone, day)
        if change_us is not None and change_us <= found_us:
            found_us = _behind(expression, zone, change_us, after_us, found_us)
    return found_us


def _first_later(expression: str, moment: datetime, after_us: int) -> int | None:
    """Around a change several wall times fall on one instant, or on an earlier one."""
    for following in islice(CronSim(expression, moment), _FOLD_SEARCH):
        at_us = from_datetime(following)
        if at_us > after_us:
            return at_us
    return None


def _behind(expression: str, zone: ZoneInfo, change_us: int, after_us: int, found_us: int) -> int:
    """The first match behind the change, if it lies before the one that was found."""
    start_us = max(change_us - 1, after_us)
    offset = to_datetime(change_us, zone).utcoffset()
    assert offset is not None
    moment = to_datetime(start_us, timezone(offset))
    again_us = _first_later(expression, moment, after_us)
    return found_us if again_us is None else min(again_us, found_us)


@lru_cache(maxsize=4_096)
def _odd_change(zone: ZoneInfo, day: date) -> int | None:
    """The instant of that day at which the offset changes by a part of an hour."""
    first_us = from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
    last_us = first_us + 26 * HOUR_US
    before = to_datetime(first_us, zone).utcoffset()
    after = to_datetime(last_us, zone).utcoffset()
    assert before is not None
    assert after is not None
    if not (after - before) % _HOUR:
        return None
    while last_us - first_us > SECOND_US:
        middle_us = (first_us + last_us) // 2
        if to_datetime(middle_us, zone).utcoffset() == before:
            first_us = middle_us
        else:
            last_us = middle_us
    return last_us // SECOND_US * SECOND_US
