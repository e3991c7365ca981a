"""The fast-forward is exact: what is skipped leaves behind what it would have, beat by beat."""

from unittest import mock

from tests.sim.idle import Idle
from tests.sim.world import Plot, World


class Quiet(World):
    """Nothing goes wrong and nobody does anything."""

    def _foresee(self, end_us: int) -> None:
        pass


def fleet_of(world: World) -> list[tuple[str, int, int]]:
    return [(host.name, host.beat, host.lease_us) for host in world.model.hosts.values()]


def quiet(seed: int) -> World:
    world = Quiet(Plot(seed=seed, minutes=15))
    world.run()
    return world


def test_beats_and_leases_are_those_of_a_fleet_that_skips_nothing():
    for seed in (1, 2):
        fast = quiet(seed)
        with mock.patch.object(Idle, "_heartbeat", return_value=0):
            slow = quiet(seed)
        found, expected = fleet_of(fast), fleet_of(slow)
        assert fast.hub.events < slow.hub.events
        for (name, beat, lease_us), (other, wanted, until_us) in zip(found, expected, strict=True):
            assert name == other
            # BOOTTIME drifts by up to 100 ppm, and a true beat waits for it.
            assert abs(beat - wanted) <= 1
            assert abs(lease_us - until_us) <= 5_500_000


def test_a_watcher_knows_the_beats_that_it_skipped():
    world = quiet(1)
    assert world.model.rhythms
    world.unpark()
    assert not world.model.rhythms
    for host in world.hosts:
        watcher = next(each for each in host.tickers if each.name == "watcher").part
        for node_id, row in world.model.hosts.items():
            if node_id != host.node.id:
                assert row.beat - watcher._watch._seen[node_id][0] <= 1
