"""Failures in a row: counted with a run's last word; the one too many pauses its job at once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cronherd.domain.event import EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import RunState
from cronherd.store.base import Claim, Ending
from cronherd.store.database import fetch
from cronherd.store.sqlstore import SqlStore
from tests.store.only import servers_only
from tests.store.sound import assert_sound
from tests.store.stage import Stage, race

FAILING: dict[str, dict[str, Any]] = {
    "failed": {"exit_code": 3},
    "timed_out": {"exit_code": None, "killed_by": "timeout"},
    "lost": {"exit_code": None, "killed_by": "gone"},
    "not_started": {"exit_code": None, "error": "not_found"},
}
CANCELLED: dict[str, Any] = {"exit_code": None, "killed_by": "cancel"}
VOID: dict[str, Any] = {"exit_code": None, "error": "void"}
RUN = "SELECT id FROM run WHERE id = ? FOR UPDATE"
FREE = "SELECT id FROM run WHERE id = ? FOR UPDATE SKIP LOCKED"
DUE = "SELECT job_id FROM job_due WHERE job_id = ? FOR UPDATE"


def failures(stage: Stage, job_id: str) -> int:
    ((count,),) = stage.fetch("SELECT failures FROM job WHERE id = ?", to_stored(job_id))
    return int(count)


def paused_until(stage: Stage, job_id: str) -> int | None:
    return stage.store.find_job(job_id).paused_until_us


def pauses(stage: Stage) -> list[str]:
    """Newest first."""
    events = stage.store.events(1000)
    return [event.text for event in events if event.kind is EventKind.JOB_PAUSED]


def run_once(stage: Stage, job_id: str, **seen: Any) -> Claim:
    """One run, from its request to this end."""
    stage.request(job_id, f"m:{stage.new_id()}", force=True)
    claim = stage.one_claim()
    stage.start(claim)
    stage.end(claim, **(seen or FAILING["failed"]))
    return claim


def claims_of(stage: Stage, job_id: str, count: int) -> list[Claim]:
    """So many runs that are going on."""
    for _ in range(count):
        stage.request(job_id, f"m:{stage.new_id()}", force=True)
    claims = stage.claim()
    stage.start(*claims)
    return claims


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize("seen", FAILING.values(), ids=FAILING)
def test_each_way_to_fail_counts_and_the_last_one_pauses_the_job(stage: Stage, seen: Any):
    job_id = stage.job(pause_after_failures=2)
    run_once(stage, job_id, **seen)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, None)
    assert stage.store.find_job(job_id).next_us is not None
    last = run_once(stage, job_id, **seen)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (2, FOREVER_US)
    assert stage.store.find_job(job_id).next_us is None
    outcome = stage.store.find_run(last.run_id).outcome
    (text,) = pauses(stage)
    assert text == (
        f"until resumed: 2 runs in a row failed, the last one, run {last.run_id[:8]} "
        f"ended as {outcome}"
    )


def test_one_failure_may_be_enough_and_is_told_so(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    run_once(stage, job_id)
    assert paused_until(stage, job_id) == FOREVER_US
    assert pauses(stage)[0].startswith("until resumed: 1 run failed")


def test_a_success_begins_anew_and_a_cancel_or_a_void_claim_says_nothing(stage: Stage):
    job_id = stage.job(pause_after_failures=3)
    run_once(stage, job_id)
    run_once(stage, job_id)
    run_once(stage, job_id, **CANCELLED)
    assert failures(stage, job_id) == 2
    run_once(stage, job_id, exit_code=0)
    assert failures(stage, job_id) == 0
    run_once(stage, job_id)
    assert failures(stage, job_id) == 1
    (claim,) = claims_of(stage, job_id, 1)
    stage.end(claim, **VOID)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, None)


def test_only_the_last_attempt_counts(stage: Stage):
    job_id = stage.job(pause_after_failures=1, retries={"max": 1, "backoff": "1s"})
    run_once(stage, job_id)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, None)
    stage.advance(5)
    stage.settle()
    stage.end(stage.one_claim(), exit_code=3)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, FOREVER_US)


def test_the_ends_of_one_batch_count_in_their_order(stage: Stage):
    job_id = stage.job(pause_after_failures=2, overlap="allow")
    one, two, three = claims_of(stage, job_id, 3)
    codes = ((one, 1), (two, 1), (three, 0))
    stage.store.record([], [], [stage.ending(claim, code) for claim, code in codes])
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, FOREVER_US)
    stage.resume(job_id)
    one, two, three = claims_of(stage, job_id, 3)
    codes = ((one, 1), (two, 0), (three, 1))
    stage.store.record([], [], [stage.ending(claim, code) for claim, code in codes])
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, None)


def test_the_event_names_the_run_that_was_one_too_many(stage: Stage):
    job_id = stage.job(pause_after_failures=2, overlap="allow")
    claims = claims_of(stage, job_id, 3)
    stage.store.record([], [], [stage.ending(claim, 1) for claim in claims])
    (text,) = pauses(stage)
    assert text.startswith(
        f"until resumed: 2 runs in a row failed, the last one, {_run(claims[1])}"
    )


def _run(claim: Claim) -> str:
    return f"run {claim.run_id[:8]}"


def test_a_report_that_is_sent_again_counts_once(stage: Stage):
    job_id = stage.job(pause_after_failures=3)
    claim = run_once(stage, job_id)
    stage.end(claim, exit_code=3)
    assert failures(stage, job_id) == 1


def test_other_jobs_of_the_batch_are_left_alone(stage: Stage):
    one, two = stage.job("one", pause_after_failures=1), stage.job("two", pause_after_failures=2)
    plain = stage.job("plain")
    claims = [claim for job_id in (one, two, plain) for claim in claims_of(stage, job_id, 1)]
    stage.end(*claims, exit_code=1)
    assert [failures(stage, job_id) for job_id in (one, two, plain)] == [1, 1, 0]
    assert [paused_until(stage, job_id) for job_id in (one, two, plain)] == [FOREVER_US, None, None]


# ---------------------------------------------------------------- what a pause does


def test_what_waits_is_held_and_what_runs_goes_on(stage: Stage):
    job_id = stage.job(pause_after_failures=1, overlap="queue", max_running=2)
    fatal, running = claims_of(stage, job_id, 2)
    stage.after(60)
    stage.after(60)
    stage.end(fatal, exit_code=1)
    states = sorted(run.state for run in stage.runs(job_id))
    assert states == [RunState.FINISHED, RunState.HELD, RunState.HELD, RunState.RUNNING]
    stage.end(running)
    stage.settle()
    assert stage.claim() == []
    assert_sound(stage)
    stage.resume(job_id)
    stage.settle()
    assert len(stage.claim()) == 2


def test_a_run_that_goes_back_for_its_next_try_in_the_same_batch_is_held_too(stage: Stage):
    stage.job(schedule="every 60s", pause_after_failures=1, overlap="allow", retries=1)
    stage.after(60)
    (first,) = stage.claim()
    stage.end(first, exit_code=1)
    stage.after(60)
    stage.settle()
    again, fresh = sorted(stage.claim(), key=lambda claim: -claim.attempt)
    assert (again.attempt, fresh.attempt) == (2, 1)
    stage.store.record([], [], [stage.ending(fresh, 1), stage.ending(again, 1)])
    assert stage.store.find_run(fresh.run_id).state is RunState.HELD
    assert_sound(stage)


def test_slots_of_the_pause_are_written_down(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    run_once(stage, job_id)
    stage.after(150)
    assert len(stage.runs(job_id)) == 1
    stage.resume(job_id)
    assert [(skip.reason.value, skip.count) for skip in stage.skips(job_id)] == [("paused", 2)]


def test_a_slot_that_was_due_when_it_was_paused_belongs_to_the_pause(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    (claim,) = claims_of(stage, job_id, 1)
    stage.advance(70)
    stage.end(claim, exit_code=1)
    assert stage.reasons(job_id) == ["paused"]
    stage.fire_all()
    assert len(stage.runs(job_id)) == 1


def test_resume_begins_to_count_anew(stage: Stage):
    job_id = stage.job(pause_after_failures=2)
    run_once(stage, job_id)
    run_once(stage, job_id)
    stage.resume(job_id)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, None)
    run_once(stage, job_id)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, None)
    run_once(stage, job_id)
    assert paused_until(stage, job_id) == FOREVER_US


def test_a_paused_job_that_fails_by_hand_is_not_paused_twice(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    run_once(stage, job_id)
    run_once(stage, job_id)
    assert (failures(stage, job_id), len(pauses(stage))) == (2, 1)
    run_once(stage, job_id, exit_code=0)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, FOREVER_US)


def test_a_shorter_pause_of_a_person_gives_way(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    (claim,) = claims_of(stage, job_id, 1)
    stage.pause(job_id, 60)
    stage.end(claim, exit_code=1)
    assert paused_until(stage, job_id) == FOREVER_US
    assert len(pauses(stage)) == 2


def test_a_chain_stops_and_goes_on_after_resume(stage: Stage):
    job_id = stage.job(schedule="after 60s", pause_after_failures=1)
    stage.after(60)
    stage.end(stage.one_claim(), exit_code=1)
    assert stage.store.find_job(job_id).next_us is None
    stage.after(600)
    stage.settle()
    assert len(stage.runs(job_id)) == 1
    stage.resume(job_id)
    stage.after(60)
    assert len(stage.runs(job_id)) == 2


def test_a_disabled_job_that_runs_by_hand_is_paused_without_a_next_slot(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    stage.disable(job_id)
    run_once(stage, job_id)
    row = stage.store.find_job(job_id)
    assert (row.enabled, row.next_us, row.paused_until_us) == (False, None, FOREVER_US)


# ---------------------------------------------------------------- by whom a run may end


def test_a_missed_start_deadline_counts(stage: Stage):
    job_id = stage.job(pause_after_failures=1, start_deadline="10s")
    stage.after(60)
    stage.advance(11)
    stage.settle()
    (run,) = stage.runs(job_id)
    assert run.outcome == "not_started"
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, FOREVER_US)


def test_a_run_that_was_taken_over_counts_until_its_true_end_is_known(stage: Stage):
    job_id = stage.job(pause_after_failures=1)
    other = stage.join("two")
    stage.request(job_id)
    (claim,) = stage.claim(node=other)
    stage.start(claim)
    (seen,) = stage.store.peers(stage.node.id).nodes
    stage.clock.advance(900)
    stage.renew()
    assert stage.store.take_over(seen, [lost(stage, claim)], judged=True) is not None
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (1, FOREVER_US)
    stage.end(claim)
    assert stage.store.find_run(claim.run_id).outcome == "succeeded"
    assert failures(stage, job_id) == 0


def test_a_true_end_that_is_no_success_leaves_the_count(stage: Stage):
    job_id = stage.job(pause_after_failures=5)
    (claim,) = claims_of(stage, job_id, 1)
    stage.store.record([], [], [lost(stage, claim)])
    stage.end(claim, exit_code=4)
    assert stage.store.find_run(claim.run_id).outcome == "failed"
    assert failures(stage, job_id) == 1


def lost(stage: Stage, claim: Claim) -> Ending:
    seen = lost_exit(stage.now_us, stage.now_us, "its node fell silent")
    return claim.ended(seen, judge(claim.job, claim.attempt, seen, 0.5))


# ---------------------------------------------------------------- the job changes meanwhile


def test_an_edit_counts_by_what_the_job_is_now(stage: Stage):
    job_id = stage.job(pause_after_failures=3)
    one, two, three = (claims_of(stage, job_id, 1)[0] for _ in range(3))
    stage.end(one, exit_code=1)
    stage.edit(job_id, pause_after_failures=2)
    stage.end(two, exit_code=1)
    assert paused_until(stage, job_id) == FOREVER_US
    stage.edit(job_id, pause_after_failures=0)
    stage.resume(job_id)
    stage.end(three, exit_code=1)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, None)


def test_a_run_from_before_the_setting_does_not_count(stage: Stage):
    job_id = stage.job()
    (claim,) = claims_of(stage, job_id, 1)
    stage.edit(job_id, pause_after_failures=1)
    stage.end(claim, exit_code=1)
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, None)


def test_a_deleted_job_is_not_paused_and_a_revived_one_begins_anew(stage: Stage):
    job_id = stage.job(pause_after_failures=2, overlap="allow")
    run_once(stage, job_id)
    (claim,) = claims_of(stage, job_id, 1)
    stage.delete(job_id)
    stage.end(claim, exit_code=1)
    assert pauses(stage) == []
    assert stage.job(pause_after_failures=2) == job_id
    assert (failures(stage, job_id), paused_until(stage, job_id)) == (0, None)


def test_words_of_the_setting_in_another_place_mean_nothing(stage: Stage):
    job_id = stage.job(description='"pause_after_failures": 1', pause_after_failures=2)
    plain = stage.job("plain", env={"pause_after_failures": "1"})
    run_once(stage, job_id)
    run_once(stage, plain)
    assert (paused_until(stage, job_id), paused_until(stage, plain)) == (None, None)
    assert failures(stage, plain) == 0


# ---------------------------------------------------------------- locks


@servers_only
@pytest.mark.parametrize("limit", [0, 5])
def test_only_jobs_that_ask_for_it_wait_for_their_due_row(
    stage: Stage, open_second: Callable[[], SqlStore], limit: int
):
    job_id = stage.job(pause_after_failures=limit)
    (claim,) = claims_of(stage, job_id, 1)
    other = open_second()
    ended = threading.Event()

    def end() -> None:
        stage.end(claim, exit_code=1)
        ended.set()

    worker = threading.Thread(target=end)
    with other.db.write() as connection:
        assert fetch(connection, DUE, (to_stored(job_id),))
        worker.start()
        assert ended.wait(0.5) is (limit == 0)
    worker.join(20)
    assert ended.is_set()


@servers_only
def test_the_runs_of_a_job_that_is_paused_are_locked_in_their_order(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    job_id = stage.job(pause_after_failures=1, overlap="allow")
    low, high = sorted(claims_of(stage, job_id, 2), key=lambda claim: to_stored(claim.run_id))
    other, third = open_second(), open_second()
    worker = threading.Thread(target=lambda: stage.end(high, exit_code=1))
    with other.db.write() as connection:
        assert fetch(connection, RUN, (to_stored(low.run_id),))
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()
        with third.db.write() as looker:  # it waits for the first and has not taken the second yet
            assert len(fetch(looker, FREE, (to_stored(high.run_id),))) == 1
    worker.join(20)
    assert paused_until(stage, job_id) == FOREVER_US


def test_many_ends_at_one_instant_pause_once_and_none_is_lost(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    names = ("one", "two", "three")
    ids = [stage.job(name, overlap="allow", pause_after_failures=3) for name in names]
    claims = [claim for job_id in ids for claim in claims_of(stage, job_id, 8)]
    # Each thread has runs of all jobs, in an order of its own.
    stages = [stage.on(open_second()) for _ in range(4)]
    batches = [claims[n::4] if n % 2 else claims[n::4][::-1] for n in range(4)]
    answers = race(
        *(lambda w=who, b=batch: w.end(*b, exit_code=1) for who, batch in zip(stages, batches)),  # noqa: B905
        *(
            lambda w=stages[0], i=job_id: w.store.pause_job(i, w.now_us + 1, "ada")
            for job_id in ids
        ),
    )
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert [failures(stage, job_id) for job_id in ids] == [8, 8, 8]
    texts = [text for text in pauses(stage) if "in a row" in text]
    assert 3 <= len(texts) <= 6
    assert_sound(stage)
