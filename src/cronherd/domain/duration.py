"""Durations as people write them: `90s`, `1h30m`, `1d`, `PT90S`, or a number of seconds."""

import re
from math import isnan

from cronherd.domain.errors import Invalid

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)(us|ms|s|m|h|d|w)")
_GO = re.compile(rf"(?:{_PART.pattern})+")
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
# Ten years: longer is a slip of the pen, and keeps every sum far inside 64 bits.
LONGEST_US = 3653 * _UNITS_US["d"]


def parse_duration(value: str | float) -> int:
    """Microseconds of a duration; numbers are seconds. Raises Invalid, never guesses."""
    if isinstance(value, bool):
        raise _bad(value)
    micros = _from_number(value) if isinstance(value, int | float) else _from_text(value)
    if not 0 <= micros <= LONGEST_US:
        raise Invalid(
            f"'{value}' is not between 0 and ten years", code="bad_duration", hint="e.g. 90s or 1h"
        )
    return micros


def format_duration(micros: int) -> str:
    """The shortest exact spelling, `0s` for nothing: 5_400_000_000 is `1h30m`."""
    if micros == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, micros = divmod(micros, _UNITS_US[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _from_number(value: float) -> int:
    if isnan(value) or abs(value) > LONGEST_US:
        raise _bad(value)
    return round(value * _UNITS_US["s"])


def _from_text(value: str) -> int:
    text = value.strip().replace(" ", "")
    if len(text) > 60:
        raise _bad(value[:60])
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _from_number(float(text))
    if _GO.fullmatch(text):
        return sum(round(float(n) * _UNITS_US[unit]) for n, unit in _PART.findall(text))
    iso = _ISO.fullmatch(text.upper())
    if iso and any(iso.groups()):
        counts = [float(group or 0) for group in iso.groups()]
        return round(sum(n * _UNITS_US[u] for n, u in zip(counts, "wdhms", strict=True)))
    raise _bad(value)


def _bad(value: object) -> Invalid:
    return Invalid(
        f"'{value}' is not a duration", code="bad_duration", hint="write 90s, 10m, 1h30m or 1d"
    )
