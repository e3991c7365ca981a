"""Requests: one run outside the schedule per (job, dedup), however often it is sent."""

from collections.abc import Callable

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.run import Cause
from cronherd.store.base import Requested
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, race


def test_a_request_makes_one_run_without_a_slot(stage: Stage):
    job_id = stage.job()
    asked = stage.request(job_id)
    run = stage.store.find_run(asked.run_id)
    assert not asked.repeated
    assert (run.cause, run.scheduled_us, run.state) == (Cause.MANUAL, None, "ready")
    assert stage.permits(job_id) == 1


def test_the_same_request_is_answered_with_the_same_run(stage: Stage):
    job_id = stage.job()
    first = stage.request(job_id)
    assert stage.request(job_id) == Requested(run_id=first.run_id, repeated=True)
    stage.end(stage.one_claim())
    assert stage.request(job_id) == Requested(run_id=first.run_id, repeated=True)
    assert len(stage.runs()) == 1


def test_eight_threads_with_one_request_make_one_run(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    job_id = stage.job(overlap="allow")
    stores = [open_second() for _ in range(8)]
    ids = [stage.new_id() for _ in stores]
    answers = race(
        *(
            lambda s=store, i=run_id: s.request_run(job_id, i, "m:x", Cause.API, force=False)
            for store, run_id in zip(stores, ids, strict=True)
        )
    )
    assert len({answer.run_id for answer in answers}) == 1
    assert [answer.repeated for answer in answers].count(False) == 1
    assert len(stage.runs()) == 1


def test_the_same_words_for_another_job_are_another_request(stage: Stage):
    one, two = stage.job("one"), stage.job("two")
    assert stage.request(one).run_id != stage.request(two).run_id
    assert not stage.request(two, "m:2", force=True).repeated


def test_a_request_is_refused_when_the_job_runs_as_often_as_it_may(stage: Stage):
    job_id = stage.job()
    first = stage.request(job_id)
    with pytest.raises(Conflict) as caught:
        stage.request(job_id, "m:2")
    assert caught.value.code == "overlap"
    assert first.run_id[:8] in caught.value.text
    assert len(stage.runs()) == 1
    stage.end(stage.one_claim())
    assert not stage.request(job_id, "m:2").repeated, "a refusal is not an answer to keep"


def test_a_request_waits_where_the_policy_queues_until_the_queue_is_full(stage: Stage):
    job_id = stage.job(overlap="queue", queue_max=1)
    stage.request(job_id, "m:1")
    stage.request(job_id, "m:2")
    with pytest.raises(Conflict) as caught:
        stage.request(job_id, "m:3")
    assert caught.value.code == "queue_full"
    assert stage.states() in (["ready", "waiting"], ["waiting", "ready"])


def test_a_request_is_remembered_for_seven_days(stage: Stage):
    job_id = stage.job(retention={"age": "1s", "runs": 0})
    first = stage.request(job_id)
    stage.end(stage.one_claim())
    stage.clock.advance(7 * 86_400 - 1)
    stage.store.prune(10**15, 1000)
    assert stage.request(job_id) == Requested(run_id=first.run_id, repeated=True)
    stage.clock.advance(2)
    assert stage.store.prune(10**15, 1000).requests == 1
    assert not stage.request(job_id).repeated


def test_a_request_moves_no_slot(stage: Stage):
    job_id = stage.job(overlap="allow")
    before = stage.store.find_job("job")
    stage.request(job_id)
    after = stage.store.find_job("job")
    assert (after.next_us, after.last_slot_us) == (before.next_us, before.last_slot_us)


def test_a_request_for_no_job_is_refused(stage: Stage):
    with pytest.raises(NotFound):
        stage.request(stage.new_id())
