"""What one node does about another one's silence, over a real store."""

from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.node import Node
from cronherd.domain.policy import HEARTBEAT_US
from cronherd.engine.watcher import LIMIT_MARGIN_US, Watcher
from cronherd.store.base import Claim
from cronherd.store.facts import RunFilter
from tests.engine.stand_in import Rig

LEASE_US = 15_000_000
MINUTE_S = 60


class Pair:
    """A node that watches, and one that holds runs and falls silent."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.other = Node(
            id=self.rig.new_id(), name="other", incarnation="o", boot_id="ob", capacity=9
        )
        self.rig.store.register_node(self.other, LEASE_US)
        self.freed = 0
        self.watcher = Watcher(
            self.rig.store,
            self.rig.clock,
            self.rig.node.id,
            chance=lambda: 0.5,
            freed=self._freed,
        )

    def _freed(self) -> None:
        self.freed += 1

    def claim(self, name: str, **spec: Any) -> Claim:
        self.rig.request(name, **spec)
        (claim,) = self.rig.store.claim(self.other, self.rig.new_id(), 1)
        return claim

    def watch(self, seconds: float) -> None:
        """Time passes, and this node looks at each heartbeat."""
        until_us = self.rig.clock.boot_us() + round(seconds * 1_000_000)
        while self.rig.clock.boot_us() < until_us:
            self.watcher.tick()
            self.rig.clock.advance(HEARTBEAT_US / 1_000_000)
        self.watcher.tick()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_run_with_a_permit_is_lost_after_its_time_and_not_before(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    pair.watch(MINUTE_S - 5)
    assert pair.rig.state(claim.run_id) == "claimed"
    pair.watch(10)
    assert pair.rig.state(claim.run_id) == "lost"
    assert pair.freed == 1
    assert not pair.rig.store.renew(pair.other.id, pair.other.incarnation, LEASE_US).ours


def test_a_run_that_may_start_again_gets_a_new_attempt(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m", delivery="at_least_once", overlap="allow")
    pair.watch(MINUTE_S + 10)
    run = pair.rig.store.find_run(claim.run_id)
    assert (run.attempt, run.state.value) == (2, "delayed")


@pytest.mark.parametrize(
    "spec",
    [{"overlap": "allow", "takeover_after": "1m"}, {"takeover_after": "never"}, {}],
    ids=["holds nothing", "never", "a longer time"],
)
def test_other_runs_never_become_lost_by_such_a_time(pair: Pair, spec: dict[str, Any]) -> None:
    claim = pair.claim("job", **spec)
    pair.watch(5 * MINUTE_S)
    assert pair.rig.state(claim.run_id) == "claimed"


def test_its_own_time_limit_proves_that_a_run_is_gone(pair: Pair) -> None:
    claim = pair.claim("job", overlap="allow", timeout="30s", grace="10s")
    pair.watch(45)
    assert pair.rig.state(claim.run_id) == "claimed"
    pair.watch(15 + 5 + LIMIT_MARGIN_US / 1_000_000 + 10)
    assert pair.rig.state(claim.run_id) == "lost"
    assert pair.rig.store.renew(pair.other.id, pair.other.incarnation, LEASE_US).ours


def test_a_node_that_comes_back_in_time_keeps_its_runs(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    for _ in range(5):
        pair.watch(40)
        assert pair.rig.store.renew(pair.other.id, pair.other.incarnation, LEASE_US).ours
    assert pair.rig.state(claim.run_id) == "claimed"


def test_nobody_is_judged_while_the_fleet_holds_nor_right_after(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    pair.watch(30)
    pair.rig.store.set_hold("ann", hold=True)
    pair.watch(5 * MINUTE_S)
    pair.rig.store.set_hold("ann", hold=False)
    pair.watch(MINUTE_S - 10)
    assert pair.rig.state(claim.run_id) == "claimed"
    pair.watch(20)
    assert pair.rig.state(claim.run_id) == "lost"


def test_a_node_that_heard_the_hold_and_not_its_end_is_left_to_people(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    limited = pair.claim("limited", takeover_after="1m", timeout="30s")
    pair.rig.store.set_hold("ann", hold=True)
    assert pair.rig.store.renew(pair.other.id, pair.other.incarnation, LEASE_US).hold
    pair.rig.store.set_hold("ann", hold=False)
    pair.watch(10 * MINUTE_S)
    assert pair.rig.state(claim.run_id) == "claimed"
    assert pair.rig.state(limited.run_id) == "lost", "its supervisor ends it without any fence"


def test_a_watcher_that_was_cut_off_watches_a_full_period_again(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    pair.watch(50)
    pair.rig.clock.advance(10 * MINUTE_S)
    pair.watch(50)
    assert pair.rig.state(claim.run_id) == "claimed"
    pair.watch(20)
    assert pair.rig.state(claim.run_id) == "lost"


def test_a_step_of_the_databases_clock_judges_nobody(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m")
    pair.watcher.tick()
    pair.rig.clock.step(3_600)
    pair.watch(50)
    assert pair.rig.state(claim.run_id) == "claimed"


def test_what_waited_for_the_permit_is_let_in(pair: Pair) -> None:
    claim = pair.claim("job", takeover_after="1m", overlap="queue")
    waiting = pair.rig.new_id()
    store = pair.rig.store
    store.request_run(claim.job_id, waiting, "m:2", claim.cause, force=False)
    assert pair.rig.state(waiting) == "waiting"
    pair.watch(MINUTE_S + 10)
    assert pair.rig.state(waiting) == "ready"
    assert len(store.runs(RunFilter(limit=10))) == 2
