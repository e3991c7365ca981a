"""Cron fields against the clock on the wall of a zone, through every change of that clock.

A **wildcard** (minute or hour begins with `*`) follows the wall clock: each real second whose wall
time matches, so nothing in a gap, and both passages of a fold.

A **fixed time** is a date and time that people chose. One that the clock skips is made up for at
the first instant behind the gap (`gap` "after"; several make one slot) or left out ("skip"). One
that the clock shows twice comes at the first passage (`fold` "first") or at both ("both"). The
rules are the same for any size: where a whole day is skipped, its times come behind it.

Far from any change, which is nearly always, the answer is one look at the calendar and one
subtraction. Near one, each stretch between two changes is searched by itself.
"""

from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from cronherd.domain.instant import SECOND_US
from cronherd.domain.timing.cronfields import LAST_YEAR, CronFields
from cronherd.domain.timing.zoneclock import NEAR_DAYS, Stretch, zone_clock

Gap = Literal["after", "skip"]
Fold = Literal["first", "both"]
GAPS: tuple[Gap, ...] = ("after", "skip")
FOLDS: tuple[Fold, ...] = ("first", "both")

_DAY = 86_400
# Days with a change that swallowed the match: such a schedule may never fire again.
_MOST_TRIES = 20
_FIRST_S = -2_208_988_800  # 1900; nothing is asked about earlier instants
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_S = (date(LAST_YEAR, 1, 1).toordinal() - _EPOCH) * _DAY


def next_match(
    fields: CronFields, zone: ZoneInfo, after_us: int, *, gap: Gap = "after", fold: Fold = "first"
) -> int | None:
    """The first matching instant after `after_us`, None when there is none in reach.

    In reach is until the year LAST_YEAR, and not behind 20 changes in a row each of which
    swallowed the match.
    """
    clock = zone_clock(zone)
    at = max(after_us // SECOND_US + 1, _FIRST_S)
    for _ in range(_MOST_TRIES):
        if at >= _LAST_S:
            return None
        day = at // _DAY
        offset = clock.plain(day)
        if offset is not None:
            wall = fields.first_wall(at + offset)
            if wall is None:
                return None
            day = wall // _DAY
            offset = clock.plain(day)
            if offset is not None:
                return (wall - offset) * SECOND_US
            # Nothing matches before that wall time, so neither does any instant before its days.
            at = max(at, (day - NEAR_DAYS) * _DAY)
        end_day = max(day, at // _DAY) + 1
        while clock.plain(end_day) is None:
            end_day += 1
        found = _search(fields, clock.stretches(at // _DAY - NEAR_DAYS, end_day), at, (gap, fold))
        if found is not None:
            return found * SECOND_US
        at = end_day * _DAY
    return None


def _search(
    fields: CronFields, stretches: list[Stretch], at: int, policy: tuple[Gap, Fold]
) -> int | None:
    """The first match at or after `at` in some stretches that begin long before it."""
    gap, fold = policy
    shown = stretches[0].start + stretches[0].offset  # the highest wall time so far
    for part in stretches:
        opens, closes = part.start + part.offset, part.end + part.offset
        if part.end > at:
            fixed = not fields.wildcard
            if fixed and gap == "after" and opens > shown and part.start >= at:
                missed = fields.first_wall(shown)
                if missed is not None and missed < opens:
                    return part.start
            least = max(part.start, at) + part.offset
            if fixed and fold == "first":
                least = max(least, shown)
            wall = fields.first_wall(least)
            if wall is not None and wall < closes:
                return wall - part.offset
        shown = max(shown, closes)
    return None
