"""Rates: how many of something may begin in a second, a minute or an hour."""

import re
from dataclasses import dataclass

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import HOUR_US, MINUTE_US, SECOND_US

_UNITS = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US}
_RATE = re.compile(r"\s*([0-9]{1,7})\s*/\s*([smh])\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """`most` per `unit_us` microseconds."""

    most: int
    unit_us: int

    @property
    def text(self) -> str:
        """As it is written: `60/m`."""
        unit = next(name for name, size in _UNITS.items() if size == self.unit_us)
        return f"{self.most}/{unit}"

    @property
    def apart_us(self) -> int:
        """How far two of them are apart."""
        return max(1, self.unit_us // self.most)


def parse_rate(text: str) -> Rate:
    """Read `60/m`: 60 a minute. Raises Invalid."""
    found = _RATE.fullmatch(text)
    if not found or not int(found[1]):
        raise Invalid(
            f"'{text[:40]}' is not a rate", code="bad_rate", hint="write 5/s, 60/m or 600/h"
        )
    return Rate(int(found[1]), _UNITS[found[2]])


def allowance(line_us: int, now_us: int, apart_us: int) -> tuple[int, int]:
    """How many may begin now, and from where their line goes on.

    `line_us` is up to where the line was used. What was not used is not saved up: at most what a
    second allows, or one.
    """
    # The line is ahead only where a clock has stepped back.
    from_us = min(now_us, max(line_us, now_us - max(SECOND_US, apart_us)))
    return (now_us - from_us) // apart_us, from_us
