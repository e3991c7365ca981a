"""Limits that change while runs live, and runs that no node fits."""

import pytest

from cronherd.domain.errors import Conflict
from tests.store.stage import Stage


def test_a_job_that_gets_a_limit_counts_what_runs_already(stage: Stage):
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    running = stage.claim(2)
    assert len(running) == 2
    stage.edit(job_id, overlap="queue")
    assert sorted(stage.states(job_id)) == ["claimed", "claimed", "waiting"]
    assert stage.claim() == []
    assert stage.store.promote(stage.end(running[0]).freed) in {0, 1}
    stage.store.promote(stage.end(running[1]).freed)
    stage.store.promote(stage.store.sweep())
    assert len(stage.claim()) == 1


def test_the_limit_holds_while_the_extra_runs_run_out(stage: Stage):
    job_id = stage.job(overlap="allow", max_running=1)
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    running = stage.claim()
    assert len(running) == 3
    stage.edit(job_id, overlap="queue")
    stage.request(job_id, "m:late")
    holders = sorted(stage.fetch("SELECT n FROM permit"))
    assert holders == [(0,), (1,), (2,)]
    for claim in running:
        stage.store.promote(stage.store.sweep())
        assert stage.claim() == []
        stage.end(claim)
    stage.store.promote(stage.store.sweep())
    assert len(stage.claim()) == 1


@pytest.mark.parametrize(("overlap", "most"), [("skip", 1), ("replace", 1), ("queue", 2)])
def test_runs_without_a_node_do_not_pile_up(stage: Stage, overlap: str, most: int):
    job_id = stage.job(overlap=overlap, queue_max=2, run_on={"node": "gone"}, catchup="none")
    for _ in range(5):
        stage.after(60)
    assert stage.states(job_id) == ["waiting"] * most
    assert set(stage.reasons(job_id)) == {"no_node"}
    assert len(stage.reasons(job_id)) == 5 - most


def test_a_second_request_without_a_node_is_refused_in_a_sentence(stage: Stage):
    job_id = stage.job(run_on={"node": "gone"})
    stage.request(job_id, "m:1")
    with pytest.raises(Conflict, match="no node fits"):
        stage.request(job_id, "m:2")


def test_an_unreadable_job_can_be_disabled(stage: Stage):
    job_id = stage.job("bad")
    stage.spoil(job_id, "null")
    stage.disable(job_id)
    stage.after(120)
    assert stage.runs(job_id) == []


def test_a_start_deadline_does_not_end_a_retry(stage: Stage):
    job_id = stage.job(
        schedule="every 60s",
        start_deadline="30s",
        retries={"max": 1, "backoff": "1m", "jitter": 0},
    )
    stage.after(60)
    claim = stage.one_claim()
    stage.end(claim, exit_code=1)
    stage.clock.advance(45)
    stage.store.sweep()
    assert "delayed" in stage.states(job_id)


def test_a_revived_job_with_a_limit_counts_what_still_runs(stage: Stage):
    job_id = stage.job("job", overlap="allow")
    stage.request(job_id)
    stage.start(*stage.claim())
    stage.delete(job_id)
    assert stage.job("job", overlap="queue") == job_id
    stage.request(job_id, "m:2")
    stage.store.promote(stage.store.sweep())
    assert stage.claim() == []
    assert sorted(stage.states(job_id)) == ["running", "waiting"]
