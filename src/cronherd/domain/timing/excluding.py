"""How `excluding` is read: texts and mappings become rules, each with one spelling."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.days import (
    CLOCK_PATTERN,
    DAY_MINUTES,
    read_clock,
    read_day,
    spell_clock,
    wall_at,
)
from cronherd.domain.timing.exclusion import (
    CRON_HINT,
    EPOCH_DAY,
    WEEK_MINUTES,
    Exclusion,
    Fixed,
    Weekly,
    Yearly,
    cron_minutes,
    holidays,
    own_dates,
)
from cronherd.domain.timing.window import parse_window

MAX_EXCLUSIONS = 100
MAX_DATES = 2_000

_DATE = r"\d{4}-\d{2}-\d{2}"
_YEARLESS = r"\d{2}-\d{2}"
_WEEKLY = re.compile(rf"([A-Za-z]+) ({CLOCK_PATTERN}) ?- ?([A-Za-z]+) ({CLOCK_PATTERN})")
_SPAN = r"({0})(?: ({1}))?(?: - ({0})(?: ({1}))?)?"
_YEARLY = re.compile(_SPAN.format(_YEARLESS, CLOCK_PATTERN))
_FIXED = re.compile(_SPAN.format(_DATE, CLOCK_PATTERN))
_ON_DAY = re.compile(rf"({_DATE}|{_YEARLESS}) ({CLOCK_PATTERN}) ?- ?({CLOCK_PATTERN})")
_HINTS = {
    "holidays": "write {holidays: DE} or {holidays: DE-BY}",
    "cron": CRON_HINT,
    "dates": "write {dates: [2026-12-24]}",
}


_BY_KIND: dict[str, Callable[[str], Exclusion]] = {"holidays": holidays, "cron": cron_minutes}


def parse_exclusions(spec: object) -> tuple[Exclusion, ...]:
    """What `excluding` says: a text, a mapping, or a list of those. Raises Invalid."""
    parts = list(spec) if isinstance(spec, list | tuple) else [spec]
    if not 0 < len(parts) <= MAX_EXCLUSIONS:
        text = f"must be a rule or a list of 1 to {MAX_EXCLUSIONS} of them"
        raise Invalid(text, code="bad_exclusion")
    return tuple(_parse(part) for part in parts)


def canonical_exclusions(spec: object) -> object:
    """The same in its shortest spelling: one rule, or a list of them, each named once."""
    parts: list[object] = []
    for part in list(spec) if isinstance(spec, list | tuple) else [spec]:
        rule = _parse(part)
        plain = _plain_mapping(part) if isinstance(part, Mapping) else None
        plain = rule.text if plain is None else plain
        parts += [] if plain in parts else [plain]
    return parts[0] if len(parts) == 1 else parts


def _plain_mapping(spec: Mapping[object, object]) -> object:
    """What has no spelling as a text of one line: a list of dates."""
    key, value = _one(spec)
    if key != "dates":
        return None
    return {key: [day.isoformat() for day in _dates(value)]}


def _parse(spec: object) -> Exclusion:
    if isinstance(spec, str):
        return _parse_text(" ".join(spec.split()))
    if isinstance(spec, Mapping):
        key, value = _one(spec)
        if key == "dates":
            return own_dates(tuple(_dates(value)))
        if not isinstance(value, str):
            raise Invalid(f"{key} must be text", code="bad_exclusion", hint=_HINTS[key])
        return _BY_KIND[key](" ".join(value.split()))
    raise _bad(spec)


def _one(spec: Mapping[object, object]) -> tuple[str, object]:
    if len(spec) != 1 or next(iter(spec)) not in _HINTS:
        odd = ", ".join(str(key)[:40] for key in spec if key not in _HINTS)
        text = f"'{odd}' is no rule of excluding" if odd else "a rule has exactly one kind"
        raise Invalid(text, code="bad_exclusion", hint=f"use one of {', '.join(_HINTS)}")
    key, value = next(iter(spec.items()))
    return str(key), value


# Jobs of a fleet share their calendars.
@lru_cache(maxsize=1_024)
def _parse_text(text: str) -> Exclusion:
    kind, _, rest = text.partition(" ")
    if rest and kind.lower() in _BY_KIND:
        return _BY_KIND[kind.lower()](rest)
    if found := _WEEKLY.fullmatch(text):
        return _weekly(text, *found.groups())
    if found := _ON_DAY.fullmatch(text):
        return _span(text, (found[1], found[2], found[1], found[3]))
    if found := _YEARLY.fullmatch(text) or _FIXED.fullmatch(text):
        return _span(text, found.groups())
    try:
        return parse_window(text)
    except Invalid:
        raise _bad(text) from None


def _weekly(text: str, first: str, opens: str, last: str, closes: str) -> Weekly:
    days = read_day(first), read_day(last)
    clocks = read_clock(opens, most=DAY_MINUTES - 1), read_clock(closes)
    if None in days or None in clocks:
        raise _bad(text)
    begins, ends = (
        (day or 0) * DAY_MINUTES + (clock or 0) for day, clock in zip(days, clocks, strict=True)
    )
    if begins == ends % WEEK_MINUTES:
        raise Invalid(f"'{text}' takes out nothing", code="bad_exclusion")
    return Weekly(begins, ends % WEEK_MINUTES)


def _span(text: str, said: Iterable[str | None]) -> Exclusion:
    """A span by date and, if it is said, time; without a time the last day belongs to it."""
    first, opens, last, closes = said
    assert first is not None
    if (opens is None) != (closes is None):
        hint = "write both, such as 2026-12-24 18:00 - 2027-01-02 06:00"
        raise Invalid(f"'{text}' has a time at one end only", code="bad_exclusion", hint=hint)
    begins = read_clock(opens, most=DAY_MINUTES - 1) if opens else 0
    ends = read_clock(closes) if closes else DAY_MINUTES
    if begins is None or ends is None:
        raise _bad(text)
    if len(first) == len("12-24"):
        edges = (*_month_day(first, text), begins), (*_month_day(last or first, text), ends)
        if edges[0] == edges[1] or (last in {None, first} and begins >= ends):
            raise Invalid(f"'{text}' takes out nothing", code="bad_exclusion")
        return Yearly(*edges, _spell_span(first, opens, last, closes))
    begins_us = wall_at(_day_number(first), begins)
    ends_us = wall_at(_day_number(last or first), ends)
    if begins_us >= ends_us:
        raise Invalid(f"'{text}' ends before it begins", code="bad_exclusion")
    return Fixed(begins_us, ends_us, _spell_span(first, opens, last, closes))


def _dates(value: object) -> list[date]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_DATES:
        text = f"dates must be a list of 1 to {MAX_DATES:,} dates"
        raise Invalid(text, code="bad_exclusion", hint=_HINTS["dates"])
    return sorted({_date(part) for part in value})


def _date(value: object) -> date:
    try:
        if isinstance(value, str) and re.fullmatch(_DATE, value.strip(), re.ASCII):
            return date.fromisoformat(value.strip())
    except ValueError:
        pass
    raise Invalid(
        f"'{str(value)[:40]}' is not a date", code="bad_exclusion", hint="write 2026-12-24"
    )


def _day_number(text: str) -> int:
    return _date(text).toordinal() - EPOCH_DAY


def _month_day(text: str, whole: str) -> tuple[int, int]:
    month, day = int(text[:2]), int(text[3:])
    try:
        date(2024, month, day)  # a leap year, so that 02-29 may be said
    except ValueError:
        raise _bad(whole) from None
    return month, day


def _spell_span(first: str, opens: str | None, last: str | None, closes: str | None) -> str:
    """`12-24 - 01-02`, `2026-12-24 18:00-20:00`; a single day is named once."""
    if opens is None or closes is None:
        return first if last in {None, first} else f"{first} - {last}"
    begins, ends = (spell_clock(read_clock(clock) or 0) for clock in (opens, closes))
    if last == first:
        return f"{first} {begins}-{ends}"
    return f"{first} {begins} - {last} {ends}"


def _bad(spec: object) -> Invalid:
    return Invalid(
        f"'{str(spec)[:60]}' is no time that can be excluded",
        code="bad_exclusion",
        hint="write Sat-Sun, 22:00-23:00, Fri 18:00 - Mon 06:00, 12-24 - 01-02, 2026-12-24 "
        "or {holidays: DE}",
    )
