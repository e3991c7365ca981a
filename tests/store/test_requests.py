"""Requests: one run outside the schedule per (job, dedup), however often it is sent."""

from collections.abc import Callable

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.param import Value
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


# ---------------------------------------------------------------- parameters


def ask(stage: Stage, job_id: str, **params: Value) -> Requested:
    new_id, cause = stage.new_id(), Cause.MANUAL
    return stage.store.request_run(job_id, new_id, "m:1", cause, force=True, params=params)


def test_what_was_given_goes_with_the_run_to_its_claim_and_its_history(stage: Stage):
    job_id = stage.job(params={"size": {"type": "integer"}, "dry": {"type": "boolean"}})
    given: dict[str, Value] = {"size": 5, "dry": True, "to": "Zürich ✓", "share": 0.5}
    asked = ask(stage, job_id, **given)
    assert stage.store.find_run(asked.run_id).params == given
    claim = stage.one_claim()
    assert claim.params == given
    assert [held.params for held in stage.store.held_by(stage.node.id)] == [given]
    assert stage.store.claimed_by(stage.node.id, claim.token)[0].params == given
    stage.start(claim)
    stage.end(claim)
    assert stage.store.find_run(asked.run_id).params == given
    assert stage.runs(job_id)[0].params == given


def test_a_run_without_any_has_none(stage: Stage):
    job_id = stage.job(params={"size": {"type": "integer", "default": 3}})
    stage.request(job_id)
    stage.after(60)
    assert [run.params for run in stage.runs(job_id)] == [{}]
    assert stage.fetch("SELECT params FROM run") == [(None,)]
    assert stage.one_claim().params == {}


def test_the_next_try_has_the_same(stage: Stage):
    job_id = stage.job(retries={"max": 1, "backoff": "1s"})
    ask(stage, job_id, size=5)
    stage.end(stage.one_claim(), exit_code=1)
    stage.advance(5)
    stage.settle()
    assert stage.one_claim().params == {"size": 5}


def test_a_request_that_is_repeated_with_others_answers_with_the_run_that_has_the_first(
    stage: Stage,
):
    job_id = stage.job()
    first = ask(stage, job_id, size=5)
    assert ask(stage, job_id, size=6) == Requested(run_id=first.run_id, repeated=True)
    assert stage.one_claim().params == {"size": 5}
    assert len(stage.runs()) == 1


def test_a_run_that_ends_before_it_starts_keeps_them_in_history(stage: Stage):
    job_id = stage.job()
    asked = ask(stage, job_id, size=5)
    stage.store.cancel_run(asked.run_id)
    run = stage.store.find_run(asked.run_id)
    assert (run.outcome, run.params) == ("cancelled", {"size": 5})
