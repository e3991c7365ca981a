"""The schedule at the beginning of a line of a crontab, and what it means here and not there."""

import re
from collections.abc import Iterator

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.cronexpr import check_cron
from cronherd.domain.timing.cronterms import invalid

WELL_KNOWN_USER = re.compile(
    r"(apache|backup|daemon|games|mail|mysql|news|nginx|nobody|operator|postgres|root|sys|uucp|"
    r"www|www-data)[ \t]"
)
# The first word of a command that is really a sixth field, such as Quartz's MON or a star.
_LIKE_FIELD = re.compile(r"[*?][-*/,\d]*|\d[-\d/,]*|(SUN|MON|TUE|WED|THU|FRI|SAT)([-,][A-Z]{3})*")
_FIELD_COUNT = 5
# Steps beyond these leave the first value only.
_HIGHEST = {"minute": 59, "hour": 23}


def take_schedule(text: str, notes: list[str]) -> tuple[str, str]:
    """Split a line of a crontab into its schedule, checked, and the rest behind it.

    A change of meaning is appended to `notes`. Raises Invalid.
    """
    if text.startswith("@"):
        name, rest = take_word(text)
        if name.lower() == "@reboot":  # no rule of the clock, so not one of cron's expressions
            return "@reboot", rest
        check_cron(f"{name} {take_word(rest)[0]}" if name.lower() == "@every" else name)
        refuse_more_fields(rest)
        return name.lower(), rest
    words: list[str] = []
    rest = text
    for _ in range(_FIELD_COUNT):
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
        raise invalid(fault.text, f"is a field missing? {ask_for_user(last)}") from None


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
    raise invalid(
        f"looks like {count} fields: this version has five, and '{first[:40]}' cannot be a "
        "command or a user",
        "remove the others; for seconds make a job with the schedule 'every 10s'",
    )


def _refuse_fragment(text: str) -> None:
    if re.search(r"\{\{|\{%|%%", text):
        raise invalid("the line has a template placeholder", "render the template first")
    raise invalid(
        "neither a setting nor five fields and a command", "write e.g. '30 2 * * * command'"
    )


def _note_differences(words: list[str]) -> Iterator[str]:
    if "L" in words[2] + words[4]:
        yield "L is the last one, as in Quartz: Debian's cron refuses it"
    if re.search(r"\d+W", words[2]):
        yield "15W is the weekday nearest to day 15, as in Quartz: Debian's cron refuses it"
    if "#" in words[4]:
        yield "MON#2 is the second Monday, as in Quartz: for Debian's cron it is every Monday"
    if any("~" in word for word in words):
        yield "~ is one value drawn for the job, which stays: cronie draws anew at each start"
    if any(re.search(r"(^|,)H", word) for word in words):
        yield "H is one value drawn for the job, as in Jenkins: Debian's cron refuses it"
    for (name, highest), word in zip(_HIGHEST.items(), words, strict=False):
        if any(int(step) > highest for step in re.findall(r"/(\d+)", word)):
            yield f"a step beyond {highest} in the {name} field leaves its first value only"
