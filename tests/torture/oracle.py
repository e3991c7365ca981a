"""Which slots a job has, computed afresh: slow, obvious, and without a line of the product.

It knows only what the torture's own jobs say: `every 5s`, cron fields with numbers, `*` and `*/n`
for minutes and hours in UTC, and `after 2s`, whose slots only its own ends can tell.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.torture.evidence import SECOND_US

_UNITS = {"s": 1, "m": 60, "h": 3600}
MINUTE_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """One schedule in force: slots after `from_us` up to `to_us`."""

    schedule: str
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """Around an edit: whichever of the two schedules ruled then, both answers are right."""

    from_us: int
    to_us: int


def seconds_of(text: str) -> float:
    """`5s`, `2m`, `1h`, or a sum of them."""
    total, digits = 0.0, ""
    for letter in text:
        if letter in _UNITS:
            total += float(digits) * _UNITS[letter]
            digits = ""
        else:
            digits += letter
    return total + float(digits or 0)


def is_chained(schedule: str) -> bool:
    return schedule.startswith("after ")


def slots_between(schedule: str, from_us: int, to_us: int) -> list[int]:
    """The slots in (from, to]."""
    if is_chained(schedule):
        raise ValueError("only its own ends tell the slots of a chain")
    if schedule.startswith("every "):
        period_us = round(seconds_of(schedule.removeprefix("every ")) * SECOND_US)
        return [us for us in _steps(from_us, to_us, period_us) if from_us < us <= to_us]
    return [
        us
        for us in _steps(from_us, to_us, MINUTE_US)
        if from_us < us <= to_us and _cron_fits(schedule, us)
    ]


def _steps(from_us: int, to_us: int, period_us: int) -> Iterable[int]:
    return range(from_us // period_us * period_us, to_us + 1, period_us)


def _cron_fits(expression: str, at_us: int) -> bool:
    minute, hour, *rest = expression.split()
    if rest != ["*", "*", "*"]:
        raise ValueError(f"this oracle does not know {expression!r}")
    minutes = at_us // MINUTE_US
    return _field_fits(minute, minutes % 60) and _field_fits(hour, minutes // 60 % 24)


def _field_fits(field: str, value: int) -> bool:
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field.removeprefix("*/")) == 0
    return value in {int(part) for part in field.split(",")}


def expected(eras: Iterable[Era], blurs: Iterable[Blur]) -> tuple[set[int], set[int]]:
    """The slots that must have an outcome, and those that may have one."""
    eras, blurs = list(eras), list(blurs)
    must: set[int] = set()
    may: set[int] = set()
    for era in eras:
        for slot in slots_between(era.schedule, era.from_us, era.to_us):
            blurred = any(blur.from_us <= slot <= blur.to_us for blur in blurs)
            (may if blurred else must).add(slot)
    for blur in blurs:
        for era in eras:
            may.update(slots_between(era.schedule, blur.from_us - 1, blur.to_us))
    return must, may - must
