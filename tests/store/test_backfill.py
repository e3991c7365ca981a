"""Backfill: slots of the past run after all, each once."""

from typing import Any

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from tests.store.lossy import lost_answers
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US


def missed(stage: Stage, **spec: Any) -> tuple[str, list[int]]:
    """A job that missed ten slots, and these."""
    spec = {"catchup": "none", "overlap": "allow", **spec}
    job_id = stage.job(schedule="every 60s", **spec)
    stage.after(600)
    (skip,) = [skip for skip in stage.skips(job_id) if skip.reason in {"catchup_none", "deadline"}]
    return job_id, list(range(skip.from_us, skip.to_us + 1, MINUTE_US))


def backfill(stage: Stage, job_id: str, slots: list[int]) -> list[bool]:
    runs = [(stage.new_id(), slot_us) for slot_us in slots]
    return [entry.made for entry in stage.store.backfill(job_id, runs, "ann")]


def test_each_slot_that_did_not_run_gets_a_run_of_its_own(stage: Stage):
    job_id, slots = missed(stage)
    before = len(stage.runs(job_id))
    assert backfill(stage, job_id, slots[:3]) == [True] * 3
    made = [run for run in stage.runs(job_id) if run.cause == "backfill"]
    assert sorted(run.scheduled_us or 0 for run in made) == slots[:3]
    assert len(stage.runs(job_id)) == before + 3
    assert stage.skips(job_id)[0].count == len(slots)  # what was recorded stays
    (event,) = [e for e in stage.store.events(9) if e.kind is EventKind.BACKFILLED]
    assert (event.subject, event.actor) == ("job", "ann")
    assert event.text.startswith("3 from ")


def test_a_slot_that_ran_or_was_backfilled_does_not_run_again(stage: Stage):
    job_id, slots = missed(stage)
    ran = stage.runs(job_id)[0].scheduled_us
    assert ran is not None
    assert backfill(stage, job_id, [slots[0], ran]) == [True, False]
    stage.finish_all()  # now it is in the history
    assert backfill(stage, job_id, [slots[0], slots[1], ran]) == [False, True, False]
    assert len([run for run in stage.runs(job_id) if run.cause == "backfill"]) == 2


def test_backfilled_runs_wait_for_their_permits_in_order(stage: Stage):
    job_id, slots = missed(stage, overlap="skip")
    stage.finish_all()
    assert backfill(stage, job_id, slots[:4]) == [True] * 4
    order = []
    for _ in range(4):
        claim = stage.one_claim()  # one at a time
        order.append(claim.slot_us)
        stage.start(claim)
        stage.end(claim)
        stage.settle()
    assert order == slots[:4]
    fences = [stage.fence_of(run.id) for run in reversed(stage.runs(job_id))]
    assert len(set(fences)) == len(fences)


def test_a_start_deadline_does_not_give_up_what_is_backfilled(stage: Stage):
    job_id, slots = missed(stage, overlap="skip", start_deadline="5s")
    stage.finish_all()
    backfill(stage, job_id, slots[:2])
    stage.advance(60)
    stage.settle()
    assert stage.finish_all() == 1


def test_a_slot_to_come_belongs_to_the_schedule(stage: Stage):
    job_id, slots = missed(stage)
    with pytest.raises(Conflict) as caught:
        backfill(stage, job_id, [slots[0], slots[-1] + 100 * MINUTE_US])
    assert caught.value.code == "not_past"
    assert [run for run in stage.runs(job_id) if run.cause == "backfill"] == []


def test_a_job_that_is_gone_has_nothing_to_backfill(stage: Stage):
    job_id, slots = missed(stage)
    stage.delete(job_id)
    with pytest.raises(NotFound):
        backfill(stage, job_id, slots[:1])


def test_a_backfill_that_is_sent_again_after_a_lost_answer_adds_nothing(stage: Stage):
    job_id, slots = missed(stage)
    runs = [(stage.new_id(), slot_us) for slot_us in slots[:3]]
    with lost_answers(stage.store), pytest.raises(Exception, match="does not answer"):
        stage.store.backfill(job_id, runs, "ann")
    again = stage.store.backfill(job_id, runs, "ann")
    assert [(entry.run_id, entry.made) for entry in again] == [(run, True) for run, _ in runs]
    assert len([run for run in stage.runs(job_id) if run.cause == "backfill"]) == 3
