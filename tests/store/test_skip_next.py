"""Skip next: so many slots to come become ledger rows, unless somebody takes it back."""

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from tests.store.lossy import lost_answers
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US


def told(stage: Stage, job_id: str) -> list[tuple[str, int]]:
    return [(skip.reason.value, skip.count) for skip in stage.skips(job_id)]


def test_skipped_slots_become_a_range_and_the_slot_behind_them_runs(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    first_us = stage.store.find_job("job").next_us
    assert first_us is not None
    assert stage.store.skip_next(job_id, 2, "ann") == [first_us, first_us + MINUTE_US]
    stage.after(61)
    stage.after(60)
    assert stage.runs(job_id) == []
    assert told(stage, job_id) == [("skipped", 1), ("skipped", 1)]
    assert stage.store.find_job("job").skip_us is None  # used up
    stage.after(60)
    (run,) = stage.runs(job_id)
    assert run.scheduled_us == first_us + 2 * MINUTE_US
    (event,) = [e for e in stage.store.events(9) if e.kind is EventKind.SLOTS_SKIPPED]
    assert (event.subject, event.actor) == ("job", "ann")


def test_a_second_skip_skips_one_more(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    (first_us,) = stage.store.skip_next(job_id, 1, "ann")
    assert stage.store.skip_next(job_id, 1, "ann") == [first_us, first_us + MINUTE_US]
    stage.after(150)
    assert stage.runs(job_id) == []
    assert sum(skip.count for skip in stage.skips(job_id)) == 2


def test_what_was_to_be_skipped_runs_after_an_undo(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.store.skip_next(job_id, 3, "ann")
    stage.store.undo_skip(job_id, "bob")
    stage.store.undo_skip(job_id, "bob")  # again changes nothing
    stage.after(60)
    assert (len(stage.runs(job_id)), stage.skips(job_id)) == (1, [])
    undone = [e for e in stage.store.events(9) if e.kind is EventKind.SKIP_UNDONE]
    assert [event.actor for event in undone] == ["bob"]


def test_a_slot_that_is_due_and_was_not_looked_at_is_skipped_too(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.advance(61)
    stage.store.skip_next(job_id, 1, "ann")
    stage.fire_all()
    assert stage.runs(job_id) == []
    assert told(stage, job_id) == [("skipped", 1)]


def test_a_manual_run_is_not_a_slot_and_runs(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.store.skip_next(job_id, 1, "ann")
    stage.request(job_id)
    assert len(stage.claim()) == 1
    assert stage.store.find_job("job").skip_us is not None


def test_the_slots_of_an_after_job_go_on_behind_a_skipped_one(stage: Stage):
    job_id = stage.job(schedule="after 60s")
    stage.store.skip_next(job_id, 1, "ann")
    with pytest.raises(Conflict) as caught:  # the one behind it is not known yet
        stage.store.skip_next(job_id, 1, "ann")
    assert caught.value.code == "too_many_skips"
    stage.after(61)
    assert told(stage, job_id) == [("skipped", 1)]
    stage.after(60)
    assert len(stage.runs(job_id)) == 1
    with pytest.raises(Conflict) as caught:
        stage.store.skip_next(job_id, 1, "ann")
    assert (caught.value.code, caught.value.hint) == ("no_next", "wait for that end")


def test_a_schedule_with_too_few_slots_says_how_many_it_has(stage: Stage):
    job_id = stage.job(schedule=["at 2027-01-15 09:00", "at 2027-01-15 10:00"])
    with pytest.raises(Conflict, match="only 2 slots left"):
        stage.store.skip_next(job_id, 3, "ann")
    assert stage.store.find_job("job").skip_us is None


@pytest.mark.parametrize("how", ["disabled", "paused"])
def test_a_job_without_a_next_slot_has_none_to_skip(stage: Stage, how: str):
    job_id = stage.job(schedule="every 60s")
    stage.disable(job_id) if how == "disabled" else stage.pause(job_id)
    with pytest.raises(Conflict, match=how) as caught:
        stage.store.skip_next(job_id, 1, "ann")
    assert caught.value.code == "no_next"


def test_an_edit_of_the_schedule_forgets_the_skip_and_another_edit_does_not(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.store.skip_next(job_id, 1, "ann")
    stage.edit(job_id, timeout="5m")
    assert stage.store.find_job("job").skip_us is not None
    stage.edit(job_id, schedule="every 90s")
    assert stage.store.find_job("job").skip_us is None


def test_a_disabled_gap_tells_first_what_was_to_be_skipped(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.store.skip_next(job_id, 2, "ann")
    stage.disable(job_id)
    stage.advance(300)
    stage.enable(job_id)
    assert told(stage, job_id) == [("skipped", 2), ("disabled", 3)]


def test_a_skip_whose_answer_was_lost_skips_once(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    with lost_answers(stage.store) as lost:
        slots = stage.store.skip_next(job_id, 1, "ann")
    assert (lost, len(slots)) == ([1], 1)
    assert stage.store.find_job("job").skip_us == slots[0]
