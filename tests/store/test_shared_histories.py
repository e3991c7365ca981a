"""Invariants 3 and 5 over random lives of jobs that share pools, on all nodes and on any."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.place import parse_place
from cronherd.domain.run import RunState
from cronherd.store.base import Claim
from tests.store.only import sqlite_only
from tests.store.sound import assert_sound
from tests.store.stage import Stage
from tests.store.test_conservation import History

POOLS = ["db", "gpu", "net"]


class SharedHistory(History):
    """Three nodes, of which one is drained now and then; pools that grow and shrink."""

    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__(stage, seed)
        self.nodes = [stage.node, stage.join("two"), stage.join("three")]
        self.by_node: dict[str, list[Claim]] = {node.id: [] for node in self.nodes}
        self.held: Counter[str] = Counter()
        for name in POOLS:
            stage.store.set_pool(name, 2, "tester")

    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        return [*super().acts(), (6, self.set_pool), (3, self.drain), (3, self.force)]

    def look(self) -> None:
        self.held = assert_sound(self.stage, over=self.held)

    def words(self) -> dict[str, object]:
        pick = self.random.choice
        names = self.random.sample(POOLS, pick([0, 0, 1, 1, 2]))
        spread = pick(["any", "any", "all"])
        pools = [{"name": name, "permits": pick([1, 1, 2])} for name in sorted(names)]
        overlap = pick(["skip", "queue", "replace", "allow"])
        return {
            **super().words(),
            "overlap": overlap,
            "pools": pools or None,
            "spread": spread,
            "rolling": pick([None, 1, 2]) if spread == "all" else None,
            "min_gap": None if overlap == "allow" else pick([None, None, "15s", "90s"]),
            "max_per_node": pick([None, None, 1, 2]),
            "prefer": pick([None, None, "node=two"]),
            "run_on": pick([None, None, None, "disk=none"]),
            "priority": pick([0, 0, 5, -5]),
        }

    # ------------------------------------------------------------------ acts

    def make(self, name: str = "") -> None:
        with suppress(Conflict):
            super().make(name)

    def edit(self) -> None:
        with suppress(Conflict):
            super().edit()

    def any_job(self) -> str:
        while not self.jobs:
            self.make()
        return self.random.choice(list(self.jobs.values()))

    def pass_time(self) -> None:
        super().pass_time()
        for node in self.nodes:
            if self.random.random() < 0.9:
                self.stage.renew(node)

    def set_pool(self) -> None:
        capacity = self.random.choice([0, 1, 1, 2, 3, 4])
        self.stage.store.set_pool(self.random.choice(POOLS), capacity, "tester")

    def drain(self) -> None:
        node = self.random.choice(self.nodes)
        drained = self.random.random() < 0.4
        self.stage.store.set_drained(node.id, "tester", drained=drained)

    def force(self) -> None:
        with suppress(Conflict):  # no node fits
            self.stage.request(self.any_job(), f"f:{self.random.randrange(1000)}", force=True)

    def claim(self) -> None:
        node = self.random.choice(self.nodes)
        mine = self.by_node[node.id]
        before = capped(mine)
        took = self.stage.store.claim(
            node, self.stage.new_id(), self.random.choice([1, 3, 50]), before
        )
        mine += took
        self.open += took
        after = capped(mine)
        for claim in took:
            place = parse_place(claim.job.place)
            assert place.cap is None or after[place.capped] <= place.cap, "more on a node than may"
            assert place.fits(node.place_labels)

    def end(self) -> None:
        super().end()
        left = {id(claim) for claim in self.open}
        for mine in self.by_node.values():
            mine[:] = [claim for claim in mine if id(claim) in left]

    # ------------------------------------------------------------------ the end

    def drain_all(self) -> None:
        """With room for all, everything that ever entered comes to an end."""
        for name in POOLS:
            self.stage.store.set_pool(name, 4, "tester")
        for node in self.nodes:
            self.stage.store.set_drained(node.id, "tester", drained=False)
        for _ in range(400):
            self.stage.clock.advance(31)
            for node in self.nodes:
                self.stage.renew(node)
            while self.open:
                self.end()
            self.stage.settle()
            for node in self.nodes:
                claims = self.stage.store.claim(node, self.stage.new_id(), 50)
                self.stage.end(*claims)
            self.look()
            if not self.left():
                return
        raise AssertionError(f"these never ended: {self.left()}")

    def left(self) -> list[tuple[object, ...]]:
        """Live runs that do not wait for a node that there is not."""
        sql = "SELECT state, wait_key, pools FROM run"
        return [row for row in self.stage.fetch(sql) if not str(row[1]).startswith("@disk=none")]


def capped(claims: list[Claim]) -> Counter[str]:
    """As a node counts them."""
    places = [parse_place(claim.job.place) for claim in claims if claim.job.place]
    return Counter(place.capped for place in places if place.capped)


def lived(stage: Stage, seed: int, acts: int) -> SharedHistory:
    history = SharedHistory(stage, seed)
    history.live(acts)
    history.close()
    history.look()
    history.drain_all()
    history.check()
    assert stage.fetch("SELECT gkey FROM permit WHERE until_us IS NULL") == []
    return history


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_slot_is_accounted_for_and_no_permit_leaks(stage: Stage, seed: int):
    history = lived(stage, seed, 150)
    poisoned = stage.fetch("SELECT count(*) FROM event WHERE kind = 'job_poisoned'")
    planted = stage.fetch("SELECT count(*) FROM event WHERE text = 'planned by a bad planner'")
    assert poisoned == planted
    assert sum(len(history.book.expected(job_id)) for job_id in history.jobs.values()) > 20


@sqlite_only
@pytest.mark.parametrize("seed", range(7, 23))
def test_the_same_over_more_histories(stage: Stage, seed: int):
    lived(stage, seed, 200)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_the_same_over_long_histories(stage: Stage, seed: int):
    lived(stage, seed, 1000)


def test_what_is_checked_can_fail(stage: Stage):
    """A permit is taken away by hand, then one too many is there, then a node's run is gone."""
    job_id = stage.job("job", "every 60s", spread="all", pools=[{"name": "db"}])
    two = stage.join("two")
    history = History(stage, 1)
    history.nodes = [stage.node, two]
    history.jobs["job"] = job_id
    history.book.made(job_id, history.definition(job_id), stage.now_us)
    stage.clock.advance(60)
    stage.renew(two)
    stage.renew()
    stage.fire_all()
    history.book.fired(stage.now_us)
    history.check()
    assert_sound(stage)
    ready = [run for run in stage.runs() if run.state is RunState.READY]
    assert len(ready) == 1
    assert stage.write("DELETE FROM permit WHERE gkey = 'pdb'") == 1
    with pytest.raises(AssertionError, match="permits of pools"):
        assert_sound(stage)
    sql = "INSERT INTO permit (gkey, n, run_id) SELECT 'pdb', {}, id FROM run WHERE state = 'ready'"
    stage.write(sql.format(0))
    assert_sound(stage)
    stage.write(sql.format(1))
    with pytest.raises(AssertionError, match="permits of pools"):
        assert_sound(stage)
    stage.write("DELETE FROM permit WHERE gkey = 'pdb' AND n = 1")
    stage.write("UPDATE gate SET capacity = 0 WHERE gkey = 'pdb'")
    with pytest.raises(AssertionError, match="pdb"):
        assert_sound(stage)
    stage.write("DELETE FROM run WHERE state = 'ready'")
    with pytest.raises(AssertionError):
        history.check()
