"""Invariant 8: each write may be sent again after a lost answer, without a second effect."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cronherd.domain.errors import Conflict, NotFound, Unavailable
from cronherd.domain.job import build_job
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.run import Cause
from cronherd.store.base import Offer, Start
from cronherd.store.controls import ControlRows
from cronherd.store.database import Connection, Contended
from cronherd.store.facts import JobWrite
from cronherd.store.takeover import TakeoverRows
from tests.store.lossy import lost_answers
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage, chunk

ALL = [
    "job",
    "job_version",
    "job_due",
    "permit",
    "run",
    "run_history",
    "attempt",
    "output",
    "ledger",
    "request",
    "node",
    "event",
]


def lose(stage: Stage, verb: Callable[[], Any]) -> None:
    with lost_answers(stage.store) as lost, pytest.raises(Unavailable) as caught:
        verb()
    assert caught.value.code == "database_lost"
    assert lost == [1]


def again_without_effect(stage: Stage, verb: Callable[[], Any]) -> Any:
    """Send it, lose the answer, send it again; what the second answer says."""
    lose(stage, verb)
    before = stage.dump(ALL)
    answer = verb()
    assert stage.dump(ALL) == before
    assert_sound(stage)
    return answer


def offer_of(stage: Stage) -> Offer:
    labels = stage.node.place_labels
    return Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=10)


def test_what_a_lost_fire_claimed_is_read_again_by_its_token(stage: Stage):
    stage.job("a", "every 60s")
    stage.job("b", "every 60s")
    stage.advance(60)
    offer = offer_of(stage)
    lose(stage, lambda: stage.fire(offer=offer))
    assert stage.fire(offer=offer_of(stage)) == []
    claims = stage.store.claimed_by(stage.node.id, offer.token)
    assert sorted(claim.job.name for claim in claims) == ["a", "b"]
    stage.start(*claims)
    stage.end(*claims)
    assert [run.outcome for run in stage.runs()] == ["succeeded"] * 2
    assert stage.skips() == []
    assert_sound(stage)


def test_a_lost_claim_is_read_again_by_its_token(stage: Stage):
    stage.request(stage.job())
    token = stage.new_id()
    claims = again_without_effect(stage, lambda: stage.store.claim(stage.node, token, 9))
    assert claims == []
    (claim,) = stage.store.claimed_by(stage.node.id, token)
    stage.end(claim)
    assert stage.runs()[0].outcome == "succeeded"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_record_that_is_sent_again_has_no_second_effect(stage: Stage, exit_code: int):
    job_id = stage.job(overlap="queue", retries={"max": 1, "backoff": "1s"})
    stage.request(job_id)
    stage.request(job_id, "m:2")
    claim = stage.one_claim()
    starts = [Start(run_id=claim.run_id, token=claim.token, at_us=stage.now_us, pid=7)]
    again_without_effect(stage, lambda: stage.store.record(starts, [chunk(claim, 0, b"x")], []))
    ending = stage.ending(claim, exit_code)
    reports = (starts, [chunk(claim, 0, b"x"), chunk(claim, 1, b"y")], [ending])
    answer = again_without_effect(stage, lambda: stage.store.record(*reports))
    assert answer.stale == []
    pieces = stage.store.output(claim.run_id, None, -1, 9)
    assert [piece.chunk for piece in pieces] == [b"x", b"y"]
    stage.settle()
    assert len(stage.store.attempts(claim.run_id)) == 1


def test_a_request_that_is_sent_again_is_answered_with_the_same_run(stage: Stage):
    job_id, run_id = stage.job(overlap="allow"), stage.new_id()

    def request() -> Any:
        return stage.store.request_run(job_id, run_id, "m:1", Cause.MANUAL, force=False)

    answer = again_without_effect(stage, request)
    assert (answer.run_id, answer.repeated) == (run_id, True)
    assert len(stage.runs()) == 1


def test_a_saved_job_that_is_sent_again_is_acknowledged(stage: Stage):
    def write(version: int | None, job_id: str, command: str) -> Callable[[], None]:
        built = build_job({"name": "job", "command": command, "schedule": "every 60s"})
        one = JobWrite(id=job_id, job=built, enabled=True, source="test", version=version)
        return lambda: stage.store.save_jobs([one], "me")

    job_id = stage.new_id()
    again_without_effect(stage, write(None, job_id, "true"))
    again_without_effect(stage, write(1, job_id, "false"))
    assert stage.store.find_job("job").version == 2


def test_a_takeover_that_is_sent_again_changes_nothing(stage: Stage):
    other = stage.join("two")
    job_id = stage.job(delivery="at_least_once")
    stage.request(job_id)
    (claim,) = stage.claim(node=other)
    (node,) = stage.store.peers(stage.node.id).nodes
    stage.clock.advance(900)
    seen = lost_exit(None, stage.now_us, "silent")
    ending = claim.ended(seen, judge(claim.job, 1, seen, 0.5))
    answer = again_without_effect(stage, lambda: stage.store.take_over(node, [ending], judged=True))
    assert answer is None
    assert stage.store.find_run(claim.run_id).attempt == 2


def test_a_cancel_a_pause_and_a_disable_may_be_sent_again(stage: Stage):
    job_id = stage.job(overlap="queue")
    run_id = stage.request(job_id).run_id
    going = stage.one_claim()
    waiting = stage.request(job_id, "m:2").run_id
    again_without_effect(stage, lambda: stage.store.cancel_run(waiting))
    lose(stage, lambda: stage.store.cancel_run(run_id))
    assert stage.store.cancel_run(run_id).value == "claimed"
    lose(stage, lambda: stage.pause(job_id, 600))
    assert stage.pause(job_id, 600) == [going.run_id]
    again_without_effect(stage, lambda: stage.disable(job_id))
    again_without_effect(stage, lambda: stage.store.set_hold("me", hold=True))


def lost(stage: Stage, verb: Callable[[], Any]) -> Any:
    """What a verb answers that asks once more by itself."""
    with lost_answers(stage.store) as count:
        answer = verb()
    assert count == [1]
    assert_sound(stage)
    return answer


def test_a_resume_asks_once_more_by_itself_and_knows_its_own_work(stage: Stage):
    job_id = stage.job()
    stage.pause(job_id)
    stage.advance(300)
    lost(stage, lambda: stage.resume(job_id))
    assert stage.store.find_job(job_id).paused_until_us is None
    kinds = [event.kind.value for event in stage.store.events(99)]
    assert kinds.count("job_resumed") == 1
    assert stage.reasons(job_id) == ["paused"]
    with pytest.raises(Conflict) as caught:
        stage.resume(job_id)
    assert caught.value.code == "not_paused"


def test_a_delete_asks_once_more_by_itself_and_knows_its_own_work(stage: Stage):
    job_id = stage.job()
    stage.request(job_id)
    going = stage.one_claim()
    assert lost(stage, lambda: stage.store.delete_job(job_id, "me")) == [going.run_id]
    kinds = [event.kind.value for event in stage.store.events(99)]
    assert kinds.count("job_deleted") == 1
    with pytest.raises(NotFound):
        stage.delete(job_id)


def test_a_node_is_removed_once_and_not_again_when_it_is_back(stage: Stage):
    two = stage.join("two")
    stage.request(stage.job())
    (claim,) = stage.claim(node=two)
    stage.start(claim)
    stage.clock.advance(60)
    stage.renew()
    (seen,) = stage.store.peers(stage.node.id).nodes
    told = lost_exit(None, stage.now_us, "dead, says ada")
    ending = claim.ended(told, judge(claim.job, 1, told, 0.5))
    lost(stage, lambda: stage.store.remove_node(seen, [ending], "ada"))
    assert stage.store.find_run(claim.run_id).outcome == "lost"
    assert [node.name for node in stage.store.nodes()] == ["one"]
    removed = [e for e in stage.store.events(99) if e.kind.value == "node_removed"]
    assert [(event.subject, event.actor) for event in removed] == [("two", "ada")]


def test_a_node_that_is_back_is_not_removed_by_the_second_time(stage: Stage):
    two = stage.join("two")
    stage.clock.advance(60)
    (seen,) = stage.store.peers(stage.node.id).nodes
    removals = TakeoverRows(stage.store.db, stage.store._events, None)  # type: ignore[arg-type]
    mark = stage.new_id()
    removals._remove(seen, [], "ada", mark)
    stage.store.register_node(replace(two, incarnation="life-2", boot_id="boot-2"), LEASE_US)
    assert removals._remove(seen, [], "ada", mark).freed == []
    assert sorted(node.name for node in stage.store.nodes()) == ["one", "two"]


def test_it_knows_its_own_work_also_when_it_had_to_wait_for_that(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """The session that was lost holds its locks for a while."""
    job_id = stage.job()
    stage.pause(job_id)
    dialect, begun = stage.store.db.dialect, [0]
    plain = dialect.begin_write

    def begin(connection: Connection) -> None:
        begun[0] += 1
        if begun[0] == 2:
            raise Contended("the database was busy")
        plain(connection)

    monkeypatch.setattr(dialect, "begin_write", begin)
    lost(stage, lambda: stage.resume(job_id))
    assert begun[0] >= 3


def test_a_resume_or_a_delete_whose_answers_are_all_lost_says_so(stage: Stage):
    job_id = stage.job()
    stage.pause(job_id)
    for verb in (stage.resume, stage.delete):
        with lost_answers(stage.store, 2), pytest.raises(Unavailable):
            verb(job_id)


def test_what_somebody_else_did_since_then_is_not_undone(stage: Stage):
    """The second time finds its event, so a job that was paused or revived meanwhile stays so."""
    job_id = stage.job()
    controls = ControlRows(stage.store.db, stage.store._events)
    stage.pause(job_id)
    mark = stage.new_id()
    controls._resume(job_id, "me", mark)
    stage.pause(job_id)
    controls._resume(job_id, "me", mark)
    assert stage.store.find_job(job_id).paused_until_us is not None
    mark = stage.new_id()
    controls._delete(job_id, "me", mark)
    assert stage.job() == job_id
    assert controls._delete(job_id, "me", mark) == []
    assert stage.store.find_job(job_id).enabled


def test_a_renewal_and_a_registration_may_be_sent_again(stage: Stage):
    assert (stage.renew(), stage.renew()) == (True, True)
    lose(stage, lambda: stage.store.register_node(stage.node, LEASE_US))
    assert stage.store.register_node(stage.node, LEASE_US).incarnation == "life-1"
    assert len(stage.store.nodes()) == 1


def test_a_promotion_and_a_sweep_may_be_sent_again(stage: Stage):
    job_id = stage.job(overlap="queue", retries={"max": 1, "backoff": "1s"})
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    stage.end(stage.one_claim())
    assert again_without_effect(stage, lambda: stage.store.promote([f"j{job_id}"])) == 0
    stage.end(stage.one_claim(), exit_code=1)
    stage.advance(5)
    again_without_effect(stage, stage.store.sweep)
    assert sorted(stage.states(job_id)) == ["finished", "ready", "waiting"]
