"""Clock changes of a zone, and the way between its wall clock and instants.

A wall time is a number too: microseconds since 1970-01-01 00:00 as the clock on the wall counts
them, so that arithmetic on it knows nothing of changes. Between two changes it is the instant
plus a fixed offset.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronherd.domain.instant import DAY_US, HOUR_US, LAST_US, SECOND_US
from cronherd.domain.timing.zoneclock import zone_clock

# Zones are read so many days at a time.
_BLOCK_DAYS = 64
# No wall clock is further from UTC, nor is any change larger.
FURTHEST_US = 26 * HOUR_US
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall clock's own beginning, in no zone
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a clock: at `at_us` it goes from `before_us` to `after_us`, in wall time."""

    at_us: int
    before_us: int
    after_us: int

    @property
    def forward(self) -> bool:
        """Whether wall times are left out, and not repeated."""
        return self.after_us > self.before_us


@dataclass(frozen=True, slots=True)
class Steady:
    """A stretch of time in which the clock does not change: wall time is instant + offset."""

    begins_us: int
    ends_us: int  # the next change, or at least no later than that
    offset_us: int


def steady_at(at_us: int, zone: ZoneInfo) -> Steady:
    """The steady stretch around an instant; it may be cut where the zone does not change."""
    stretches = _steady_stretches(zone, at_us // (_BLOCK_DAYS * DAY_US))
    return stretches[bisect_right(stretches, at_us, key=lambda part: part.begins_us) - 1]


def wall_of(at_us: int, zone: ZoneInfo) -> int:
    """What the clock on the wall shows at an instant, as a wall time."""
    return at_us + steady_at(at_us, zone).offset_us


def changes_between(zone: ZoneInfo, from_us: int, until_us: int) -> list[Change]:
    """The changes with from_us < at_us <= until_us, in order."""
    found: list[Change] = []
    part = steady_at(from_us, zone)
    while part.ends_us <= min(until_us, LAST_US):
        after = steady_at(part.ends_us, zone)
        if after.offset_us != part.offset_us:
            at_us = after.begins_us
            found.append(Change(at_us, at_us + part.offset_us, at_us + after.offset_us))
        part = after
    return found


def instants_of(
    wall_us: int, zone: ZoneInfo, *, gap: str = "after", fold: str = "first"
) -> tuple[int, ...]:
    """The instants a wall time stands for: one, or two with fold `both`, or none with gap `skip`.

    A wall time that the clock leaves out is, with gap `after`, the instant of the change.
    """
    parts = _parts(zone, wall_us - FURTHEST_US, wall_us + FURTHEST_US)
    shown = sorted(
        {
            wall_us - part.offset_us
            for part in parts
            if part.begins_us <= wall_us - part.offset_us < part.ends_us
        }
    )
    if shown:
        return tuple(shown) if fold == "both" else (shown[0],)
    if gap == "skip":
        return ()
    passed = [part.begins_us for part in parts if part.begins_us + part.offset_us > wall_us]
    return (passed[0],)


def _parts(zone: ZoneInfo, from_us: int, until_us: int) -> list[Steady]:
    parts = [steady_at(from_us, zone)]
    while parts[-1].ends_us <= until_us:
        parts.append(steady_at(parts[-1].ends_us, zone))
    return parts


def wall_from(moment: datetime) -> int:
    """The wall time of a datetime without a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def wall_to(wall_us: int) -> datetime:
    """The wall time as a datetime without a zone."""
    return _EPOCH + timedelta(microseconds=wall_us)


@lru_cache(maxsize=4_096)
def _steady_stretches(zone: ZoneInfo, number: int) -> tuple[Steady, ...]:
    parts = zone_clock(zone).stretches(number * _BLOCK_DAYS, (number + 1) * _BLOCK_DAYS)
    return tuple(
        Steady(part.start * SECOND_US, part.end * SECOND_US, part.offset * SECOND_US)
        for part in parts
    )


def wall_text(wall_us: int, form: str = "%H:%M") -> str:
    """A wall time for people: `02:30`."""
    return wall_to(wall_us).strftime(form)
