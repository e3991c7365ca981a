"""Races made on purpose: two at one instant, each on a store of its own, many times over.

Whatever came first, the tables are sound afterwards, and nobody gets an error that is not his.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.ident import to_stored
from cronherd.domain.job import build_job
from cronherd.domain.run import Cause, RunState
from cronherd.store.base import Offer
from cronherd.store.facts import JobWrite
from cronherd.store.sqlstore import SqlStore
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage, race

ROUNDS = 6
DUE_JOBS = 100
STARTED = {RunState.CLAIMED, RunState.RUNNING}


@pytest.fixture
def other(stage: Stage, open_second: Callable[[], SqlStore]) -> Stage:
    """The same fleet, seen from another node."""
    return stage.on(open_second())


def clash(*acts: Callable[[], Any]) -> list[Any]:
    """All at one instant; nobody may be told of the others' locks."""
    answers = race(*acts)
    faults = [a for a in answers if isinstance(a, Exception) and not isinstance(a, Conflict)]
    assert not faults, faults
    return answers


def write_all(stage: Stage, names: list[str], schedule: str, **spec: object) -> list[JobWrite]:
    words = {"command": "true", "schedule": schedule, **spec}
    return [
        JobWrite(
            id=stage.new_id(),
            job=build_job({"name": name, **words}, now_us=0),
            enabled=True,
            source="test",
        )
        for name in names
    ]


def offer_of(stage: Stage, most: int = 1000) -> Offer:
    labels = stage.node.place_labels
    return Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=most)


# ---------------------------------------------------------------- firing


def test_two_who_fire_the_same_hundred_rows_fire_each_once(stage: Stage, other: Stage):
    names = [f"job {n}" for n in range(DUE_JOBS)]
    stage.store.save_jobs(write_all(stage, names, "every 60s", overlap="allow"), "me")
    for turn in range(3):
        stage.advance(60)
        clash(*(partial(who.fire_all) for who in (stage, other)))
        planned = [plan.due.job_id for who in (stage, other) for plan in who.plans]
        assert len(planned) == len(set(planned)) == DUE_JOBS
        stage.plans.clear()
        other.plans.clear()
        assert stage.fetch("SELECT count(*) FROM run") == [((turn + 1) * DUE_JOBS,)]
    assert_sound(stage)
    assert stage.skips() == []


def test_what_two_nodes_fire_and_claim_at_once_they_never_share(stage: Stage, other: Stage):
    other.node = stage.join("two")
    names = [f"job {n}" for n in range(40)]
    stage.store.save_jobs(write_all(stage, names, "every 10s", max_running=2), "me")
    for _ in range(ROUNDS):
        stage.advance(10)
        other.renew()
        acts = [partial(who.fire, 15, offer_of(who)) for who in (stage, other)] * 2
        fired = clash(*acts)
        claimed = clash(*(partial(who.claim, 30) for who in (stage, other)))
        claims = [claim for answer in (*fired, *claimed) for claim in answer]
        assert len({claim.run_id for claim in claims}) == len(claims)
        assert_sound(stage, most=2)
        clash(partial(stage.end, *claims[::2]), partial(other.end, *claims[1::2]))
    stage.fire_all()
    assert stage.skips() == []


def test_an_edit_against_a_firing_is_before_or_after_it(stage: Stage, other: Stage):
    ids = [stage.job(f"job {n}", "every 60s", overlap="allow") for n in range(4)]
    for turn in range(ROUNDS):
        stage.advance(60)
        edits = [partial(other.edit, job_id, command=f"echo {turn}") for job_id in ids[:2]]
        clash(stage.fire_all, *edits)
        stage.fire_all()
        assert_sound(stage)
        for job_id in ids:
            assert len(stage.runs(job_id)) + len(stage.skips(job_id)) == turn + 1
    versions = {stage.store.find_job(job_id).version for job_id in ids}
    assert versions == {1, 1 + ROUNDS}


def test_a_delete_or_a_disable_against_a_firing_leaves_nothing_to_start(stage: Stage, other: Stage):
    for turn in range(ROUNDS):
        gone, off = stage.job(f"gone {turn}", "every 10s"), stage.job(f"off {turn}", "every 10s")
        stage.advance(10)
        clash(stage.fire_all, partial(other.delete, gone), partial(other.disable, off))
        assert stage.claim() == []
        assert_sound(stage)
        for job_id in (gone, off):
            assert len(stage.runs(job_id)) + len(stage.skips(job_id)) == 1
    stage.after(60)
    assert stage.claim() == []


# ---------------------------------------------------------------- claims and controls


def test_a_pause_against_a_claim_names_what_was_first(stage: Stage, other: Stage):
    job_id = stage.job(overlap="allow", retries={"max": 1, "backoff": "1s"})
    for turn in range(ROUNDS * 2):
        for number in range(3):
            stage.request(job_id, f"m:{turn}:{number}")
        claims, first = clash(stage.claim, partial(other.pause, job_id))
        assert sorted(first) == sorted(claim.run_id for claim in claims)
        assert stage.claim() == []
        assert_sound(stage)
        stage.end(*claims)
        stage.resume(job_id)
        stage.settle()
        stage.end(*stage.claim())


@pytest.mark.parametrize("end", ["void", "failed"])
def test_a_pause_against_an_end_that_would_start_it_again(stage: Stage, other: Stage, end: str):
    job_id = stage.job(schedule="every 60s", retries={"max": 9, "backoff": "0s"})
    stage.after(60)
    for _ in range(ROUNDS):
        (claim,) = stage.claim()
        code, error = (None, "void") if end == "void" else (1, "")
        clash(partial(stage.end, claim, exit_code=code, error=error), partial(other.pause, job_id))
        assert stage.states(job_id) == ["held"]
        stage.advance(1)
        stage.settle()
        assert stage.claim() == []
        assert_sound(stage)
        stage.resume(job_id)
        stage.settle()


@pytest.mark.parametrize("end", ["void", "failed"])
def test_an_edit_against_an_end_that_would_start_it_again(stage: Stage, other: Stage, end: str):
    job_id = stage.job(schedule="every 60s", retries={"max": 9, "backoff": "0s"})
    stage.after(60)
    for turn in range(ROUNDS):
        (claim,) = stage.claim()
        assert claim.version == turn + 1
        code, error = (None, "void") if end == "void" else (1, "")
        clash(
            partial(stage.end, claim, exit_code=code, error=error),
            partial(other.edit, job_id, command=f"echo {turn}"),
        )
        stage.advance(1)
        stage.settle()
        assert_sound(stage)


def test_a_cancel_against_a_promotion_leaks_no_permit(stage: Stage, other: Stage):
    job_id = stage.job(overlap="queue")
    for turn in range(ROUNDS * 2):
        stage.request(job_id, f"m:{turn}:0")
        waiting = stage.request(job_id, f"m:{turn}:1").run_id
        stage.end(stage.one_claim())
        clash(
            partial(stage.store.promote, [f"j{job_id}"]),
            partial(other.store.cancel_run, waiting),
            partial(other.store.sweep),
        )
        assert stage.store.find_run(waiting).outcome == "cancelled"
        assert stage.permits() == 0
        assert_sound(stage)


def test_two_promotions_let_in_no_more_than_is_free(stage: Stage, other: Stage):
    job_id = stage.job(overlap="queue", max_running=3)
    for number in range(30):
        stage.request(job_id, f"m:{number}")
    claims = stage.claim()
    for turn in range(ROUNDS):
        stage.end(*claims[: 1 + turn % 3])
        claims = claims[1 + turn % 3 :]
        keys = [f"j{job_id}"]
        let_in = clash(*(partial(who.store.promote, keys) for who in (stage, other, stage)))
        assert sum(let_in) == 1 + turn % 3
        assert_sound(stage, most=3)
        claims += stage.claim()
        assert len(claims) == 3
    fences = [run.fence >> 16 for run in stage.runs(job_id) if run.fence]
    assert len(fences) == len(set(fences))


def test_a_promotion_against_an_edit_of_the_limit_keeps_the_count(stage: Stage, other: Stage):
    job_id = stage.job(overlap="queue", max_running=2)
    for number in range(20):
        stage.request(job_id, f"m:{number}")
    for turn in range(ROUNDS):
        stage.end(*stage.claim(1))
        most = 1 + turn % 3
        clash(
            partial(stage.store.promote, [f"j{job_id}"]),
            partial(other.edit, job_id, max_running=most),
        )
        assert_sound(stage)
        for _ in range(4):
            stage.settle()
        going = [s for s in stage.states(job_id) if s in {"ready", "claimed"}]
        assert len(going) <= max(3, most)


def test_an_end_against_a_newer_slot_that_replaces_it(stage: Stage, other: Stage):
    job_id = stage.job(schedule="every 10s", overlap="replace")
    stage.after(10)
    for turn in range(ROUNDS):
        (claim,) = stage.claim()
        stage.start(claim)
        stage.advance(10)
        clash(partial(stage.end, claim), other.fire_all)
        stage.fire_all()
        stage.settle()
        assert_sound(stage, most=1)
        (ready,) = [run for run in stage.runs(job_id) if run.state is RunState.READY]
        assert ready.scheduled_us == stage.now_us
        assert len(stage.runs(job_id)) + len(stage.skips(job_id)) == turn + 2


# ---------------------------------------------------------------- requests and definitions


def test_requests_of_one_click_at_one_instant_are_one_run(stage: Stage, other: Stage):
    job_id = stage.job(overlap="allow")
    for turn in range(ROUNDS):
        answers = clash(
            *(
                partial(
                    who.store.request_run,
                    job_id,
                    stage.new_id(),
                    f"m:{turn}",
                    Cause.MANUAL,
                    force=False,
                )
                for who in (stage, other, stage, other)
            )
        )
        assert len({answer.run_id for answer in answers}) == 1
        assert sorted(answer.repeated for answer in answers) == [False, True, True, True]
    assert len(stage.runs(job_id)) == ROUNDS
    assert_sound(stage)


def test_requests_of_many_at_one_instant_take_one_permit(stage: Stage, other: Stage):
    job_id = stage.job()
    for turn in range(ROUNDS):
        acts = [
            partial(who.request, job_id, f"m:{turn}:{n}")
            for n, who in enumerate((stage, other, stage, other))
        ]
        answers = clash(*acts)
        refused = [a.code for a in answers if isinstance(a, Conflict)]
        assert refused == ["overlap"] * 3
        assert_sound(stage, most=1)
        stage.end(stage.one_claim())


def test_two_who_apply_many_jobs_in_opposite_orders_do_not_block_each_other(
    stage: Stage, other: Stage
):
    names = [f"job {n}" for n in range(25)]
    for turn in range(3):
        rows = stage.store.jobs_by_key(names)
        writes = []
        for who in range(2):
            built = write_all(stage, names, "every 60s", description=f"{turn} by {who}")
            for n, write in enumerate(built):
                if row := rows.get(write.job.key):
                    built[n] = replace(write, id=row.id, version=row.version)
            writes.append(built[:: 1 - 2 * who])
        answers = clash(
            partial(stage.store.save_jobs, writes[0], "ada"),
            partial(other.store.save_jobs, writes[1], "ben"),
        )
        assert answers.count(None) == 1
        (refused,) = [answer for answer in answers if answer is not None]
        assert refused.code == ("version_conflict" if turn else "name_taken")
        winner = answers.index(None)
        found = stage.store.jobs_by_key(names).values()
        assert {row.job.spec["description"] for row in found} == {f"{turn} by {winner}"}


# ---------------------------------------------------------------- nodes


def test_a_renewal_against_a_new_life_is_before_or_after_it(stage: Stage, other: Stage):
    node = stage.node
    for turn in range(ROUNDS * 2):
        life = replace(node, incarnation=f"life {turn}")
        answer, before = clash(
            partial(stage.store.renew, node.id, node.incarnation, LEASE_US),
            partial(other.store.register_node, life, LEASE_US),
        )
        assert before.incarnation == node.incarnation
        (now,) = stage.store.nodes()
        assert now.incarnation == life.incarnation
        assert now.beat == before.beat + 1
        assert answer.ours in {True, False}
        assert not stage.store.renew(node.id, node.incarnation, LEASE_US).ours
        node = life


@pytest.mark.parametrize("same", ["name", "id"])
def test_of_two_new_nodes_of_one_name_or_id_one_registers(stage: Stage, other: Stage, same: str):
    for turn in range(ROUNDS):
        nodes = [
            replace(
                stage.node,
                id=f"{turn:032x}" if same == "id" else stage.new_id(),
                name=f"new {turn}" if same == "name" else f"new {turn} {n}",
                home=f"home {n}",
            )
            for n in range(2)
        ]
        acts = zip((stage, other), nodes, strict=True)
        answers = clash(*(partial(w.store.register_node, n, LEASE_US) for w, n in acts))
        (refused,) = [answer for answer in answers if isinstance(answer, Conflict)]
        assert refused.code == ("node_cloned" if same == "id" else "node_name_taken")


def test_a_registration_that_is_sent_twice_at_once_is_one_node(stage: Stage, other: Stage):
    for turn in range(ROUNDS):
        node = replace(stage.node, id=stage.new_id(), name=f"new {turn}")
        clash(*(partial(w.store.register_node, node, LEASE_US) for w in (stage, other)))
        stored = to_stored(node.id)
        assert stage.fetch("SELECT count(*) FROM node WHERE id = ?", stored) == [(1,)]
