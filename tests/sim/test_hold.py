"""A node that heard of a hold and then nothing more ends nothing by itself: nobody acts for it."""

from typing import Any
from unittest import mock

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.store.base import Renewal
from tests.sim import jobs
from tests.sim.checks import Violation
from tests.sim.host import Host
from tests.sim.hub import SECOND_US
from tests.sim.model import Model
from tests.sim.world import START_US, Plot, World

JOB = {"schedule": "every 1m", "overlap": "skip", "grace": "10s", "takeover_after": "1m"}
HOLDS_US = START_US + 65 * SECOND_US
CUT_US = HOLDS_US + 15 * SECOND_US
RELEASED_US = CUT_US + 10 * SECOND_US
BACK_US = RELEASED_US + 240 * SECOND_US


class Held(World):
    """Two nodes and one job; the agent that runs it stands still before the hold ends."""

    def _make_jobs(self) -> None:
        self.people.make("job", JOB)
        self.names.append("job")
        self._limits["job"], self._lengths["job"] = 1, "long"

    def _foresee(self, end_us: int) -> None:
        self.hub.at(HOLDS_US, lambda: self.model.set_hold("people", hold=True))
        self.hub.at(CUT_US, self._cut)
        self.hub.at(RELEASED_US, lambda: self.model.set_hold("people", hold=False))

    def runner(self) -> Host:
        """Who runs the job at the moment."""
        deed = self.alive_deeds()[0]
        return next(host for host in self.hosts if host.name == deed.host)

    def _cut(self) -> None:
        self.runner().freeze(BACK_US - self.hub.now_us, whole=False)


class Deaf(Held):
    """The same, but the last thing that the agent did is a renewal without a hold."""

    def _cut(self) -> None:
        host = self.runner()
        renew = host.link.renew

        def unheard(*words: Any, **more: Any) -> Renewal:
            answer: Renewal = renew(*words, **more)
            if not answer.hold:
                host.link.__dict__["renew"] = renew
                host.freeze(BACK_US - self.hub.now_us, whole=False)
                raise Unavailable("the answer was lost")
            return answer

        host.link.__dict__["renew"] = unheard


def held(seed: int, kind: type[Held] = Held) -> World:
    world = kind(Plot(seed=seed, minutes=10))
    with mock.patch.object(jobs, "life", return_value=(400 * SECOND_US, 0, True)):
        world.run()
    return world


@pytest.mark.parametrize("kind", [Held, Deaf])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_its_run_goes_on_alone(seed: int, kind: type[Held]):
    world = held(seed, kind)
    first = world.evidence.deeds[0]
    assert first.ended_us == first.started_us + 400 * SECOND_US
    assert all(deed.started_us >= first.ended_us for deed in world.evidence.deeds[1:])


def test_taken_at_its_silence_two_run_at_once():
    def forgetful(self: Model, *a: object, **b: object) -> Renewal:
        answer = renew(self, *a, **b)  # type: ignore[arg-type]
        self.hosts[str(a[0])].unfenced = False
        return answer

    renew = Model.renew
    with mock.patch.object(Model, "renew", forgetful), pytest.raises(Violation, match="2 run at"):
        held(1)
