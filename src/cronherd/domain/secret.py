"""Secrets: values that jobs are given, that nobody is shown, and that output does not repeat. Pure.

No sentence here repeats a value, not even a part of a wrong one.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cronherd.domain.errors import Invalid

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
VALUE_BYTES = 64 << 10  # half of what Linux takes as one variable
MASKED_FROM = 4
"""Shorter ones are not masked: `1` or `yes` stand in any output, and *** there tells them."""
LINE_FROM = 9
"""A line of a value of several lines is masked from here on: a short one stands everywhere."""
LINES = 100
"""So many lines of a value are masked by themselves, the longest: each one more is looked for in
all that the run writes, and a hundred cost 1 ms for 64 KiB of it."""
FORMS_MOST = 8 << 10
"""Longer ones are masked only as they are: a result or an error of a task keeps no more of them."""
_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What may be known of one: that it is there, who set it last, and when."""

    name: str
    by: str
    at_us: int


def check_name(name: str) -> None:
    """Raises Invalid for what cannot be the name of a secret."""
    if not NAME.fullmatch(name):
        raise Invalid(
            f"'{name[:_SHOWN]}' cannot be the name of a secret",
            code="bad_secret_name",
            hint="1 to 64 letters, digits and _ . -",
        )


def check_value(value: str) -> None:
    """Raises Invalid for what no command could be given."""
    if not value:
        raise Invalid("a secret is not empty", code="bad_secret")
    if _FORBIDDEN.search(value):
        raise Invalid(
            "a secret is text: no NUL, no half of a surrogate pair",
            code="bad_secret",
            hint="bytes can be kept as base64, and decoded by the command",
        )
    check_size(len(value.encode()))


def check_size(size: int) -> None:
    """Raises Invalid for a value of more bytes than one may have."""
    if size > VALUE_BYTES:
        raise Invalid(
            f"a secret has at most {VALUE_BYTES >> 10} KiB",
            code="bad_secret",
            hint="what is larger belongs into a file on the nodes",
        )


def is_masked(value: str) -> bool:
    """Whether output may be searched for it: it is long enough not to stand anywhere by chance."""
    return len(value.strip()) >= MASKED_FROM


def masks_of(values: Iterable[str]) -> tuple[str, ...]:
    """What is to be replaced in output, the longest first, so that none hides within another.

    The value without blanks around it, which is in any form of it; of a value of several lines
    also each line, since a command may print it indented, or only a part of it. Each of them also
    as it stands between quotes: whatever a Python task tells is JSON, and an exception often holds
    the repr of a value.
    """
    masks: set[str] = set()
    for value in values:
        if is_masked(value):
            masks.add(value.strip())
        lines = {line.strip() for line in value.splitlines()}
        masks.update(sorted((x for x in lines if len(x) >= LINE_FROM), key=_longest_first)[:LINES])
    masks.update(*(_between_quotes(mask) for mask in masks if len(mask) <= FORMS_MOST))
    return tuple(sorted(masks, key=_longest_first))


def _between_quotes(text: str) -> set[str]:
    """How JSON and Python write it, and JSON what Python wrote; nothing new of a plain word."""
    escaped = repr("\"'" + text)[4:-1]
    forms = {text, escaped, escaped.replace("\\'", "'")}
    ways = (True, False)
    return {json.dumps(form, ensure_ascii=way)[1:-1] for form in forms for way in ways} | forms


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text
