"""When the next command starts: pure, with the chance and the clock passed in."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from cronherd.domain.errors import Invalid

Draw = Callable[[int, int], int]
"""A number between two others, both included, each as likely as the next."""
MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many are to run at once, and how far apart they start. Raises Invalid."""

    least: int
    most: int
    from_us: int
    to_us: int

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST:
            raise Invalid(f"MAX is {self.most}; it lies between 1 and {MOST}", code="bad_pace")
        if not 0 <= self.least <= self.most:
            raise Invalid(f"MIN is {self.least}; it lies between 0 and MAX", code="bad_pace")
        if self.from_us < 1_000:
            raise Invalid("FROM is less than a millisecond", code="bad_pace", hint="write 1 or 1s")
        if self.to_us < self.from_us:
            raise Invalid("TO is less than FROM", code="bad_pace", hint="the shorter one is first")


class Pace:
    """Below MIN the next start is FROM after the last one, else a drawn time in FROM to TO after.

    So nothing drifts, and no two starts are closer than FROM. With MIN 0 the first one comes
    after a drawn time of up to TO: hosts that begin together do not start together.
    """

    __slots__ = ("_bounds", "_draw", "_due_us", "_floor_us", "ending", "suspended")

    def __init__(self, bounds: Bounds, draw: Draw, boot_us: int, *, at_once: bool = False) -> None:
        self._bounds = bounds
        self._draw = draw
        self._floor_us = boot_us
        waits = not at_once and not bounds.least
        self._due_us = boot_us + (draw(0, bounds.to_us) if waits else 0)
        self.suspended = False
        self.ending = False
        """No more starts, ever."""

    def next_us(self, running: int) -> int | None:
        """When to start one more; None: not before something happens."""
        if self.ending or self.suspended or running >= self._bounds.most:
            return None
        return self._floor_us if running < self._bounds.least else self._due_us

    def started(self, boot_us: int) -> None:
        bounds = self._bounds
        self._floor_us = boot_us + bounds.from_us
        self._due_us = boot_us + self._draw(bounds.from_us, bounds.to_us)

    def failed(self, boot_us: int) -> None:
        """What fails is not made better by trying fast."""
        self._floor_us = self._due_us = boot_us + self._bounds.to_us


def draw(least: int, most: int) -> int:
    """By the kernel's chance; `random` would cost 5 ms of a start."""
    return least + int.from_bytes(os.urandom(8), "big") % (most - least + 1)
