"""Recording: starts, output and ends, each with the token of its claim, each re-sent at will."""

from typing import Any

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.run import RunState
from cronherd.store.base import Recorded, Start
from tests.store.sound import assert_sound
from tests.store.stage import Stage, chunk

BOOKS = ("job_due", "run", "run_history", "permit", "ledger", "output", "attempt")


def test_a_start_marks_the_run_as_running(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    assert stage.start(claim) == Recorded()
    (run,) = stage.runs()
    assert (run.state, run.started_us) == (RunState.RUNNING, stage.now_us)


def test_an_ending_moves_the_run_to_history_and_frees_its_permit(stage: Stage):
    job_id = stage.job()
    stage.request(job_id)
    claim = stage.one_claim()
    cost = {"cpu_us": 42, "peak_rss_bytes": 4096, "read_bytes": 1 << 40, "written_bytes": 12}
    end = {"signal": 9, "how": "cgroup", "leaked": 2, "pid": 4711}
    stage.end(claim, exit_code=3, dropped=7, **cost, **end)
    (run,) = stage.runs()
    assert (run.state, run.outcome, run.exit_code) == (RunState.FINISHED, "failed", 3)
    assert (run.fence, run.dropped, run.node) == (claim.fence, 7, "one")
    assert stage.permits(job_id) == 0
    (attempt,) = stage.store.attempts(run.id)
    assert (attempt.number, attempt.node, attempt.exit_code) == (1, "one", 3)
    for name, value in {**cost, **end}.items():
        assert getattr(attempt, name) == value, name


def test_it_tells_which_freed_keys_have_waiters(stage: Stage):
    job_id = stage.job(overlap="queue")
    stage.request(job_id)
    claim = stage.one_claim()
    stage.request(job_id, "m:2")
    answer = stage.end(claim)
    assert answer == Recorded(freed=[f"j{job_id}"])
    assert stage.store.promote(answer.freed) == 1
    assert stage.end(stage.one_claim()) == Recorded()


# ---------------------------------------------------------------- invariant 6: stale tokens


@pytest.mark.parametrize("state", ["claimed", "running", "ready", "finished"])
def test_a_stale_token_changes_nothing(stage: Stage, state: str):
    job_id = stage.job(schedule="every 60s", retries=3)
    stage.after(60)
    stale = stage.one_claim()
    stage.end(stale, exit_code=None, error="void")
    if state != "ready":
        claim = stage.one_claim()
        if state == "running":
            stage.start(claim)
        if state == "finished":
            stage.end(claim)
    before = stage.dump(BOOKS)
    start = Start(run_id=stale.run_id, token=stale.token, at_us=1, pid=1)
    for sent in (
        ([start], [], []),
        ([], [chunk(stale, 0, b"late")], []),
        ([], [], [stage.ending(stale)]),
        ([], [], [stage.ending(stale, exit_code=None, error="void")]),
        ([start], [chunk(stale, 0, b"late")], [stage.ending(stale, exit_code=1)]),
    ):
        assert stage.store.record(*sent).stale == [stale.run_id]
        assert stage.dump(BOOKS) == before
    kinds = [event.kind for event in stage.store.events(50)]
    assert kinds.count(EventKind.STALE_REPORT) == 5
    assert stage.permits(job_id) == (0 if state == "finished" else 1)


def test_a_stale_report_beside_a_good_one_changes_nothing(stage: Stage):
    """One batch with reports of two claims of one run: each goes by its own token."""
    stage.request(stage.job())
    stale = stage.one_claim()
    stage.end(stale, exit_code=None, error="void")
    claim = stage.one_claim()
    starts = [Start(run_id=c.run_id, token=c.token, at_us=5, pid=1) for c in (claim, stale)]
    pieces = [chunk(stale, 0, b"stale"), chunk(claim, 1, b"good"), chunk(stale, 2, b"stale")]
    answer = stage.store.record(starts, pieces, [stage.ending(stale)])
    assert answer.stale == [claim.run_id]
    assert [piece.chunk for piece in stage.store.output(claim.run_id, None, -1, 9)] == [b"good"]
    assert stage.states() == ["running"]
    answer = stage.store.record([], [], [stage.ending(claim), stage.ending(stale, exit_code=1)])
    assert answer.stale == [claim.run_id]
    assert stage.runs()[0].outcome == "succeeded"


def test_a_report_about_an_unknown_run_is_stale(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    ghost = Start(run_id=stage.new_id(), token=claim.token, at_us=1, pid=1)
    assert stage.store.record([ghost], [], []).stale == [ghost.run_id]


# ---------------------------------------------------------------- invariant 8: sent again


def test_recording_twice_has_no_second_effect(stage: Stage):
    stage.job(schedule="every 60s", retries=0)
    stage.after(60)
    claim = stage.one_claim()
    sent = (
        [Start(run_id=claim.run_id, token=claim.token, at_us=5, pid=1)],
        [chunk(claim, 0, b"a"), chunk(claim, 1, b"b", stream=2)],
        [stage.ending(claim, exit_code=1)],
    )
    stage.store.record(*sent)
    before = stage.dump((*BOOKS, "event"))
    assert stage.store.record(*sent) == Recorded()
    assert stage.store.record(*sent) == Recorded()
    assert stage.dump((*BOOKS, "event")) == before


def test_an_ending_sent_twice_in_one_batch_counts_once(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    assert stage.store.record([], [], [stage.ending(claim), stage.ending(claim)]) == Recorded()
    assert [run.outcome for run in stage.runs()] == ["succeeded"]


def test_a_failed_attempt_that_is_told_twice_is_one_attempt_and_not_stale(stage: Stage):
    stage.request(stage.job(retries=2))
    claim = stage.one_claim()
    stage.end(claim, exit_code=1)
    before = stage.dump((*BOOKS, "event"))
    assert stage.end(claim, exit_code=1) == Recorded()
    assert stage.dump((*BOOKS, "event")) == before
    stage.advance(60)
    stage.settle()
    second = stage.one_claim()
    assert second.attempt == 2
    assert stage.end(claim, exit_code=1) == Recorded()
    assert stage.states() == ["claimed"]


def test_a_start_that_is_told_twice_is_one_start(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    stage.start(claim)
    before = stage.dump(BOOKS)
    assert stage.start(claim) == Recorded()
    assert stage.dump(BOOKS) == before


def test_nothing_told_changes_nothing(stage: Stage):
    assert stage.store.record([], [], []) == Recorded()


# ---------------------------------------------------------------- what follows an ending


def test_a_failed_attempt_waits_for_the_next_and_keeps_its_permit(stage: Stage):
    job_id = stage.job(retries={"max": 1, "backoff": "10s", "jitter": 0})
    run_id = stage.request(job_id).run_id
    first = stage.one_claim()
    stage.start(first)
    stage.end(first, exit_code=1)
    run = stage.store.find_run(run_id)
    assert (run.state, run.attempt, run.node) == (RunState.DELAYED, 2, None)
    assert stage.permits(job_id) == 1
    with pytest.raises(Conflict):
        stage.request(job_id, "m:2")
    stage.advance(9.9)
    stage.settle()
    assert stage.claim() == []
    stage.advance(0.1)
    stage.settle()
    second = stage.one_claim()
    assert (second.run_id, second.attempt) == (run_id, 2)
    assert second.fence > first.fence
    stage.end(second, exit_code=2)
    assert [attempt.exit_code for attempt in stage.store.attempts(run_id)] == [1, 2]
    assert stage.store.find_run(run_id).outcome == "failed"
    assert stage.permits(job_id) == 0


def test_a_void_claim_is_given_back_for_the_same_attempt(stage: Stage):
    run_id = stage.request(stage.job()).run_id
    first = stage.one_claim()
    assert stage.end(first, exit_code=None, error="void") == Recorded(ready=True)
    second = stage.one_claim()
    assert (second.run_id, second.attempt) == (run_id, 1)
    assert second.token != first.token
    assert second.fence == first.fence + 1
    assert stage.store.attempts(run_id) == []


@pytest.mark.parametrize(("delivery", "again"), [("at_most_once", False), ("at_least_once", True)])
def test_a_lost_run_is_started_again_only_when_the_job_allows_it(
    stage: Stage, delivery: str, *, again: bool
):
    run_id = stage.request(stage.job(delivery=delivery)).run_id
    claim = stage.one_claim()
    stage.start(claim)
    stage.end(claim, exit_code=None, killed_by="gone", error="lost")
    stage.settle()
    claims = stage.claim()
    assert [c.attempt for c in claims] == ([2] if again else [])
    if not again:
        assert stage.store.find_run(run_id).outcome == "lost"


@pytest.mark.parametrize("ending", [{"exit_code": 1}, {"exit_code": None, "error": "void"}])
def test_a_job_that_was_disabled_meanwhile_starts_nothing(stage: Stage, ending: dict[str, str]):
    job_id = stage.job(retries={"max": 3, "backoff": "1s"})
    stage.after(60)
    claim = stage.one_claim()
    stage.disable(job_id)
    seen = dict(ending)
    stage.end(claim, exit_code=seen.pop("exit_code"), **seen)  # type: ignore[arg-type]
    stage.advance(3600)
    stage.settle()
    assert stage.claim() == []
    assert stage.states() == ["held"]
    assert stage.permits(job_id) == 0
    stage.enable(job_id)
    stage.settle()
    assert [again.run_id for again in stage.claim()] == [claim.run_id]


@pytest.mark.parametrize("ending", [{"exit_code": 1}, {"exit_code": None, "error": "void"}])
def test_a_job_that_was_deleted_meanwhile_starts_nothing(stage: Stage, ending: dict[str, str]):
    job_id = stage.job(retries=3)
    stage.after(60)
    claim = stage.one_claim()
    stage.delete(job_id)
    seen = dict(ending)
    stage.end(claim, exit_code=seen.pop("exit_code"), **seen)  # type: ignore[arg-type]
    stage.advance(3600)
    stage.settle()
    assert stage.claim() == []
    assert stage.states() == ["finished"]
    assert stage.permits(job_id) == 0


@pytest.mark.parametrize("way", ["cancel", "disable"])
def test_what_an_unused_claim_gives_up_is_told_at_once(stage: Stage, way: str):
    job_id = stage.job(overlap="queue")
    stage.after(60)
    claim = stage.one_claim()
    if way == "cancel":
        stage.store.cancel_run(claim.run_id)
    else:
        stage.disable(job_id)
    stage.request(job_id)
    answer = stage.end(claim, exit_code=None, error="void")
    assert answer.freed == [f"j{job_id}"]
    assert stage.store.promote(answer.freed) == 1
    assert_sound(stage, most=1)


# ---------------------------------------------------------------- an edit meanwhile


@pytest.mark.parametrize("ending", [{"exit_code": 1}, {"exit_code": None, "error": "void"}])
def test_what_goes_on_after_an_edit_starts_by_the_new_definition(
    stage: Stage, ending: dict[str, Any]
):
    fast = stage.join("fast", disk="ssd")
    job_id = stage.job(retries={"max": 3, "backoff": "1s"})
    run_id = stage.request(job_id).run_id
    claim = stage.one_claim()
    stage.edit(job_id, command="false", run_on={"disk": "ssd"}, priority=3)
    stage.end(claim, **ending)
    stage.advance(2)
    stage.renew(fast)
    stage.settle()
    assert stage.claim() == []
    (again,) = stage.claim(node=fast)
    assert (again.run_id, again.version, again.job.spec["command"]) == (run_id, 2, "false")
    assert stage.fetch("SELECT version, place, prio FROM run") == [
        (2, "disk=ssd", again.job.priority)
    ]
    assert again.job.priority != claim.job.priority
    assert_sound(stage, most=1)


def test_what_was_disabled_by_an_edit_is_held_with_the_new_definition(stage: Stage):
    job_id = stage.job()
    stage.after(60)
    claim = stage.one_claim()
    stage.edit(job_id, command="false", enabled=False)
    stage.end(claim, exit_code=None, error="void")
    assert stage.states(job_id) == ["held"]
    stage.enable(job_id)
    stage.settle()
    assert stage.one_claim().job.spec["command"] == "false"


def test_what_goes_on_by_a_definition_nobody_can_read_does_not_start(stage: Stage):
    job_id = stage.job(run_on={"node": "one"})
    run_id = stage.request(job_id).run_id
    claim = stage.one_claim()
    stage.spoil(job_id, "{}")
    stage.end(claim, exit_code=None, error="void")
    assert stage.fetch("SELECT version, place FROM run") == [(2, "node=one")]
    assert stage.claim() == []
    assert stage.store.find_run(run_id).outcome == "not_started"


# ---------------------------------------------------------------- the fence


def test_a_run_that_was_claimed_very_often_keeps_its_own_fence(stage: Stage):
    """One claim more would show the number of the job's next run."""
    stage.request(stage.job())
    stage.write("UPDATE run SET epoch = 65534")
    first = stage.one_claim()
    stage.end(first, exit_code=None, error="void")
    second = stage.one_claim()
    most = 1 << 16 | 65535
    assert (first.fence, second.fence, stage.fence_of(second.run_id)) == (most, most, most)
    stage.end(second)
    assert stage.fence_of(second.run_id) == most


def test_a_run_that_ends_without_another_start_keeps_the_fence_that_its_command_saw(stage: Stage):
    job_id = stage.job(retries={"max": 3, "backoff": "1h"})
    stage.request(job_id)
    claim = stage.one_claim()
    stage.end(claim, exit_code=1)
    assert stage.fence_of(claim.run_id) == claim.fence
    assert claim.fence & 0xFFFF == 1
    stage.store.cancel_run(claim.run_id)
    run = stage.store.find_run(claim.run_id)
    assert (run.outcome, run.fence) == ("cancelled", claim.fence)
