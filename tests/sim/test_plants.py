"""The checks can fail: each fault that is planted is found within a few seeds."""

from dataclasses import replace

import pytest

from tests.sim import plants
from tests.sim.runs import caught
from tests.sim.world import Plot

SAFE = Plot(seed=1, minutes=20, rough=True)
HEALED = Plot(seed=1, mode="liveness", minutes=15, rough=False, troubles=False, storm=0.4)

# Where the search begins, near a seed that is known to find it, and in which weather.
PLOTS = {
    plants.no_compare_and_set: replace(SAFE, storm=0.4),
    plants.unknown_commit_is_forgotten: replace(HEALED, seed=29),
    plants.wall_clock_decides: SAFE,
    plants.token_is_not_checked: replace(SAFE, seed=10),
    plants.takeover_ignores_the_beat: replace(SAFE, rough=False, steps=60),
    plants.permit_without_looking: SAFE,
    plants.no_sweep: HEALED,
    plants.no_self_fence: replace(SAFE, seed=10, minutes=60),
    plants.pause_forgets_the_ready: replace(SAFE, seed=16),
}
MOST = 60


@pytest.mark.parametrize("plant", plants.PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: plants.Plant):
    found = caught(plant(), PLOTS[plant], MOST)
    assert found is not None, f"{MOST} seeds and nobody noticed: {plant.__doc__}"


def test_every_plant_has_been_looked_for():
    assert set(PLOTS) == set(plants.PLANTS)
