"""Pruning: past both limits of its job's retention a run goes, with all that hangs on it."""

import pytest

from cronherd.domain.instant import format_instant
from tests.store.stage import Stage, chunk
from tests.store.test_conservation import desk_of

DAY_S = 86_400
DAY_US = DAY_S * 1_000_000


def ended_runs(stage: Stage, job_id: str, count: int) -> list[str]:
    ids = []
    for number in range(count):
        stage.clock.advance(1)
        stage.request(job_id, f"m:{number}")
        (claim,) = stage.claim()
        stage.store.record([], [chunk(claim, 0, b"x")], [stage.ending(claim)])
        ids.append(claim.run_id)
    return ids


@pytest.mark.parametrize(
    ("age", "runs", "days", "left"),
    [
        ("1d", 3, 2, 3),  # old, but the last three stay
        ("3d", 3, 2, 10),  # not old enough
        ("1d", 20, 2, 10),  # not too many
        ("1d", 9, 2, 9),
        ("1d", 10, 2, 10),
    ],
)
def test_a_run_goes_when_it_is_past_both_limits(
    stage: Stage, age: str, runs: int, days: int, left: int
):
    job_id = stage.job(retention={"age": age, "runs": runs})
    ids = ended_runs(stage, job_id, 10)
    stage.clock.advance(days * DAY_S)
    assert stage.store.prune(400 * DAY_US, 1000).runs == 10 - left
    assert [run.id for run in stage.runs()] == ids[::-1][:left]
    assert stage.store.prune(400 * DAY_US, 1000).runs == 0


def test_output_and_attempts_go_with_their_run(stage: Stage):
    job_id = stage.job(retention={"age": "1d", "runs": 1})
    ids = ended_runs(stage, job_id, 3)
    stage.clock.advance(2 * DAY_S)
    stage.store.prune(400 * DAY_US, 1000)
    for run_id in ids[:2]:
        assert stage.store.output(run_id, None, -1, 9) == []
        assert stage.store.attempts(run_id) == []
    assert [piece.chunk for piece in stage.store.output(ids[2], None, -1, 9)] == [b"x"]
    assert len(stage.store.attempts(ids[2])) == 1


def test_no_more_runs_go_at_once_than_asked_and_the_oldest_go_first(stage: Stage):
    job_id = stage.job(retention={"age": "1d", "runs": 2})
    ids = ended_runs(stage, job_id, 10)
    stage.clock.advance(2 * DAY_S)
    assert stage.store.prune(400 * DAY_US, 3).runs == 3
    assert [run.id for run in stage.runs()] == ids[3:][::-1]
    assert [stage.store.prune(400 * DAY_US, 3).runs for _ in range(3)] == [3, 2, 0]


def test_live_runs_never_go(stage: Stage):
    job_id = stage.job(retention={"age": "1s", "runs": 1}, overlap="allow")
    stage.request(job_id, "m:x")
    (claim,) = stage.claim()
    ended_runs(stage, job_id, 3)
    stage.clock.advance(900 * DAY_S)
    stage.store.prune(DAY_US, 1000)
    assert stage.end(claim).stale == []


def test_the_jobs_of_others_keep_their_own_limits(stage: Stage):
    short = stage.job("short", retention={"age": "1d", "runs": 1})
    plain = stage.job("plain", retention={"age": "9d", "runs": 1})
    ended_runs(stage, short, 4)
    ended_runs(stage, plain, 4)
    stage.clock.advance(2 * DAY_S)
    stage.store.prune(400 * DAY_US, 1000)
    assert (len(stage.runs(short)), len(stage.runs(plain))) == (1, 4)


def test_a_job_with_an_unreadable_definition_keeps_the_default_retention(stage: Stage):
    job_id = stage.job(retention={"age": "1s", "runs": 1})
    ended_runs(stage, job_id, 4)
    stage.spoil(job_id, "null")
    stage.clock.advance(2 * DAY_S)
    assert stage.store.prune(400 * DAY_US, 1000).runs == 0


def test_ledger_and_events_go_by_age_and_the_watermark_stays(stage: Stage):
    stage.job(schedule="every 60s", catchup="none", on_time="0s")
    stage.after(61)
    mark = stage.store.find_job("job").last_slot_us
    assert len(stage.skips()) == 1
    stage.clock.advance(DAY_S)
    assert stage.store.prune(DAY_US + 1, 1000).ledger == 0
    stage.clock.advance(1)
    assert stage.store.prune(DAY_US, 1000).ledger == 1
    assert stage.store.find_job("job").last_slot_us == mark
    assert stage.store.prune(400 * DAY_US, 1000).events == 0
    stage.clock.advance(400 * DAY_S)
    assert stage.store.prune(400 * DAY_US, 1000).events > 0


def test_the_job_remembers_how_far_back_its_account_goes(stage: Stage):
    job_id = stage.job(schedule="every 60s", retention={"age": "1s", "runs": 1}, overlap="allow")
    for _ in range(4):
        stage.after(60)
        stage.finish_all()
    slots = sorted(run.scheduled_us or 0 for run in stage.runs(job_id))
    stage.clock.advance(10)
    assert stage.store.prune(400 * DAY_US, 2).runs == 2
    assert stage.store.find_job("job").forgotten_us == slots[1]
    assert stage.store.prune(400 * DAY_US, 1000).runs == 1
    assert stage.store.find_job("job").forgotten_us == slots[2]
    (found,) = desk_of(stage).audit("job", start="2027-01-01", end="2027-12-31")["items"]
    assert found["from"] == found["kept_since"] == format_instant(slots[2])
    assert (found["sound"], found["slots"], found["ran"]) == (True, 1, 1)
    other = stage.job("other", schedule="every 60s", catchup="none", on_time="0s")
    stage.after(300)
    (skip,) = stage.skips(other)
    stage.clock.advance(DAY_S + 1)
    stage.store.prune(DAY_US, 1000)
    assert stage.store.find_job("other").forgotten_us == skip.to_us
