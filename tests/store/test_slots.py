"""What is on record of slots: runs, rows that cover an instant, who was first, who said so."""

from cronherd.domain.event import EventKind
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US
KINDS = (EventKind.JOB_PAUSED, EventKind.JOB_RESUMED)


def test_runs_are_found_by_their_slots_live_and_finished(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="allow")
    other = stage.job("other", schedule="every 60s", overlap="allow")
    stage.after(60)
    stage.finish_all()
    stage.after(60)
    stage.request(job_id)  # no slot
    live, ended = (run for run in stage.runs(job_id) if run.scheduled_us is not None)
    assert live.scheduled_us is not None
    assert ended.scheduled_us == live.scheduled_us - MINUTE_US

    def ids(from_us: int, to_us: int, limit: int = 9) -> list[str]:
        return [run.id for run in stage.store.slot_runs(job_id, from_us, to_us, limit)]

    assert ids(ended.scheduled_us, live.scheduled_us) == [ended.id, live.id]
    assert ids(ended.scheduled_us, live.scheduled_us, 1) == [ended.id]
    assert ids(ended.scheduled_us, ended.scheduled_us) == [ended.id]
    assert ids(ended.scheduled_us + 1, live.scheduled_us - 1) == []
    (run,) = stage.store.slot_runs(job_id, ended.scheduled_us, ended.scheduled_us, 9)
    assert run == ended
    assert stage.store.slot_runs(other, 0, ended.scheduled_us - 1, 9) == []


def test_a_range_covers_each_instant_between_its_ends(stage: Stage):
    job_id = stage.job(schedule="every 60s", catchup="none", overlap="allow")
    stage.job("other", schedule="every 60s", catchup="none")
    stage.after(600)
    skip = max(stage.skips(job_id), key=lambda row: row.count)
    assert skip.count > 5
    middle_us = skip.from_us + MINUTE_US + 1

    def found(from_us: int, to_us: int) -> list[int]:
        return [row.from_us for row in stage.store.slot_ledger(job_id, from_us, to_us, 9)]

    assert found(middle_us, middle_us) == [skip.from_us]
    assert found(skip.to_us, skip.to_us) == found(0, skip.from_us) == [skip.from_us]
    assert found(skip.to_us + 1, skip.to_us + MINUTE_US) == found(0, skip.from_us - 1) == []
    (row,) = stage.store.slot_ledger(job_id, middle_us, middle_us, 9)
    assert (row.job_name, row.reason, row.count) == ("job", skip.reason, skip.count)
    assert row.at_us == stage.now_us == skip.at_us


def test_the_newest_slot_with_an_outcome_is_known(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="skip")
    assert stage.store.last_slot(job_id) is None
    stage.request(job_id)
    assert stage.store.last_slot(job_id) is None
    stage.finish_all()
    stage.after(60)
    (run,) = [run for run in stage.runs(job_id) if run.scheduled_us is not None]
    assert stage.store.last_slot(job_id) == run.scheduled_us
    stage.after(60)  # that one is in the way
    assert stage.store.last_slot(job_id) == stage.skips(job_id)[-1].to_us
    stage.finish_all()
    assert stage.store.last_slot(job_id) == stage.skips(job_id)[-1].to_us


def test_the_run_that_made_room_is_the_one_that_ended_last(stage: Stage):
    job_id = stage.job(schedule=None, overlap="allow")
    other = stage.job("other", schedule=None)
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    first, second, third = stage.claim()
    stage.start(first, second, third)
    began_us = stage.now_us
    for claim in (second, first, third):  # not in the order of their ids
        stage.advance(10)
        stage.end(claim)
    ends_us = [began_us + step * 10 * SECOND_US for step in (1, 2, 3)]
    ended = stage.store.ended_last(job_id, began_us, ends_us[1])
    assert ended is not None
    assert ended.id == first.run_id
    assert stage.store.ended_last(job_id, ends_us[1], ends_us[2] - 1) is None
    assert stage.store.ended_last(other, 0, stage.now_us) is None


def test_the_newest_event_before_an_instant_is_found(stage: Stage):
    job_id = stage.job()
    stage.pause(job_id)
    stage.advance(10)
    stage.resume(job_id)
    stage.advance(10)
    stage.pause(stage.job("other"))
    paused, resumed = reversed(
        [
            event
            for event in stage.store.events(99)
            if event.kind in KINDS and event.subject == "job"
        ]
    )

    def before(at_us: int, *subjects: str) -> str | None:
        event = stage.store.event_before(subjects or ("job",), KINDS, at_us)
        return event.kind.value if event else None

    assert before(paused.at_us - 1) is None
    assert before(paused.at_us) == before(resumed.at_us - 1) == "job_paused"
    assert before(stage.now_us + SECOND_US) == "job_resumed"
    assert before(stage.now_us + SECOND_US, "job", "other") == "job_paused"
    assert stage.store.event_before(["job"], [EventKind.JOB_DELETED], stage.now_us) is None
