"""One more run at the door of its job: in, parked or refused; and on all nodes."""

from typing import Any

import pytest

from cronherd.domain.admission import (
    Admission,
    Gate,
    Refusal,
    Target,
    admit,
    gate_key,
    own_key,
    through,
)
from cronherd.domain.job import Job, build_job
from cronherd.domain.planner import Due, plan
from cronherd.domain.run import Cause, Reason, RunState

JOB_ID = "0123"
HOLDER, RESTING, WAITER = "1" * 32, "2" * 32, "3" * 32
SECOND_US = 1_000_000


def job(**spec: Any) -> Job:
    return build_job({"name": "job", "command": "true", "schedule": "every 60s", **spec})


def full(**more: Any) -> Gate:
    return Gate(used={0}, holders=[HOLDER], **more)


def resting(**more: Any) -> Gate:
    return Gate(used={0}, resting=[RESTING], **more)


# What the job says, the gate, and (state, permit, what it waits on) or the reason and who.
TABLE: list[tuple[str, dict[str, Any], Gate, object]] = [
    ("free", {}, Gate(), ("ready", 0, None)),
    ("full", {}, full(), (Reason.OVERLAP, HOLDER)),
    ("silent", {}, full(silent=True), (Reason.PREVIOUS_UNKNOWN, HOLDER)),
    ("resting", {}, resting(), (Reason.MIN_GAP, RESTING)),
    (
        "one holds, one rests",
        {"max_running": 2},
        Gate(used={0, 1}, holders=[HOLDER], resting=[RESTING]),
        (Reason.OVERLAP, HOLDER),
    ),
    ("one of two rests", {"max_running": 2}, resting(), ("ready", 1, None)),
    ("queue, full", {"overlap": "queue"}, full(), ("waiting", None, "j0123")),
    ("queue, resting", {"overlap": "queue"}, resting(), ("waiting", None, "j0123")),
    ("queue is full", {"overlap": "queue", "queue_max": 0}, full(), (Reason.QUEUE_FULL, HOLDER)),
    ("somebody waits", {"overlap": "queue"}, Gate(waiting=1), ("waiting", None, "j0123")),
    ("allow", {"overlap": "allow"}, full(), ("ready", None, None)),
    ("a pool", {"pools": ["db"]}, Gate(), ("waiting", 0, "pdb")),
    ("a pool, full", {"pools": ["db"]}, full(), (Reason.OVERLAP, HOLDER)),
    ("a pool, allow", {"pools": ["db"], "overlap": "allow"}, full(), ("waiting", None, "pdb")),
    ("two pools", {"pools": ["db", "a"]}, Gate(), ("waiting", 0, "pa")),
    ("rolling", {"spread": "all", "rolling": 2}, Gate(), ("waiting", 0, "r0123")),
    (
        "rolling and a pool",
        {"spread": "all", "rolling": 2, "pools": ["db"]},
        Gate(),
        ("waiting", 0, "pdb"),
    ),
]


def spelled(spec: dict[str, Any]) -> dict[str, Any]:
    pools = [{"name": name} for name in sorted(spec.get("pools", ()))]
    return {**spec, "pools": pools} if pools else spec


@pytest.mark.parametrize(
    ("spec", "gate", "wanted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_at_the_door(spec: dict[str, Any], gate: Gate, wanted: object):
    answer = admit(job(**spelled(spec)), gate, JOB_ID, fits=True, queue=False)
    if isinstance(answer, Refusal):
        assert (answer.reason, answer.ref) == wanted
    else:
        assert (answer.state.value, answer.permit, answer.wait_key) == wanted


def test_who_waits_for_a_pool_has_entered_and_who_waits_for_the_job_has_not():
    pooled = job(pools=[{"name": "db"}], overlap="queue")
    gate = Gate()
    first = admit(pooled, gate, JOB_ID, fits=True, queue=False)
    second = admit(pooled, gate, JOB_ID, fits=True, queue=False)
    assert isinstance(first, Admission)
    assert isinstance(second, Admission)
    assert (first.entered, second.entered) == (True, False)
    assert through(pooled, JOB_ID, None).entered
    assert through(job(), JOB_ID, 0) == Admission(state=RunState.READY, permit=0)


@pytest.mark.parametrize(
    ("overlap", "most"), [("skip", 1), ("replace", 1), ("queue", 3), ("allow", 3)]
)
def test_so_many_wait_for_a_node_that_fits(overlap: str, most: int):
    waiting = job(overlap=overlap, queue_max=3, run_on="zone=eu", pools=[{"name": "db"}])
    gate = Gate()
    answers = [admit(waiting, gate, JOB_ID, fits=False, queue=False) for _ in range(most + 1)]
    assert [getattr(answer, "wait_key", None) for answer in answers] == ["@zone=eu"] * most + [None]
    assert answers[-1] == Refusal(reason=Reason.NO_NODE)
    assert gate.used == set(), "they hold nothing"


def test_replace_leaves_what_rests_alone():
    gate = resting(waiters=[WAITER], waiting=1)
    answer = admit(job(overlap="replace"), gate, JOB_ID, fits=True, queue=False)
    assert isinstance(answer, Admission)
    assert (answer.cancels, answer.replaces) == ((), (WAITER,))
    assert (answer.wait_key, gate.waiting) == ("j0123", 1)


def test_keys_of_nodes():
    spread, plain = job(spread="all"), job()
    target = Target(node_id="9", name="one", gate=Gate(), fits=True)
    assert own_key(spread, JOB_ID, target) == gate_key(JOB_ID, "9") == "j0123.9"
    assert own_key(plain, JOB_ID, target) == own_key(spread, JOB_ID, None) == "j0123"


# ---------------------------------------------------------------- plans


def due(slot_s: int = 60) -> Due:
    return Due(
        job_id=JOB_ID,
        next_us=slot_s * SECOND_US,
        slot_us=slot_s * SECOND_US,
        last_slot_us=0,
        version=1,
        seq=7,
    )


def targets(**fits: bool) -> list[Target]:
    return [
        Target(node_id=name, name=f"node-{name}", gate=Gate(), fits=ok) for name, ok in fits.items()
    ]


def test_on_all_nodes_each_has_a_run_a_permit_and_a_fence_of_its_own():
    made = plan(
        job(spread="all"), due(), Gate(), 60 * SECOND_US, fits=True, targets=targets(a=True, b=True)
    )
    assert [(f.target.node_id, f.admission.permit, f.seq) for f in made.fires if f.target] == [
        ("a", 0, 8),
        ("b", 0, 9),
    ]
    assert (made.seq, made.fired) == (9, 1)


def test_on_all_nodes_a_refusal_is_told_of_the_node():
    busy = targets(a=True, b=True, c=False)
    busy[1].gate = full()
    made = plan(job(spread="all"), due(), Gate(), 60 * SECOND_US, fits=True, targets=busy)
    assert [(s.node_id, s.reason, s.ref) for s in made.skips] == [("b", Reason.OVERLAP, HOLDER)]
    assert [f.admission.wait_key for f in made.fires] == [None, "@node=node-c"]
    again = plan(job(spread="all"), due(120), Gate(), 120 * SECOND_US, fits=True, targets=busy)
    assert [(s.node_id, s.reason) for s in again.skips] == [
        ("a", Reason.OVERLAP),
        ("b", Reason.OVERLAP),
        ("c", Reason.NO_NODE),
    ]


def test_without_any_node_a_slot_is_one_row_of_the_job():
    made = plan(job(spread="all"), due(), Gate(), 60 * SECOND_US, fits=True, targets=())
    assert [(s.node_id, s.reason, s.count) for s in made.skips] == [(None, Reason.NO_NODE, 1)]
    assert (made.fires, made.fired, made.last_slot_us) == ((), 0, 60 * SECOND_US)


def test_a_batch_on_many_nodes_is_bounded_and_goes_on_where_it_stopped():
    many = targets(**{f"n{n}": True for n in range(50)})
    late = job(spread="all", overlap="allow", catchup="all", catchup_max=100)
    made = plan(late, due(), Gate(), 3600 * SECOND_US, fits=True, targets=many)
    assert len(made.fires) == 100, "two slots of fifty"
    assert made.next_us is not None
    assert made.slot_us == made.last_slot_us + 60 * SECOND_US


def test_max_runs_counts_slots_and_not_nodes():
    made = plan(
        job(spread="all", max_runs=2, overlap="queue", catchup="all"),
        due(),
        Gate(),
        300 * SECOND_US,
        fits=True,
        targets=targets(a=True, b=True, c=True),
    )
    assert (made.fired, len(made.fires), made.next_us) == (2, 6, None)


@pytest.mark.parametrize("busy", [True, False])
def test_of_late_slots_on_all_nodes_replace_keeps_the_newest_on_each(*, busy: bool):
    nodes = targets(a=True, b=True)
    if busy:
        nodes[0].gate = full()
    spread = job(spread="all", overlap="replace", on_time="1h")
    made = plan(spread, due(), Gate(), 300 * SECOND_US, fits=True, targets=nodes)
    newest = [(f.target.node_id, f.slot_us) for f in made.fires if f.target]
    assert sorted(newest) == [("a", 300 * SECOND_US), ("b", 300 * SECOND_US)]
    told = {(skip.node_id, skip.from_us) for skip in made.skips}
    assert len(told) == len(made.skips) == 8
    assert {skip.reason for skip in made.skips} == {Reason.REPLACED}
    states = {f.target.node_id: f.admission.state for f in made.fires if f.target}
    assert states == {"a": RunState.WAITING if busy else RunState.READY, "b": RunState.READY}


def test_a_slot_within_the_gap_is_a_row_that_names_the_run_before():
    made = plan(job(min_gap="90s"), due(), resting(), 60 * SECOND_US, fits=True)
    assert [(s.reason, s.ref) for s in made.skips] == [(Reason.MIN_GAP, RESTING)]


def test_a_slot_of_a_job_with_pools_enters_and_lines_up():
    (fire,) = plan(job(pools=[{"name": "db"}]), due(), Gate(), 60 * SECOND_US, fits=True).fires
    assert (fire.cause, fire.seq, fire.admission.permit) == (Cause.SCHEDULE, 8, 0)
    assert fire.admission.wait_key == "pdb"
