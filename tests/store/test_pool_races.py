"""Races around pools, on connections of their own: nobody deadlocks, nothing leaks."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cronherd.domain.run import RunState
from cronherd.store.sqlstore import SqlStore
from tests.store.only import servers_only
from tests.store.sound import assert_sound
from tests.store.stage import Stage
from tests.store.test_races import clash

pytestmark = servers_only
ROUNDS = 8
POOLS = ["a", "b", "c"]


@pytest.fixture
def other(stage: Stage, open_second: Callable[[], SqlStore]) -> Stage:
    """The same fleet, seen from another node."""
    return stage.on(open_second())


def users(stage: Stage, **spec: Any) -> list[str]:
    """Jobs that each need two of the pools."""
    pairs = [("a", "b"), ("b", "c"), ("a", "c")]
    for name in POOLS:
        stage.store.set_pool(name, 2, "tester")
    return [
        stage.job(f"job {n}", None, overlap="allow", pools=[{"name": x} for x in pair], **spec)
        for n, pair in enumerate(pairs)
    ]


def ask_all(stage: Stage, jobs: list[str], turn: int, count: int = 4) -> None:
    for number in range(count):
        for job_id in jobs:
            stage.clock.advance(0.001)
            stage.request(job_id, f"m:{turn}:{number}")


def keys() -> list[str]:
    return [f"p{name}" for name in POOLS]


def test_promotions_of_all_pools_at_once_let_in_no_more_than_is_free(stage: Stage, other: Stage):
    jobs = users(stage)
    for turn in range(ROUNDS):
        ask_all(stage, jobs, turn, 2)
        claims = stage.claim()
        stage.end(*claims[: 1 + turn % 3])
        rest = claims[1 + turn % 3 :]
        whole = [partial(who.store.promote, keys()) for who in (stage, other)]
        single = [partial(who.store.promote, ["pb", "pa"]) for who in (other, stage)]
        clash(*whole, *single)
        assert_sound(stage)
        stage.end(*rest)
        clash(*whole)
        assert_sound(stage)


def test_ends_against_promotions_leave_nobody_behind(stage: Stage, other: Stage):
    jobs = users(stage)
    ask_all(stage, jobs, 0, 8)
    done = 0
    while claims := stage.claim():
        half = len(claims) // 2
        acts = [partial(stage.end, *claims[:half])] if half else []
        clash(
            *acts,
            partial(other.end, *claims[half:]),
            partial(stage.store.promote, keys()),
            partial(other.settle),
        )
        assert_sound(stage)
        done += len(claims)
        stage.settle()
        stage.settle()
    assert done == 24


def test_cancels_and_pauses_against_promotions(stage: Stage, other: Stage):
    jobs = users(stage)
    for turn in range(ROUNDS):
        ask_all(stage, jobs, turn, 2)
        stage.end(*stage.claim())
        waiting = [run.id for run in stage.runs() if run.state is RunState.WAITING]
        clash(
            partial(stage.store.promote, keys()),
            partial(other.store.cancel_run, waiting[0]),
            partial(other.pause, jobs[turn % 3]),
            partial(stage.store.cancel_run, waiting[-1]),
        )
        assert_sound(stage)
        assert not any(run.state is RunState.READY for run in stage.runs(jobs[turn % 3]))
        stage.resume(jobs[turn % 3])
        stage.settle()
        assert_sound(stage)


def test_edits_against_promotions_and_ends(stage: Stage, other: Stage):
    jobs = users(stage, retries={"max": 1, "backoff": "1s"})
    for turn in range(ROUNDS):
        ask_all(stage, jobs, turn, 2)
        claims = stage.claim()
        pools = [{"name": name} for name in (POOLS[turn % 3], "d")][: 1 + turn % 2]
        clash(
            partial(stage.store.promote, keys()),
            partial(other.edit, jobs[0], pools=sorted(pools, key=str)),
            partial(stage.end, *claims, exit_code=turn % 2),
            partial(other.edit, jobs[1], overlap=["queue", "allow"][turn % 2]),
        )
        assert_sound(stage)
        stage.advance(2)
        stage.settle()
        assert_sound(stage)


def test_a_capacity_that_changes_against_promotions(stage: Stage, other: Stage):
    jobs = users(stage)
    for turn in range(ROUNDS):
        ask_all(stage, jobs, turn, 2)
        stage.end(*stage.claim())
        held = assert_sound(stage)
        clash(
            partial(stage.store.promote, keys()),
            partial(other.store.set_pool, "b", 1 + turn % 3, "tester"),
            partial(other.store.promote, keys()),
        )
        counted = assert_sound(stage, over=held | Counter(dict.fromkeys(keys(), 3)))
        assert max(counted.values(), default=0) <= 3


def test_two_who_make_the_same_new_pool_both_succeed(stage: Stage, other: Stage):
    for turn in range(ROUNDS):
        name = f"new-{turn}"
        clash(
            partial(stage.store.set_pool, name, 2, "tester"),
            partial(other.store.set_pool, name, 2, "tester"),
            partial(stage.job, f"x {turn}", None, pools=[{"name": name}]),
            partial(other.job, f"y {turn}", None, pools=[{"name": name}]),
        )
        (pool,) = [pool for pool in stage.store.pools() if pool.name == name]
        assert pool.capacity == 2


def test_a_remove_against_a_job_that_begins_to_ask(stage: Stage, other: Stage):
    for turn in range(ROUNDS):
        name = f"old-{turn}"
        stage.store.set_pool(name, 2, "tester")
        clash(
            partial(stage.store.remove_pool, name, "tester"),
            partial(other.job, f"x {turn}", None, pools=[{"name": name}]),
        )
        assert name in {pool.name for pool in stage.store.pools()}, "the job has its gate"


def test_firings_against_promotions_of_the_same_pools(stage: Stage, other: Stage):
    for name in POOLS:
        stage.store.set_pool(name, 2, "tester")
    for number in range(30):
        pools = [{"name": POOLS[number % 3]}]
        stage.job(f"job {number}", "every 10s", pools=pools, overlap="queue")
    for _ in range(ROUNDS):
        stage.advance(10)
        clash(
            partial(stage.fire, 15),
            partial(other.fire, 15),
            partial(stage.store.promote, keys()),
            partial(other.settle),
        )
        assert_sound(stage, most=1)
        clash(partial(stage.end, *stage.claim(limit=4)), partial(other.settle))
        assert_sound(stage, most=1)
