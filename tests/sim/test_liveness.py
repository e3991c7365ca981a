"""Once all is healed: every slot is resolved within a bound, nothing is stuck, nothing leaks."""

import pytest

from tests.sim.runs import REGRESSIONS, fresh, play
from tests.sim.world import Plot


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_once_found_something(seed: int):
    play(Plot(seed=seed, mode="liveness", minutes=30))


@pytest.mark.parametrize("seed", fresh(6))
def test_a_healed_fleet_settles(seed: int):
    world = play(Plot(seed=seed, mode="liveness", minutes=30))
    assert world.evidence.deeds, "nothing ran at all, so nothing was shown"


def test_what_a_pause_held_goes_on_when_it_ends():
    """A chain's lost run is sent back while paused, and held: the sweep lets it go."""
    play(Plot(seed=4, mode="liveness", minutes=30))


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(20))
def test_healed_fleets_settle_over_many_seeds(block: int):
    for seed in range(20_000 + 20 * block, 20_020 + 20 * block):
        play(Plot(seed=seed, mode="liveness"))
