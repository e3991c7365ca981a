"""Cron expressions: what is accepted, and in one sentence why something is not.

The rules are Debian's cron 3.0pl1, less what it accepts by accident: it reads `1~5` as `1`, and
a range that runs backwards never fires. Added are Quartz's `L`, `L-3`, `LW`, `15W`, `5L`, `MON#2`
and `?`, and values that are drawn once for each job: Jenkins' `H` and cronie's `~`.
"""

import re
from difflib import get_close_matches
from functools import lru_cache

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.cronfields import CronFields, DayRule
from cronherd.domain.timing.cronterms import (
    DOM,
    DOW,
    HOUR,
    LAYOUTS,
    MINUTE,
    MONTH,
    SECOND,
    Allowed,
    invalid,
    read_field,
)

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

_DRAWN = re.compile(r"~|(^|[\s,])H", re.IGNORECASE)


def check_cron(expr: str, *, seconds: str | None = None, key: str = "") -> str:
    """The expression in one spelling: capitals, single spaces, no leading zeros.

    Five fields, or six where `seconds` says that the sixth stands "first" or "last". What is drawn
    for a job keeps its text. Raises Invalid with the field, what is wrong with it and, where it is
    obvious, what was meant.
    """
    return _read(expr, seconds, key)[0]


def read_cron(text: str, *, seconds: str | None = None, key: str = "") -> CronFields:
    """What the expression lets through. Raises Invalid as check_cron does.

    `H` and `~` are drawn from `key`, which is one job's for ever: the same key gives the same
    value on every node and in every version. The empty key is a key like any other, for whoever
    asks before there is a job; `CronFields.drawn` tells that the answer depends on it.
    """
    return _read(text, seconds, key)[1]


def is_drawn(text: str) -> bool:
    """Whether the expression may depend on the key: it has an H or a ~."""
    return _DRAWN.search(text) is not None


# Jobs that share an expression share the work; without H and ~ their keys make no difference.
@lru_cache(maxsize=4_096)
def _read_once(text: str, seconds: str | None, key: str) -> tuple[str, CronFields]:
    words = text.split()
    if "{{" in text or "%%" in text:
        raise invalid("the fields have a template placeholder", "render the template first")
    layout = LAYOUTS[seconds]
    if len(words) != len(layout):
        raise _wrong_count(words, seconds)
    spelled: dict[str, str] = {}
    found: dict[str, Allowed] = {SECOND.name: Allowed(key=key, values=1)}
    for part, word in zip(layout, words, strict=True):
        spelled[part.name], found[part.name] = read_field(part, word, key if is_drawn(word) else "")
    fields = _fields(found, spelled)
    if not fields.ever_fires():
        place = next(part.place for part in layout if part.name == DOM.name)
        raise _never(spelled, fields, place)
    return " ".join(spelled[part.name] for part in layout), fields


def _read(text: str, seconds: str | None, key: str) -> tuple[str, CronFields]:
    if seconds not in LAYOUTS:
        raise invalid(f"'{str(seconds)[:40]}' is no place for seconds", "write 'first' or 'last'")
    if len(text) > LONGEST_EXPRESSION:
        raise invalid(f"the expression is longer than {LONGEST_EXPRESSION} characters")
    text = text.strip()
    if text.startswith("@"):
        five = _alias(text)
        text = {"first": f"0 {five}", "last": f"{five} 0"}.get(seconds or "", five)
    return _read_once(text, seconds, key if is_drawn(text) else "")


def _fields(found: dict[str, Allowed], spelled: dict[str, str]) -> CronFields:
    dom, dow = found[DOM.name], found[DOW.name]
    rule = DayRule(
        days=dom.values,
        from_last=dom.from_last,
        nearest=dom.nearest,
        weekdays=dow.values & 0x7F | dow.values >> 7,  # 7 is Sunday, as 0
        last_of=dow.last_of,
        nth_of=dow.nth_of,
        # Vixie's rule: a day field that begins with * must match together with the other one.
        together=any(spelled[part.name].startswith("*") for part in (DOM, DOW)),
    )
    return CronFields(
        seconds=found[SECOND.name].values,
        minutes=found[MINUTE.name].values,
        hours=found[HOUR.name].values,
        months=found[MONTH.name].values,
        days=rule,
        wildcard=any(spelled[part.name].startswith("*") for part in (MINUTE, HOUR)),
        drawn=tuple(term for allowed in found.values() for term in allowed.drawn),
    )


def _alias(text: str) -> str:
    word = text.split(maxsplit=1)[0].lower()
    if word in ALIASES and text.lower() == word:
        return ALIASES[word]
    if word == "@reboot":
        raise invalid(
            "'@reboot' is no time: it stands for each start of a host",
            "write it alone, or as one of a list of schedules",
        )
    if word == "@every":
        raise invalid(
            f"'{text[:40]}' is an interval, not a cron expression", "use the schedule kind 'every'"
        )
    close = get_close_matches(word, ALIASES, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(ALIASES)}"
    raise invalid(f"'{text[:40]}' is not a known name for a schedule", hint)


def _wrong_count(words: list[str], seconds: str | None) -> Invalid:
    if not words:
        return invalid("the expression is empty", "write five fields such as '30 2 * * *'")
    if seconds is not None:
        return invalid(
            f"six fields are needed, {len(words)} given",
            f"with 'seconds: {seconds}' write e.g. "
            + ("'0 30 2 * * *'" if seconds == "first" else "'30 2 * * * 0'"),
        )
    if len(words) == 6:
        hint = "say where the seconds are with 'seconds: first' or 'seconds: last', or write a "
        return invalid(
            "looks like six fields: this version has five, without seconds",
            f"{hint}schedule such as 'every 10s'",
        )
    if len(words) == 7:
        return invalid(
            "looks like seven fields: cron knows no years",
            "keep minute, hour, day of month, month and day of week",
        )
    hint = "write minute, hour, day of month, month and day of week, such as '30 2 * * *'"
    return invalid(f"five fields are needed, {len(words)} given", hint)


def _never(spelled: dict[str, str], fields: CronFields, place: int) -> Invalid:
    drawn = ", ".join(f"{term} ({name} {value})" for name, term, value in fields.drawn)
    return Invalid(
        f"day of month (field {place}): no date ever matches day {spelled[DOM.name]}, "
        f"month {spelled[MONTH.name]} and day of week {spelled[DOW.name]}"
        + (f", drawn: {drawn}" if drawn else ""),
        code="never_fires",
        hint="the longest February has 29 days; April, June, September and November have 30",
    )
