"""Exclusion by the witness: 200 jobs share 20 mutexes and 5 pools, on four nodes that are hurt."""

import os

import pytest

from tests.conftest import Record, needing_server
from tests.torture.load import Work
from tests.torture.sharing import (
    POOLS,
    ideal_starts,
    long_plan,
    shared_works,
    short_plan,
    throughput,
)
from tests.torture.storm import Wish, torture

SERVERS = ["postgresql", "mariadb"]
# Other work on the machine slows what is started, and not what is counted on paper.
SHORT_SHARE, LONG_SHARE = 0.2, 0.8


def seed_of(record_property: Record) -> int:
    given = os.environ.get("CRONHERD_TEST_SEED")
    seed = int.from_bytes(os.urandom(3), "big") if given is None else int(given)
    record_property("seed", seed)
    return seed


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def test_what_is_shared_is_never_held_twice(kind: str, record_property: Record):
    seed, quiet_s = seed_of(record_property), 12.0
    works = shared_works(seed)
    wish = Wish(kind=kind, seed=seed, seconds=16.0, plan=short_plan(14.0), works=works, pools=POOLS)
    with needing_server(kind, record_property):
        result = torture(wish)
    told = throughput(result.evidence, works, quiet_s)
    record_property("throughput", str(told))
    assert not result.violations, "\n" + result.text()
    assert told.share >= SHORT_SHARE, f"{told}\n{result.text()}"


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SERVERS)
def test_what_is_shared_is_passed_on_when_nodes_die(kind: str, record_property: Record):
    seed, quiet_s = seed_of(record_property), 20.0
    works = shared_works(seed)
    wish = Wish(kind=kind, seed=seed, seconds=68.0, plan=long_plan(22.0), works=works, pools=POOLS)
    with needing_server(kind, record_property):
        result = torture(wish)
    told = throughput(result.evidence, works, quiet_s)
    record_property("throughput", str(told))
    assert not result.violations, "\n" + result.text()
    assert told.share >= LONG_SHARE, f"{told}\n{result.text()}"


def test_the_ideal_of_one_mutex_is_one_run_after_the_other():
    pools = {"pools": ["m", "p"]}
    works = [Work(name=f"{n}", schedule="every 2s", ms=500, settings=pools) for n in range(9)]
    assert ideal_starts(works, {}, 0, 10) == 20
    assert ideal_starts(works[:2], {}, 0, 10) == 10, "two are due in each period, and no more"


def test_the_ideal_of_a_pool_is_as_many_at_once_as_it_has():
    works = [
        Work(name=f"{n}", schedule="every 2s", ms=1_000, settings={"pools": ["p"]})
        for n in range(9)
    ]
    assert ideal_starts(works, {"p": 3}, 0, 10) == 30
    assert ideal_starts(works, {"p": 3}, 5, 10) == 15
