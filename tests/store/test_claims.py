"""Claims: which node may start which run, and the right of a token."""

from collections.abc import Callable
from functools import partial

from cronherd.domain.ident import to_stored
from cronherd.domain.run import Cause, RunState
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, race


def test_it_hands_out_a_ready_run_with_its_definition(stage: Stage):
    job_id = stage.job(schedule="every 60s", timeout="5m")
    stage.after(60)
    claim = stage.one_claim()
    assert (claim.job_id, claim.version, claim.attempt) == (job_id, 1, 1)
    assert claim.job.timeout_us == 300_000_000
    assert claim.cause is Cause.SCHEDULE
    assert claim.slot_us == stage.runs()[0].scheduled_us
    assert claim.started_us is None
    assert stage.states() == ["claimed"]
    assert stage.runs()[0].node == "one"
    assert stage.claim() == []


def test_two_claims_at_one_instant_share_nothing(stage: Stage, open_second: Callable[[], SqlStore]):
    job_id = stage.job(overlap="allow")
    for number in range(40):
        stage.request(job_id, f"m:{number}")
    nodes = [stage.join(f"node {number}") for number in range(4)]
    stores = [open_second() for _ in nodes]
    taken = race(
        *(
            lambda store=store, node=node: store.claim(node, stage.new_id(), 15)
            for store, node in zip(stores, nodes, strict=True)
        )
    )
    ids = [claim.run_id for claims in taken for claim in claims]
    assert len(ids) == len(set(ids)) == 40
    assert max(len(claims) for claims in taken) <= 15


def test_it_takes_smaller_priority_numbers_first_then_age(stage: Stage):
    late = stage.job("late", priority=5)
    soon = stage.job("soon", priority=-5)
    plain = stage.job("plain", overlap="allow")
    asked = [stage.request(job_id).run_id for job_id in (late, plain, soon)]
    stage.clock.advance(1)
    asked.append(stage.request(plain, "m:2").run_id)
    order = [claim.run_id for claim in stage.claim()]
    assert order == [asked[2], asked[1], asked[3], asked[0]]


def test_it_takes_no_more_than_asked(stage: Stage):
    job_id = stage.job(overlap="allow")
    for number in range(5):
        stage.request(job_id, f"m:{number}")
    assert len(stage.claim(2)) == 2
    assert len(stage.claim(9)) == 3


def test_it_gives_a_run_only_to_a_node_that_fits(stage: Stage):
    ssd = stage.join("fast", disk="ssd", zone="a")
    stage.request(stage.job("a", run_on={"disk": "ssd"}))
    stage.request(stage.job("b", run_on={"node": "one"}))
    assert [claim.job.name for claim in stage.claim()] == ["b"]
    assert stage.claim() == []
    assert [claim.job.name for claim in stage.claim(node=ssd)] == ["a"]


def test_a_claim_whose_answer_was_lost_is_read_again_by_its_token(stage: Stage):
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    token = stage.new_id()
    won = stage.store.claim(stage.node, token, 2)
    again = stage.store.claimed_by(stage.node.id, token)
    assert sorted(again, key=lambda claim: claim.run_id) == sorted(won, key=lambda c: c.run_id)
    assert stage.store.claimed_by(stage.node.id, stage.new_id()) == []
    stage.start(won[0])
    assert stage.store.claimed_by(stage.node.id, token) == won[1:]


def test_held_by_tells_claimed_and_running_runs_of_a_node(stage: Stage):
    other = stage.join("two")
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    first, second = stage.claim(2)
    (third,) = stage.claim(node=other)
    stage.start(second)
    held = {claim.run_id: claim for claim in stage.store.held_by(stage.node.id)}
    assert set(held) == {first.run_id, second.run_id}
    assert held[second.run_id].started_us == stage.now_us
    assert [claim.run_id for claim in stage.store.held_by(other.id)] == [third.run_id]


def test_fences_grow_strictly_from_one_start_of_a_job_to_the_next(stage: Stage):
    job_id = stage.job(overlap="queue", retries={"max": 2, "backoff": "1s"})
    fences: list[int] = []
    for turn in range(12):
        stage.after(60)
        if turn % 3 == 1:
            stage.disable(job_id)
            stage.enable(job_id)
        if turn % 4 == 2:
            stage.request(job_id, f"m:{turn}")
        stage.settle()
        for claim in stage.claim():
            fences.append(claim.fence)
            if turn % 5 == 4:
                stage.end(claim, exit_code=None, error="void")
            else:
                stage.end(claim, exit_code=turn % 2)
    assert len(fences) >= 12
    assert fences == sorted(set(fences))


def test_fences_of_an_unlimited_job_differ_after_it_waited_and_was_held(stage: Stage):
    job_id = stage.job(overlap="allow", run_on={"disk": "ssd"})
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    stage.disable(job_id)
    ssd = stage.join("fast", disk="ssd")
    stage.enable(job_id)
    stage.settle()
    fences = [claim.fence for claim in stage.claim(node=ssd)]
    assert len(set(fences)) == 3
    assert all(fence >> 16 for fence in fences)


def test_an_unusable_definition_ends_its_run_with_words_and_the_others_start(stage: Stage):
    bad = stage.job("bad")
    good = stage.job("good")
    stage.request(bad)
    stage.request(good)
    stage.spoil(bad, '{"name": "bad"}')
    stage.write("UPDATE run SET version = 2 WHERE job_id = ?", to_stored(bad))
    assert [claim.job.name for claim in stage.claim()] == ["good"]
    (ended,) = stage.runs(bad)
    assert ended.state is RunState.FINISHED
    assert ended.outcome == "not_started"
    assert "command" in ended.error_text
    assert stage.permits(bad) == 0


# ---------------------------------------------------------------- look, upcoming


def test_a_look_tells_what_an_idle_node_needs(stage: Stage):
    job_id = stage.job(schedule="every 60s", retries=1, max_running=3)
    due_us = stage.store.find_job("job").next_us
    assert due_us is not None
    stage.clock.advance((due_us - stage.now_us) / 1_000_000 - 3)
    look = stage.store.look(stage.node.id, 2_999_999)
    assert (look.now_us, look.next_us, look.ready) == (stage.now_us, None, False)
    assert stage.store.look(stage.node.id, 3_000_000).next_us == due_us
    run_id = stage.request(job_id).run_id
    assert stage.store.look(stage.node.id, 0).ready
    claim = stage.one_claim()
    stage.start(claim)
    assert stage.store.cancel_run(run_id) is RunState.RUNNING
    look = stage.store.look(stage.node.id, 0)
    assert not look.ready
    assert look.cancels == ((run_id, 1),)
    assert stage.store.look(stage.new_id(), 0).cancels == ()


def test_a_look_tells_that_a_run_waits_for_a_permit_or_its_next_attempt(stage: Stage):
    job_id = stage.job(overlap="queue", retries=1)
    assert not stage.store.look(stage.node.id, 0).waiting
    stage.request(job_id)
    claim = stage.one_claim()
    assert not stage.store.look(stage.node.id, 0).waiting
    stage.end(claim, exit_code=1)
    assert stage.states() == ["delayed"]
    assert stage.store.look(stage.node.id, 0).waiting
    stage.settle()
    stage.request(stage.job("other", run_on={"disk": "none"}))
    assert "waiting" in stage.states()
    assert stage.store.look(stage.node.id, 0).waiting


def test_upcoming_names_jobs_and_slots_that_are_not_due_yet(stage: Stage):
    stage.job("a", "every 60s")
    bad = stage.job("bad", "every 60s")
    stage.job("far", "every 1d")
    stage.spoil(bad, "[]")
    row = stage.store.find_job("a")
    assert stage.store.upcoming(stage.now_us + 60_000_000, 10) == [(row.job, row.next_us)]
    assert stage.store.upcoming(stage.now_us, 10) == []


# ---------------------------------------------------------------- cancel


def test_cancelling_a_run_that_did_not_start_ends_it_and_frees_its_permit(stage: Stage):
    job_id = stage.job(overlap="queue")
    ready, waiting = (stage.request(job_id, f"m:{n}").run_id for n in range(2))
    assert stage.store.cancel_run(waiting) is RunState.WAITING
    assert stage.store.cancel_run(ready) is RunState.READY
    assert [run.outcome for run in stage.runs(job_id)] == ["cancelled", "cancelled"]
    assert stage.permits(job_id) == 0
    assert stage.claim() == []
    assert stage.store.cancel_run(ready) is RunState.FINISHED


def test_a_cancel_against_a_claim_is_either_an_end_or_a_mark(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    job_id = stage.job(overlap="allow")
    seen: set[RunState] = set()
    for number in range(20):
        run_id = stage.request(job_id, f"m:{number}").run_id
        claims, state = race(
            lambda: stage.store.claim(stage.node, stage.new_id(), 1),
            partial(other.cancel_run, run_id),
        )
        seen.add(state)
        run = stage.store.find_run(run_id)
        if state is RunState.READY:
            assert claims == []
            assert run.outcome == "cancelled"
        else:
            assert [claim.run_id for claim in claims] == [run_id]
            assert (run.state, run.cancel) == (RunState.CLAIMED, True)
            stage.end(*claims, exit_code=None, killed_by="cancel")
    assert seen <= {RunState.READY, RunState.CLAIMED}


def test_a_cancelled_run_does_not_start_again_after_a_void_claim(stage: Stage):
    run_id = stage.request(stage.job()).run_id
    claim = stage.one_claim()
    stage.store.cancel_run(run_id)
    stage.end(claim, exit_code=None, error="void")
    assert stage.claim() == []
    assert stage.store.find_run(run_id).outcome == "cancelled"
    assert stage.permits() == 0


def test_a_cancelled_run_that_failed_by_itself_is_not_tried_again(stage: Stage):
    run_id = stage.request(stage.job(retries=3)).run_id
    claim = stage.one_claim()
    stage.start(claim)
    stage.store.cancel_run(run_id)
    stage.end(claim, exit_code=1)
    assert stage.store.find_run(run_id).outcome == "failed"
    stage.advance(3600)
    stage.settle()
    assert stage.claim() == []
