"""min_gap: after an end a job's permit rests, and nothing starts in its place."""

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.run import RunState
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage


def resting(stage: Stage) -> int:
    sql = "SELECT count(*) FROM permit WHERE until_us IS NOT NULL"
    return int(stage.fetch(sql)[0][0])


def test_a_slot_within_the_gap_is_skipped_and_named(stage: Stage):
    job_id = stage.job("job", "every 10s", min_gap="30s")
    stage.after(10)
    claim = stage.one_claim()
    stage.end(claim)
    stage.after(10)
    stage.after(10)
    assert stage.claim() == []
    assert [(s.reason.value, s.ref) for s in stage.skips(job_id)] == [("min_gap", claim.run_id)] * 2
    assert_sound(stage)
    stage.after(10)
    assert stage.one_claim().run_id != claim.run_id, "30 s after the end it starts again"
    assert resting(stage) == 0


def test_a_queued_run_starts_when_the_gap_is_over_and_not_before(stage: Stage):
    job_id = stage.job("job", None, overlap="queue", min_gap="30s")
    stage.request(job_id, "m:1")
    stage.request(job_id, "m:2")
    stage.store.promote(stage.end(stage.one_claim()).freed)
    assert stage.claim() == []
    stage.advance(29.9)
    stage.settle()
    assert stage.claim() == []
    stage.advance(0.2)
    stage.settle()
    assert stage.claim() != []
    assert_sound(stage)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_run_now_is_refused_in_words_and_force_goes_beyond(stage: Stage, exit_code: int):
    job_id = stage.job("job", None, min_gap="30s")
    stage.request(job_id, "m:1")
    stage.end(stage.one_claim(), exit_code=exit_code)
    with pytest.raises(Conflict, match="less than 30s ago") as refused:
        stage.request(job_id, "m:2")
    assert refused.value.code == "min_gap"
    stage.request(job_id, "m:3", force=True)
    stage.end(stage.one_claim())
    stage.advance(31)
    stage.request(job_id, "m:4")
    assert_sound(stage)


def test_the_gap_counts_from_the_last_try(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s", retries={"max": 1, "backoff": "5s"})
    stage.request(job_id, "m:1")
    stage.end(stage.one_claim(), exit_code=1)
    assert resting(stage) == 0, "it tries again, and holds what it had"
    stage.advance(7)
    stage.settle()
    stage.end(stage.one_claim(), exit_code=1)
    assert resting(stage) == 1
    stage.advance(25)
    with pytest.raises(Conflict):
        stage.request(job_id, "m:2")


@pytest.mark.parametrize("how", ["cancel", "pause"])
def test_what_never_started_leaves_no_gap(stage: Stage, how: str):
    job_id = stage.job("job", None, min_gap="30s", overlap="queue")
    run_id = stage.request(job_id, "m:1").run_id
    if how == "cancel":
        stage.store.cancel_run(run_id)
    else:
        stage.pause(job_id)
        stage.resume(job_id)
        stage.settle()
        stage.store.cancel_run(run_id)
    assert resting(stage) == 0
    stage.request(job_id, "m:2")
    assert len(stage.claim()) == 1


def test_with_several_permits_each_rests_for_itself(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s", max_running=2)
    stage.request(job_id, "m:1")
    stage.request(job_id, "m:2")
    first, second = stage.claim()
    stage.end(first)
    with pytest.raises(Conflict):
        stage.request(job_id, "m:3")
    stage.advance(20)
    stage.end(second)
    stage.advance(11)
    stage.request(job_id, "m:4")
    with pytest.raises(Conflict):
        stage.request(job_id, "m:5")
    assert_sound(stage)


def test_pools_are_free_while_the_jobs_own_permit_rests(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s", pools=[{"name": "db"}], overlap="queue")
    other = stage.job("other", None, pools=[{"name": "db"}])
    stage.request(job_id, "m:1")
    stage.request(other, "m:2")
    stage.request(job_id, "m:3")
    recorded = stage.end(stage.one_claim())
    assert sorted(recorded.freed) == [f"j{job_id}", "pdb"]
    stage.store.promote(recorded.freed)
    claim = stage.one_claim()
    assert claim.job.name == "other"
    stage.end(claim)
    stage.advance(31)
    stage.settle()
    assert stage.one_claim().job.name == "job"
    assert_sound(stage)


def test_on_all_nodes_each_has_its_own_gap(stage: Stage):
    two = stage.join("two")
    job_id = stage.job("job", "every 10s", min_gap="15s", spread="all")
    stage.after(10)
    stage.end(*stage.claim())
    stage.renew(two)
    stage.advance(1)
    stage.end(*stage.claim(node=two))
    stage.renew(two)
    stage.after(9)
    live = [run for run in stage.runs(job_id) if run.state is not RunState.FINISHED]
    assert live == [], "the slot 10 s after the first one was within both gaps"
    assert stage.reasons(job_id) == ["min_gap", "min_gap"]
    assert_sound(stage)


def test_a_takeover_leaves_a_gap_too(stage: Stage):
    gone = stage.join("gone")
    job_id = stage.job("job", None, min_gap="60s")
    stage.request(job_id, "m:1")
    (claim,) = stage.claim(node=gone)
    stage.start(claim)
    stage.advance(LEASE_US / 1e6 + 1)
    (seen,) = [node for node in stage.store.peers(stage.node.id).nodes if node.id == gone.id]
    ending = stage.ending(claim, None, killed_by="gone", error="lost")
    assert stage.store.take_over(seen, [ending], judged=True) is not None
    with pytest.raises(Conflict, match="ago"):
        stage.request(job_id, "m:2")
    assert_sound(stage)


def test_a_limit_that_begins_to_count_again_finds_nothing_that_rested_long_ago(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s")
    stage.request(job_id, "m:1")
    stage.end(stage.one_claim())
    stage.edit(job_id, overlap="allow", min_gap=None)
    stage.advance(60)
    stage.edit(job_id, overlap="skip")
    stage.request(job_id, "m:2")
    assert_sound(stage)
    assert resting(stage) == 0


def test_a_limit_that_begins_to_count_while_one_rests_counts_what_runs(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s")
    stage.request(job_id, "m:1")
    stage.end(stage.one_claim())
    stage.edit(job_id, overlap="allow", min_gap=None)
    stage.request(job_id, "m:2")
    claim = stage.one_claim()
    stage.edit(job_id, overlap="skip")
    assert_sound(stage)
    assert (stage.permits(job_id), resting(stage)) == (1, 0)
    stage.end(claim)
    assert stage.permits(job_id) == 0


def test_what_rests_for_nobody_any_more_is_forgotten(stage: Stage):
    job_id = stage.job("job", None, min_gap="30s")
    stage.request(job_id, "m:1")
    stage.end(stage.one_claim())
    stage.delete(job_id)
    stage.advance(31)
    stage.store.prune(10**18, 100)
    assert resting(stage) == 0
