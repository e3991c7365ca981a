"""Pause and resume: once acknowledged nothing starts; what was swallowed is written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.instant import format_instant
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import RunState
from cronherd.views import pause_words
from tests.store.sound import assert_sound
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US


def told(stage: Stage, job_id: str) -> list[tuple[str, int]]:
    return [(skip.reason.value, skip.count) for skip in stage.skips(job_id)]


# ---------------------------------------------------------------- slots


def test_slots_before_the_end_of_a_pause_become_one_range_and_the_next_one_runs(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    assert stage.pause(job_id, 300) == []
    row = stage.store.find_job("job")
    assert row.next_us == row.paused_until_us == stage.now_us + 5 * MINUTE_US
    assert stage.store.look(stage.node.id, 0).next_us is None
    stage.after(299)
    assert (stage.runs(job_id), stage.skips(job_id)) == ([], [])
    start_us = stage.now_us - 299 * SECOND_US
    stage.after(1)
    (skip,) = stage.skips(job_id)
    assert (skip.reason.value, skip.count) == ("paused", 4)
    assert (skip.from_us, skip.to_us) == (start_us + MINUTE_US, start_us + 4 * MINUTE_US)
    (run,) = stage.runs(job_id)
    assert (run.scheduled_us, run.cause.value) == (stage.now_us, "schedule")
    assert stage.store.find_job("job").paused_until_us is None
    stage.finish_all()
    stage.after(60)
    assert len(stage.runs(job_id)) == 2


def test_a_pause_for_ever_ends_with_resume_and_its_slots_become_one_range(stage: Stage):
    job_id = stage.job(schedule="every 60s", catchup="all")
    stage.pause(job_id)
    row = stage.store.find_job("job")
    assert (row.next_us, row.paused_until_us) == (None, FOREVER_US)
    stage.after(600)
    assert stage.runs(job_id) == []
    stage.resume(job_id)
    row = stage.store.find_job("job")
    assert told(stage, job_id) == [("paused", 10)]
    assert (row.next_us, row.paused_until_us) == (stage.now_us + MINUTE_US, None)
    assert row.last_slot_us == stage.now_us
    stage.after(60)
    assert len(stage.runs(job_id)) == 1
    kinds = [event.kind for event in stage.store.events(9)]
    assert (kinds.count(EventKind.JOB_PAUSED), kinds.count(EventKind.JOB_RESUMED)) == (1, 1)


def test_a_slot_that_was_due_at_the_pause_belongs_to_it(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.advance(130)
    stage.pause(job_id, 60)
    assert told(stage, job_id) == [("paused", 2)]
    stage.after(120)
    assert told(stage, job_id) == [("paused", 2), ("paused", 1)]
    assert len(stage.runs(job_id)) == 1


def test_a_longer_pause_takes_the_place_of_a_shorter_one(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.pause(job_id, 120)
    stage.advance(90)
    stage.pause(job_id, 210)
    stage.after(60)
    assert stage.runs(job_id) == []
    stage.after(150)
    assert told(stage, job_id) == [("paused", 1), ("paused", 3)]
    assert [run.scheduled_us for run in stage.runs(job_id)] == [stage.now_us]
    stage.pause(job_id)
    stage.pause(job_id, 60)
    stage.finish_all()
    stage.after(60)
    assert len(stage.runs(job_id)) == 2


def test_a_pause_after_one_that_ran_out_unseen_accounts_for_each_slot_once(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.pause(job_id, 120)
    stage.advance(250)
    stage.pause(job_id, 60)
    assert sum(count for _, count in told(stage, job_id)) == 4
    stage.after(110)
    assert sum(count for _, count in told(stage, job_id)) == 5
    assert len(stage.runs(job_id)) == 1


def test_a_very_long_pause_swallows_all_of_its_slots(stage: Stage):
    """More than one plan looks at; none of them is taken for a late slot of a job that runs."""
    job_id = stage.job(schedule="every 1s", catchup="all", on_time="1h", overlap="allow")
    stage.pause(job_id, 5000)
    stage.after(5000)
    assert {reason for reason, _ in told(stage, job_id)} == {"paused"}
    assert sum(count for _, count in told(stage, job_id)) == 4999
    assert len(stage.runs(job_id)) == 1
    assert stage.store.find_job("job").paused_until_us is None


def test_resuming_what_is_not_paused_is_refused(stage: Stage):
    job_id = stage.job()
    with pytest.raises(Conflict) as caught:
        stage.resume(job_id)
    assert caught.value.code == "not_paused"
    for verb in (stage.pause, stage.resume):
        with pytest.raises(NotFound):
            verb(stage.new_id())


# ---------------------------------------------------------------- who, and why


def words(stage: Stage) -> dict[str, Any]:
    return pause_words(stage.store.find_job("job"), stage.store.last_pause("job"), stage.now_us)


NOBODY = {"paused_by": None, "paused_at": None, "pause_reason": None}


def test_a_paused_job_tells_who_paused_it_and_when(stage: Stage):
    job_id = stage.job()
    assert stage.store.last_pause("job") is None
    stage.pause(job_id, 3600)
    stage.advance(60)
    stage.store.pause_job(job_id, FOREVER_US, "ann")
    at = format_instant(stage.now_us)
    stage.job("other")
    stage.pause(stage.store.find_job("other").id)
    stage.advance(60)
    assert words(stage) == {"paused_by": "ann", "paused_at": at, "pause_reason": None}
    stage.resume(job_id)
    assert words(stage) == NOBODY


def test_a_job_that_failed_too_often_tells_so(stage: Stage):
    stage.request(stage.job(pause_after_failures=1))
    claim = stage.one_claim()
    stage.end(claim, exit_code=1)
    told = words(stage)
    assert told["paused_by"] == "finisher"
    run = claim.run_id[:8]
    assert told["pause_reason"] == f"1 run failed, the last one, run {run} ended as failed"


def test_the_words_of_another_pause_are_not_told(stage: Stage):
    """A job that was renamed has left its events behind; another may have come to its name."""
    job_id = stage.job()
    stage.pause(job_id)
    row, told = stage.store.find_job("job"), stage.store.last_pause("job")
    assert words(stage)["paused_by"] is not None
    other = replace(row, paused_until_us=stage.now_us + MINUTE_US)
    assert pause_words(other, told, stage.now_us) == NOBODY
    assert pause_words(row, None, stage.now_us) == NOBODY


# ---------------------------------------------------------------- runs


def queued(stage: Stage) -> str:
    """Two runs are ready, one is claimed, one failed and is delayed, two wait."""
    again = {"max": 1, "backoff": "1s"}
    job_id = stage.job(schedule="every 60s", overlap="queue", max_running=4, retries=again)
    for _ in range(6):
        stage.after(60)
    failed, _ = stage.claim(2)
    stage.end(failed, exit_code=1)
    return job_id


@pytest.mark.parametrize("how", ["expiry", "resume"])
def test_what_did_not_start_is_held_and_goes_on_when_the_pause_ends(stage: Stage, how: str):
    job_id = queued(stage)
    (going,) = [run.id for run in stage.runs(job_id) if run.state is RunState.CLAIMED]
    assert stage.pause(job_id, 600) == [going]
    assert sorted(stage.states(job_id)) == ["claimed", *["held"] * 5]
    assert stage.permits(job_id) == 1
    assert_sound(stage)
    stage.advance(590)
    stage.settle()
    assert stage.claim() == []
    if how == "resume":
        stage.resume(job_id)
    else:
        stage.after(20)
    stage.settle()
    assert len(stage.claim()) == 3
    assert_sound(stage, most=4)
    assert stage.states(job_id).count("waiting") == (2 if how == "resume" else 3)


@pytest.mark.parametrize("schedule", [None, "every 1d", "after 5m", "at 2027-01-15 08:00:30"])
def test_held_runs_go_on_at_the_end_of_the_pause_wherever_the_next_slot_is(
    stage: Stage, schedule: object
):
    job_id = stage.job(schedule=schedule)
    if schedule == "after 5m":
        stage.after(300)
    else:
        stage.request(job_id)
    stage.pause(job_id, 60)
    assert stage.states(job_id) == ["held"]
    stage.after(59)
    stage.settle()
    assert stage.claim() == []
    stage.after(1)
    stage.settle()
    (claim,) = stage.claim()
    stage.end(claim)
    assert stage.states(job_id) == ["finished"]
    assert_sound(stage)


def test_a_chain_goes_on_after_a_pause(stage: Stage):
    job_id = stage.job(schedule="after 5m")
    stage.pause(job_id)
    stage.after(900)
    stage.settle()
    assert stage.runs(job_id) == []
    stage.resume(job_id)
    stage.after(300)
    claim = stage.one_claim()
    stage.pause(job_id, 1000)
    stage.end(claim)
    stage.after(999)
    stage.settle()
    assert stage.states(job_id) == ["finished"]
    for _ in range(2):
        stage.after(301)
    assert stage.states(job_id) == ["finished", "ready"]


@pytest.mark.parametrize("ending", ["failed", "void", "lost"])
def test_a_run_that_comes_back_while_its_job_is_paused_is_held(stage: Stage, ending: str):
    job_id = stage.job(retries={"max": 3, "backoff": "1s"}, delivery="at_least_once")
    stage.after(60)
    claim = stage.one_claim()
    assert stage.pause(job_id) == [claim.run_id]
    if ending == "failed":
        stage.end(claim, exit_code=1)
    elif ending == "void":
        stage.end(claim, exit_code=None, error="void")
    else:
        stage.end(claim, exit_code=None, killed_by="gone", error="lost")
    assert stage.states(job_id) == ["held"]
    stage.advance(3600)
    stage.settle()
    assert stage.claim() == []
    assert_sound(stage)
    stage.resume(job_id)
    stage.settle()
    assert stage.one_claim().run_id == claim.run_id


def test_the_answer_names_all_that_were_first(stage: Stage):
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    claims = stage.claim(2)
    stage.start(claims[0])
    assert sorted(stage.pause(job_id, 60)) == sorted(claim.run_id for claim in claims)
    assert sorted(stage.pause(job_id)) == sorted(claim.run_id for claim in claims)


@pytest.mark.parametrize("ending", ["failed", "void"])
def test_what_was_asked_for_before_the_pause_is_held_when_it_comes_back(stage: Stage, ending: str):
    job_id = stage.job(retries={"max": 3, "backoff": "1s"})
    stage.request(job_id)
    claim = stage.one_claim()
    stage.advance(1)
    assert stage.pause(job_id) == [claim.run_id]
    if ending == "failed":
        stage.end(claim, exit_code=1)
    else:
        stage.end(claim, exit_code=None, error="void")
    assert stage.states(job_id) == ["held"]
    stage.advance(3600)
    stage.settle()
    assert stage.claim() == []
    assert stage.permits(job_id) == 0
    stage.resume(job_id)
    stage.settle()
    assert stage.one_claim().run_id == claim.run_id


def test_what_was_asked_for_during_the_pause_goes_on_when_it_comes_back(stage: Stage):
    job_id = stage.job()
    stage.pause(job_id)
    stage.advance(1)
    stage.request(job_id)
    stage.end(claim := stage.one_claim(), exit_code=None, error="void")
    assert stage.one_claim().run_id == claim.run_id


def test_what_was_asked_for_before_a_job_was_disabled_goes_on_when_it_comes_back(stage: Stage):
    job_id = stage.job()
    stage.request(job_id)
    claim = stage.one_claim()
    stage.advance(1)
    stage.disable(job_id)
    stage.end(claim, exit_code=None, error="void")
    assert stage.one_claim().run_id == claim.run_id


def test_a_paused_job_can_still_be_run_by_hand(stage: Stage):
    job_id = stage.job(retries={"max": 1, "backoff": "1s"})
    stage.pause(job_id)
    stage.request(job_id)
    claim = stage.one_claim()
    stage.end(claim, exit_code=1)
    stage.advance(5)
    stage.settle()
    again = stage.one_claim()
    assert (again.run_id, again.attempt) == (claim.run_id, 2)


# ---------------------------------------------------------------- together with other controls


def test_a_pause_outlives_disabling_and_enabling(stage: Stage):
    job_id = queued(stage)
    stage.pause(job_id, 600)
    stage.disable(job_id)
    stage.advance(60)
    stage.enable(job_id)
    stage.settle()
    assert stage.claim() == []
    row = stage.store.find_job("job")
    assert row.next_us == row.paused_until_us == stage.now_us + 540 * SECOND_US
    stage.after(540)
    stage.settle()
    assert len(stage.claim()) == 3
    assert {reason for reason, _ in told(stage, job_id)} == {"paused"}


def test_resuming_a_disabled_job_leaves_it_disabled(stage: Stage):
    job_id = queued(stage)
    stage.disable(job_id)
    stage.pause(job_id)
    stage.resume(job_id)
    stage.after(600)
    stage.settle()
    assert stage.claim() == []
    row = stage.store.find_job("job")
    assert (row.enabled, row.next_us, row.paused_until_us) == (False, None, None)
    stage.enable(job_id)
    stage.settle()
    assert len(stage.claim()) == 3
    assert told(stage, job_id)[-1] == ("disabled", 10)


def test_a_pause_that_ran_out_while_the_job_was_disabled_is_told_apart(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.pause(job_id, 300)
    stage.disable(job_id)
    stage.advance(600)
    stage.enable(job_id)
    assert told(stage, job_id) == [("paused", 4), ("disabled", 6)]
    stage.after(60)
    assert len(stage.runs(job_id)) == 1


@pytest.mark.parametrize("changes", [{"command": "false"}, {"schedule": "every 30s"}])
def test_an_edit_leaves_a_paused_job_paused(stage: Stage, changes: dict[str, Any]):
    job_id = queued(stage)
    stage.pause(job_id, 600)
    stage.advance(60)
    stage.edit(job_id, **changes)
    row = stage.store.find_job("job")
    assert row.next_us == row.paused_until_us == stage.now_us + 540 * SECOND_US
    stage.after(300)
    stage.settle()
    assert stage.claim() == []
    stage.after(240)
    stage.settle()
    claims = stage.claim()
    assert len(claims) == 3
    if "command" in changes:
        assert {claim.job.command for claim in claims} == {"false"}
    assert {reason for reason, _ in told(stage, job_id)} == {"paused"}
    assert_sound(stage)


def act_delete(stage: Stage, job_id: str) -> None:
    stage.delete(job_id)


def act_disable(stage: Stage, job_id: str) -> None:
    stage.disable(job_id)
    stage.resume(job_id)
    stage.delete(job_id)


@pytest.mark.parametrize("act", [act_delete, act_disable])
def test_a_job_that_is_made_again_has_forgotten_its_pause(
    stage: Stage, act: Callable[[Stage, str], None]
):
    job_id = stage.job(schedule="every 60s")
    stage.pause(job_id)
    act(stage, job_id)
    assert stage.job(schedule="every 60s") == job_id
    row = stage.store.find_job("job")
    assert row.paused_until_us is None
    stage.after(60)
    assert len(stage.runs(job_id)) == 1


def test_an_unreadable_job_can_be_paused_and_resumed(stage: Stage):
    job_id = stage.job("bad")
    stage.spoil(job_id, "null")
    stage.pause(job_id, 60)
    stage.resume(job_id)
    stage.after(120)
    assert stage.runs(job_id) == []
