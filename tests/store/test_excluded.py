"""What a schedule leaves out is told once, with the slot behind it or when the schedule ends."""

from typing import Any

from tests.store.stage import SECOND_US, Stage
from tests.store.test_conservation import desk_of

MINUTE_US = 60 * SECOND_US


def told(stage: Stage, job_id: str) -> list[tuple[str, int, str | None]]:
    return [(skip.reason.value, skip.count, skip.ref) for skip in stage.skips(job_id)]


def assert_sound(stage: Stage) -> None:
    (found,) = desk_of(stage).audit("job", start="2027-01-01", end="2027-12-31")["items"]
    assert found["sound"], found


def make(stage: Stage, **spec: Any) -> str:
    """The stage begins at 08:00:00 UTC; three slots at 08:03, 08:04 and 08:05 are left out."""
    spec = {"schedule": "every 60s", "overlap": "allow", "excluding": "08:03-08:06", **spec}
    return stage.job(**spec)


def test_slots_that_are_left_out_are_one_row_written_with_the_slot_behind_them(stage: Stage):
    job_id = make(stage)
    for _ in range(5):
        stage.after(60)
    assert (len(stage.runs(job_id)), stage.skips(job_id)) == (2, [])
    assert_sound(stage)
    stage.after(60)
    assert len(stage.runs(job_id)) == 3
    assert told(stage, job_id) == [("excluded", 3, "08:03-08:06")]
    stage.after(60)
    assert len(stage.skips(job_id)) == 1
    assert_sound(stage)


def test_an_edit_tells_what_the_old_schedule_left_out_up_to_now(stage: Stage):
    job_id = make(stage)
    for _ in range(4):
        stage.after(60)
    stage.edit(job_id, excluding="09:00-10:00")
    assert told(stage, job_id) == [("excluded", 2, "08:03-08:06")]
    stage.after(60)
    assert len(stage.runs(job_id)) == 3  # 08:05 runs by the new one
    assert_sound(stage)


def test_a_pause_and_a_disable_over_what_is_left_out_count_each_slot_once(stage: Stage):
    job_id = make(stage)
    stage.pause(job_id, 600)
    stage.advance(601)
    stage.fire_all()
    assert sorted(told(stage, job_id)) == [("excluded", 3, "08:03-08:06"), ("paused", 6, None)]
    assert_sound(stage)
    other = stage.job("other", "every 60s", excluding="08:13-08:15", overlap="allow")
    stage.disable(other)
    stage.advance(600)
    stage.enable(other)
    stage.after(60)
    reasons = {reason: count for reason, count, _ in told(stage, other)}
    assert reasons["excluded"] == 2
    (found,) = desk_of(stage).audit("other", start="2027-01-01", end="2027-12-31")["items"]
    assert found["sound"], found


def test_a_long_absence_tells_missed_and_left_out_slots_apart(stage: Stage):
    job_id = make(stage, catchup="none")
    stage.after(3600)
    rows = told(stage, job_id)
    assert ("excluded", 3, "08:03-08:06") in rows
    missed = sum(count for reason, count, _ in rows if reason == "catchup_none")
    assert missed + len(stage.runs(job_id)) == 57
    assert_sound(stage)


def test_a_deleted_job_leaves_nothing_untold(stage: Stage):
    job_id = make(stage)
    for _ in range(4):
        stage.after(60)
    stage.delete(job_id)
    assert told(stage, job_id) == [("excluded", 2, "08:03-08:06")]
