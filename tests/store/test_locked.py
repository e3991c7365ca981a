"""Servers: who meets a row that somebody else has locked goes round it, and comes back later."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cronherd.domain.ident import to_stored
from cronherd.domain.job import build_job
from cronherd.store.database import Connection, Contended, fetch, one
from cronherd.store.facts import JobWrite
from cronherd.store.jobs import ADD_JOB
from cronherd.store.sqlstore import SqlStore
from tests.store.only import servers_only
from tests.store.sound import assert_sound
from tests.store.stage import Stage, race

pytestmark = servers_only

DUE = "SELECT job_id FROM job_due WHERE job_id = ? FOR UPDATE"
RUN = "SELECT id FROM run WHERE id = ? FOR UPDATE"
TAKE = "INSERT INTO permit (gkey, n, run_id) VALUES (?, ?, ?)"
PAUSE = "UPDATE job_due SET paused_until_us = ? WHERE job_id = ?"
TOUCH = "UPDATE run SET prio = prio + 1 WHERE id = ?"


@pytest.fixture
def locked(open_second: Callable[[], SqlStore]) -> Callable[..., Any]:
    """with locked(sql, id, …): somebody else holds these rows."""
    other = open_second()

    @contextmanager
    def hold(sql: str, *ids: str) -> Iterator[Connection]:
        with other.db.write() as connection:
            for each in ids:
                assert len(fetch(connection, sql, (to_stored(each),))) == 1
            yield connection

    return hold


def test_a_due_row_that_is_locked_is_left_out_and_the_others_fire(
    stage: Stage, locked: Callable[..., Any]
):
    ids = [stage.job(f"job {n}", "every 60s") for n in range(6)]
    stage.advance(60)
    with locked(DUE, *ids[:4]):
        stage.fire()
        assert [len(stage.runs(job_id)) for job_id in ids] == [0, 0, 0, 0, 1, 1]
        assert stage.store.look(stage.node.id, 0).next_us == stage.now_us
    stage.fire()
    assert [len(stage.runs(job_id)) for job_id in ids] == [1] * 6


def test_a_small_batch_looks_past_the_rows_that_are_locked(
    stage: Stage, locked: Callable[..., Any]
):
    ids = [stage.job(f"job {n}", f"every {10 + n}s") for n in range(8)]
    stage.advance(20)
    with locked(DUE, *ids[:6]):
        for _ in range(4):
            stage.fire(limit=2)
        assert all(stage.runs(job_id) for job_id in ids[6:])
    stage.fire_all()
    assert all(stage.runs(job_id) for job_id in ids)


def test_fire_leaves_a_job_behind_whose_run_it_would_replace_and_cannot_lock(
    stage: Stage, locked: Callable[..., Any]
):
    job_id = stage.job(schedule="every 60s", overlap="replace")
    plain = stage.job("plain", "every 60s")
    stage.after(60)
    for claim in stage.claim():
        stage.start(claim)
        if claim.job_id == plain:
            stage.end(claim)
    (going,) = stage.runs(job_id)
    stage.advance(60)
    with locked(RUN, going.id):
        stage.fire()
        assert len(stage.runs(plain)) == 2
        assert len(stage.runs(job_id)) == 1
        assert stage.skips(job_id) == []
        assert stage.store.look(stage.node.id, 0).next_us is not None
    stage.fire()
    assert sorted(stage.states(job_id)) == ["running", "waiting"]
    assert stage.store.look(stage.node.id, 0).cancels == ((going.id, 1),)
    assert_sound(stage)


def test_a_claim_a_promotion_and_a_sweep_go_round_locked_runs(
    stage: Stage, locked: Callable[..., Any]
):
    free = stage.job("free", None, overlap="allow", retries={"max": 1, "backoff": "1s"})
    queue = stage.job("queue", None, overlap="queue", max_running=2)
    first, second, third = (stage.request(free, f"m:{n}").run_id for n in range(3))
    with locked(RUN, first):
        claims = stage.claim()
        assert {claim.run_id for claim in claims} == {second, third}
    claims += stage.claim()
    stage.end(*claims, exit_code=1)
    stage.advance(5)
    with locked(RUN, first):
        stage.store.sweep()
        assert sorted(stage.states(free)) == ["delayed", "ready", "ready"]
    stage.store.sweep()
    assert stage.states(free) == ["ready"] * 3
    for number in range(4):
        stage.request(queue, f"m:{number}")
    stage.end(*(claim for claim in stage.claim() if claim.job_id == queue))
    waiting = sorted(r.id for r in stage.runs(queue) if r.state.value == "waiting")
    with locked(RUN, waiting[0]):
        assert stage.store.promote([f"j{queue}"]) == 1
    assert stage.store.promote([f"j{queue}"]) == 1
    assert_sound(stage)


# ---------------------------------------------------------------- the gate of a job

GATED: dict[str, Callable[[Stage, str, str], Any]] = {
    "promote": lambda stage, job_id, _: stage.store.promote([f"j{job_id}"]),
    "request": lambda stage, job_id, _: stage.request(job_id, "m:new"),
    "cancel": lambda stage, _, run_id: stage.store.cancel_run(run_id),
    "edit": lambda stage, job_id, _: stage.edit(job_id, command="false"),
    "pause": lambda stage, job_id, _: stage.pause(job_id),
    "disable": lambda stage, job_id, _: stage.disable(job_id),
    "delete": lambda stage, job_id, _: stage.delete(job_id),
}


@pytest.mark.parametrize("verb", GATED)
def test_whoever_takes_permits_or_changes_a_job_waits_for_its_due_row(
    stage: Stage, locked: Callable[..., Any], verb: str
):
    """The lock chooses; the permit's primary key is only the second net."""
    job_id = stage.job(overlap="queue", max_running=2)
    for number in range(4):
        stage.request(job_id, f"m:{number}")
    stage.end(*stage.claim())
    waiting = [run.id for run in stage.runs(job_id) if run.state.value == "waiting"]
    act = threading.Thread(target=lambda: GATED[verb](stage, job_id, waiting[0]))
    with locked(DUE, job_id):
        act.start()
        act.join(0.1)
        assert act.is_alive()
    act.join(20)
    assert not act.is_alive()
    assert_sound(stage)


@pytest.mark.parametrize("verb", ["promote", "request"])
def test_permits_are_read_after_the_due_row_is_ours(
    stage: Stage, locked: Callable[..., Any], verb: str
):
    job_id = stage.job(overlap="queue", max_running=2)
    ids = [stage.request(job_id, f"m:{number}").run_id for number in range(4)]
    stage.end(*stage.claim())
    if verb == "request":
        for run_id in ids:
            stage.store.cancel_run(run_id)
    answers: list[Any] = []
    tries = Tries(stage.store)
    act = threading.Thread(target=lambda: answers.extend(race_one(GATED[verb], stage, job_id)))
    with locked(DUE, job_id) as other:
        act.start()
        act.join(0.1)
        for number in range(2):
            one(other, TAKE, (f"j{job_id}", number, to_stored(stage.new_id())))
    act.join(20)
    assert not isinstance(answers[0], Exception), answers
    assert tries.count == 1, "it did not wait, and was the victim of a deadlock"
    assert stage.permits(job_id) == 2
    assert "ready" not in stage.states(job_id)


def race_one(verb: Callable[[Stage, str, str], Any], stage: Stage, job_id: str) -> list[Any]:
    return race(lambda: verb(stage, job_id, ""))


def test_a_pause_that_came_before_a_sweep_got_the_lock_counts(
    stage: Stage, locked: Callable[..., Any]
):
    job_id = stage.job(schedule=None)
    stage.request(job_id)
    stage.pause(job_id, 10)
    stage.advance(11)
    act = threading.Thread(target=stage.store.sweep)
    with locked(DUE, job_id) as other:
        act.start()
        act.join(0.1)
        one(other, PAUSE, (stage.now_us + 10**9, to_stored(job_id)))
    act.join(20)
    assert stage.states(job_id) == ["held"]


@pytest.mark.parametrize("exit_code", [0, 1])
@pytest.mark.parametrize("verb", ["record", "take over"])
def test_the_end_of_a_chains_run_locks_its_job_before_the_run(
    stage: Stage, locked: Callable[..., Any], verb: str, exit_code: int
):
    """The lock order: nobody who holds a run waits for a due row. 1: a retry that was cancelled."""
    job_id = stage.job(schedule="after 5m", retries=3)
    two = stage.join("two")
    stage.clock.advance(300)
    stage.store.renew(two.id, two.incarnation, 10**9)
    stage.fire()
    (claim,) = stage.claim(node=two)
    (node,) = stage.store.peers(stage.node.id).nodes
    stage.clock.advance(10_000)
    end = stage.ending(claim, exit_code)
    if exit_code:
        stage.store.cancel_run(claim.run_id)
    acts: dict[str, Callable[[], Any]] = {
        "record": lambda: stage.store.record([], [], [end]),
        "take over": lambda: stage.store.take_over(node, [end], judged=True),
    }
    act = threading.Thread(target=acts[verb])
    with locked(DUE, job_id) as other:
        act.start()
        act.join(0.1)
        assert len(fetch(other, f"{RUN} SKIP LOCKED", (to_stored(claim.run_id),))) == 1
    act.join(20)
    assert stage.states(job_id) == ["finished"]
    assert stage.store.find_job("job").next_us == stage.now_us + 300_000_000


# ---------------------------------------------------------------- deadlocks


class Tries:
    """How many transactions a store began."""

    def __init__(self, store: SqlStore) -> None:
        self.count = 0
        self._plain = store.db.dialect.begin_write
        store.db.dialect.begin_write = self._begin  # type: ignore[method-assign]

    def _begin(self, connection: Connection) -> None:
        self.count += 1
        self._plain(connection)


def test_the_victim_of_a_deadlock_runs_once_more(stage: Stage, locked: Callable[..., Any]):
    job_id = stage.job(overlap="allow")
    for number in range(12):
        stage.request(job_id, f"m:{number}")
    claims = sorted(stage.claim(), key=lambda claim: to_stored(claim.run_id))
    first, *rest = claims
    tries = Tries(stage.store)
    answers: list[Any] = []
    act = threading.Thread(target=lambda: answers.append(stage.end(first, rest[0])))
    with locked(RUN, rest[0].run_id) as other:
        for claim in rest:  # much to undo: the other one is chosen as the victim
            one(other, TOUCH, (to_stored(claim.run_id),))
        act.start()
        act.join(0.3)  # by now it holds the first run and waits for the second
        assert act.is_alive()
        assert one(other, TOUCH, (to_stored(first.run_id),)) == 1
    act.join(20)
    assert not isinstance(answers[0], Exception)
    assert answers[0].stale == []
    assert tries.count >= 2
    assert stage.states(job_id).count("finished") == 2
    assert_sound(stage)


def test_a_verb_that_is_always_in_the_way_of_others_gives_up_with_a_sentence(stage: Stage):
    tries = Tries(stage.store)
    dialect = stage.store.db.dialect

    def busy(connection: Connection) -> None:
        raise Contended("the database was busy")

    dialect.commit = busy  # type: ignore[method-assign]
    with pytest.raises(Contended) as caught:
        stage.store.set_hold("me", hold=True)
    del dialect.commit
    assert caught.value.code == "database_busy"
    assert tries.count == 6
    assert not stage.store.look(stage.node.id, 0).hold


def test_two_who_insert_the_same_new_jobs_in_opposite_orders_wait_in_one_line(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    """Who waits for a name holds no later one: nobody is the victim of a deadlock."""
    built = [
        JobWrite(
            id=stage.new_id(),
            job=build_job({"name": name, "command": "true"}),
            enabled=True,
            source="",
        )
        for name in ("beta", "alpha")
    ]
    other = open_second()
    tries = Tries(stage.store)
    answers: list[Any] = []
    act = threading.Thread(
        target=lambda: answers.extend(race(lambda: stage.store.save_jobs(built, "me")))
    )
    with other.db.write() as connection:
        one(
            connection,
            ADD_JOB,
            ("alpha", "Alpha", "{}", 1, 1, True, "", 1, None, False, to_stored(stage.new_id()), 1),
        )
        act.start()
        act.join(0.3)
        assert act.is_alive()
        one(
            connection,
            ADD_JOB,
            ("beta", "Beta", "{}", 1, 1, True, "", 1, None, False, to_stored(stage.new_id()), 1),
        )
        connection.one("ROLLBACK")
        other.db.dialect.begin_write(connection)
    act.join(20)
    assert answers == [None]
    assert tries.count == 1
    assert [row.job.name for row in stage.store.jobs()] == ["alpha", "beta"]
