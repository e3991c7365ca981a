"""Nodes: registered once per id, alive while their lease runs, known by one name each."""

from dataclasses import replace

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from tests.store.stage import LEASE_US, Stage


def test_a_registered_node_is_listed_with_what_it_said(stage: Stage):
    stage.join("two", disk="ssd")
    one, two = stage.store.nodes()
    assert (one.name, two.name) == ("one", "two")
    assert two.labels == {"disk": "ssd"}
    assert (two.capacity, two.beat, two.lease_us) == (8, 1, stage.now_us + LEASE_US)
    assert two.alive(stage.now_us)
    assert not two.alive(stage.now_us + LEASE_US)


def test_an_agent_that_starts_again_is_the_same_node_and_is_told_what_was_before(stage: Stage):
    before = stage.store.register_node(replace(stage.node, incarnation="life-2"), LEASE_US)
    assert (before.boot_id, before.incarnation, before.beat) == ("boot-1", "life-1", 1)
    again = stage.store.register_node(replace(stage.node, incarnation="life-3"), LEASE_US)
    assert (again.incarnation, again.beat) == ("life-2", 2)
    assert len(stage.store.nodes()) == 1


ELSEWHERE = [{"boot_id": "boot-2"}, {"home": "copy"}]


@pytest.mark.parametrize("changed", ELSEWHERE, ids=["boot", "home"])
def test_a_copy_of_a_live_node_is_refused_and_changes_nothing(
    stage: Stage, changed: dict[str, str]
):
    stage.store.register_node(replace(stage.node, home="first"), LEASE_US)
    before = stage.store.nodes()
    copy = replace(stage.node, **{"home": "first", **changed})  # type: ignore[arg-type]
    with pytest.raises(Conflict) as caught:
        stage.store.register_node(copy, LEASE_US)
    assert caught.value.code == "node_cloned"
    assert "copy" in caught.value.hint
    assert stage.store.nodes() == before
    assert stage.renew()


@pytest.mark.parametrize("changed", ELSEWHERE, ids=["boot", "home"])
@pytest.mark.parametrize("how", ["ran out", "released", "judged"])
def test_a_node_without_a_lease_may_come_back_from_anywhere(
    stage: Stage, changed: dict[str, str], how: str
):
    stage.store.register_node(replace(stage.node, home="first"), LEASE_US)
    if how == "released":
        stage.store.release_node(stage.node.id, stage.node.incarnation)
    else:
        stage.clock.advance(15)
    if how == "judged":
        (seen,) = stage.store.nodes()
        assert stage.store.take_over(seen, [], judged=True) is not None
        stage.clock.step(-10)  # by the clock alone the lease would run again
    again = replace(stage.node, **{"home": "first", **changed})  # type: ignore[arg-type]
    before = stage.store.register_node(again, LEASE_US)
    assert (before.boot_id, before.home) == ("boot-1", "first")
    (now,) = stage.store.nodes()
    assert (now.boot_id, now.home) == (again.boot_id, again.home)


def test_a_new_node_had_no_life_before(stage: Stage):
    fresh = replace(stage.node, id=stage.new_id(), name="fresh")
    before = stage.store.register_node(fresh, LEASE_US)
    assert (before.boot_id, before.incarnation, before.beat) == ("", "", 0)


def test_a_renewal_beats_and_extends_the_lease(stage: Stage):
    stage.clock.advance(5)
    assert stage.renew()
    (node,) = stage.store.nodes()
    assert (node.beat, node.lease_us) == (2, stage.now_us + LEASE_US)


def test_a_renewal_of_an_earlier_life_changes_nothing(stage: Stage):
    stage.store.register_node(replace(stage.node, incarnation="life-2"), LEASE_US)
    (before,) = stage.store.nodes()
    assert not stage.renew()
    assert not stage.store.renew(stage.new_id(), "life-1", LEASE_US).ours
    stage.store.release_node(stage.node.id, "life-1")
    assert stage.store.nodes() == [before]


def test_a_released_node_is_silent_at_once(stage: Stage):
    stage.store.release_node(stage.node.id, "life-1")
    (node,) = stage.store.nodes()
    assert not node.alive(stage.now_us)
    assert stage.store.events(1)[0].kind is EventKind.NODE_STOPPED


def test_a_name_of_a_live_node_is_taken(stage: Stage):
    other = replace(stage.node, id=stage.new_id())
    with pytest.raises(Conflict) as caught:
        stage.store.register_node(other, LEASE_US)
    assert caught.value.code == "node_name_taken"
    assert len(stage.store.nodes()) == 1


def test_a_name_of_a_silent_node_passes_on_and_its_row_stays(stage: Stage):
    stage.clock.advance(15)
    other = replace(stage.node, id=stage.new_id())
    stage.store.register_node(other, LEASE_US)
    names = {node.id: node.name for node in stage.store.nodes()}
    assert names[other.id] == "one"
    assert names[stage.node.id].startswith("one (until ")


def test_a_running_run_of_a_silent_node_is_suspected(stage: Stage):
    stage.request(stage.job())
    stage.start(stage.one_claim())
    assert not stage.runs()[0].suspected
    stage.clock.advance(16)
    assert stage.runs()[0].suspected
    stage.renew()
    assert not stage.runs()[0].suspected


def test_a_node_shows_how_many_runs_it_has(stage: Stage):
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    stage.claim(2)
    assert stage.store.nodes()[0].live == 2
