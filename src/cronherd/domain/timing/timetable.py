"""A rule within what a job says around it: windows, exclusions, a beginning and an end."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cronherd.domain.instant import DAY_US
from cronherd.domain.timing.changes import FURTHEST_US, Steady, steady_at
from cronherd.domain.timing.exclusion import Exclusion
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.window import Window

# What is taken out is stepped over as a whole, so few steps lead far; a slot of the rule costs
# about as much as so many of them.
_STEPS = 1_000
_SLOT_STEPS = 3
# Nothing is looked for further ahead: leap years, and years that begin on the same weekday, repeat
# within it.
_AHEAD_US = 60 * 366 * DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The slots of a rule that lie in a window, in no exclusion, and between start and end."""

    rule: Schedule
    zone: ZoneInfo
    windows: tuple[Window, ...] = ()
    excluding: tuple[Exclusion, ...] = ()
    start_us: int | None = None
    end_us: int | None = None

    @property
    def text(self) -> str:
        parts = [self.rule.text]
        if self.windows:
            parts.append(f"within {' or '.join(window.text for window in self.windows)}")
        if self.excluding:
            parts.append(f"excluding {' and '.join(rule.text for rule in self.excluding)}")
        return " ".join(parts)

    @property
    def at_boot(self) -> bool:
        return self.rule.at_boot

    @property
    def excludes(self) -> bool:
        return bool(self.excluding)

    def next_after(self, after_us: int) -> int | None:
        at_us = after_us if self.start_us is None else max(after_us, self.start_us - 1)
        last_us: int | None = None
        steps = 0
        while steps < _STEPS:
            slot_us = self.rule.next_after(at_us)
            if slot_us is None or self._is_over(slot_us):
                return None
            last_us = slot_us + _AHEAD_US if last_us is None else last_us
            steps += _SLOT_STEPS
            free_us, further_us = slot_us, self._further(slot_us)
            while further_us is not None and further_us <= last_us and steps < _STEPS:
                steps += 1
                free_us, further_us = further_us, self._further(further_us)
            if free_us == slot_us:
                return slot_us if further_us is None else None
            at_us = free_us - 1
        return None

    def excluded_between(self, after_us: int, until_us: int, limit: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        if not self.excluding:
            return found
        at_us = after_us if self.start_us is None else max(after_us, self.start_us - 1)
        while len(found) < limit:
            slot_us = self.rule.next_after(at_us)
            if slot_us is None or slot_us > until_us or self._is_over(slot_us):
                break
            part = steady_at(slot_us, self.zone)
            wall_us = slot_us + part.offset_us
            rule = self._taken_by(wall_us)
            if rule is None:
                at_us = self._next_taken(wall_us, part) - 1
            elif self._is_open(wall_us):
                found.append((slot_us, rule.text))
                at_us = slot_us
            else:
                at_us = self._opens(wall_us, part) - 1
        return found

    def allows(self, wall_us: int) -> bool:
        """Whether windows and exclusions leave a wall time alone."""
        return self._is_open(wall_us) and self._taken_by(wall_us) is None

    def _further(self, at_us: int) -> int | None:
        """None where a slot may be; else a later instant before which none may be."""
        part = steady_at(at_us, self.zone)
        wall_us = at_us + part.offset_us
        if not self._is_open(wall_us):
            return self._opens(wall_us, part)
        rule = self._taken_by(wall_us)
        if rule is None:
            return None
        # Up to a change of the clock only: behind it the wall may show an earlier time again.
        # A day later that is still within what is taken out.
        until_us = rule.until(wall_us) - part.offset_us
        settled = part.ends_us - at_us > FURTHEST_US
        return min(until_us, max(part.ends_us, until_us - FURTHEST_US if settled else 0))

    def _is_over(self, slot_us: int) -> bool:
        return self.end_us is not None and slot_us >= self.end_us

    def _is_open(self, wall_us: int) -> bool:
        return not self.windows or any(window.contains(wall_us) for window in self.windows)

    def _opens(self, wall_us: int, part: Steady) -> int:
        following = min(window.begins_after(wall_us) for window in self.windows)
        return min(following - part.offset_us, part.ends_us)

    def _taken_by(self, wall_us: int) -> Exclusion | None:
        return next((rule for rule in self.excluding if rule.contains(wall_us)), None)

    def _next_taken(self, wall_us: int, part: Steady) -> int:
        begins = [rule.begins_after(wall_us) for rule in self.excluding]
        following = [begin - part.offset_us for begin in begins if begin is not None]
        return min([*following, part.ends_us])
