"""What people want of nodes and of the whole fleet: hold, drain, remove; and fair shares."""

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.node import Node
from cronherd.domain.run import RunState
from cronherd.store.base import Claim, Ending, Offer
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage


def lost(stage: Stage, claim: Claim) -> Ending:
    seen = lost_exit(claim.started_us, stage.now_us, "a person says so")
    return claim.ended(seen, judge(claim.job, claim.attempt, seen, 0.5))


def named(stage: Stage, name: str) -> Node:
    return next(node for node in stage.store.nodes() if node.name == name)


# ---------------------------------------------------------------- hold


def test_everybody_is_told_of_a_hold_and_of_its_end(stage: Stage):
    stage.join("two")
    for hold in (True, True, False, False):
        stage.store.set_hold("ada", hold=hold)
        assert stage.store.look(stage.node.id, 0).hold is hold
        assert stage.store.renew(stage.node.id, "life-1", LEASE_US).hold is hold
        assert stage.store.peers(stage.node.id).hold is hold
        assert bool(stage.store.meta()["hold"]) is hold
        assert ("ada" in stage.store.meta()["hold"]) is hold
    kinds = [event.kind for event in stage.store.events(9)]
    assert (kinds.count(EventKind.HOLD_BEGAN), kinds.count(EventKind.HOLD_ENDED)) == (1, 1)


def test_a_hold_by_somebody_with_a_long_name_fits(stage: Stage):
    stage.store.set_hold("ä" * 500, hold=True)
    assert stage.store.look(stage.node.id, 0).hold


# ---------------------------------------------------------------- drain


def test_a_drained_node_is_told_so_and_serves_no_place(stage: Stage):
    fast = stage.join("fast", disk="ssd")
    stage.store.set_drained(fast.id, "ada", drained=True)
    answer = stage.store.renew(fast.id, fast.incarnation, LEASE_US)
    assert (answer.ours, answer.drained) == (True, True)
    assert named(stage, "fast").drained
    assert not named(stage, "one").drained
    job_id = stage.job(run_on={"disk": "ssd"})
    stage.request(job_id)
    assert stage.states(job_id) == ["waiting"]
    assert stage.settle() == 0
    stage.store.set_drained(fast.id, "ada", drained=False)
    assert not stage.store.renew(fast.id, fast.incarnation, LEASE_US).drained
    assert stage.settle() == 1
    kinds = [event.kind for event in stage.store.events(9)]
    assert (kinds.count(EventKind.NODE_DRAINED), kinds.count(EventKind.NODE_RESUMED)) == (1, 1)


def test_an_agent_that_starts_again_stays_drained(stage: Stage):
    stage.store.set_drained(stage.node.id, "ada", drained=True)
    assert stage.store.register_node(stage.node, LEASE_US).drained
    assert stage.store.renew(stage.node.id, "life-1", LEASE_US).drained


def test_an_unknown_node_cannot_be_drained(stage: Stage):
    with pytest.raises(NotFound):
        stage.store.set_drained(stage.new_id(), "ada", drained=True)


# ---------------------------------------------------------------- remove


def gone(stage: Stage, **spec: object) -> tuple[Node, Claim]:
    """A node whose lease ran out while it had a run."""
    job_id = stage.job(**spec)  # type: ignore[arg-type]
    two = stage.join("two")
    stage.request(job_id)
    (claim,) = stage.claim(node=two)
    stage.start(claim)
    stage.clock.advance(60)
    stage.renew()
    return named(stage, "two"), claim


def refused(stage: Stage, node: Node, endings: list[Ending]) -> str:
    before = stage.dump(("node", "run", "run_history", "permit", "event"))
    with pytest.raises(Conflict) as caught:
        stage.store.remove_node(node, endings, "ada")
    assert stage.dump(("node", "run", "run_history", "permit", "event")) == before
    return caught.value.code


def test_a_node_that_lives_or_moved_or_holds_runs_is_not_removed(stage: Stage):
    node, claim = gone(stage)
    assert refused(stage, node, []) == "node_holds_runs"
    stage.store.renew(node.id, node.incarnation, LEASE_US)
    assert refused(stage, node, [lost(stage, claim)]) == "node_moved"
    assert refused(stage, named(stage, "two"), [lost(stage, claim)]) == "node_alive"


@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
def test_a_removed_node_is_forgotten_and_its_runs_end_on_a_persons_word(
    stage: Stage, delivery: str
):
    node, claim = gone(stage, delivery=delivery)
    stage.store.remove_node(node, [lost(stage, claim)], "ada")
    assert [other.name for other in stage.store.nodes()] == ["one"]
    assert stage.store.peers(stage.node.id).nodes == ()
    assert not stage.store.renew(node.id, node.incarnation, LEASE_US).ours
    run = stage.store.find_run(claim.run_id)
    if delivery == "at_most_once":
        assert (run.outcome, run.node) == ("lost", "two")
        assert stage.permits() == 0
    else:
        assert (run.state, run.attempt) == (RunState.DELAYED, 2)
    assert [attempt.node for attempt in stage.store.attempts(run.id)] == ["two"]
    (event,) = [e for e in stage.store.events(9) if e.kind is EventKind.NODE_REMOVED]
    assert (event.subject, event.actor) == ("two", "ada")
    with pytest.raises(NotFound):
        stage.store.set_drained(node.id, "ada", drained=True)
    assert_sound(stage)


def test_a_removed_node_may_register_again_and_another_may_have_its_name(stage: Stage):
    node, claim = gone(stage)
    stage.store.remove_node(node, [lost(stage, claim)], "ada")
    stage.join("two")
    again = Node(
        id=node.id, name="three", incarnation="life-2", boot_id="boot-9", capacity=4, home="new"
    )
    stage.store.register_node(again, LEASE_US)
    assert [other.name for other in stage.store.nodes()] == ["one", "three", "two"]
    assert stage.store.renew(node.id, "life-2", LEASE_US).ours


def test_a_node_without_runs_is_removed_with_no_more_ado(stage: Stage):
    two = stage.join("two")
    stage.store.release_node(two.id, two.incarnation)
    stage.store.remove_node(named(stage, "two"), [], "ada")
    assert [node.name for node in stage.store.nodes()] == ["one"]


# ---------------------------------------------------------------- fair share


@pytest.mark.parametrize(
    ("others", "drained", "share"), [(0, 0, 10), (1, 0, 5), (3, 0, 3), (3, 2, 5), (2, 2, 10)]
)
def test_a_batch_is_claimed_by_no_more_than_a_fair_share(
    stage: Stage, others: int, drained: int, share: int
):
    nodes = [stage.join(f"other {n}") for n in range(others)]
    for node in nodes[:drained]:
        stage.store.set_drained(node.id, "ada", drained=True)
    silent = stage.join("silent")
    stage.store.release_node(silent.id, silent.incarnation)
    for n in range(10):
        stage.job(f"job {n}", "every 10s")
    stage.advance(10)
    labels = stage.node.place_labels
    offer = Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=100)
    claims = stage.fire(offer=offer)
    assert len(claims) == share
    assert sorted(stage.states()) == ["claimed"] * share + ["ready"] * (10 - share)
    assert len(stage.claim()) == 10 - share
    assert_sound(stage)
