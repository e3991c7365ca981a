"""When a job runs, as steps say it: a frequency, days, hours of the day; and as a file says it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cronherd.domain.timing.days import ALL_DAYS, DAY_MINUTES, read_days, spell_clock, spell_days
from cronherd.sdk.origin import caller, refuse

Day = int | str
Minutes = int | Sequence[int]
Span = tuple[int, int]
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{1,2}))?")
_WEEK = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
SUNDAY = 6  # as our windows count: Monday is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequency:
    """Cron fields under the name of the step that said them.

    `open_clock`: the hour and minute were not said, so `at` may; `open_days`: the day of the week
    was not said, so `days` may.
    """

    step: str
    said_at: str
    second: str = ""
    minute: str = "*"
    hour: str = "*"
    day: str = "*"
    month: str = "*"
    weekday: str = "*"
    open_clock: bool = False
    open_days: bool = False
    rules: tuple[object, ...] = ()
    """Instead of fields: rules in the words of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What the steps of one job said of time."""

    frequency: Frequency | None = None
    inherited: bool = False
    """The frequency comes from a group, so the job may say another."""
    days_inherited: bool = False
    days: tuple[int, ...] | None = None
    days_said_at: str = ""
    spans: tuple[Span, ...] = field(default=((0, DAY_MINUTES),))

    def of_group(self) -> "Times":
        """What a job of a group begins with."""
        return replace(self, inherited=True, days_inherited=True)

    def repeated(self, frequency: Frequency) -> "Times":
        """With a frequency. Raises Invalid for a second one."""
        first = self.frequency
        if first is not None and not self.inherited:
            text = f"{frequency.step}() is a second frequency: {first.step}() stands at "
            hint = "one job has one; at() says the time of a daily, weekly or monthly one"
            raise refuse(text + first.said_at, hint=hint, code="two_frequencies")
        return replace(self, frequency=frequency, inherited=False)

    def at(self, hour: int, minute: int) -> "Times":
        """At a time of the days that the frequency has; without one each day."""
        first = self.frequency
        if first is None or not first.open_clock:
            step = "at"
            daily = Frequency(step=step, said_at=caller(), minute=str(minute), hour=str(hour))
            return self.repeated(daily)
        timed = replace(first, minute=str(minute), hour=str(hour), open_clock=False)
        return replace(self, frequency=timed)

    def on(self, days: tuple[int, ...]) -> "Times":
        """On these days of the week only. Raises Invalid when days were said already."""
        if self.days is not None and not self.days_inherited:
            text = f"days of the week were said already, at {self.days_said_at}"
            hint = "name all of them at once: days('mon', 'thu')"
            raise refuse(text, hint=hint, code="two_frequencies")
        return replace(self, days=days, days_said_at=caller(), days_inherited=False)

    def within(self, spans: Sequence[Span]) -> "Times":
        """Only in these parts of the day, and in those said before. Raises Invalid for none."""
        both = tuple(
            (max(low, begin), min(high, end))
            for low, high in self.spans
            for begin, end in spans
            if max(low, begin) < min(high, end)
        )
        if not both:
            raise refuse("no time of the day is left by this and what was said before")
        return replace(self, spans=tuple(sorted(both)))

    def definition(self) -> dict[str, object]:
        """`schedule` and `window` in the words of a file. Raises Invalid without a frequency."""
        if self.frequency is None:
            raise self._unsaid()
        first, days = self.frequency, self.days
        if first.open_days and days is not None:
            first, days = replace(first, weekday=_cron_days(days)), None
        free = not first.rules and first.day == "*" and first.weekday == "*"
        if free and days is not None:
            first, days = replace(first, weekday=_cron_days(days)), None
        said: dict[str, object] = {"schedule": _schedule(first)}
        window = _windows(days, self.spans)
        if window:
            said["window"] = window[0] if len(window) == 1 else window
        return said

    def _unsaid(self) -> Exception:
        if self.days is None and self.spans == ((0, DAY_MINUTES),):
            text = "nothing says when it runs"
        else:
            text = "the days and hours in which it may run are said, and nothing says when it does"
        hint = "add daily(), every_minute() or another frequency, or by_hand()"
        return refuse(text, hint=hint, code="no_frequency", where=self.days_said_at or "?")


def _schedule(first: Frequency) -> object:
    if first.rules:
        return first.rules[0] if len(first.rules) == 1 else list(first.rules)
    fields = [first.minute, first.hour, first.day, first.month, first.weekday]
    if first.second:
        return {"cron": " ".join([first.second, *fields]), "seconds": "first"}
    return " ".join(fields)


def _windows(days: tuple[int, ...] | None, spans: Sequence[Span]) -> list[str]:
    """Each part of the day on these days; without days what crosses midnight is one window."""
    parts = list(spans)
    named = spell_days(ALL_DAYS if days is None else days)
    if not named and len(parts) > 1 and parts[0][0] == 0 and parts[-1][1] == DAY_MINUTES:
        parts = [*parts[1:-1], (parts[-1][0], parts[0][1])]
    if parts == [(0, DAY_MINUTES)]:
        return [named] if named else []
    return [f"{named} {spell_clock(a)}-{spell_clock(b)}".lstrip() for a, b in parts]


def _cron_days(days: tuple[int, ...]) -> str:
    """As cron counts, Sunday is 0; runs of three and more as ranges."""
    if days == ALL_DAYS:
        return "*"
    numbers = sorted((day + 1) % 7 for day in days)
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


# ------------------------------------------------------------------ what steps are given


def read_time(time: str) -> tuple[int, int]:
    """Hour and minute of `13:00`, `8:5` or `13`. Raises Invalid."""
    text: object = time
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    hour, minute = (int(found[1]), int(found[2] or 0)) if found else (24, 0)
    if hour > 23 or minute > 59:
        raise refuse(f"{shown(time)} is no time of the day", hint="write '13:00'")
    return hour, minute


def read_span(start: str, end: str) -> list[Span]:
    """The parts of a day between two times; `end` itself is outside. Raises Invalid."""
    (a, b), (c, d) = read_time(start), read_time(end)
    begin, stop = a * 60 + b, c * 60 + d
    if begin == stop:
        raise refuse(f"nothing lies between {start} and {end}", hint="leave it out for all day")
    if begin < stop:
        return [(begin, stop)]
    return [part for part in ((0, stop), (begin, DAY_MINUTES)) if part[0] < part[1]]


def rest_of(spans: Sequence[Span]) -> list[Span]:
    """The parts of a day outside of these."""
    edges = [0, *(edge for span in sorted(spans) for edge in span), DAY_MINUTES]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def read_weekdays(days: Iterable[Day | Iterable[Day]]) -> tuple[int, ...]:
    """Numbers with Sunday 0 or 7, as Laravel and cron count, or names and ranges. Monday is 0."""
    found: set[int] = set()
    for day in days:
        if isinstance(day, str):
            named = read_days(day) if re.fullmatch(r"[A-Za-z, -]+", day) else None
            if named is None:
                hint = "write 'mon', 'Mon-Fri' or a number from 0, Sunday, to 6"
                raise refuse(f"{shown(day)} is no day of the week", hint=hint)
            found |= set(named)
        elif isinstance(day, int):
            found.add((number(day, 0, 7, "a day of the week, from 0, Sunday, to 6") - 1) % 7)
        elif isinstance(day, Iterable):
            found |= set(read_weekdays(day))
        else:
            raise refuse(f"{shown(day)} is no day of the week")
    if not found:
        raise refuse("no day of the week is named", hint="write days('mon', 'thu')")
    return tuple(sorted(found))


def read_minutes(offset: Minutes) -> str:
    """Minutes of an hour, as a cron field."""
    return numbers([offset] if isinstance(offset, int) else offset, 0, 59, "a minute of the hour")


def numbers(values: Iterable[int], least: int, most: int, what: str) -> str:
    """Some whole numbers as a cron field, each once. Raises Invalid."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise refuse(f"{shown(values)} is not {what}")
    found = sorted({number(value, least, most, what) for value in values})
    if not found:
        raise refuse(f"there is not one: {what} is asked for")
    return ",".join(map(str, found))


def number(value: object, least: int, most: int, what: str) -> int:
    """A whole number within bounds. Raises Invalid."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse(f"{shown(value)} is not {what}", hint=f"write {least} to {most}")
    return value


def check_rules(rules: Sequence[object]) -> tuple[object, ...]:
    """Rules in the words of a file; the validator of jobs reads them."""
    if not rules or not all(isinstance(rule, str | Mapping) for rule in rules):
        raise refuse("a rule is a text or a mapping", hint="write schedule('30 2 * * *')")
    return tuple(rules)


def shown(value: object) -> str:
    """A value that somebody gave, for a sentence."""
    return f"'{value}'"[:60] if isinstance(value, str) else repr(value)[:60]
