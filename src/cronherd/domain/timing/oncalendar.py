"""systemd's calendar events: `Mon..Fri 09:00`, `*-*-01 02:00:00`, `daily`.

The library reads them and finds the next one of the wall clock; what a change of the clock does
to it is decided here. As with systemd a wall time that is left out does not come, and one that
is repeated comes once, unless the job says something else.
"""

from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from oncalendar import DAYS_IN_MONTH, BaseIterator, OnCalendarError

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import SECOND_US, load_zone
from cronherd.domain.timing.changes import FURTHEST_US, Steady, steady_at, wall_from, wall_to
from cronherd.domain.timing.rule import Plain

LONGEST = 500


@dataclass(frozen=True, slots=True)
class OnCalendar(Plain):
    """A calendar event in a zone; its own, when one is written behind it."""

    expression: str
    zone: ZoneInfo
    gap: str = "skip"
    fold: str = "first"

    @property
    def text(self) -> str:
        return f"oncalendar {self.expression}"

    def next_after(self, after_us: int) -> int | None:
        part = steady_at(after_us, self.zone)
        while True:
            found_us = self._within(part, after_us)
            if isinstance(found_us, Found):
                return found_us.at_us
            if found_us is None:
                return None
            # Far from here only the neighbourhood of the wall time that was found matters.
            far_us = found_us - FURTHEST_US if part.ends_us - after_us > FURTHEST_US else 0
            part = steady_at(max(part.ends_us, far_us), self.zone)

    def _within(self, part: Steady, after_us: int) -> "Found | int | None":
        """The first slot of a steady stretch; else the wall time that a later one may show."""
        before_us = part.begins_us + steady_at(part.begins_us - 1, self.zone).offset_us
        least_us = max(after_us + 1, part.begins_us) + part.offset_us
        if self.gap == "after" and after_us < part.begins_us and before_us < least_us:
            left_out_us = next_wall(self.expression, before_us)
            if left_out_us is not None and left_out_us < least_us:
                return Found(part.begins_us)
        if self.fold == "first":
            least_us = max(least_us, before_us)
        wall_us = next_wall(self.expression, least_us)
        if wall_us is None:
            return None
        at_us = wall_us - part.offset_us
        return Found(at_us) if at_us < part.ends_us else wall_us


@dataclass(frozen=True, slots=True)
class Found:
    """An instant, and no wall time."""

    at_us: int


def make_oncalendar(
    text: str, zone: ZoneInfo, *, gap: str | None = None, fold: str | None = None
) -> OnCalendar:
    """The schedule of one calendar event. Raises Invalid."""
    words = text.split()
    if not words or len(text) > LONGEST:
        raise _bad(text, "write oncalendar Mon..Fri 09:00")
    if len(words) > 1 and words[-1][0].isalpha():
        zone = load_zone(words[-1])
    expression = " ".join(words)
    _read(_without_zone(expression))
    return OnCalendar(expression, zone, gap or "skip", fold or "first")


def next_wall(expression: str, least_us: int) -> int | None:
    """The first wall time from `least_us` on that an expression names."""
    iterator = copy(_read(_without_zone(expression)))
    whole = -(-least_us // SECOND_US)
    iterator.dt = wall_to((whole - 1) * SECOND_US)
    try:
        return wall_from(next(iterator))
    except StopIteration:
        return None


def _without_zone(expression: str) -> str:
    head, _, last = expression.rpartition(" ")
    return head if head and last[0].isalpha() else expression


@lru_cache(maxsize=4_096)
def _read(expression: str) -> BaseIterator:
    if "." in expression.replace("..", ""):
        raise _bad(expression, "whole seconds only")
    try:
        event = BaseIterator(expression, wall_to(0))
    except OnCalendarError as error:
        raise _bad(expression, _reason(str(error))) from None
    if not any(day <= DAYS_IN_MONTH[month] for month in event.months for day in event.days):
        # The library would look at every day until its last year, each time.
        hint = "no month has that day"
        raise Invalid(f"'{expression[:80]}' never fires", code="never_fires", hint=hint)
    return event


def _reason(text: str) -> str:
    """The library's word for the field that is wrong, as part of a hint."""
    field = text.removeprefix("Bad ")
    if field == text:
        return "write Mon..Fri 09:00, *-*-01 02:00 or daily"
    return f"the {field.replace('-', ' ')} cannot be read"


def _bad(text: str, hint: str) -> Invalid:
    return Invalid(f"'{text[:80]}' is no calendar event", code="bad_schedule", hint=hint)
