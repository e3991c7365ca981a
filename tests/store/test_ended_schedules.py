"""Schedules that end after so many runs, and slots that fire a little later than they are."""

from cronherd.domain.run import RunState
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US


def test_a_schedule_is_over_after_its_last_run(stage: Stage):
    job_id = stage.job(schedule="every 60s", max_runs=2, overlap="allow")
    for _ in range(5):
        stage.after(60)
    assert len(stage.runs(job_id)) == 2
    row = stage.store.find_job("job")
    assert (row.fired, row.next_us) == (2, None)
    assert stage.skips(job_id) == []  # slots behind the end do not exist


def test_slots_that_are_late_together_stop_at_the_end_too(stage: Stage):
    job_id = stage.job(schedule="every 60s", max_runs=3, overlap="allow", catchup="all")
    stage.after(600)
    assert len(stage.runs(job_id)) == 3
    assert stage.store.find_job("job").fired == 3
    assert stage.skips(job_id) == []


def test_refused_slots_and_manual_runs_do_not_count(stage: Stage):
    job_id = stage.job(schedule="every 60s", max_runs=2)
    stage.request(job_id)
    stage.after(60)
    assert stage.reasons(job_id) == ["overlap"]
    assert stage.store.find_job("job").fired == 0
    for _ in range(3):
        stage.finish_all()
        stage.after(60)
    assert stage.store.find_job("job").fired == 2


def test_a_job_whose_schedule_is_over_can_be_given_more_runs(stage: Stage):
    job_id = stage.job(schedule="every 60s", max_runs=1)
    stage.after(60)
    stage.finish_all()
    stage.advance(600)
    stage.edit(job_id, max_runs=2)
    assert stage.skips(job_id) == []  # nothing was due in between
    stage.after(60)
    assert len(stage.runs(job_id)) == 2
    stage.disable(job_id)
    stage.enable(job_id)
    assert stage.store.find_job("job").next_us is None


def test_a_job_that_was_deleted_counts_from_the_beginning_when_it_is_made_again(stage: Stage):
    job_id = stage.job(schedule="every 60s", max_runs=1)
    stage.after(60)
    stage.finish_all()
    stage.delete(job_id)
    assert stage.job(schedule="every 60s", max_runs=1) == job_id
    stage.after(120)
    assert len(stage.runs(job_id)) == 2


# ---------------------------------------------------------------- jitter


def test_a_jittered_slot_fires_later_by_the_same_delay_and_keeps_its_instant(stage: Stage):
    job_id = stage.job(schedule="every 10m", jitter="5m", overlap="allow")
    row = stage.store.find_job("job")
    first_us = row.job.schedule.next_after(stage.now_us) if row.job.schedule else 0
    assert first_us is not None
    late_us = row.job.due_at(first_us) - first_us
    assert 0 < late_us <= 5 * MINUTE_US
    assert row.next_us == first_us + late_us
    stage.clock.step((first_us + late_us - stage.now_us) / SECOND_US - 0.001)
    stage.renew()
    stage.fire_all()
    assert stage.runs(job_id) == []
    stage.after(0.001)
    (run,) = stage.runs(job_id)
    assert (run.scheduled_us, run.cause.value) == (first_us, "schedule")  # it is not late


def test_jitter_longer_than_the_period_never_reorders(stage: Stage):
    job_id = stage.job(schedule="every 60s", jitter="10m", overlap="allow", on_time="10m")
    for _ in range(600):
        stage.after(1)
    runs = [run for run in reversed(stage.runs(job_id)) if run.state is RunState.READY]
    slots = [run.scheduled_us for run in runs]
    assert slots == sorted(slots)  # type: ignore[type-var]
    assert len(slots) >= 9
    for run in runs:
        assert run.scheduled_us is not None
        assert run.scheduled_us <= run.created_us <= run.scheduled_us + MINUTE_US + SECOND_US


def test_a_start_deadline_counts_from_the_jittered_instant(stage: Stage):
    job_id = stage.job(schedule="every 1h", jitter="30m", start_deadline="10s", overlap="allow")
    row = stage.store.find_job("job")
    assert row.next_us is not None
    stage.clock.step((row.next_us - stage.now_us) / SECOND_US)
    stage.after(1)
    assert [run.cause.value for run in stage.runs(job_id)] == ["schedule"]
    assert stage.fetch("SELECT deadline_us FROM run") == [(row.next_us + 10 * SECOND_US,)]


def test_a_chain_is_over_after_its_last_run_too(stage: Stage):
    job_id = stage.job(schedule="after 60s", max_runs=2)
    for _ in range(5):
        stage.after(60)
        stage.finish_all()
        stage.settle()
    assert len(stage.runs(job_id)) == 2
    assert stage.store.find_job("job").next_us is None
    assert stage.store.sweep() == []
    stage.edit(job_id, max_runs=3)
    stage.after(60)
    assert len(stage.runs(job_id)) == 3
