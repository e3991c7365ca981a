"""Running seeds from tests: one sentence per failure, with the command that replays it."""

import os
import random
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from tests.sim.story import tell
from tests.sim.world import Plot, World

# Seeds that once found something, or that came close; each line says what.
REGRESSIONS = {
    2: "a storm in which every verb is slow",
    3: "a node thaws after twenty minutes and claims before its first beat",
    43: "a supervisor is lost while the database is gone",
    45: "a fence on a clock that drifts",
    49: "woken before its life has begun",
    119: "an edit that was sent before a disable arrives after it",
}


def fresh(default: int) -> list[int]:
    """So many new seeds as CRONHERD_SIM_SEEDS says; without it the same few each time."""
    wanted = os.environ.get("CRONHERD_SIM_SEEDS")
    if wanted is None:
        return list(range(1, default + 1))
    chance = random.SystemRandom()
    return [chance.randrange(1, 1 << 31) for _ in range(int(wanted))]


def play(plot: Plot) -> World:
    """To its end; a violation fails the test with its story."""
    world = World(plot)
    try:
        world.run()
    except AssertionError as fault:
        pytest.fail(tell(world, fault, verbose=False), pytrace=False)
    return world


def caught(
    plant: AbstractContextManager[None], plot: Plot, most: int
) -> tuple[int, AssertionError] | None:
    """The first of so many seeds from the plot's on that notices the plant."""
    with plant:
        for seed in range(plot.seed, plot.seed + most):
            world = World(replace(plot, seed=seed))
            try:
                world.run()
            except AssertionError as fault:
                return seed, fault
    return None
