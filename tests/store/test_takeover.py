"""Taking over: a silent node's runs end by others, and it learns so before it does anything."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from cronherd.domain.event import EventKind
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.node import Node
from cronherd.domain.run import RunState
from cronherd.store.base import Claim, Ending, Recorded
from cronherd.store.sqlstore import SqlStore
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage, chunk, race

BOOKS = ("job_due", "run", "run_history", "permit", "ledger", "output", "attempt")


def lost(stage: Stage, claim: Claim) -> Ending:
    """What a reaper says of a run whose node is silent."""
    seen = lost_exit(claim.started_us, stage.now_us, "its node fell silent")
    return claim.ended(seen, judge(claim.job, claim.attempt, seen, 0.5))


def silent(stage: Stage, **spec: object) -> tuple[Node, Claim]:
    """A second node that started a run and was not heard of since its lease ran out."""
    job_id = stage.job(**spec)  # type: ignore[arg-type]
    other = stage.join("two")
    if spec.get("schedule") == "after 5m":
        stage.advance(300)
        stage.store.renew(other.id, other.incarnation, LEASE_US)
        stage.fire()
    else:
        stage.request(job_id)
    (claim,) = stage.claim(node=other)
    stage.start(claim)
    (seen,) = stage.store.peers(stage.node.id).nodes
    stage.clock.advance(900)
    stage.renew()
    return seen, claim


def take(stage: Stage, node: Node, claim: Claim, *, judged: bool = True) -> Recorded | None:
    return stage.store.take_over(node, [lost(stage, claim)], judged=judged)


# ---------------------------------------------------------------- who may be taken over


def other(stage: Stage) -> Node:
    (seen,) = stage.store.peers(stage.node.id).nodes
    return seen


def test_a_node_that_was_told_of_a_hold_is_not_taken_over_by_time(stage: Stage):
    node, claim = silent(stage)
    stage.store.set_hold("ada", hold=True)
    assert stage.store.renew(node.id, node.incarnation, LEASE_US, unfenced=False).hold
    stage.store.set_hold("ada", hold=False)
    stage.clock.advance(900)
    assert other(stage).unfenced
    assert take(stage, other(stage), claim) is None
    assert take(stage, other(stage), claim, judged=False) is not None  # its own limit has passed


def test_it_counts_again_once_its_supervisor_was_told_of_the_end(stage: Stage):
    node, claim = silent(stage)
    renew = partial(stage.store.renew, node.id, node.incarnation, LEASE_US)
    for unfenced, expected in ((True, True), (None, True), (False, False), (None, False)):
        assert renew(unfenced=unfenced).ours
        assert other(stage).unfenced is expected
    stage.clock.advance(900)
    assert take(stage, other(stage), claim) is not None


def test_a_new_life_says_itself_whether_it_fences(stage: Stage):
    node, _ = silent(stage)
    for unfenced in (True, False):
        stage.store.register_node(replace(node, unfenced=unfenced), LEASE_US)
        assert other(stage).unfenced is unfenced


def test_a_boot_has_settled_the_past_when_it_beats(stage: Stage):
    node = stage.join("two")
    assert stage.store.register_node(node, LEASE_US).settled_boot == ""
    stage.store.renew(node.id, node.incarnation, LEASE_US)
    stage.clock.advance(900)
    later = replace(node, boot_id="later", incarnation="two lives on")
    assert stage.store.register_node(later, LEASE_US).settled_boot == node.boot_id
    # Settling failed, and begins again: the row says the new boot already, and settled the old one.
    again = stage.store.register_node(later, LEASE_US)
    assert (again.boot_id, again.settled_boot) == ("later", node.boot_id)
    stage.store.renew(later.id, later.incarnation, LEASE_US)
    assert stage.store.register_node(later, LEASE_US).settled_boot == "later"


def move_beat(stage: Stage, node: Node) -> None:
    stage.store.renew(node.id, node.incarnation, LEASE_US)
    stage.clock.advance(900)


def live_on(stage: Stage, node: Node) -> None:
    stage.clock.step(-895)


def begin_anew(stage: Stage, node: Node) -> None:
    stage.store.register_node(replace(node, incarnation="life-2"), LEASE_US)
    stage.clock.advance(900)


def vanish(stage: Stage, node: Node) -> None:
    stage.write("DELETE FROM node WHERE name = 'two'")


@pytest.mark.parametrize("act", [move_beat, live_on, begin_anew, vanish])
def test_a_node_that_moved_is_not_taken_over(stage: Stage, act: Callable[[Stage, Node], None]):
    node, claim = silent(stage)
    act(stage, node)
    before = stage.dump((*BOOKS, "node", "event"))
    assert take(stage, node, claim) is None
    assert stage.dump((*BOOKS, "node", "event")) == before


def test_another_life_with_the_same_beat_is_not_taken_over(stage: Stage):
    node, claim = silent(stage)
    stage.write("UPDATE node SET incarnation = 'life-2' WHERE name = 'two'")
    assert take(stage, node, claim) is None


# ---------------------------------------------------------------- what becomes of its runs


def test_a_lost_run_ends_and_frees_its_permit_for_those_that_wait(stage: Stage):
    node, claim = silent(stage, overlap="queue")
    stage.request(claim.job_id, "m:2")
    answer = take(stage, node, claim)
    assert answer == Recorded(freed=[f"j{claim.job_id}"])
    run = stage.store.find_run(claim.run_id)
    assert (run.outcome, run.error_text) == ("lost", "its node fell silent")
    (attempt,) = stage.store.attempts(run.id)
    assert (attempt.node, attempt.error) == ("two", "lost")
    assert stage.store.promote(answer.freed) == 1
    assert len(stage.claim()) == 1
    assert_sound(stage, most=1)


def test_a_lost_run_of_a_chain_lets_the_chain_go_on(stage: Stage):
    node, claim = silent(stage, schedule="after 5m")
    assert stage.store.find_job("job").next_us is None
    take(stage, node, claim)
    assert stage.store.find_job("job").next_us == stage.now_us + 300_000_000


def test_a_run_that_may_be_repeated_gets_another_attempt_and_keeps_its_permit(stage: Stage):
    node, claim = silent(stage, overlap="queue", delivery="at_least_once")
    stage.request(claim.job_id, "m:2")
    assert take(stage, node, claim) == Recorded()
    assert stage.store.find_run(claim.run_id).state is RunState.DELAYED
    assert stage.permits(claim.job_id) == 1
    stage.settle()
    again = stage.one_claim()
    assert (again.run_id, again.attempt) == (claim.run_id, 2)
    assert again.fence > claim.fence
    assert_sound(stage, most=1)


def test_a_takeover_that_is_sent_again_has_no_second_effect(stage: Stage):
    for judged in (True, False):
        node, claim = silent(stage, name=f"job {judged}", delivery="at_least_once")
        take(stage, node, claim, judged=judged)
        before = stage.dump((*BOOKS, "node", "event"))
        answer = take(stage, node, claim, judged=judged)
        assert answer == (None if judged else Recorded())
        assert stage.dump((*BOOKS, "node", "event")) == before
        stage.write("DELETE FROM node WHERE name = 'two'")


def test_a_judged_node_is_told_so_by_its_next_beat(stage: Stage):
    node, claim = silent(stage)
    take(stage, node, claim)
    answer = stage.store.renew(node.id, node.incarnation, LEASE_US)
    assert not answer.ours
    (seen,) = stage.store.peers(stage.node.id).nodes
    assert (seen.incarnation, seen.alive(stage.now_us)) == ("", False)
    (event,) = [e for e in stage.store.events(9) if e.kind is EventKind.NODE_JUDGED]
    assert (event.subject, event.text) == ("two", "1 of its runs were taken over")
    stage.store.register_node(replace(node, incarnation="life-2", boot_id="boot-2"), LEASE_US)
    assert stage.store.renew(node.id, "life-2", LEASE_US).ours


def test_a_node_that_is_not_judged_goes_on(stage: Stage):
    node, claim = silent(stage)
    assert take(stage, node, claim, judged=False) is not None
    assert stage.store.renew(node.id, node.incarnation, LEASE_US).ours
    assert not any(event.kind is EventKind.NODE_JUDGED for event in stage.store.events(9))


# ---------------------------------------------------------------- who comes back late


def test_a_late_report_of_a_repeated_run_changes_nothing_but_keeps_its_last_words(stage: Stage):
    node, claim = silent(stage, delivery="at_least_once")
    take(stage, node, claim)
    stage.settle()
    again = stage.one_claim()
    before = stage.dump(BOOKS)
    answer = stage.store.record([], [], [stage.ending(claim, exit_code=0)])
    assert stage.dump(BOOKS) == before
    assert answer.freed == []
    stage.store.record([], [chunk(claim, 0, b"late words")], [])
    said = stage.store.output(claim.run_id, 1, -1, 9)
    assert [piece.chunk for piece in said] == [b"late words"]
    stage.end(again, exit_code=3)
    assert stage.store.find_run(claim.run_id).exit_code == 3


def test_the_true_end_of_a_lost_run_corrects_it_once(stage: Stage):
    node, claim = silent(stage)
    take(stage, node, claim)
    late = stage.ending(claim, exit_code=4, cpu_us=7, peak_rss_bytes=9, dropped=2)
    pieces = [chunk(claim, 0, b"late words")]
    assert stage.store.record([], pieces, [late]).stale == []
    run = stage.store.find_run(claim.run_id)
    assert (run.outcome, run.exit_code, run.dropped) == ("failed", 4, 2)
    assert (run.fence, run.node, run.error_text) == (claim.fence, "two", "")
    (attempt,) = stage.store.attempts(run.id)
    seen = (attempt.exit_code, attempt.cpu_us, attempt.peak_rss_bytes, attempt.dropped)
    assert seen == (4, 7, 9, 2)
    assert (attempt.error, attempt.killed_by, attempt.ended_us) == ("", "", stage.now_us)
    assert [piece.chunk for piece in stage.store.output(run.id, None, -1, 9)] == [b"late words"]
    (event,) = [e for e in stage.store.events(20) if e.kind is EventKind.RUN_CORRECTED]
    assert (event.subject, event.text) == (run.id, "failed")
    before = stage.dump((*BOOKS, "event"))
    for code in (4, 0):
        stage.store.record([], pieces, [replace(late, exit=stage.ending(claim, code).exit)])
        stage.store.record([], [], [stage.ending(claim, exit_code=code)])
    assert stage.dump((*BOOKS, "event")) == before


def test_of_two_corrections_at_one_instant_one_is_made(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [open_second() for _ in range(3)]
    for turn in range(4):
        node, claim = silent(stage, name=f"job {turn}")
        take(stage, node, claim)
        ends = [stage.ending(claim, exit_code=code) for code in (3, 4, 5)]
        race(*(partial(s.record, [], [], [e]) for s, e in zip(stores, ends, strict=True)))
        told = [event for event in stage.store.events(99) if event.subject == claim.run_id]
        assert [event.kind for event in told] == [EventKind.RUN_CORRECTED]
        code = stage.store.find_run(claim.run_id).exit_code
        assert [attempt.exit_code for attempt in stage.store.attempts(claim.run_id)] == [code]
        stage.write("DELETE FROM node WHERE name = 'two'")


@pytest.mark.parametrize("what", ["token", "attempt", "lost", "void"])
def test_only_the_true_end_of_the_same_claim_corrects(stage: Stage, what: str):
    node, claim = silent(stage)
    take(stage, node, claim)
    before = stage.dump((*BOOKS, "event"))
    good = stage.ending(claim, exit_code=0)
    bad = {
        "token": replace(good, token=stage.new_id()),
        "attempt": replace(good, attempt=2),
        "lost": lost(stage, claim),
        "void": stage.ending(claim, exit_code=None, error="void"),
    }[what]
    answer = stage.store.record([], [], [bad])
    after = stage.dump((*BOOKS, "event"))
    if what == "token":
        assert answer.stale == [claim.run_id]
        before, after = (  # a stale report leaves an event
            {table: rows for table, rows in dump.items() if table != "event"}
            for dump in (before, after)
        )
    assert after == before
    stage.store.record([], [], [good])
    assert stage.store.find_run(claim.run_id).outcome == "succeeded"


@pytest.mark.parametrize("newer", ["claimed", "finished"])
def test_a_lost_run_is_not_corrected_once_something_newer_was_started(stage: Stage, newer: str):
    node, claim = silent(stage)
    take(stage, node, claim)
    stage.request(claim.job_id, "m:2")
    second = stage.one_claim()
    if newer == "finished":
        stage.start(second)
        stage.end(second)
    stage.store.record([], [], [stage.ending(claim, exit_code=0)])
    assert stage.store.find_run(claim.run_id).outcome == "lost"


def test_a_newer_run_that_did_not_start_yet_is_no_reason_against_the_truth(stage: Stage):
    node, claim = silent(stage)
    take(stage, node, claim)
    stage.request(claim.job_id, "m:2")
    stage.store.record([], [], [stage.ending(claim, exit_code=0)])
    assert stage.store.find_run(claim.run_id).outcome == "succeeded"


def test_an_older_run_that_was_started_is_no_reason_either(stage: Stage):
    job_id = stage.job("first", overlap="allow")
    stage.request(job_id, "m:old")
    stage.end(stage.one_claim())
    other = stage.join("two")
    stage.request(job_id, "m:lost")
    (claim,) = stage.claim(node=other)
    (node,) = stage.store.peers(stage.node.id).nodes
    stage.clock.advance(900)
    take(stage, node, claim)
    stage.store.record([], [], [stage.ending(claim, exit_code=0)])
    assert stage.store.find_run(claim.run_id).outcome == "succeeded"


# ---------------------------------------------------------------- at one instant


def test_a_takeover_against_a_renewal_is_either_before_or_after_it(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    node, claim = silent(stage, delivery="at_least_once", overlap="allow")
    seen: set[bool] = set()
    for turn in range(12):
        taken, renewed = race(
            partial(stage.store.take_over, node, [lost(stage, claim)], judged=True),
            partial(other.renew, node.id, node.incarnation, LEASE_US),
        )
        (now,) = stage.store.peers(stage.node.id).nodes
        assert (taken is None) == renewed.ours
        assert now.incarnation == ("" if taken else node.incarnation)
        assert_sound(stage)
        seen.add(renewed.ours)
        assert stage.store.find_run(claim.run_id).state.value == (
            "delayed" if taken else "claimed" if turn else "running"
        )
        life = f"life-{turn + 2}"
        stage.clock.advance(900)
        stage.store.register_node(replace(node, incarnation=life), LEASE_US)
        node = next(iter(stage.store.peers(stage.node.id).nodes))
        if taken:
            stage.settle()
            (claim,) = stage.claim(node=node)
        else:
            stage.end(claim, exit_code=None, error="void")
            (claim,) = stage.claim(node=node)
        stage.clock.advance(900)
        stage.renew()


def test_of_two_who_take_over_at_one_instant_one_does(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [open_second() for _ in range(3)]
    node, claim = silent(stage, delivery="at_least_once")
    acts = (partial(s.take_over, node, [lost(stage, claim)], judged=True) for s in stores)
    answers = race(*acts)
    assert sorted(answer is None for answer in answers) == [False, True, True]
    assert stage.store.find_run(claim.run_id).attempt == 2
    assert len(stage.store.attempts(claim.run_id)) == 1
    assert_sound(stage)
