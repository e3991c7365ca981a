"""Five-field cron expressions: what is accepted, and in one sentence why something is not.

The rules are Debian's cron 3.0pl1, less what it accepts by accident: it reads `1~5` as `1`, and
a range that runs backwards never fires. What cronsim adds stays: `L`, `LW`, `5L` and `MON#2`.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from cronherd.domain.errors import Invalid

# A list of all sixty minutes has 169 characters; longer than this is not written by a person.
LONGEST_EXPRESSION = 1_000
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
WELL_KNOWN_USER = re.compile(
    r"(apache|backup|daemon|games|mail|mysql|news|nginx|nobody|operator|postgres|root|sys|uucp|"
    r"www|www-data)[ \t]"
)
REBOOT_REASON = "runs at host start: not available yet"

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_VALUE = re.compile(r"[0-9]{1,9}|[A-Z]{3}")
# The first word of a command that is really a sixth field, such as Quartz's MON or a star.
_LIKE_FIELD = re.compile(r"[*?][-*/,\d]*|\d[-\d/,]*|(SUN|MON|TUE|WED|THU|FRI|SAT)([-,][A-Z]{3})*")
_STEPPED = re.compile(r"([^/]*)/([^/]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    place: int
    low: int
    high: int
    names: tuple[str, ...] = ()

    def bad(self, text: str, hint: str = "") -> Invalid:
        return _invalid(f"{self.name} (field {self.place}): {text}", hint)

    @property
    def allowed(self) -> str:
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{named}"


@dataclass(slots=True, kw_only=True)
class _Allowed:
    """What one field lets through: plain values, and the days that depend on the month."""

    values: set[int] = field(default_factory=set)
    last: bool = False
    last_weekday: bool = False
    last_of: set[int] = field(default_factory=set)
    nth_of: set[tuple[int, int]] = field(default_factory=set)


_MINUTE = _Field(name="minute", place=1, low=0, high=59)
_HOUR = _Field(name="hour", place=2, low=0, high=23)
_DOM = _Field(name="day of month", place=3, low=1, high=31)
_MONTH = _Field(name="month", place=4, low=1, high=12, names=_MONTHS)
_DOW = _Field(name="day of week", place=5, low=0, high=7, names=_DAYS)
_FIELDS = (_MINUTE, _HOUR, _DOM, _MONTH, _DOW)


def check_cron(expr: str) -> str:
    """The expression as five fields in one spelling: capitals, single spaces, no leading zeros.

    Raises Invalid with the field, what is wrong with it and, where it is obvious, what was meant.
    """
    if len(expr) > LONGEST_EXPRESSION:
        raise _invalid(f"the expression is longer than {LONGEST_EXPRESSION} characters")
    text = expr.strip()
    if text.startswith("@"):
        return _alias(text)
    words = text.split()
    if "{{" in text or "%%" in text:
        raise _invalid("the fields have a template placeholder", "render the template first")
    if len(words) != len(_FIELDS):
        raise _wrong_count(words)
    spellings: list[str] = []
    sets: list[_Allowed] = []
    for part, word in zip(_FIELDS, words, strict=True):
        spelling, allowed = _read_field(part, word)
        spellings.append(spelling)
        sets.append(allowed)
    if not _fires(sets[2], sets[3], sets[4], together=_is_and(spellings)):
        raise _never(spellings)
    return " ".join(spellings)


def take_schedule(text: str, notes: list[str]) -> tuple[str, str]:
    """Split a line of a crontab into its schedule, checked, and the rest behind it.

    A change of meaning is appended to `notes`. Raises Invalid.
    """
    if text.startswith("@"):
        name, rest = take_word(text)
        check_cron(f"{name} {take_word(rest)[0]}" if name.lower() == "@every" else name)
        refuse_more_fields(rest)
        return name.lower(), rest
    words: list[str] = []
    rest = text
    for _ in _FIELDS:
        word, rest = take_word(rest)
        words.append(word)
    if not words[-1]:
        _refuse_fragment(text)
    fields = " ".join(words)
    if not re.search(r"\{\{|%%", fields):
        # Before the values: with a field for seconds each of the others is read as its neighbour.
        refuse_more_fields(rest)
    schedule = _checked(fields, words[-1])
    notes.extend(_note_differences(schedule.split()))
    return schedule, rest


def _checked(fields: str, last: str) -> str:
    try:
        return check_cron(fields)
    except Invalid as fault:
        if not WELL_KNOWN_USER.match(f"{last} "):
            raise
        raise _invalid(fault.text, f"is a field missing? {ask_for_user(last)}") from None


def ask_for_user(text: str) -> str:
    """The question about a text that begins with a user's name, and what to do if it is one."""
    return f"is '{take_word(text)[0]}' a user? a system crontab is imported with --system"


def take_word(text: str) -> tuple[str, str]:
    """The first word and what follows; only blanks and tabs divide words in a crontab."""
    word, rest = (*re.split(r"[ \t]+", text, maxsplit=1), "")[:2]
    return word, rest


def refuse_more_fields(rest: str) -> None:
    """Raise Invalid if what follows five fields begins with another field."""
    first, behind = take_word(rest)
    if not _LIKE_FIELD.fullmatch(first):
        return
    count = "seven" if _LIKE_FIELD.fullmatch(take_word(behind)[0]) else "six"
    raise _invalid(
        f"looks like {count} fields: this version has five, and '{first[:40]}' cannot be a "
        "command or a user",
        "remove the others; for seconds make a job with the schedule 'every 10s'",
    )


def _refuse_fragment(text: str) -> None:
    if re.search(r"\{\{|\{%|%%", text):
        raise _invalid("the line has a template placeholder", "render the template first")
    raise _invalid(
        "neither a setting nor five fields and a command", "write e.g. '30 2 * * * command'"
    )


def _note_differences(words: list[str]) -> Iterator[str]:
    if "L" in words[2] + words[4]:
        yield "L is the last one, as in Quartz: Debian's cron refuses it"
    if "#" in words[4]:
        yield "MON#2 is the second Monday, as in Quartz: for Debian's cron it is every Monday"
    for part, word in zip(_FIELDS[:2], words, strict=False):
        if any(int(step) > part.high for step in re.findall(r"/(\d+)", word)):
            yield f"a step beyond {part.high} in the {part.name} field leaves its first value only"


def _alias(text: str) -> str:
    word = text.split(maxsplit=1)[0].lower()
    if word in ALIASES and text.lower() == word:
        return ALIASES[word]
    if word == "@reboot":
        raise _invalid(REBOOT_REASON, "give the job a time, or start it from the init system")
    if word == "@every":
        raise _invalid(
            f"'{text[:40]}' is an interval, not a cron expression", "use the schedule kind 'every'"
        )
    close = get_close_matches(word, ALIASES, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(ALIASES)}"
    raise _invalid(f"'{text[:40]}' is not a known name for a schedule", hint)


def _wrong_count(words: list[str]) -> Invalid:
    if not words:
        return _invalid("the expression is empty", "write five fields such as '30 2 * * *'")
    if len(words) == 6:
        hint = "remove the field for seconds, or write a schedule such as 'every 10s'"
        return _invalid("looks like six fields: this version has five, without seconds", hint)
    if len(words) == 7:
        return _invalid(
            "looks like seven fields: cron knows neither seconds nor years",
            "keep minute, hour, day of month, month and day of week",
        )
    hint = "write minute, hour, day of month, month and day of week, such as '30 2 * * *'"
    return _invalid(f"five fields are needed, {len(words)} given", hint)


def _read_field(part: _Field, word: str) -> tuple[str, _Allowed]:
    # ASCII first: some other letters turn into ours in capitals (the long s of old prints).
    if not word.isascii():
        raise part.bad(f"'{word[:40]}' has a character cron does not know", f"use {part.allowed}")
    allowed = _Allowed()
    terms = [_read_term(part, term, allowed) for term in word.upper().split(",")]
    return ",".join(terms), allowed


def _read_term(part: _Field, term: str, allowed: _Allowed) -> str:
    """Add what one term of a list allows; returns its one spelling."""
    _refuse_foreign(part, term)
    special = _read_special(part, term, allowed)
    if special:
        return special
    stepped = _STEPPED.fullmatch(term)
    base, step = (stepped[1], _step(part, term, stepped[2])) if stepped else (term, 1)
    low, high = _read_range(part, base)
    if stepped and base != "*" and "-" not in base:
        raise part.bad(
            f"'{term}' has a step without a range", f"did you mean '{low}-{part.high}/{step}'?"
        )
    allowed.values.update(range(low, high + 1, step))
    # cronsim reads 5-5/10 as 5-59/10 where cron means 5 alone: never let it see one.
    spelling = base if base == "*" else _spell_range(part, base)
    return spelling if not stepped or low == high else f"{spelling}/{step}"


def _refuse_foreign(part: _Field, term: str) -> None:
    if not term:
        raise part.bad("an item of the list is empty", f"use {part.allowed}")
    if "~" in term:
        raise part.bad(f"'{term}' is a random range ~", "write one fixed value instead")
    if "?" in term:
        raise part.bad(f"'{term}' is Quartz's 'no value'", "write '*' instead")
    if re.match(r"H(/|\(|$)", term):
        raise part.bad(f"'{term}' is Jenkins' hashed value", "write one fixed value instead")
    if "{" in term or "%" in term or "$" in term or "<" in term:
        raise part.bad(f"'{term[:40]}' is a placeholder", "render the template first")


def _step(part: _Field, term: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise part.bad(f"the step of '{term[:40]}' is not a number", "write a step such as */5")
    if int(text) == 0:
        raise part.bad(f"the step of '{term[:40]}' is 0", "a step is 1 or more")
    return int(text)


def _read_special(part: _Field, term: str, allowed: _Allowed) -> str:
    """`L` and `LW` of the days of a month, `5L` and `MON#2` of the days of a week, else ''."""
    if part is _DOM and term in ("L", "LW"):
        allowed.last |= term == "L"
        allowed.last_weekday |= term == "LW"
        return term
    last = re.fullmatch(r"(\d+)L", term) if part is _DOW else None
    if last:
        day = _read_value(part, last[1])
        allowed.last_of.add(day % 7)
        return f"{day}L"
    if part is _DOW and "#" in term:
        day_text, _, nth = term.partition("#")
        day = _read_value(part, day_text)
        if nth not in tuple("12345"):
            raise part.bad(f"'{term[:40]}' needs a number from 1 to 5 after #")
        allowed.nth_of.add((day % 7, int(nth)))
        return f"{_spell(day_text)}#{nth}"
    return ""


def _read_range(part: _Field, base: str) -> tuple[int, int]:
    if base == "*":
        return part.low, part.high
    first, dash, second = base.partition("-")
    low = _read_value(part, first)
    high = _read_value(part, second, meant=part.high) if dash else low
    if high < low:
        if part is _DOW and high == 0:
            hint = f"did you mean '{low}-7'?"
        else:
            hint = f"did you mean '{low}-{part.high - (part is _DOW)},{part.low}-{high}'?"
        raise part.bad(f"the range '{base}' runs backwards", hint)
    return low, high


def _read_value(part: _Field, text: str, meant: int | None = None) -> int:
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


def _meant(part: _Field, value: int, meant: int | None) -> str:
    """Minute 60 and hour 24 mean the first one, the last one in a range; month 0 the first."""
    wraps = part in (_MINUTE, _HOUR) and value == part.high + 1
    zero = part in (_DOM, _MONTH) and value == 0
    return f"did you mean '{meant or part.low}'?" if wraps or zero else f"use {part.allowed}"


def _spell_range(part: _Field, base: str) -> str:
    low, high = _read_range(part, base)
    return "-".join(_spell(text) for text in base.split("-")) if low != high else _spell_one(base)


def _spell_one(base: str) -> str:
    return _spell(base.partition("-")[0])


def _spell(text: str) -> str:
    return str(int(text)) if text.isdigit() else text


def _is_and(spellings: list[str]) -> bool:
    # Vixie's rule: a day field that begins with * must match together with the other one.
    return spellings[2].startswith("*") or spellings[4].startswith("*")


def _fires(days: _Allowed, months: _Allowed, weekdays: _Allowed, *, together: bool) -> bool:
    """Whether any day of any year matches: fourteen kinds of year hold every possible one."""
    combine = all if together else any
    return any(
        combine((_match_dom(days, day), _match_dow(weekdays, day)))
        for day in _possible_days(months.values)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    number: int
    weekday: int  # 0 is Sunday
    length: int  # of its month


def _possible_days(months: set[int]) -> Iterator[_Day]:
    """The days of 28 years, which hold every pairing of date, weekday and leap year."""
    for year in range(2000, 2028):
        for month in months:
            first, length = calendar.monthrange(year, month)
            for number in range(1, length + 1):
                yield _Day(number=number, weekday=(first + number) % 7, length=length)


def _match_dom(days: _Allowed, day: _Day) -> bool:
    if day.number in days.values:
        return True
    if days.last and day.number == day.length:
        return True
    # The last weekday is the last day, or the Friday before a weekend.
    on_friday = day.weekday == 5 and day.number >= day.length - 2
    return days.last_weekday and (on_friday or (day.number == day.length and 0 < day.weekday < 6))


def _match_dow(weekdays: _Allowed, day: _Day) -> bool:
    return (
        day.weekday in weekdays.values
        or (day.weekday == 0 and 7 in weekdays.values)
        or (day.weekday in weekdays.last_of and day.number + 7 > day.length)
        or (day.weekday, (day.number + 6) // 7) in weekdays.nth_of
    )


def _never(spellings: list[str]) -> Invalid:
    days, months = spellings[2], spellings[3]
    return Invalid(
        f"day of month (field 3): no date ever matches day {days}, month {months} "
        f"and day of week {spellings[4]}",
        code="never_fires",
        hint="the longest February has 29 days; April, June, September and November have 30",
    )


def _invalid(text: str, hint: str = "") -> Invalid:
    return Invalid(text, code="bad_cron", hint=hint)
