"""`after` jobs: the next slot is the end of the run before plus the delay, however it ended."""

from typing import Any

import pytest

from cronherd.domain.run import RunState
from tests.store.stage import Stage

DELAY_US = 300_000_000


def next_of(stage: Stage) -> int | None:
    return stage.store.find_job("job").next_us


@pytest.fixture
def chained(stage: Stage) -> str:
    return stage.job(schedule="after 5m")


def test_the_first_slot_counts_from_the_creation(stage: Stage, chained: str):
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_chain_stops_while_its_run_goes_and_is_armed_by_its_end(stage: Stage, chained: str):
    stage.after(300)
    assert next_of(stage) is None
    claim = stage.one_claim()
    stage.start(claim)
    stage.advance(1000)
    assert stage.settle() == 0
    assert next_of(stage) is None
    stage.end(claim)
    assert next_of(stage) == stage.now_us + DELAY_US
    stage.after(300)
    assert stage.states(chained) == ["finished", "ready"]


def test_a_late_run_of_a_chain_is_not_armed_beside_it(stage: Stage, chained: str):
    """After an outage its run counts as catch-up; it is the chain's run all the same."""
    stage.after(900)
    assert [run.cause for run in stage.runs(chained)] == ["catchup"]
    stage.settle()
    assert next_of(stage) is None
    stage.end(stage.one_claim())
    assert next_of(stage) == stage.now_us + DELAY_US


def test_an_attempt_that_is_tried_again_does_not_arm_the_chain(stage: Stage):
    stage.job(schedule="after 5m", retries={"max": 1, "backoff": "1s"})
    stage.after(300)
    stage.end(stage.one_claim(), exit_code=1)
    stage.settle()
    assert next_of(stage) is None
    stage.advance(2)
    stage.settle()
    stage.end(stage.one_claim(), exit_code=1)
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_refused_slot_counts_as_its_own_end(stage: Stage, chained: str):
    stage.request(chained)
    stage.after(300)
    assert stage.reasons(chained) == ["overlap"]
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_requested_run_does_not_move_the_chain(stage: Stage, chained: str):
    armed = next_of(stage)
    stage.request(chained)
    stage.end(stage.one_claim())
    assert next_of(stage) == armed


def test_a_cancelled_run_lets_the_chain_go_on(stage: Stage, chained: str):
    stage.after(300)
    (run,) = stage.runs(chained)
    assert stage.store.cancel_run(run.id) is RunState.READY
    stage.settle()
    assert next_of(stage) == stage.now_us + DELAY_US


@pytest.mark.parametrize("ending", [{"exit_code": 1}, {"exit_code": None, "error": "void"}])
def test_an_end_that_would_go_on_and_was_cancelled_arms_the_chain_at_once(
    stage: Stage, ending: dict[str, Any]
):
    job_id = stage.job(schedule="after 5m", retries=3)
    stage.after(300)
    claim = stage.one_claim()
    assert stage.store.cancel_run(claim.run_id) is RunState.CLAIMED
    stage.advance(7)
    stage.end(claim, **ending)
    assert stage.states(job_id) == ["finished"]
    assert next_of(stage) == stage.now_us + DELAY_US


@pytest.mark.parametrize("parked", [False, True])
def test_a_run_that_a_request_replaces_arms_the_chain_at_once(stage: Stage, *, parked: bool):
    job_id = stage.job(schedule="after 5m", overlap="replace")
    if parked:
        stage.request(job_id, "m:0")
        stage.start(stage.one_claim())
    stage.after(300)
    assert next_of(stage) is None
    stage.advance(7)
    stage.request(job_id)
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_missed_deadline_lets_the_chain_go_on(stage: Stage):
    stage.job(schedule="after 5m", start_deadline="10s")
    stage.after(300)
    stage.advance(11)
    stage.settle()
    assert stage.states() == ["finished"]
    assert next_of(stage) == stage.now_us + DELAY_US


@pytest.mark.parametrize("schedule", ["after 5m", {"after": "5m"}, ["after 5m"], {"after": 300}])
def test_a_chain_that_was_lost_is_armed_by_the_sweep(stage: Stage, schedule: object):
    stage.job(schedule=schedule)
    assert stage.write("UPDATE job_due SET next_us = NULL") == 1
    stage.store.sweep()
    assert next_of(stage) == stage.now_us + DELAY_US
    stage.store.sweep()
    assert [event.text for event in stage.store.events(9)].count("its chain was re-armed") == 1


def test_a_disabled_chain_is_not_armed(stage: Stage, chained: str):
    stage.after(300)
    claim = stage.one_claim()
    stage.disable(chained)
    stage.end(claim)
    stage.settle()
    assert next_of(stage) is None
    stage.enable(chained)
    assert next_of(stage) == stage.now_us + DELAY_US
    assert stage.skips(chained) == []


@pytest.mark.parametrize("way", ["verb", "edit", "revive"])
def test_a_chain_that_is_enabled_beside_its_run_waits_for_the_end(
    stage: Stage, chained: str, way: str
):
    stage.after(300)
    claim = stage.one_claim()
    stage.start(claim)
    if way == "verb":
        stage.disable(chained)
        stage.enable(chained)
    elif way == "edit":
        stage.edit(chained, schedule="after 10m")
        stage.edit(chained, schedule="after 5m")
    else:
        stage.delete(chained)
        stage.job(schedule="after 5m")
    stage.settle()
    assert next_of(stage) is None
    stage.advance(60)
    stage.end(claim)
    stage.settle()
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_deleted_chain_starts_anew_when_it_is_revived(stage: Stage, chained: str):
    stage.after(300)
    stage.delete(chained)
    stage.settle()
    assert stage.job(schedule="after 5m") == chained
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_schedule_that_was_taken_away_is_not_armed_by_an_old_run(stage: Stage, chained: str):
    stage.after(300)
    claim = stage.one_claim()
    stage.edit(chained, schedule=None)
    stage.end(claim)
    stage.settle()
    assert next_of(stage) is None


def test_an_edit_of_something_else_keeps_the_chain_exact(stage: Stage, chained: str):
    stage.after(300)
    claim = stage.one_claim()
    stage.edit(chained, command="false")
    stage.end(claim)
    assert next_of(stage) == stage.now_us + DELAY_US


def test_a_backward_clock_step_delays_a_chain_and_never_repeats_a_slot(stage: Stage, chained: str):
    stage.after(300)
    slot_us = stage.runs(chained)[0].scheduled_us
    assert slot_us is not None
    stage.clock.step(-3600)
    stage.end(stage.one_claim())
    assert next_of(stage) == slot_us + 1
    stage.after(3601)
    slots = [run.scheduled_us for run in stage.runs(chained)]
    assert slots == [slot_us + 1, slot_us]
