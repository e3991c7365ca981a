"""Fire: a due slot becomes one run or one ledger row, once, for ever."""

from collections.abc import Callable

import pytest

from cronherd.domain.errors import Conflict, CronherdError
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.planner import Plan, plan
from cronherd.store.base import Offer
from cronherd.store.database import one
from cronherd.store.firing import SqlFireBatch
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, race

BOOKS = ("job_due", "run", "run_history", "permit", "ledger", "request", "output", "attempt")


def slots_of(stage: Stage, job_id: str) -> list[int]:
    stored = to_stored(job_id)
    rows = stage.fetch(
        "SELECT slot_us FROM run WHERE job_id = ? AND slot_us IS NOT NULL UNION ALL "
        "SELECT slot_us FROM run_history WHERE job_id = ? AND slot_us IS NOT NULL",
        stored,
        stored,
    )
    return sorted(row[0] for row in rows)


def offer_of(stage: Stage, most: int = 10) -> Offer:
    return Offer(
        node_id=stage.node.id, token=stage.new_id(), labels=stage.node.place_labels, most=most
    )


def test_it_turns_a_due_slot_into_a_ready_run_and_moves_on(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.advance(60)
    assert stage.fire() == []
    (run,) = stage.runs(job_id)
    row = stage.store.find_job("job")
    assert (run.state.value, run.cause.value, run.attempt) == ("ready", "schedule", 1)
    assert run.scheduled_us == row.last_slot_us == stage.now_us // 60_000_000 * 60_000_000
    assert row.next_us == run.scheduled_us + 60_000_000
    assert stage.permits(job_id) == 1


def test_it_fires_nothing_before_its_instant(stage: Stage):
    """D1.1: what is due is asked of the database, by its clock."""
    job_id = stage.job(schedule="every 60s")
    due_us = stage.store.find_job("job").next_us
    assert due_us is not None
    stage.clock.advance((due_us - stage.now_us - 1) / 1_000_000)
    stage.fire()
    assert stage.runs(job_id) == []
    stage.clock.advance(0.000001)
    stage.fire()
    assert len(stage.runs(job_id)) == 1


def test_it_takes_the_oldest_rows_first_and_no_more_than_asked(stage: Stage):
    for number in range(5):
        stage.job(f"job {number}", schedule=f"every {10 + number}s")
    stage.advance(30)
    with stage.store.fire(3) as batch:
        assert len(batch.due) == 3
        instants = [due.next_us for due in batch.due]
        assert instants == sorted(instants)
        batch.commit([], None)


def test_it_inserts_a_run_as_claimed_when_the_node_offered_room(stage: Stage):
    stage.job("a", "every 60s")
    stage.job("b", "every 60s")
    stage.advance(60)
    offer = offer_of(stage, most=1)
    (claim,) = stage.fire(offer=offer)
    assert claim.token == offer.token
    assert stage.store.claimed_by(stage.node.id, offer.token) == [claim]
    assert stage.states() in (["claimed", "ready"], ["ready", "claimed"])
    assert claim.fence == stage.fence_of(claim.run_id)


def test_an_offer_never_overtakes_a_run_that_is_ready(stage: Stage):
    stage.job("a", "every 60s")
    stage.after(60)
    stage.job("b", "every 30s")
    stage.advance(30)
    assert stage.fire(offer=offer_of(stage)) == []


def test_an_offer_takes_only_runs_whose_place_fits(stage: Stage):
    stage.join("other", disk="ssd")
    stage.job("a", "every 60s", run_on={"disk": "ssd"})
    stage.job("b", "every 60s", run_on={"node": "one"})
    stage.advance(60)
    stage.renew()
    stage.store.register_node(stage.join("third", disk="ssd"), 60_000_000)
    assert [claim.job.name for claim in stage.fire(offer=offer_of(stage))] == ["b"]


def test_it_skips_a_slot_while_the_job_runs_and_names_the_run_in_the_way(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    claim = stage.one_claim()
    stage.after(60)
    (skip,) = stage.skips(job_id)
    assert (skip.reason.value, skip.count, skip.ref) == ("overlap", 1, claim.run_id)


def test_it_says_previous_unknown_when_the_holder_is_silent(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    stage.one_claim()
    stage.clock.advance(60)
    stage.fire()
    assert stage.reasons(job_id) == ["previous_unknown"]


# ---------------------------------------------------------------- invariant 2: at most once


def test_two_threads_that_fire_the_same_row_make_one_run(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    jobs = [stage.job(f"job {number}", "every 60s") for number in range(10)]
    others = [stage.on(open_second()) for _ in range(4)]
    for _ in range(5):
        stage.advance(60)
        for answer in race(*(other.fire for other in others)):
            assert answer == []
        stage.finish_all()
    for job_id in jobs:
        assert len(slots_of(stage, job_id)) == 5
        assert stage.skips(job_id) == []


def test_a_slot_does_not_fire_again_after_a_backward_clock_step(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    stage.finish_all()
    stage.clock.step(-600)
    for _ in range(9):
        stage.renew()
        stage.fire_all()
        stage.advance(60)
        assert len(slots_of(stage, job_id)) == 1
    stage.after(120)
    slots = slots_of(stage, job_id)
    assert len(slots) == len(set(slots)) == 2


def test_a_slot_does_not_fire_again_after_it_was_pruned(stage: Stage):
    job_id = stage.job(schedule="every 60s", retention={"age": "1s", "runs": 1})
    seen: list[int] = []
    for _ in range(5):
        stage.after(60)
        stage.finish_all()
        seen += [slot for slot in slots_of(stage, job_id) if slot not in seen]
    stage.clock.advance(40 * 86_400)
    assert stage.store.prune(86_400_000_000, 1000).runs == 4
    stage.clock.step(-40 * 86_400)
    stage.renew()
    stage.fire_all()
    assert len(slots_of(stage, job_id)) == 1
    assert set(slots_of(stage, job_id)) < set(seen)


def test_a_slot_does_not_fire_again_when_the_job_is_deleted_and_made_again(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    stage.finish_all()
    fired = slots_of(stage, job_id)
    stage.delete(job_id)
    stage.clock.step(-90)
    stage.renew()
    assert stage.job(schedule="every 60s") == job_id
    stage.fire_all()
    assert slots_of(stage, job_id) == fired
    stage.advance(90)
    stage.fire_all()
    assert slots_of(stage, job_id) == fired


def test_a_slot_does_not_fire_again_when_the_job_is_disabled_and_enabled(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    stage.finish_all()
    fired = slots_of(stage, job_id)
    stage.disable(job_id)
    stage.clock.step(-30)
    stage.enable(job_id)
    stage.fire_all()
    stage.clock.step(31)
    stage.renew()
    stage.fire_all()
    assert slots_of(stage, job_id) == fired


@pytest.mark.parametrize("step", [0, -1, -61, 1])
def test_a_slot_does_not_fire_again_when_it_is_edited_across_now(stage: Stage, step: int):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    stage.finish_all()
    stage.clock.step(step)
    stage.edit(job_id, schedule="every 30s")
    stage.edit(job_id, schedule="every 60s")
    for _ in range(4):
        stage.after(20)
        stage.finish_all()
    slots = slots_of(stage, job_id)
    assert len(slots) == len(set(slots))
    assert all(slot % 60_000_000 == 0 for slot in slots)


def test_the_watermark_never_goes_back(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.after(60)
    mark = stage.store.find_job("job").last_slot_us
    assert mark is not None
    stage.clock.step(-3600)
    stage.edit(job_id, schedule="every 7s")
    stage.disable(job_id)
    stage.enable(job_id)
    stage.delete(job_id)
    stage.job(schedule="every 5s")
    after = stage.store.find_job("job")
    assert after.last_slot_us is not None
    assert after.last_slot_us >= mark
    assert after.next_us is not None
    assert after.next_us > mark


# ---------------------------------------------------------------- compare-and-set


def fire_disturbed(stage: Stage, sql: str, *values: object) -> None:
    """One batch; between its reading and its writing somebody else writes."""
    with stage.store.fire(10) as batch:
        assert isinstance(batch, SqlFireBatch)
        plans = [
            plan(batch.jobs[d.job_id], d, batch.gate(d.job_id), batch.now_us, fits=True)
            for d in batch.due
        ]
        assert one(batch._connection, sql, values) == 1
        batch.commit(plans, None)


def test_a_mismatch_aborts_the_whole_batch(stage: Stage):
    """Somebody fired without the lock between our read and our write: nothing of ours stays."""
    for number in range(3):
        stage.job(f"job {number}", "every 60s")
    stage.advance(60)
    before = stage.dump(BOOKS)
    middle = to_stored(stage.store.find_job("job 1").id)
    sql = "UPDATE job_due SET next_us = next_us + 1 WHERE job_id = ?"
    with pytest.raises(Conflict, match="somebody else"):
        fire_disturbed(stage, sql, middle)
    assert stage.dump(BOOKS) == before


@pytest.mark.parametrize("column", ["next_us", "version", "last_slot_us"])
def test_the_guard_looks_at_each_column(stage: Stage, column: str):
    stage.job()
    stage.advance(60)
    with pytest.raises(Conflict) as caught:
        fire_disturbed(stage, f"UPDATE job_due SET {column} = {column} + 120000000")  # noqa: S608
    assert caught.value.code == "fired_twice"
    assert stage.runs() == []


def commit_again(stage: Stage, made: list[Plan]) -> None:
    with stage.store.fire(10) as batch:
        assert isinstance(batch, SqlFireBatch)
        batch.jobs[made[0].due.job_id] = stage.store.find_job("job").job
        batch.commit(made, None)


def test_a_plan_that_is_committed_again_is_refused_and_by_the_run_itself_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """The planted bug: an advance that compares nothing. The run's own key is the second net."""
    stage.job(overlap="allow")
    stage.after(60)
    made = list(stage.plans)
    with pytest.raises(Conflict, match="somebody else"):
        commit_again(stage, made)
    dialect = type(stage.store.db.dialect)
    monkeypatch.setattr(dialect, "advance", lambda _self, _connection, rows: len(rows))
    with pytest.raises(CronherdError, match=r"UNIQUE|run_dedup"):
        commit_again(stage, made)
    assert len(stage.runs()) == 1


def plan_for(stage: Stage, ahead_us: int) -> None:
    with stage.store.fire(10) as batch:
        (due,) = batch.due
        now_us = batch.now_us + ahead_us
        job = batch.jobs[due.job_id]
        batch.commit([plan(job, due, batch.gate(due.job_id), now_us, fits=True)], None)


def test_a_slot_of_the_future_is_refused(stage: Stage):
    stage.job()
    stage.advance(60)
    with pytest.raises(Conflict, match="future"):
        plan_for(stage, 120_000_000)
    plan_for(stage, 0)


def test_an_error_inside_a_batch_leaves_nothing_behind(stage: Stage):
    stage.job()
    stage.advance(60)
    before = stage.dump((*BOOKS, "event"))

    def fail() -> None:
        with stage.store.fire(10) as batch:
            batch.push_ahead(batch.due[0], "never mind")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stage.dump((*BOOKS, "event")) == before


# ---------------------------------------------------------------- invariant 9: poisoned rows


def test_a_poisoned_job_is_pushed_ahead_and_the_others_fire(stage: Stage):
    bad = stage.job("bad", "every 60s")
    good = stage.job("good", "every 60s")
    stage.spoil(bad, '{"name": "bad", "command": "true", "schedule": "99 * * * *"}')
    stage.advance(60)
    stage.fire()
    assert len(stage.runs(good)) == 1
    assert stage.runs(bad) == []
    row = stage.fetch("SELECT next_us, last_slot_us FROM job_due WHERE job_id = ?", to_stored(bad))
    assert row[0][0] == stage.now_us + 60_000_000
    assert row[0][1] < stage.now_us
    (event,) = [e for e in stage.store.events(10) if e.kind is EventKind.JOB_POISONED]
    assert event.subject == bad
    assert "outside 0-59" in event.text


def test_a_poisoned_job_fires_its_slot_when_it_is_mended(stage: Stage):
    bad = stage.job("bad", "every 60s", catchup="all")
    stage.advance(60)
    with stage.store.fire(10) as batch:
        batch.push_ahead(batch.due[0], "planner failed")
        batch.commit([], None)
    stage.after(30)
    assert stage.runs(bad) == []
    stage.after(30)
    assert len(slots_of(stage, bad)) + len(stage.skips(bad)) == 2


def test_it_shows_what_a_batch_holds(stage: Stage):
    job_id = stage.job("held", "every 60s", max_running=2)
    stage.after(60)
    stage.advance(60)
    with stage.store.fire(10) as batch:
        gate = batch.gate(job_id)
        assert gate.used == {0}
        assert gate.holders == [stage.runs(job_id)[0].id]
        assert batch.gate(job_id) is gate
        assert batch.fits("")
        assert not batch.fits("disk=none")
        assert from_stored(to_stored(batch.due[0].job_id)) == job_id


def test_slots_that_are_caught_up_together_start_in_their_order(stage: Stage):
    job_id = stage.job(schedule="every 60s", catchup="all", overlap="skip")
    stage.after(600)
    started = []
    while claims := stage.claim():
        started += [claim.slot_us for claim in claims]
        stage.start(*claims)
        stage.end(*claims)
        stage.settle()
    assert len(started) > 5
    assert started == sorted(started, key=lambda slot: slot or 0)
    assert stage.runs(job_id)[0].outcome == "succeeded"
