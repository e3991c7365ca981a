"""Promotion and sweep: what waits takes what is free; invariant 5: never more than max_running."""

import random
from typing import Any

import pytest

from cronherd.domain.run import Outcome, RunState
from cronherd.store import permits, promotion
from tests.store.stage import Stage

VOID: dict[str, Any] = {"exit_code": None, "error": "void"}
GOING = {RunState.CLAIMED, RunState.RUNNING}


def going(stage: Stage, job_id: str) -> int:
    """Runs that a node may have a process for."""
    return sum(run.state in GOING for run in stage.runs(job_id))


# ---------------------------------------------------------------- invariant 5


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
@pytest.mark.parametrize("most", [1, 3])
def test_a_job_never_runs_more_often_than_it_may(stage: Stage, overlap: str, most: int):
    job_id = stage.job(
        schedule="every 7s",
        overlap=overlap,
        max_running=most,
        retries={"max": 1, "backoff": "3s"},
        catchup="all",
    )
    chance = random.Random(most)
    peak, open_claims = 0, list(stage.claim())
    for turn in range(60):
        stage.after(chance.choice([1, 7, 8, 30]))
        if turn % 7 == 3:
            stage.settle()
        if turn % 12 == 9:
            stage.disable(job_id)
            stage.enable(job_id)
        open_claims += stage.claim()
        peak = max(peak, going(stage, job_id))
        assert going(stage, job_id) <= most
        assert stage.permits(job_id) <= most
        chance.shuffle(open_claims)
        for claim in open_claims[: chance.choice([0, 0, 1, 2])]:
            seen = chance.choice([{"exit_code": 0}, {"exit_code": 1}, VOID])
            stage.end(claim, **seen)
            open_claims.remove(claim)
    assert peak == most


def test_force_is_the_one_exception_and_takes_no_permit(stage: Stage):
    job_id = stage.job()
    stage.request(job_id)
    stage.request(job_id, "m:2", force=True)
    assert len(stage.claim()) == 2
    assert stage.permits(job_id) == 1


def test_a_forgotten_lock_becomes_an_abort_and_never_a_second_holder(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """The permit's primary key refuses what a blind reader of permits would let in."""
    job_id = stage.job()
    stage.request(job_id)
    monkeypatch.setattr(permits, "HELD", permits.HELD + " AND 1 = 0")
    with pytest.raises(Exception, match=r"UNIQUE|permit|PRIMARY"):
        stage.request(job_id, "m:2")
    assert stage.permits(job_id) == 1
    assert len(stage.runs(job_id)) == 1


def test_a_lowered_limit_lets_holders_run_out(stage: Stage):
    job_id = stage.job(overlap="queue", max_running=3)
    for number in range(5):
        stage.request(job_id, f"m:{number}")
    claims = stage.claim()
    assert len(claims) == 3
    stage.edit(job_id, max_running=1)
    for claim in claims[:2]:
        stage.end(claim)
        stage.settle()
    assert stage.claim() == [], "one still holds, and one is all there may be"
    stage.end(claims[2])
    stage.settle()
    assert len(stage.claim()) == 1


# ---------------------------------------------------------------- queue


def test_queued_runs_start_one_after_another_in_their_order(stage: Stage):
    job_id = stage.job(overlap="queue")
    asked = []
    for number in range(4):
        asked.append(stage.request(job_id, f"m:{number}").run_id)
        stage.clock.advance(1)
    started = []
    for _ in asked:
        claim = stage.one_claim()
        started.append(claim.run_id)
        assert stage.store.promote(stage.end(claim).freed) == (len(started) < 4)
    assert started == asked


def test_a_full_queue_refuses_the_next_slot(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="queue", queue_max=2)
    for _ in range(5):
        stage.after(60)
    assert sorted(stage.states(job_id)) == ["ready", "waiting", "waiting"]
    assert stage.reasons(job_id) == ["queue_full", "queue_full"]


def test_promotion_can_be_repeated_and_does_nothing_while_full(stage: Stage):
    job_id = stage.job(overlap="queue")
    stage.request(job_id)
    stage.request(job_id, "m:2")
    key = f"j{job_id}"
    assert [stage.store.promote([key]) for _ in range(3)] == [0, 0, 0]
    stage.end(stage.one_claim())
    assert [stage.store.promote([key, key]), stage.store.promote([key])] == [1, 0]
    assert stage.store.promote(["jnobody", "@nowhere=1"]) == 0


def test_a_sweep_finds_what_a_lost_promotion_left(stage: Stage):
    """The finisher died between its COMMIT and the promotion."""
    job_id = stage.job(overlap="queue")
    stage.request(job_id)
    stage.request(job_id, "m:2")
    stage.end(stage.one_claim())
    assert stage.claim() == []
    keys = stage.store.sweep()
    assert keys == [f"j{job_id}"]
    assert stage.store.promote(keys) == 1
    assert len(stage.claim()) == 1


def test_a_sweep_gets_round_to_every_key_however_many_there_are(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(promotion, "KEYS_AT_ONCE", 3)
    keys = set()
    for number in range(7):
        job_id = stage.job(f"job {number}", None, overlap="queue")
        stage.request(job_id)
        stage.request(job_id, "m:2")
        keys.add(f"j{job_id}")
    rounds = [stage.store.sweep() for _ in range(4)]
    assert [len(found) for found in rounds] == [3, 3, 1, 3]
    assert {key for found in rounds for key in found} == keys
    assert rounds[3] == rounds[0]


def test_a_new_slot_does_not_overtake_those_that_wait(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="queue")
    stage.after(60)
    stage.after(60)
    first, second = sorted(run.scheduled_us or 0 for run in stage.runs(job_id))
    claim = stage.one_claim()
    assert claim.slot_us == first
    stage.end(claim)
    stage.after(60)
    stage.settle()
    assert stage.one_claim().slot_us == second


# ---------------------------------------------------------------- replace


def test_replace_asks_the_holder_to_end_and_keeps_one_waiter(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="replace")
    stage.after(60)
    claim = stage.one_claim()
    stage.start(claim)
    stage.after(60)
    stage.after(60)
    assert stage.store.look(stage.node.id, 0).cancels == ((claim.run_id, 1),)
    assert stage.states(job_id) == ["running", "waiting"]
    assert stage.reasons(job_id) == ["replaced"]
    assert stage.claim() == []
    stage.settle()
    assert stage.claim() == [], "it starts only after the proven end of the old one"
    stage.end(claim, exit_code=None, killed_by="cancel")
    stage.settle()
    newest = stage.one_claim()
    assert newest.slot_us == stage.store.find_job("job").last_slot_us
    assert newest.fence > claim.fence


def test_a_waiter_that_ran_before_stays_on_record_when_it_is_replaced(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="replace", delivery="at_least_once")
    stage.after(60)
    claim = stage.one_claim()
    stage.start(claim)
    stage.end(claim, exit_code=None, killed_by="gone")
    stage.store.pause_job(job_id, stage.now_us + 1, "tester")
    stage.advance(60)
    stage.store.resume_job(job_id, "tester")
    assert stage.states(job_id) == ["waiting"]
    stage.after(60)
    (old,) = [run for run in stage.runs(job_id) if run.id == claim.run_id]
    assert (old.outcome, old.attempt) == (Outcome.CANCELLED, 2)
    assert "replaced" not in stage.reasons(job_id)


@pytest.mark.parametrize("busy", [True, False])
def test_replace_keeps_the_newest_of_slots_that_are_late_together(stage: Stage, *, busy: bool):
    job_id = stage.job(schedule="every 10s", overlap="replace")
    if busy:
        stage.after(10)
        stage.start(stage.one_claim())
    stage.after(45)
    newest = stage.runs(job_id)[0]
    assert newest.state.value == ("waiting" if busy else "ready")
    assert newest.scheduled_us == stage.store.find_job("job").last_slot_us
    assert stage.states(job_id).count("waiting") == int(busy)
    assert set(stage.reasons(job_id)) == {"replaced"}
    assert len(stage.runs(job_id)) + len(stage.skips(job_id)) == (5 if busy else 4)


def test_replace_never_starts_a_run_only_to_kill_it(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="replace")
    stage.after(60)
    stage.after(60)
    stage.settle()
    (claim,) = stage.claim()
    assert claim.slot_us == stage.store.find_job("job").last_slot_us
    assert stage.store.look(stage.node.id, 0).cancels == ()
    assert len(stage.runs(job_id)) == 2


def test_replace_by_request_ends_the_run_somebody_asked_for_with_words(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="replace")
    first = stage.request(job_id, "m:1").run_id
    claim = stage.one_claim()
    stage.start(claim)
    second = stage.request(job_id, "m:2").run_id
    third = stage.request(job_id, "m:3").run_id
    ended = stage.store.find_run(second)
    assert ended.outcome == "cancelled"
    assert "replaced" in ended.error_text
    stage.after(60)
    assert stage.store.find_run(third).outcome == "cancelled"
    assert stage.store.find_run(first).cancel


def test_replace_leaves_the_runs_of_other_jobs_alone(stage: Stage):
    other = stage.job("other", "every 60s", overlap="queue")
    stage.job(schedule="every 60s", overlap="replace")
    for _ in range(3):
        stage.after(60)
    assert stage.reasons(other) == []
    assert not any(run.cancel for run in stage.runs(other))


# ---------------------------------------------------------------- place


def test_a_run_waits_for_a_node_that_fits_and_holds_nothing(stage: Stage):
    job_id = stage.job(schedule="every 60s", run_on={"disk": "ssd"})
    stage.after(60)
    (run,) = stage.runs(job_id)
    assert (run.state, run.wait_key) == (RunState.WAITING, "@disk=ssd")
    assert stage.permits(job_id) == 0
    assert stage.store.sweep() == ["@disk=ssd"]
    assert stage.settle() == 0
    ssd = stage.join("fast", disk="ssd")
    assert stage.settle() == 1
    assert stage.permits(job_id) == 1
    assert len(stage.claim(node=ssd)) == 1


def test_a_silent_node_serves_no_place(stage: Stage):
    stage.join("fast", disk="ssd")
    job_id = stage.job(schedule="every 60s", run_on={"disk": "ssd"})
    stage.after(60)
    assert stage.states(job_id) == ["waiting"]


def test_of_those_that_waited_for_a_place_only_as_many_start_as_may(stage: Stage):
    job_id = stage.job(overlap="queue", run_on={"disk": "ssd"}, max_running=2)
    for number in range(5):
        stage.request(job_id, f"m:{number}")
    ssd = stage.join("fast", disk="ssd")
    stage.settle()
    assert len(stage.claim(node=ssd)) == 2
    assert {run.wait_key for run in stage.runs() if run.state is RunState.WAITING} == {f"j{job_id}"}


def test_a_run_that_waits_for_a_place_follows_an_edit_of_the_place(stage: Stage):
    job_id = stage.job(run_on={"disk": "tape"})
    stage.request(job_id)
    stage.edit(job_id, run_on={"node": "one"}, command="false")
    assert stage.settle() == 1
    assert stage.one_claim().job.command == "false"


def test_a_ready_run_follows_an_edit_of_the_place(stage: Stage):
    other = stage.join("two")
    job_id = stage.job()
    stage.request(job_id)
    stage.edit(job_id, run_on={"node": "two"})
    assert stage.claim() == []
    assert len(stage.claim(node=other)) == 1


# ---------------------------------------------------------------- deadlines


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_run_that_missed_its_start_deadline_ends_without_a_start(stage: Stage, overlap: str):
    job_id = stage.job(schedule="every 60s", start_deadline="30s", overlap=overlap)
    stage.after(60)
    stage.advance(31)
    stage.store.sweep()
    (run,) = stage.runs(job_id)
    assert run.outcome == "not_started"
    assert "start_deadline" in run.error_text
    assert stage.permits(job_id) == 0


def test_a_run_that_started_in_time_is_left_alone_by_its_deadline(stage: Stage):
    stage.job(schedule="every 60s", start_deadline="30s")
    stage.after(60)
    claim = stage.one_claim()
    stage.advance(31)
    stage.store.sweep()
    assert stage.states() == ["claimed"]
    stage.end(claim)
    assert stage.runs()[0].outcome == "succeeded"
