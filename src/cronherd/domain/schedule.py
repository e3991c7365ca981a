"""Schedules: pure rules that, given an instant, tell the next one.

Each kind answers `next_after(instant) -> instant | None` in UTC microseconds: strictly later,
always the same answer for the same question, after a bounded search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from cronherd.domain.cronexpr import check_cron
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import (
    LAST_US,
    SECOND_US,
    format_instant,
    load_zone,
    parse_instant,
)
from cronherd.domain.wallclock import next_match
from cronherd.domain.window import Window

KINDS = ("cron", "every", "after", "at")
MAX_ALTERNATIVES = 50  # a job with more schedules than that is several jobs
# A candidate outside the window jumps to the next opening, so this many jumps span a year.
_WINDOW_SEARCH = 400


class Schedule(Protocol):
    """A rule for the next instant."""

    def next_after(self, after_us: int) -> int | None:
        """The first slot strictly after `after_us`, None when there is none."""
        ...

    @property
    def text(self) -> str:
        """The rule as a person would write it."""
        ...


@dataclass(frozen=True, slots=True)
class Cron:
    """Five cron fields in a zone, with the day rule and clock-change rules of Debian's cron."""

    expression: str
    zone: ZoneInfo

    @property
    def text(self) -> str:
        return self.expression

    def next_after(self, after_us: int) -> int | None:
        return next_match(self.expression, self.zone, after_us)


@dataclass(frozen=True, slots=True)
class Every:
    """Multiples of a period since 1970, so that every node counts alike."""

    period_us: int

    @property
    def text(self) -> str:
        return f"every {format_duration(self.period_us)}"

    def next_after(self, after_us: int) -> int | None:
        following = (after_us // self.period_us + 1) * self.period_us
        return following if following <= LAST_US else None


@dataclass(frozen=True, slots=True)
class After:
    """A delay counted from the end of the previous run; the first counts from the creation."""

    delay_us: int

    @property
    def text(self) -> str:
        return f"after {format_duration(self.delay_us)}"

    def next_after(self, after_us: int) -> int | None:
        """The slot that follows an *end* at `after_us`."""
        return after_us + self.delay_us


@dataclass(frozen=True, slots=True)
class At:
    """One instant."""

    at_us: int

    @property
    def text(self) -> str:
        return f"at {format_instant(self.at_us)}"

    def next_after(self, after_us: int) -> int | None:
        return self.at_us if self.at_us > after_us else None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several rules as one set: an instant that two of them name is one slot."""

    rules: tuple[Schedule, ...]

    @property
    def text(self) -> str:
        return " or ".join(rule.text for rule in self.rules)

    def next_after(self, after_us: int) -> int | None:
        instants = [rule.next_after(after_us) for rule in self.rules]
        return min((at_us for at_us in instants if at_us is not None), default=None)


@dataclass(frozen=True, slots=True)
class Within:
    """A rule whose slots outside the window do not exist."""

    rule: Schedule
    window: Window
    zone: ZoneInfo

    @property
    def text(self) -> str:
        return f"{self.rule.text} within {self.window.text}"

    def next_after(self, after_us: int) -> int | None:
        for _ in range(_WINDOW_SEARCH):
            slot_us = self.rule.next_after(after_us)
            if slot_us is None or self.window.contains(slot_us, self.zone):
                return slot_us
            after_us = self.window.opens_after(slot_us, self.zone) - 1
        return None


def parse_schedule(
    spec: object, *, timezone: str, window: Window | None = None, now_us: int = 0
) -> Schedule:
    """Read the one grammar of schedules: a string, a mapping with one kind, or a list of those.

    Raises Invalid when it cannot be read or would never fire after `now_us`.
    """
    zone = load_zone(timezone)
    rule = _parse(spec, zone)
    if isinstance(rule, After):
        if window is not None:
            raise Invalid("'after' cannot have a window yet", code="bad_schedule")
        return rule
    schedule = rule if window is None else Within(rule, window, zone)
    if schedule.next_after(now_us) is None:
        raise Invalid(
            f"the schedule '{schedule.text}' never fires", code="never_fires", hint=_never(rule)
        )
    return schedule


def canonical_schedule(spec: object) -> object:
    """The same rule in its shortest spelling: a string, or a list of strings."""
    if isinstance(spec, str):
        return " ".join(spec.split())
    if isinstance(spec, Mapping):
        kind, value = _one_kind(spec)
        return str(value) if kind == "cron" else f"{kind} {value}"
    if isinstance(spec, Sequence):
        return [canonical_schedule(part) for part in spec]
    raise _bad(spec)


def _parse(spec: object, zone: ZoneInfo) -> Schedule:
    if isinstance(spec, str):
        return _parse_text(spec, zone)
    if isinstance(spec, Mapping):
        kind, value = _one_kind(spec)
        return _parse_kind(kind, value, zone)
    if isinstance(spec, Sequence) and 0 < len(spec) <= MAX_ALTERNATIVES:
        rules = tuple(_parse(part, zone) for part in spec)
        if len(rules) > 1 and any(isinstance(rule, After) for rule in rules):
            raise Invalid("'after' must be the only schedule of a job", code="bad_schedule")
        return rules[0] if len(rules) == 1 else AnyOf(rules)
    raise _bad(spec)


def _one_kind(spec: Mapping[object, object]) -> tuple[str, object]:
    kinds = [key for key in spec if key in KINDS]
    if len(kinds) != 1 or len(spec) != 1:
        odd = ", ".join(str(key) for key in spec if key not in KINDS)
        text = f"unknown schedule option '{odd}'" if odd else "a schedule has exactly one kind"
        raise Invalid(text, code="bad_schedule", hint=f"use one of {', '.join(KINDS)}")
    return str(kinds[0]), spec[kinds[0]]


# Many jobs have the same rule; rules never change, so those jobs share one.
@lru_cache(maxsize=4_096)
def _parse_text(text: str, zone: ZoneInfo) -> Schedule:
    word, _, rest = text.strip().partition(" ")
    if word.lower() in KINDS and rest:
        return _parse_kind(word.lower(), rest.strip(), zone)
    return Cron(check_cron(text), zone)


def _parse_kind(kind: str, value: object, zone: ZoneInfo) -> Schedule:
    if kind == "cron" and isinstance(value, str):
        return Cron(check_cron(value), zone)
    if kind == "at" and isinstance(value, str):
        return At(parse_instant(value, zone))
    if kind in {"every", "after"} and isinstance(value, str | int | float):
        period_us = parse_duration(value)
        if kind == "every" and period_us < SECOND_US:
            raise Invalid("'every' needs at least one second", code="bad_schedule")
        return Every(period_us) if kind == "every" else After(period_us)
    raise _bad(value)


def _bad(spec: object) -> Invalid:
    return Invalid(
        f"'{str(spec)[:80]}' is not a schedule",
        code="bad_schedule",
        hint="write '30 2 * * *', 'every 10m', 'after 5m' or 'at 2027-01-01 09:00'",
    )


def _never(rule: Schedule) -> str:
    if isinstance(rule, At):
        return "its instant has passed"
    return "no day and time fits all of it"
