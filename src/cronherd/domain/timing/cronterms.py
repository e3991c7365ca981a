"""One field of a cron expression: its terms, their spelling, and what they let through as masks."""

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce

from cronherd.domain.drawn import drawn
from cronherd.domain.errors import Invalid

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEPPED = re.compile(r"([^/]*)/([^/]*)")
_HASHED = re.compile(r"H(?:\(([^()]*)\))?")
_MOST_BACK = 30  # L-30 is the first day of a month with 31


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """What one of the fields is called, and between which numbers it lies."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    # The end of a drawn value that names none: a day that each month has, and Sunday once.
    drawn_high: int
    place: int = 0

    def bad(self, text: str, hint: str = "") -> Invalid:
        return invalid(f"{self.name} (field {self.place}): {text}", hint)

    @property
    def allowed(self) -> str:
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{named}"


@dataclass(slots=True, kw_only=True)
class Allowed:
    """What one field lets through, as masks: plain values, and days that depend on the month."""

    key: str
    values: int = 0
    from_last: int = 0
    nearest: int = 0
    last_of: int = 0
    nth_of: int = 0
    drawn: list[tuple[str, str, int]] = field(default_factory=list)


SECOND = Field(name="second", low=0, high=59, drawn_high=59)
MINUTE = Field(name="minute", low=0, high=59, drawn_high=59)
HOUR = Field(name="hour", low=0, high=23, drawn_high=23)
DOM = Field(name="day of month", low=1, high=31, drawn_high=28)
MONTH = Field(name="month", low=1, high=12, names=_MONTHS, drawn_high=12)
DOW = Field(name="day of week", low=0, high=7, names=_DAYS, drawn_high=6)
_FIVE = (MINUTE, HOUR, DOM, MONTH, DOW)
LAYOUTS = {
    seconds: tuple(replace(part, place=place) for place, part in enumerate(parts, start=1))
    for seconds, parts in (
        (None, _FIVE),
        ("first", (SECOND, *_FIVE)),
        ("last", (*_FIVE, SECOND)),
    )
}


# Crontabs are made of few words; a field is compared by being the same object.
@lru_cache(maxsize=8_192)
def read_field(part: Field, word: str, key: str) -> tuple[str, Allowed]:
    """The one spelling of a field and what it lets through; nobody may change the latter.

    Raises Invalid.
    """
    # ASCII first: some other letters turn into ours in capitals (the long s of old prints).
    if not word.isascii():
        raise part.bad(f"'{word[:40]}' has a character cron does not know", f"use {part.allowed}")
    if word == "?" and part.name in (DOM.name, DOW.name):
        word = "*"
    allowed = Allowed(key=key)
    spelling = ",".join(_read_term(part, term, allowed) for term in word.upper().split(","))
    return spelling, allowed


def _read_term(part: Field, term: str, allowed: Allowed) -> str:
    """Add what one term of a list allows; returns its one spelling."""
    _refuse_foreign(part, term)
    special = _read_special(part, term, allowed)
    if special:
        return special
    stepped = _STEPPED.fullmatch(term)
    base, step = (stepped[1], _step(part, term, stepped[2])) if stepped else (term, None)
    hashed = _HASHED.fullmatch(base)
    if hashed or "~" in base:
        return _read_drawn(part, (base, hashed, step), allowed)
    low, high = _read_range(part, base)
    if stepped and base != "*" and "-" not in base:
        raise part.bad(
            f"'{term}' has a step without a range", f"did you mean '{low}-{part.high}/{step}'?"
        )
    allowed.values |= _mask(low, high, step or 1)
    spelling = base if base == "*" else _spell_range(part, base)
    return spelling if not stepped or low == high else f"{spelling}/{step}"


def _mask(low: int, high: int, step: int) -> int:
    return reduce(lambda mask, value: mask | 1 << value, range(low, high + 1, step), 0)


def _read_drawn(
    part: Field, term: tuple[str, re.Match[str] | None, int | None], allowed: Allowed
) -> str:
    """`H`, `H(9-17)`, `H/15`, `9~17`, `~`: one value, or with a step where its series begins."""
    base, hashed, step = term
    if hashed:
        span = hashed[1]
        low, high = (part.low, part.drawn_high) if span is None else _read_range(part, span)
        if span is not None and "-" not in span:
            raise part.bad(f"'{base}' needs a range in its brackets", f"use H or H({low}-{high})")
        spelling = "H" if span is None else f"H({_spell_range(part, span, one=False)})"
    else:
        first, _, last = base.partition("~")
        low = _read_value(part, first) if first else part.low
        high = _read_value(part, last) if last else max(part.drawn_high, low)
        if high < low:
            raise part.bad(f"the range '{base}' runs backwards", f"did you mean '{last}~{first}'?")
        spelling = f"{_spell(first)}~{_spell(last)}"
    size = high - low + 1
    if step is not None and step > size:
        raise part.bad(
            f"the step {step} of '{base}' is longer than its range {low}-{high}",
            f"a step here is at most {size}",
        )
    # Part of what is promised: another way to draw would move every job that has an H.
    first_value = low + drawn(f"{allowed.key}\0{part.name}\0{low}-{high}", step or size)
    allowed.values |= _mask(first_value, high if step else first_value, step or 1)
    spelling = spelling if step is None else f"{spelling}/{step}"
    allowed.drawn.append((part.name, spelling, first_value))
    return spelling


def _refuse_foreign(part: Field, term: str) -> None:
    if not term:
        raise part.bad("an item of the list is empty", f"use {part.allowed}")
    if "?" in term:
        raise part.bad(f"'{term[:40]}' is Quartz's 'no value'", "write '*' instead")
    if term.count("(") != term.count(")"):
        raise part.bad(f"'{term[:40]}' has a bracket without its other half", "write H(9-17)")
    if "{" in term or "%" in term or "$" in term or "<" in term:
        raise part.bad(f"'{term[:40]}' is a placeholder", "render the template first")


def _step(part: Field, term: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise part.bad(f"the step of '{term[:40]}' is not a number", "write a step such as */5")
    if int(text) == 0:
        raise part.bad(f"the step of '{term[:40]}' is 0", "a step is 1 or more")
    return int(text)


def _read_special(part: Field, term: str, allowed: Allowed) -> str:
    """The days that depend on the month: `L`, `L-3`, `LW`, `15W`; `5L`, `MON#2`; else ''."""
    if part.name == DOM.name:
        return _read_special_date(part, term, allowed)
    return _read_special_weekday(part, term, allowed) if part.name == DOW.name else ""


def _read_special_date(part: Field, term: str, allowed: Allowed) -> str:
    if term == "L":
        allowed.from_last |= 1
        return term
    if term == "LW":
        allowed.nearest |= 1
        return term
    back = re.fullmatch(r"L-([0-9]{1,9})", term)
    if back:
        days = int(back[1])
        if not 1 <= days <= _MOST_BACK:
            raise part.bad(f"'{term}' leaves every month", f"use L, or L-1 to L-{_MOST_BACK}")
        allowed.from_last |= 1 << days
        return f"L-{days}"
    near = re.fullmatch(r"([0-9]{1,9})W", term)
    if near:
        day = _read_value(part, near[1])
        allowed.nearest |= 1 << day
        return f"{day}W"
    return ""


def _read_special_weekday(part: Field, term: str, allowed: Allowed) -> str:
    last = re.fullmatch(r"([0-9]{1,9})L", term)
    if last:
        day = _read_value(part, last[1])
        allowed.last_of |= 1 << day % 7
        return f"{day}L"
    if "#" in term:
        day_text, _, nth = term.partition("#")
        day = _read_value(part, day_text)
        if nth not in tuple("12345"):
            raise part.bad(f"'{term[:40]}' needs a number from 1 to 5 after #")
        allowed.nth_of |= 1 << 8 * int(nth) + day % 7
        return f"{_spell(day_text)}#{nth}"
    return ""


def _read_range(part: Field, base: str) -> tuple[int, int]:
    if base == "*":
        return part.low, part.high
    first, dash, second = base.partition("-")
    low = _read_value(part, first)
    high = _read_value(part, second, meant=part.high) if dash else low
    if high < low:
        if part.name == DOW.name and high == 0:
            hint = f"did you mean '{low}-7'?"
        else:
            sunday = part.name == DOW.name
            hint = f"did you mean '{low}-{part.high - sunday},{part.low}-{high}'?"
        raise part.bad(f"the range '{base}' runs backwards", hint)
    return low, high


def _read_value(part: Field, text: str, meant: int | None = None) -> int:
    """The number of one value; `meant` is what one beyond the highest stands for."""
    if text in part.names:
        return part.names.index(text) + part.low
    if not re.fullmatch(r"[0-9]{1,9}", text):
        close = [name for name in part.names if len(text) > 3 and text.startswith(name)]
        hint = f"did you mean '{close[0]}'?" if close else f"use {part.allowed}, '*' or '*/n'"
        raise part.bad(f"'{text[:40]}' is not a value", hint)
    value = int(text)
    if not part.low <= value <= part.high:
        raise part.bad(f"'{text}' is outside {part.allowed}", _meant(part, value, meant))
    return value


def _meant(part: Field, value: int, meant: int | None) -> str:
    """Minute 60 and hour 24 mean the first one, the last one in a range; month 0 the first."""
    wraps = part.name in (SECOND.name, MINUTE.name, HOUR.name) and value == part.high + 1
    zero = part.name in (DOM.name, MONTH.name) and value == 0
    return f"did you mean '{meant or part.low}'?" if wraps or zero else f"use {part.allowed}"


def _spell_range(part: Field, base: str, *, one: bool = True) -> str:
    low, high = _read_range(part, base)
    spelled = "-".join(_spell(text) for text in base.split("-"))
    return spelled.partition("-")[0] if one and low == high else spelled


def _spell(text: str) -> str:
    return str(int(text)) if text.isdigit() else text


def invalid(text: str, hint: str = "") -> Invalid:
    """The error for an expression that cannot be read."""
    return Invalid(text, code="bad_cron", hint=hint)
