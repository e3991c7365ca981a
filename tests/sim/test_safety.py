"""Whatever goes wrong: no double start, nothing early, no overlap, each slot one outcome."""

import pytest

from tests.sim.runs import REGRESSIONS, fresh, play
from tests.sim.world import Plot


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_once_found_something(seed: int):
    play(Plot(seed=seed, mode="safety", minutes=30))


@pytest.mark.parametrize("seed", fresh(6))
def test_promises_hold_in_any_weather(seed: int):
    world = play(Plot(seed=seed, mode="safety", minutes=30))
    assert world.evidence.deeds, "nothing ran at all, so nothing was shown"


@pytest.mark.parametrize("mode", ["safety", "liveness"])
def test_weeks_of_jobs_that_run_rarely(mode: str):
    assert play(Plot(seed=1, mode=mode, weeks=1)).evidence.deeds


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(20))
def test_promises_hold_over_many_seeds(block: int):
    for seed in range(10_000 + 20 * block, 10_020 + 20 * block):
        play(Plot(seed=seed, mode="safety"))


def test_the_same_seed_tells_the_same_story():
    first, second = (play(Plot(seed=5, minutes=15)) for _ in range(2))
    assert first.story == second.story
    assert first.hub.events == second.hub.events
