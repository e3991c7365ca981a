"""The lease is renewed in time, and what the fleet wants of a node reaches it with the beat."""

from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.domain.policy import HEARTBEAT_US
from cronherd.engine.heartbeat import Heartbeat
from cronherd.store.base import Renewal
from tests.engine.stand_in import LEASE_US, Rig


class Beats:
    """The real lease, and hints that a test gives."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.hints: list[bool] | None = None
        self.broken = False
        self.calls = 0
        self.unfenced: bool | None = None

    def renew(
        self, node_id: str, incarnation: str, lease_us: int, *, unfenced: bool | None = None
    ) -> Renewal:
        self.calls += 1
        self._rig.clock.advance(0.1)  # the call takes its time
        if self.broken:
            raise Unavailable("gone")
        self.unfenced = unfenced
        return self._rig.store.renew(node_id, incarnation, lease_us, unfenced=unfenced)

    def wait_hint(self, timeout_s: float) -> bool | None:
        if self.hints is None:
            return None
        self._rig.clock.advance(timeout_s)
        return self.hints.pop(0) if self.hints else False


class Told:
    """What the heartbeat says to its life."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.beats = Beats(self.rig)
        self.renewed: list[tuple[Renewal, int]] = []
        self.judged = self.hinted = self.halted = 0
        self.owned = True
        self.unfenced = False
        self.heartbeat = Heartbeat(
            self.beats,
            self.rig.clock,
            lambda: (self.rig.node.id, self.rig.node.incarnation, self.unfenced),
            renewed=lambda renewal, boot_us: self.renewed.append((renewal, boot_us)),
            judged=self._judge,
            hinted=self._hint,
            owned=lambda: self.owned,
            halt=self._halt,
        )

    def _judge(self) -> None:
        self.judged += 1

    def _hint(self) -> None:
        self.hinted += 1

    def _halt(self) -> None:
        self.halted += 1


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_a_renewal_counts_from_before_its_call(told: Told) -> None:
    began_us = told.rig.clock.boot_us()
    sleep_s = told.heartbeat.tick()
    assert told.renewed == [(Renewal(ours=True), began_us)]
    assert sleep_s == pytest.approx(HEARTBEAT_US / 1e6 - 0.1)


def test_it_renews_when_it_is_due_and_not_before(told: Told) -> None:
    told.heartbeat.tick()
    told.heartbeat.tick()
    assert told.beats.calls == 1
    told.rig.clock.advance(5)
    told.heartbeat.tick()
    assert told.beats.calls == 2


def test_what_people_want_of_the_node_comes_with_the_beat(told: Told) -> None:
    told.rig.store.set_drained(told.rig.node.id, "ann", drained=True)
    told.rig.store.set_hold("ann", hold=True)
    told.heartbeat.tick()
    assert told.renewed[0][0] == Renewal(ours=True, drained=True, hold=True)


@pytest.mark.parametrize("unfenced", [True, False])
def test_each_renewal_says_whether_the_supervisor_fences(told: Told, *, unfenced: bool) -> None:
    told.unfenced = unfenced
    told.heartbeat.tick()
    assert told.beats.unfenced is unfenced


def test_a_renewal_that_finds_another_incarnation_was_judged(told: Told) -> None:
    told.rig.store.register_node(replace(told.rig.node, incarnation="another"), LEASE_US)
    told.heartbeat.tick()
    assert (told.judged, told.renewed) == (1, [])


def test_a_hint_wakes_and_waiting_for_hints_is_the_sleep(told: Told) -> None:
    told.beats.hints = [False, True]
    assert [told.heartbeat.tick() for _ in range(2)] == [0.0, 0.0]
    assert told.hinted == 1


def test_a_failed_renewal_is_tried_again_at_the_next_tick(told: Told) -> None:
    told.beats.broken = True
    with pytest.raises(Unavailable):
        told.heartbeat.tick()
    told.beats.broken = False
    told.heartbeat.tick()
    assert len(told.renewed) == 1


def test_a_lost_state_directory_ends_the_agent_before_it_renews(told: Told) -> None:
    told.owned = False
    told.heartbeat.tick()
    assert (told.halted, told.beats.calls) == (1, 0)
