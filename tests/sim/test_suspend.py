"""A whole host that sleeps longer than its run's own limit: nothing of it goes on after that."""

from unittest import mock

import pytest

from tests.sim import jobs
from tests.sim.checks import Violation
from tests.sim.hub import SECOND_US
from tests.sim.nurse import Nurse
from tests.sim.world import START_US, Plot, World

JOB = {
    "schedule": "every 1m",
    "overlap": "skip",
    "timeout": "20s",
    "grace": "10s",
    "takeover_after": "never",
}
SLEEPS_US = START_US + 65 * SECOND_US
WAKES_US = SLEEPS_US + 180 * SECOND_US


class Sleeper(World):
    """Two nodes and one job whose commands ignore SIGTERM; who runs one at 65 s falls asleep."""

    def _make_jobs(self) -> None:
        self.people.make("job", JOB)
        self.names.append("job")
        self._limits["job"], self._lengths["job"] = 1, "long"

    def _foresee(self, end_us: int) -> None:
        self.hub.at(SLEEPS_US, self._sleep)

    def _sleep(self) -> None:
        deed = self.alive_deeds()[0]
        host = next(host for host in self.hosts if host.name == deed.host)
        host.freeze(WAKES_US - SLEEPS_US, whole=True)


def slept(seed: int) -> World:
    world = Sleeper(Plot(seed=seed, minutes=10))
    with mock.patch.object(jobs, "life", return_value=(400 * SECOND_US, 0, True)):
        world.run()
    return world


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_the_thaw_the_old_command_is_killed_at_once(seed: int):
    world = slept(seed)
    first, second = world.evidence.deeds[:2]
    assert (first.how, first.ended_us) == ("timeout", WAKES_US)
    assert first.host != second.host, "somebody else took the next slot over"
    assert first.started_us < second.started_us < WAKES_US


def test_without_that_kill_two_run_at_once():
    with (
        mock.patch.object(Nurse, "_look_at_limit"),
        pytest.raises(Violation, match="2 run at once"),
    ):
        slept(1)
