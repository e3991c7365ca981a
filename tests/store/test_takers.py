"""What a node takes: by place, by preference, by how many it has already, by priority."""

from collections.abc import Mapping

from cronherd.domain.node import Node
from cronherd.domain.place import parse_place, place_text
from cronherd.domain.run import Cause
from cronherd.store.base import Claim, Offer
from tests.store.stage import Stage


def capped_as(name: str) -> str:
    """As places name a job with a limit per node."""
    return parse_place(place_text(None, None, 1, name)).capped


def take(stage: Stage, node: Node, held: Mapping[str, int], limit: int = 100) -> list[Claim]:
    return stage.store.claim(node, stage.new_id(), limit, held)


def ask(stage: Stage, job_id: str, count: int) -> None:
    for _ in range(count):
        stage.clock.advance(0.001)
        stage.request(job_id, f"m:{stage.new_id()}")


def test_a_node_takes_no_more_of_a_job_than_it_may_have(stage: Stage):
    two = stage.join("two")
    job_id = stage.job("job", None, overlap="allow", max_per_node=2)
    ask(stage, job_id, 7)
    key = capped_as("job")
    assert len(take(stage, stage.node, {})) == 2
    assert len(take(stage, stage.node, {key: 2})) == 0
    assert len(take(stage, two, {key: 1})) == 1
    assert len(take(stage, two, {key: 0})) == 2
    assert len(take(stage, two, {capped_as("other"): 9})) == 2


def test_a_limit_per_node_counts_over_all_places_of_the_job(stage: Stage):
    """A run that is meant for one node has another place than one for any."""
    job_id = stage.job("job", None, overlap="allow", max_per_node=2)
    ask(stage, job_id, 3)
    for number in range(3):
        stage.store.request_run(
            job_id,
            stage.new_id(),
            f"m:{number}",
            Cause.MANUAL,
            force=False,
            target=(stage.node.id, stage.node.name),
        )
    assert len(take(stage, stage.node, {})) == 2
    assert len(take(stage, stage.node, {capped_as("job"): 1})) == 1


def test_other_jobs_fill_the_rest(stage: Stage):
    few = stage.job("few", None, overlap="allow", max_per_node=1)
    many = stage.job("many", None, overlap="allow")
    ask(stage, few, 3)
    ask(stage, many, 10)
    names = [claim.job.name for claim in take(stage, stage.node, {}, 5)]
    assert sorted(names) == ["few", "many", "many", "many", "many"]


def test_who_fires_takes_nothing_that_is_counted_by_node(stage: Stage):
    stage.job("few", "every 60s", max_per_node=1)
    stage.job("many", "every 60s")
    stage.advance(60)
    labels = stage.node.place_labels
    offer = Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=10)
    assert [claim.job.name for claim in stage.fire(10, offer)] == ["many"]


def test_others_leave_a_run_for_some_seconds_to_the_nodes_that_it_prefers(stage: Stage):
    fast = stage.join("fast", disk="ssd")
    job_id = stage.job("job", None, overlap="allow", prefer="disk=ssd")
    ask(stage, job_id, 2)
    assert take(stage, stage.node, {}) == []
    assert len(take(stage, fast, {}, 1)) == 1
    stage.clock.advance(4.9)
    assert take(stage, stage.node, {}) == []
    stage.clock.advance(0.2)
    assert len(take(stage, stage.node, {})) == 1


def test_nobody_waits_for_a_node_that_is_not_there(stage: Stage):
    job_id = stage.job("job", None, overlap="allow", prefer="disk=ssd")
    ask(stage, job_id, 1)
    assert len(take(stage, stage.node, {})) == 1
    fast = stage.join("fast", disk="ssd")
    ask(stage, job_id, 1)
    assert take(stage, stage.node, {}) == []
    stage.store.set_drained(fast.id, "tester", drained=True)
    assert len(take(stage, stage.node, {})) == 1
    stage.store.set_drained(fast.id, "tester", drained=False)
    ask(stage, job_id, 1)
    stage.advance(16)  # fast has not renewed its lease
    assert len(take(stage, stage.node, {})) == 1


def test_who_fires_leaves_a_run_to_those_it_prefers(stage: Stage):
    stage.join("fast", disk="ssd")
    stage.job("job", "every 60s", prefer="disk=ssd")
    stage.advance(60)
    labels = stage.node.place_labels
    offer = Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=10)
    assert stage.fire(10, offer) == []


def test_a_selector_chooses_nodes(stage: Stage):
    nodes = [
        stage.join("eu1", zone="eu", gpu="yes"),
        stage.join("eu2", zone="eu"),
        stage.join("us1", zone="us-east"),
    ]
    wanted = {
        "zone=eu": {"eu1", "eu2"},
        "zone in (eu, us-east)": {"eu1", "eu2", "us1"},
        "zone notin (eu)": {"us1", "one"},
        "zone=us-*": {"us1"},
        "gpu": {"eu1"},
        "!gpu": {"eu2", "us1", "one"},
        "zone!=eu,node=one": {"one"},
    }
    for number, (selector, names) in enumerate(wanted.items()):
        job_id = stage.job(f"job {number}", None, overlap="allow", run_on=selector)
        took = set()
        for node in (*nodes, stage.node):
            ask(stage, job_id, 1)
            took |= {node.name for _ in take(stage, node, {})}
            for claim in stage.store.held_by(node.id):
                stage.end(claim)
        assert took == names, selector
        stage.delete(job_id)


def test_of_what_is_claimed_at_once_priority_goes_first(stage: Stage):
    jobs = [stage.job(f"job {n}", None, overlap="allow", priority=-n) for n in range(3)]
    for job_id in jobs:
        ask(stage, job_id, 2)
    names = [claim.job.name for claim in take(stage, stage.node, {}, 3)]
    assert names == ["job 2", "job 2", "job 1"]
