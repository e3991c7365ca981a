"""Jobs on all nodes: one run of a slot for each, each with a limit of its own; and rolling."""

from typing import Any

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.ident import NOBODY, from_stored, to_stored
from cronherd.domain.node import Node
from cronherd.domain.run import Cause, RunState
from cronherd.store.sqlstore import SqlStore
from tests.store.lossy import lost_answers
from tests.store.sound import assert_sound
from tests.store.stage import LEASE_US, Stage

DAY_S = 86_400


@pytest.fixture
def three(stage: Stage) -> list[Node]:
    """The stage's own node, and two more."""
    return [stage.node, stage.join("two"), stage.join("zwei", zone="eu")]


def spread(stage: Stage, name: str = "job", schedule: object = "every 60s", **spec: Any) -> str:
    return stage.job(name, schedule, spread="all", **spec)


def after(stage: Stage, nodes: list[Node], seconds: float) -> None:
    """Time passes, all nodes keep their leases, what is due fires."""
    stage.clock.advance(seconds)
    for node in nodes:
        stage.renew(node)
    stage.fire_all()


def on(stage: Stage, job_id: str, state: RunState | None = None) -> list[str]:
    """The names of the nodes that the live runs of a job are meant for."""
    sql = "SELECT n.name, r.state FROM run r JOIN node n ON n.id = r.target_id WHERE r.job_id = ?"
    rows = stage.fetch(sql, to_stored(job_id))
    return sorted(name for name, found in rows if state is None or found == state.value)


def ledger(stage: Stage) -> list[tuple[str, str]]:
    """(reason, name of the node) of each row."""
    names = {node.id: node.name for node in stage.store.nodes()}
    rows = stage.fetch("SELECT reason, node_id FROM ledger")
    return sorted(
        (reason, "" if node == NOBODY else names[from_stored(node)]) for reason, node in rows
    )


# ---------------------------------------------------------------- one run on each node


def test_a_slot_is_one_run_on_each_node(stage: Stage, three: list[Node]):
    job_id = spread(stage)
    after(stage, three, 60)
    assert on(stage, job_id) == ["one", "two", "zwei"]
    assert stage.permits() == 3
    for node in three:
        (claim,) = stage.claim(node=node)
        assert stage.claim(node=node) == []
        stage.end(claim)
    assert {run.scheduled_us for run in stage.runs(job_id)} == {
        stage.store.find_job("job").last_slot_us
    }
    assert_sound(stage)


def test_only_nodes_that_fit_are_meant(stage: Stage, three: list[Node]):
    job_id = spread(stage, run_on="zone=eu")
    after(stage, three, 60)
    assert on(stage, job_id) == ["zwei"]
    assert stage.claim(node=three[0]) == []
    assert len(stage.claim(node=three[2])) == 1


def test_each_node_has_a_limit_of_its_own(stage: Stage, three: list[Node]):
    job_id = spread(stage)
    after(stage, three, 60)
    (claim,) = stage.claim(node=three[1])
    stage.end(claim)
    after(stage, three, 60)
    assert on(stage, job_id) == ["one", "two", "zwei"]
    assert ledger(stage) == [("overlap", "one"), ("overlap", "zwei")]
    assert_sound(stage)


def test_a_node_that_is_drained_or_silent_is_expected_all_the_same(stage: Stage, three: list[Node]):
    job_id = spread(stage)
    stage.store.set_drained(three[1].id, "tester", drained=True)
    stage.clock.advance(LEASE_US / 1e6 + 1)
    after(stage, three[:2], 60)
    assert on(stage, job_id, RunState.READY) == ["one"]
    assert on(stage, job_id, RunState.WAITING) == ["two", "zwei"]
    assert stage.permits() == 1, "who waits for a node holds nothing"
    stage.store.set_drained(three[1].id, "tester", drained=False)
    stage.renew(three[2])
    stage.settle()
    assert on(stage, job_id, RunState.READY) == ["one", "two", "zwei"]
    assert_sound(stage)


def test_a_node_that_stays_away_has_one_run_that_waits_and_a_row_for_each_other_slot(
    stage: Stage, three: list[Node]
):
    job_id = spread(stage)
    stage.store.set_drained(three[1].id, "tester", drained=True)
    for _ in range(3):
        after(stage, three, 60)
        for node in (three[0], three[2]):
            stage.end(*stage.claim(node=node))
    assert on(stage, job_id) == ["two"]
    assert ledger(stage) == [("no_node", "two"), ("no_node", "two")]
    assert_sound(stage)


def test_a_node_that_was_silent_for_a_day_or_was_stopped_is_not_expected(
    stage: Stage, three: list[Node]
):
    job_id = spread(stage, schedule="every 1h", on_time="2d")
    stage.store.release_node(three[2].id, three[2].incarnation)
    stage.clock.advance(DAY_S + LEASE_US / 1e6 + 1)
    stage.renew()
    stage.fire()
    assert set(on(stage, job_id)) == {"one"}


def test_a_slot_without_any_node_is_one_row_of_the_ledger(stage: Stage):
    spread(stage, run_on={"zone": "us"})
    stage.after(60)
    assert stage.runs() == []
    assert ledger(stage) == [("no_node", "")]


@pytest.mark.parametrize("overlap", ["queue", "replace", "allow"])
def test_the_policies_count_for_each_node(stage: Stage, three: list[Node], overlap: str):
    job_id = spread(stage, overlap=overlap)
    for _ in range(4):
        after(stage, three, 60)
        stage.settle()
        assert_sound(stage)
    live = stage.fetch("SELECT state FROM run")
    assert len(live) == {"queue": 12, "replace": 3, "allow": 12}[overlap]
    done = 0
    while claims := [claim for node in three for claim in stage.claim(node=node)]:
        done += len(claims)
        assert overlap == "allow" or len(claims) <= 3
        stage.end(*claims)
        stage.settle()
        assert_sound(stage)
    assert done == len(live)
    assert stage.permits() == 0
    assert job_id


def test_waiters_of_one_slot_that_are_replaced_on_all_nodes_are_a_row_each(
    stage: Stage, three: list[Node]
):
    spread(stage, overlap="replace")
    after(stage, three, 60)
    for node in three:
        stage.start(*stage.claim(node=node))
    for _ in range(3):
        after(stage, three, 60)
        assert_sound(stage)
    assert ledger(stage) == sorted(("replaced", node.name) for node in three for _ in range(2))
    live = stage.fetch("SELECT state, cancel FROM run ORDER BY state")
    assert [state for state, _ in live] == ["running"] * 3 + ["waiting"] * 3
    assert stage.fetch("SELECT count(*) FROM event WHERE kind = 'job_poisoned'") == [(0,)]


def test_caught_up_slots_run_on_each_node(stage: Stage, three: list[Node]):
    job_id = spread(stage, catchup="all", overlap="queue")
    after(stage, three, 300)
    assert len(stage.runs(job_id)) == 15
    done = 0
    while claims := [claim for node in three for claim in stage.claim(node=node)]:
        done += len(claims)
        stage.end(*claims)
        stage.settle()
    assert done == 15
    assert stage.skips() == []


def test_a_job_that_ends_after_so_many_runs_counts_slots(stage: Stage, three: list[Node]):
    job_id = spread(stage, max_runs=2)
    for _ in range(4):
        after(stage, three, 60)
        for node in three:
            stage.end(*stage.claim(node=node))
    assert len(stage.runs(job_id)) == 6


# ---------------------------------------------------------------- asked for


def test_a_run_for_one_node_goes_there_and_respects_its_limit(stage: Stage, three: list[Node]):
    job_id = spread(stage, schedule=None)

    def ask(node: Node, dedup: str, *, force: bool = False) -> str:
        target = (node.id, node.name)
        return stage.store.request_run(
            job_id, stage.new_id(), dedup, Cause.MANUAL, force=force, target=target
        ).run_id

    first, second = ask(three[0], "m:1"), ask(three[1], "m:2")
    with pytest.raises(Conflict, match="as often as it may"):
        ask(three[1], "m:3")
    forced = ask(three[1], "m:4", force=True)
    assert [claim.run_id for claim in stage.claim(node=three[0])] == [first]
    assert {claim.run_id for claim in stage.claim(node=three[1])} == {second, forced}
    assert stage.permits() == 2
    assert_sound(stage)


def test_a_run_for_any_node_of_a_job_on_all_of_them_has_a_limit_too(
    stage: Stage, three: list[Node]
):
    job_id = spread(stage, schedule=None)
    stage.request(job_id, "m:1")
    with pytest.raises(Conflict, match="as often as it may"):
        stage.request(job_id, "m:2")
    assert_sound(stage)
    claims = [claim for node in three for claim in stage.claim(node=node)]
    assert len(claims) == 1
    stage.end(*claims)
    stage.request(job_id, "m:3")


def test_a_request_for_a_drained_node_waits_for_it(stage: Stage, three: list[Node]):
    job_id = stage.job("job", None)
    stage.store.set_drained(three[1].id, "tester", drained=True)
    target = (three[1].id, three[1].name)
    run_id = stage.store.request_run(
        job_id, stage.new_id(), "m:1", Cause.MANUAL, force=False, target=target
    ).run_id
    assert stage.store.find_run(run_id).wait_key == "@node=two"
    assert stage.claim() == []
    stage.store.set_drained(three[1].id, "tester", drained=False)
    stage.settle()
    assert len(stage.claim(node=three[1])) == 1


# ---------------------------------------------------------------- edits


def test_a_job_that_is_on_all_nodes_from_now_on(stage: Stage, three: list[Node]):
    job_id = stage.job("job", "every 60s", overlap="queue", max_running=2)
    for _ in range(5):
        after(stage, three, 60)
    running = stage.claim(limit=1)
    stage.edit(job_id, spread="all", max_running=1)
    assert_sound(stage)
    stage.settle()
    assert_sound(stage)
    after(stage, three, 60)
    assert_sound(stage)
    ended = len(running)
    stage.end(*running)
    stage.settle()
    while claims := [claim for node in three for claim in stage.claim(node=node)]:
        ended += len(claims)
        stage.end(*claims)
        stage.settle()
        assert_sound(stage)
    assert ended == 5 + 3
    assert stage.fetch("SELECT gkey FROM permit") == []


def test_a_job_that_is_on_any_node_from_now_on(stage: Stage, three: list[Node]):
    job_id = spread(stage, overlap="queue")
    for _ in range(2):
        after(stage, three, 60)
    running = stage.claim(node=three[1])
    stage.edit(job_id, spread="any")
    assert_sound(stage)
    stage.settle()
    assert_sound(stage)
    assert stage.permits(job_id) == 1, "of all of them one at a time"
    ended = len(running)
    stage.end(*running)
    stage.settle()
    while claims := [claim for node in three for claim in stage.claim(node=node)]:
        assert len(claims) == 1
        ended += 1
        stage.end(*claims)
        stage.settle()
        assert_sound(stage)
    assert ended == 6
    assert stage.fetch("SELECT gkey FROM permit") == []


def test_what_ran_before_and_waits_for_its_next_try_is_counted_by_its_node(
    stage: Stage, three: list[Node]
):
    job_id = spread(stage, overlap="allow", retries={"max": 1, "backoff": "5s"})
    after(stage, three, 60)
    for node in three:
        stage.end(*stage.claim(node=node), exit_code=1)
    stage.edit(job_id, overlap="skip")
    assert_sound(stage)
    assert stage.permits() == 3
    after(stage, three, 7)
    stage.settle()
    assert sum(len(stage.claim(node=node)) for node in three) == 3
    assert_sound(stage)


# ---------------------------------------------------------------- backfill


def past_slots(stage: Stage, count: int) -> list[int]:
    last_us = stage.store.find_job("job").last_slot_us or 0
    return [last_us - 60_000_000 * n for n in range(count)][::-1]


def test_a_backfill_runs_on_each_node(stage: Stage, three: list[Node]):
    three += [stage.join(f"zzz{n}") for n in range(4)]  # the rows lie in no certain order
    job_id = spread(stage, enabled=False)
    stage.clock.advance(600)
    for node in three:
        stage.renew(node)
    stage.enable(job_id)
    runs = [(stage.new_id(), slot) for slot in past_slots(stage, 3)]
    made = stage.store.backfill(job_id, runs, "tester")
    assert [answer.made for answer in made] == [True] * 3
    assert len(stage.runs(job_id)) == 21
    assert_sound(stage)
    again = stage.store.backfill(job_id, runs, "tester")
    assert [(a.run_id, a.made) for a in again] == [(run_id, True) for run_id, _ in runs]
    others = [(stage.new_id(), slot) for _, slot in runs]
    assert [a.made for a in stage.store.backfill(job_id, others, "tester")] == [False] * 3
    assert len(stage.runs(job_id)) == 21


def test_a_backfill_whose_answer_was_lost_is_made_once(
    stage: Stage, store: SqlStore, three: list[Node]
):
    job_id = spread(stage, enabled=False)
    stage.clock.advance(600)
    for node in three:
        stage.renew(node)
    stage.enable(job_id)
    runs = [(stage.new_id(), slot) for slot in past_slots(stage, 2)]
    with lost_answers(store), pytest.raises(Exception, match="does not answer"):
        store.backfill(job_id, runs, "tester")
    answers = store.backfill(job_id, runs, "tester")
    assert [(a.run_id, a.made) for a in answers] == [(run_id, True) for run_id, _ in runs]
    assert len(stage.runs(job_id)) == 2 * len(three)


def test_a_backfill_leaves_out_no_slot_because_a_node_is_drained(stage: Stage, three: list[Node]):
    job_id = spread(stage, enabled=False)
    stage.store.set_drained(three[1].id, "tester", drained=True)
    stage.clock.advance(600)
    for node in three:
        stage.renew(node)
    stage.enable(job_id)
    runs = [(stage.new_id(), slot) for slot in past_slots(stage, 4)]
    assert all(a.made for a in stage.store.backfill(job_id, runs, "tester"))
    meant = on(stage, job_id)
    assert (meant.count("one"), meant.count("zwei")) == (4, 4)
    assert meant.count("two") >= 1
    assert_sound(stage)


def test_a_backfill_without_any_node_waits_for_one(stage: Stage):
    job_id = spread(stage, run_on={"zone": "us"}, enabled=False)
    stage.advance(600)
    stage.enable(job_id)
    (slot,) = past_slots(stage, 1)
    with pytest.raises(Conflict) as refused:
        stage.store.backfill(job_id, [(stage.new_id(), slot)], "tester")
    assert refused.value.code == "no_node"
    assert stage.runs() == []


# ---------------------------------------------------------------- rolling


def test_a_rolling_job_is_on_so_many_nodes_at_once(stage: Stage, three: list[Node]):
    job_id = spread(stage, rolling=2)
    after(stage, three, 60)
    assert on(stage, job_id, RunState.READY) == ["one", "two"]
    assert on(stage, job_id, RunState.WAITING) == ["zwei"]
    (claim,) = stage.claim(node=three[0])
    recorded = stage.end(claim)
    assert recorded.freed == [f"r{job_id}"]
    stage.store.promote(recorded.freed)
    assert on(stage, job_id, RunState.READY) == ["two", "zwei"]
    held = assert_sound(stage)
    stage.edit(job_id, rolling=1)
    assert stage.fetch("SELECT capacity FROM gate WHERE gkey = ?", f"r{job_id}") == [(1,)]
    stage.settle()
    assert_sound(stage, over=held)
    stage.end(*stage.claim(node=three[1]))
    assert stage.settle() == 0, "one still runs, and one is all there may be"


def test_a_rolling_job_goes_through_its_pools_too(stage: Stage, three: list[Node]):
    job_id = spread(stage, rolling=2, pools=[{"name": "db"}])
    after(stage, three, 60)
    order = []
    while claims := [claim for node in three for claim in stage.claim(node=node)]:
        order.append(len(claims))
        assert_sound(stage)
        stage.store.promote(stage.end(*claims).freed)
    assert order == [1, 1, 1]
    assert job_id


def test_a_job_of_the_same_name_that_rolls_is_the_old_one(stage: Stage, three: list[Node]):
    job_id = stage.job("job", None)
    stage.delete(job_id)
    assert spread(stage, rolling=1) == job_id
    after(stage, three, 60)
    assert on(stage, job_id, RunState.READY) == ["one"]
    assert_sound(stage)


def test_a_job_that_rolls_no_more_lets_all_go_on(stage: Stage, three: list[Node]):
    job_id = spread(stage, rolling=1)
    after(stage, three, 60)
    stage.edit(job_id, rolling=None)
    stage.settle()
    assert on(stage, job_id, RunState.READY) == ["one", "two", "zwei"]
    assert_sound(stage)


# ---------------------------------------------------------------- reboots


def test_a_start_of_a_host_runs_there_and_goes_through_the_pools(stage: Stage, three: list[Node]):
    job_id = stage.job("job", "@reboot", pools=[{"name": "db"}], overlap="allow")
    for node in three:
        stage.store.request_run(
            job_id,
            stage.new_id(),
            f"b:{node.name}",
            Cause.BOOT,
            force=False,
            target=(node.id, node.name),
        )
    done = []
    while claims := [(node.name, claim) for node in three for claim in stage.claim(node=node)]:
        assert len(claims) == 1
        assert_sound(stage)
        done.append(claims[0][0])
        stage.store.promote(stage.end(claims[0][1]).freed)
    assert done == ["one", "two", "zwei"]
