"""Pools: permits that runs of any job share; invariant 5 across jobs."""

from typing import Any

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.ident import to_stored
from cronherd.domain.run import Cause, RunState
from cronherd.store.base import Requested
from cronherd.store.sqlstore import SqlStore
from tests.store.lossy import lost_answers
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage

VOID: dict[str, Any] = {"exit_code": None, "error": "void"}


def pool(stage: Stage, name: str, permits: int) -> None:
    stage.store.set_pool(name, permits, "tester")


def user(stage: Stage, name: str, pools: object, **spec: object) -> str:
    """A job without a limit or a schedule of its own, so that only its pools count."""
    spec = {"overlap": "allow", "schedule": None, "pools": pools, **spec}
    return stage.job(name, **spec)  # type: ignore[arg-type]


def ask(stage: Stage, job_id: str, number: int = 0, *, force: bool = False) -> str:
    """One more run of the job, a little later than the one before."""
    stage.clock.advance(0.001)
    return stage.request(job_id, f"m:{number}", force=force).run_id


def at(stage: Stage, run_id: str) -> str:
    """The state of a run, and what it waits for."""
    run = stage.store.find_run(run_id)
    return run.state.value if run.wait_key is None else f"{run.state.value} {run.wait_key}"


def held(stage: Stage, key: str) -> int:
    return int(stage.fetch("SELECT count(*) FROM permit WHERE gkey = ?", key)[0][0])


# ---------------------------------------------------------------- a mutex, and more permits


def test_a_pool_that_nobody_made_is_a_mutex_of_the_jobs_that_name_it(stage: Stage):
    one, two = user(stage, "one", [{"name": "db"}]), user(stage, "two", [{"name": "db"}])
    first, second = ask(stage, one), ask(stage, two)
    assert (at(stage, first), at(stage, second)) == ("ready", "waiting pdb")
    assert [(row.name, row.capacity, row.held, row.waiting) for row in stage.store.pools()] == [
        ("db", 1, 1, 1)
    ]
    assert [(run.id, n) for run, n in stage.store.holders("pdb")] == [(first, 1)]
    recorded = stage.end(stage.one_claim())
    assert recorded.freed == ["pdb"]
    assert stage.store.promote(recorded.freed) == 1
    assert stage.one_claim().run_id == second
    assert_sound(stage)


def test_at_most_as_many_runs_as_there_are_permits(stage: Stage):
    pool(stage, "db", 3)
    jobs = [user(stage, f"job {n}", [{"name": "db"}]) for n in range(4)]
    for number in range(3):
        for job_id in jobs:
            ask(stage, job_id, number)
    done = 0
    while claims := stage.claim():
        assert len(claims) <= 3
        assert held(stage, "pdb") == min(3, 12 - done)
        assert_sound(stage)
        done += 1
        stage.store.promote(stage.end(claims[0]).freed)
        for claim in claims[1:]:
            done += 1
            stage.store.promote(stage.end(claim).freed)
    assert done == 12
    assert held(stage, "pdb") == 0


def test_all_or_nothing(stage: Stage):
    """Who lacks one of its permits holds none of the others."""
    pool(stage, "a", 1)
    pool(stage, "b", 3)
    holder = user(stage, "holder", [{"name": "b", "permits": 2}])
    both = user(stage, "both", [{"name": "a"}, {"name": "b", "permits": 2}])
    other = user(stage, "other", [{"name": "a"}])
    ask(stage, holder)
    waiter = ask(stage, both)
    assert at(stage, waiter) == "waiting pb", "it waits where it lacks something"
    assert (held(stage, "pa"), held(stage, "pb")) == (0, 2)
    passed = ask(stage, other)
    assert at(stage, passed) == "ready", "what it does not hold is for others"
    claims = {claim.run_id: claim for claim in stage.claim()}
    stage.store.promote(stage.end(*(c for run, c in claims.items() if run != passed)).freed)
    assert at(stage, waiter) == "waiting pa", "now it lacks the other one"
    assert (held(stage, "pa"), held(stage, "pb")) == (1, 0)
    stage.store.promote(stage.end(claims[passed]).freed)
    assert at(stage, waiter) == "ready"
    assert (held(stage, "pa"), held(stage, "pb")) == (1, 2)
    assert_sound(stage)


def test_nobody_overtakes_the_head_of_the_line(stage: Stage):
    """A run behind does not pass one that wants more than is free at the moment."""
    pool(stage, "db", 3)
    small, large = (
        user(stage, "small", [{"name": "db"}]),
        user(stage, "large", [{"name": "db", "permits": 3}]),
    )
    ask(stage, small, 0)
    big = ask(stage, large)
    behind = ask(stage, small, 1)
    assert (at(stage, big), at(stage, behind)) == ("waiting pdb", "waiting pdb")
    stage.settle()
    assert at(stage, behind) == "waiting pdb", "two are free, and the first one wants three"
    stage.store.promote(stage.end(stage.one_claim()).freed)
    assert (at(stage, big), at(stage, behind)) == ("ready", "waiting pdb")
    stage.store.promote(stage.end(stage.one_claim()).freed)
    assert at(stage, behind) == "ready"


def test_priority_goes_first_and_then_whoever_came_first(stage: Stage):
    jobs = {
        name: user(stage, name, [{"name": "db"}], priority=priority)
        for name, priority in (("usual", 0), ("late", 5), ("first", -5))
    }
    ask(stage, jobs["usual"])
    asked = [ask(stage, jobs[name], n) for n in (1, 2) for name in ("late", "usual", "first")]
    order = []
    for _ in range(7):
        claim = stage.one_claim()
        order.append(claim.run_id)
        stage.store.promote(stage.end(claim).freed)
    late1, usual1, first1, late2, usual2, first2 = asked
    assert order[1:] == [first1, first2, usual1, usual2, late1, late2]


# ---------------------------------------------------------------- capacity


def test_a_raised_capacity_lets_more_in(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    asked = [ask(stage, job_id, n) for n in range(4)]
    pool(stage, "db", 3)
    stage.settle()
    assert [at(stage, run) for run in asked] == ["ready", "ready", "ready", "waiting pdb"]
    assert_sound(stage)


def test_a_lowered_capacity_lets_holders_run_out(stage: Stage):
    pool(stage, "db", 3)
    job_id = user(stage, "job", [{"name": "db"}])
    for number in range(5):
        ask(stage, job_id, number)
    claims = stage.claim()
    pool(stage, "db", 1)
    for claim in claims[:2]:
        stage.end(claim)
        assert stage.settle() == 0
    stage.end(claims[2])
    assert stage.settle() == 1
    assert_sound(stage)


def test_a_capacity_of_none_closes_a_pool_until_it_is_opened(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    pool(stage, "db", 0)
    run_id = ask(stage, job_id)
    stage.settle()
    assert at(stage, run_id) == "waiting pdb"
    pool(stage, "db", 1)
    stage.settle()
    assert at(stage, run_id) == "ready"


def test_what_asks_for_more_than_there_is_stops_nobody_behind_it(stage: Stage):
    pool(stage, "db", 3)
    large, small = (
        user(stage, "large", [{"name": "db", "permits": 3}]),
        user(stage, "small", [{"name": "db"}]),
    )
    pool(stage, "db", 2)
    stuck = [ask(stage, large, number) for number in range(3)]
    assert at(stage, ask(stage, small)) == "ready"
    pool(stage, "db", 3)
    assert at(stage, stuck[0]) == "waiting pdb"
    stage.end(stage.one_claim())
    stage.settle()
    assert at(stage, stuck[0]) == "ready"


def test_many_that_ask_for_more_than_there_is_stop_nobody_either(stage: Stage):
    pool(stage, "db", 3)
    large, small = (
        user(stage, "large", [{"name": "db", "permits": 3}]),
        user(stage, "small", [{"name": "db"}]),
    )
    pool(stage, "db", 2)
    for number in range(60):
        ask(stage, large, number)
    asked = [ask(stage, small, number) for number in range(3)]
    assert [at(stage, run) for run in asked] == ["ready", "ready", "waiting pdb"]
    assert_sound(stage)


def test_many_that_lack_another_pool_are_out_of_the_way_at_once(stage: Stage):
    pool(stage, "a", 5)
    pool(stage, "b", 0)
    both = user(stage, "both", [{"name": "a"}, {"name": "b"}])
    one = user(stage, "one", [{"name": "a"}])
    pool(stage, "a", 0)
    for number in range(70):
        ask(stage, both, number)
    last = ask(stage, one)
    assert at(stage, last) == "waiting pa"
    pool(stage, "a", 5)
    stage.settle()
    assert at(stage, last) == "ready"
    assert held(stage, "pa") == 1


def test_a_missing_gate_lets_nobody_pass(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    other = user(stage, "other", [{"name": "gpu"}])
    stage.write("DELETE FROM gate WHERE gkey = ?", "pdb")
    run_id = ask(stage, job_id)
    stage.settle()
    assert at(stage, run_id) == "waiting pdb"
    assert at(stage, ask(stage, other)) == "ready", "and stops nobody else"
    pool(stage, "db", 1)
    stage.settle()
    assert at(stage, run_id) == "ready"


def test_one_of_two_gates_is_missing(stage: Stage):
    both = user(stage, "both", [{"name": "a"}, {"name": "b"}])
    one = user(stage, "one", [{"name": "a"}])
    stage.write("DELETE FROM gate WHERE gkey = ?", "pb")
    ask(stage, both)
    assert at(stage, ask(stage, one)) == "ready"
    assert held(stage, "pb") == 0


def test_a_job_may_not_ask_for_more_than_its_pool_has(stage: Stage):
    with pytest.raises(Conflict, match="would be made with 1") as refused:
        user(stage, "job", [{"name": "db", "permits": 2}])
    assert refused.value.code == "pool_too_small"
    assert stage.store.pools() == []
    pool(stage, "db", 2)
    job_id = user(stage, "job", [{"name": "db", "permits": 2}])
    with pytest.raises(Conflict, match="has 2"):
        stage.edit(job_id, pools=[{"name": "db", "permits": 3}])


def test_a_pool_that_is_used_is_not_removed(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    with pytest.raises(Conflict, match="the job 'job'") as refused:
        stage.store.remove_pool("db", "tester")
    assert refused.value.code == "pool_in_use"
    ask(stage, job_id)
    claim = stage.one_claim()
    stage.delete(job_id)
    with pytest.raises(Conflict, match="1 live run"):
        stage.store.remove_pool("db", "tester")
    stage.end(claim)
    stage.store.remove_pool("db", "tester")
    assert stage.store.pools() == []


# ---------------------------------------------------------------- freed, by whatever ends it


@pytest.mark.parametrize("state", ["ready", "claimed", "running", "waiting"])
def test_a_cancel_frees(stage: Stage, state: str):
    job_id = user(stage, "job", [{"name": "db"}])
    first, second = ask(stage, job_id, 0), ask(stage, job_id, 1)
    claims = stage.claim() if state in {"claimed", "running"} else []
    if state == "running":
        stage.start(*claims)
    gone = second if state == "waiting" else first
    assert at(stage, gone).startswith(state)
    stage.store.cancel_run(gone)
    if claims:
        stage.end(*claims, exit_code=None, killed_by="cancel")
    stage.settle()
    assert at(stage, first if state == "waiting" else second) == "ready"
    assert held(stage, "pdb") == 1
    assert_sound(stage)


@pytest.mark.parametrize("how", ["disable", "pause", "delete"])
def test_what_is_kept_back_or_deleted_frees(stage: Stage, how: str):
    job_id, other = user(stage, "job", [{"name": "db"}]), user(stage, "other", [{"name": "db"}])
    first = ask(stage, job_id, 0)
    behind = ask(stage, job_id, 1)
    waiter = ask(stage, other)
    getattr(stage, how)(job_id)
    stage.settle()
    assert at(stage, waiter) == "ready"
    assert held(stage, "pdb") == 1
    assert_sound(stage)
    if how == "delete":
        return
    assert [at(stage, run) for run in (first, behind)] == ["held", "held"]
    (stage.enable if how == "disable" else stage.resume)(job_id)
    stage.settle()
    assert [at(stage, run) for run in (first, behind)] == ["waiting pdb", "waiting pdb"]
    assert_sound(stage)


def test_a_run_that_never_started_by_its_deadline_leaves_the_line_and_frees(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}], start_deadline="30s")
    first, second = ask(stage, job_id, 0), ask(stage, job_id, 1)
    stage.advance(31)
    stage.settle()
    assert [at(stage, run) for run in (first, second)] == ["finished", "finished"]
    assert held(stage, "pdb") == 0
    assert_sound(stage)


def test_a_retry_keeps_its_own_permit_and_frees_its_pools(stage: Stage):
    job_id = user(
        stage, "job", [{"name": "db"}], overlap="queue", retries={"max": 1, "backoff": "10s"}
    )
    other = user(stage, "other", [{"name": "db"}])
    first = ask(stage, job_id, 0)
    waiter = ask(stage, other)
    recorded = stage.end(stage.one_claim(), exit_code=1)
    assert recorded.freed == ["pdb"]
    stage.store.promote(recorded.freed)
    assert (at(stage, first), at(stage, waiter)) == ("delayed", "ready")
    assert stage.permits(job_id) == 1
    assert at(stage, ask(stage, job_id, 1)) == f"waiting j{job_id}", "its job still runs"
    stage.advance(13)
    stage.settle()
    assert at(stage, first) == "waiting pdb", "it asks again"
    assert stage.permits(job_id) == 1
    stage.store.promote(stage.end(stage.one_claim()).freed)
    claim = stage.one_claim()
    assert (claim.run_id, claim.attempt) == (first, 2)
    assert_sound(stage)


def test_a_claim_that_is_given_back_keeps_its_place(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    first, second = ask(stage, job_id, 0), ask(stage, job_id, 1)
    stage.end(stage.one_claim(), **VOID)
    stage.settle()
    assert (at(stage, first), at(stage, second)) == ("ready", "waiting pdb")
    assert_sound(stage)


@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
def test_a_takeover_frees(stage: Stage, delivery: str):
    gone = stage.join("gone")
    job_id = user(stage, "job", [{"name": "db"}], delivery=delivery)
    first, second = ask(stage, job_id, 0), ask(stage, job_id, 1)
    (claim,) = stage.claim(node=gone)
    stage.start(claim)
    stage.advance(LEASE_US / 1e6 + 1)
    (seen,) = [node for node in stage.store.peers(stage.node.id).nodes if node.id == gone.id]
    ending = stage.ending(claim, None, killed_by="gone", error="lost")
    recorded = stage.store.take_over(seen, [ending], judged=True)
    assert recorded is not None
    assert recorded.freed == ["pdb"]
    stage.store.promote(recorded.freed)
    assert at(stage, second) == "ready"
    again = delivery == "at_least_once"
    assert at(stage, first) == ("delayed" if again else "finished")
    stage.advance(100)
    stage.settle()
    assert at(stage, first) == ("waiting pdb" if again else "finished")
    assert_sound(stage)


def test_a_node_that_goes_away_before_it_claims_leaves_the_pool_to_others(stage: Stage):
    stage.join("gone", disk="ssd")
    job_id = user(stage, "job", [{"name": "db"}], run_on={"disk": "ssd"})
    other = user(stage, "other", [{"name": "db"}])
    first, second = ask(stage, job_id), ask(stage, other)
    stage.advance(31)
    stage.settle()
    stage.settle()
    assert (at(stage, first), at(stage, second)) == ("waiting @disk=ssd", "ready")
    assert_sound(stage)


# ---------------------------------------------------------------- with the job's own limit


def test_a_run_that_waits_for_a_pool_keeps_its_jobs_permit(stage: Stage):
    holder = user(stage, "holder", [{"name": "db"}])
    job_id = stage.job("job", "every 60s", pools=[{"name": "db"}])
    ask(stage, holder)
    stage.after(60)
    (run,) = stage.runs(job_id)
    assert (run.state, run.wait_key) == (RunState.WAITING, "pdb")
    assert stage.permits(job_id) == 1
    assert run.fence > 0, "its fence was drawn when it entered"
    stage.after(60)
    (skip,) = stage.skips(job_id)
    assert (skip.reason.value, skip.ref) == ("overlap", run.id)
    stage.store.promote(stage.end(stage.one_claim()).freed)
    assert stage.one_claim().run_id == run.id


def test_replace_takes_the_place_of_one_that_waits_for_a_pool(stage: Stage):
    holder = user(stage, "holder", [{"name": "db"}])
    job_id = stage.job("job", "every 60s", pools=[{"name": "db"}], overlap="replace")
    ask(stage, holder)
    for _ in range(3):
        stage.after(60)
        stage.settle()
    newest = stage.store.find_job("job").last_slot_us
    live = [run for run in stage.runs(job_id) if run.state is not RunState.FINISHED]
    assert [(run.scheduled_us, run.wait_key) for run in live] == [(newest, "pdb")]
    assert_sound(stage)


def test_force_skips_the_jobs_limit_and_never_its_pools(stage: Stage):
    pool(stage, "db", 2)
    job_id = stage.job("job", None, pools=[{"name": "db"}])
    asked = [ask(stage, job_id, n, force=n > 0) for n in range(3)]
    assert [at(stage, run) for run in asked] == ["ready", "ready", "waiting pdb"]
    assert stage.permits(job_id) == 1
    forced = [stage.fetch("SELECT forced FROM run WHERE id = ?", to_stored(run)) for run in asked]
    assert [bool(row[0][0]) for row in forced] == [False, True, True]
    claims = stage.claim()
    assert len(claims) == 2
    stage.store.promote(stage.end(*claims).freed)
    last = stage.one_claim()
    assert last.run_id == asked[2]
    assert_sound(stage)
    stage.end(last)
    assert [stage.store.find_run(run).forced for run in asked] == [False, True, True]


# ---------------------------------------------------------------- edits while runs wait and run


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([{"name": "a"}], [{"name": "b"}]),
        ([{"name": "a"}], [{"name": "a"}, {"name": "b"}]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}]),
        ([{"name": "a"}], None),
        (None, [{"name": "a"}]),
        ([{"name": "a"}], [{"name": "a", "permits": 2}]),
    ],
)
@pytest.mark.parametrize("limit", ["allow", "queue"])
def test_an_edit_of_the_pools_counts_for_what_has_not_started(
    stage: Stage, before: object, after: object, limit: str
):
    pool(stage, "a", 2)
    pool(stage, "b", 2)
    job_id = user(
        stage,
        "job",
        before,
        overlap=limit,
        max_running=4,
        retries={"max": 1, "backoff": "5s"},
    )
    for number in range(2):
        ask(stage, job_id, number)
    failing, running = stage.claim()
    stage.end(failing, exit_code=1)
    for number in range(2, 6):
        ask(stage, job_id, number)
    stage.edit(job_id, pools=after)
    assert_sound(stage)
    stage.settle()
    assert_sound(stage)
    stage.advance(7)
    stage.settle()
    assert_sound(stage)
    stage.end(running)
    stage.settle()
    ended = 2
    while claims := stage.claim():
        assert_sound(stage)
        ended += len(claims)
        stage.end(*claims)
        stage.settle()
    assert stage.fetch("SELECT state, wait_key FROM run") == []
    assert ended == 2 + 5
    assert held(stage, "pa") == held(stage, "pb") == 0


def test_an_edit_of_the_limit_lets_those_in_front_of_a_pool_line_up_anew(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    asked = [ask(stage, job_id, number) for number in range(4)]
    running = stage.one_claim()
    stage.edit(job_id, overlap="queue")
    stage.settle()
    assert stage.permits(job_id) == 1
    assert [at(stage, run) for run in asked[1:]] == [f"waiting j{job_id}"] * 3
    assert_sound(stage)
    for _ in range(3):
        stage.end(running)
        stage.settle()
        running = stage.one_claim()
        assert_sound(stage)


def test_an_edit_of_the_priority_counts_in_the_line(stage: Stage):
    one, two = user(stage, "one", [{"name": "db"}]), user(stage, "two", [{"name": "db"}])
    ask(stage, one, 0)
    ask(stage, one, 1)
    last = ask(stage, two)
    stage.edit(two, priority=-1)
    stage.store.promote(stage.end(stage.one_claim()).freed)
    assert stage.one_claim().run_id == last


# ---------------------------------------------------------------- slots, the past, and reboots


def test_slots_of_many_jobs_share_a_pool(stage: Stage):
    pool(stage, "db", 2)
    for number in range(5):
        stage.job(f"job {number}", "every 60s", pools=[{"name": "db"}])
    stage.after(60)
    assert stage.states().count("ready") == 2, "who fires lets in as many as fit"
    done = 0
    while claims := stage.claim():
        done += len(claims)
        assert len(claims) == 2 or done == 5
        stage.store.promote(stage.end(*claims).freed)
    assert done == 5


def test_a_backfill_goes_through_its_pools(stage: Stage):
    job_id = stage.job("job", "every 60s", pools=[{"name": "db"}], overlap="allow", enabled=False)
    stage.advance(600)
    stage.enable(job_id)
    slots = sorted(range(stage.now_us // 60_000_000 * 60_000_000, 0, -60_000_000)[:4])
    runs = [(stage.new_id(), slot) for slot in slots]
    assert all(answer.made for answer in stage.store.backfill(job_id, runs, "tester"))
    stage.settle()
    assert sorted(stage.states(job_id)) == ["ready", "waiting", "waiting", "waiting"]
    assert stage.one_claim().slot_us == slots[0]
    assert_sound(stage)


# ---------------------------------------------------------------- answers that get lost


def test_a_request_whose_answer_was_lost_is_made_once_and_found_by_the_sweep(
    stage: Stage, store: SqlStore
):
    job_id = user(stage, "job", [{"name": "db"}])
    run_id = stage.new_id()

    def ask_again() -> Requested:
        return store.request_run(job_id, run_id, "m:1", Cause.MANUAL, force=False)

    with lost_answers(store), pytest.raises(Exception, match="does not answer"):
        ask_again()
    assert ask_again().repeated
    stage.settle()
    assert at(stage, run_id) == "ready"
    assert_sound(stage)


def test_a_promotion_whose_answer_was_lost_is_repeated_without_effect(
    stage: Stage, store: SqlStore
):
    pool(stage, "db", 2)
    job_id = user(stage, "job", [{"name": "db"}])
    pool(stage, "db", 0)
    for number in range(4):
        ask(stage, job_id, number)
    pool(stage, "db", 2)
    with lost_answers(store), pytest.raises(Exception, match="does not answer"):
        store.promote(["pdb"])
    assert store.promote(["pdb"]) == 0
    assert held(stage, "pdb") == 2
    assert_sound(stage)


def test_a_pool_is_set_once_however_often_it_is_said(stage: Stage, store: SqlStore):
    with lost_answers(store), pytest.raises(Exception, match="does not answer"):
        pool(stage, "db", 3)
    pool(stage, "db", 3)
    pool(stage, "db", 4)
    told = [e.text for e in store.events(100) if e.kind.value == "pool_set"]
    assert sorted(told) == ["3", "3 → 4"]


def test_the_ids_of_runs_in_a_line_survive_a_lowered_and_raised_pool(stage: Stage):
    job_id = user(stage, "job", [{"name": "db"}])
    asked = [ask(stage, job_id, number) for number in range(5)]
    order = []
    for turn in range(5):
        pool(stage, "db", 0)
        stage.settle()
        pool(stage, "db", 1 + turn % 2)
        stage.settle()
        claim = stage.claim(limit=1)[0]
        order.append(claim.run_id)
        stage.end(claim)
        stage.settle()
    assert order == asked
    assert stage.fetch("SELECT id FROM run WHERE id = ?", to_stored(asked[0])) == []
