"""The offsets of a zone, found by asking it hour by hour, and remembered.

All that has to do with changes of a clock looks here.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAY = 86_400
_PROBE = 3_600  # two changes within an hour that undo each other are not seen
# A clock is never set by more than a day, and shows a date at most 16 hours before or after UTC.
NEAR_DAYS = 2
_DAYS_KEPT = 8_192
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds of UTC with one offset: from `start` to before `end`."""

    start: int
    end: int
    offset: int


@dataclass(slots=True)
class ZoneClock:
    """The offsets of a zone, kept by the day of UTC."""

    zone: ZoneInfo
    _plain: dict[int, int | None] = field(default_factory=dict)
    _days: dict[int, tuple[Stretch, ...]] = field(default_factory=dict)

    def plain(self, day: int) -> int | None:
        """The offset of a day around which the clock does not change, else None."""
        try:
            return self._plain[day]
        except KeyError:
            pass
        around = self.stretches(day - NEAR_DAYS, day + NEAR_DAYS + 1)
        offset = around[0].offset if len(around) == 1 else None
        if len(self._plain) >= _DAYS_KEPT:
            self._plain.clear()
        self._plain[day] = offset
        return offset

    def stretches(self, first_day: int, end_day: int) -> list[Stretch]:
        """The stretches of some days of UTC, in order, without a hole."""
        found: list[Stretch] = []
        for day in range(first_day, end_day):
            for part in self._day(day):
                if found and found[-1].offset == part.offset:
                    found[-1] = Stretch(found[-1].start, part.end, part.offset)
                else:
                    found.append(part)
        return found

    def _day(self, day: int) -> tuple[Stretch, ...]:
        known = self._days.get(day)
        if known is not None:
            return known
        found: list[Stretch] = []
        start, end = day * _DAY, (day + 1) * _DAY
        offset = self._offset(start)
        for probe in range(start + _PROBE, end + 1, _PROBE):
            after = self._offset(probe)
            if after != offset:
                change = self._change(probe - _PROBE, probe, offset)
                found.append(Stretch(start, change, offset))
                start, offset = change, after
        if start < end:
            found.append(Stretch(start, end, offset))
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        known = self._days[day] = tuple(found)
        return known

    def _change(self, before: int, after: int, offset: int) -> int:
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, at_s: int) -> int:
        # What the clock shows: utcoffset() would ask again from the wall time, which may be shown
        # more than twice where changes lie close together.
        wall = datetime.fromtimestamp(at_s, self.zone)
        time_s = wall.hour * 3_600 + wall.minute * 60 + wall.second
        return (wall.toordinal() - _EPOCH) * _DAY + time_s - at_s


@lru_cache(maxsize=1_024)
def zone_clock(zone: ZoneInfo) -> ZoneClock:
    """What is known of a zone; shared by all its jobs."""
    return ZoneClock(zone)
