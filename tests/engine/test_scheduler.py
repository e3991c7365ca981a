"""The scheduler over a real store whose clock a test moves by hand."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain import planner
from cronherd.domain.errors import StatementRefused, Unavailable
from cronherd.domain.ident import from_stored, make_id
from cronherd.domain.job import Job, build_job
from cronherd.domain.node import Node
from cronherd.domain.planner import Due
from cronherd.domain.policy import LEASE_US
from cronherd.engine import scheduler as scheduler_module
from cronherd.engine.clock import FakeClock
from cronherd.engine.live import LiveRuns
from cronherd.engine.scheduler import Scheduler
from cronherd.store.base import Claim, FireBatch
from cronherd.store.database import Database
from cronherd.store.facts import JobWrite, RunFilter
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.store.backends import migrated


class Bench:
    """A store, a clock, a scheduler, and what it dispatched."""

    def __init__(self, folder: Path, capacity: int = 8) -> None:
        self.clock = FakeClock()
        self._ids = 0
        path = shutil.copyfile(migrated("UTC"), folder / "cronherd.db")
        db = Database(SqliteDialect(path, self.clock.now_us))
        self.store = SqlStore(db, self.new_id)
        self.node = Node(
            id=self.new_id(), name="one", incarnation="i", boot_id="b", capacity=capacity
        )
        self.store.register_node(self.node, LEASE_US)
        self.live = LiveRuns(capacity)
        self.claims: list[Claim] = []
        self.scheduler = Scheduler(
            self.store,
            self.clock,
            self.node,
            self.live,
            dispatch=self._dispatch,
            looked=lambda look: None,
            renew=self._renew,
            new_id=self.new_id,
            sleep_share=lambda: 1.0,
        )

    def _renew(self) -> None:
        self.store.renew(self.node.id, self.node.incarnation, LEASE_US)

    def new_id(self) -> str:
        self._ids += 1
        return make_id(self.clock.now_us(), self._ids.to_bytes(10, "big"))

    def _dispatch(self, claims: list[Claim], boot_us: int) -> None:
        assert boot_us <= self.clock.boot_us()
        self.live.add(claims)
        self.claims += claims

    def add(self, name: str, schedule: str, **more: Any) -> None:
        job = build_job({"name": name, "command": "true", "schedule": schedule, **more})
        write = JobWrite(id=self.new_id(), job=job, enabled=True, source="test")
        self.store.save_jobs([write], "test")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_it_sleeps_until_the_instant_and_fires_at_it_not_before(bench: Bench) -> None:
    bench.add("job", "every 10s")
    bench.clock.advance(9.4)
    assert bench.scheduler.tick() == pytest.approx(0.6)
    assert bench.claims == []
    bench.clock.advance(0.6)
    bench.scheduler.tick()
    (claim,) = bench.claims
    assert claim.slot_us == bench.clock.now_us()


def test_it_never_sleeps_longer_than_a_second_without_a_look(bench: Bench) -> None:
    assert bench.scheduler.tick() == 1.0
    bench.add("job", "every 60s")
    assert bench.scheduler.tick() == 1.0


def test_a_wall_clock_that_steps_back_fires_nothing_twice(bench: Bench) -> None:
    bench.add("job", "every 10s", overlap="allow")
    bench.clock.advance(10)
    bench.scheduler.tick()
    bench.clock.step(-3_600)
    for _ in range(3):
        bench.clock.advance(10)
        bench.scheduler.tick()
    assert len(bench.claims) == 1


def test_more_than_fits_is_left_ready(bench: Bench) -> None:
    for number in range(20):
        bench.add(f"job-{number}", "every 10s")
    bench.clock.advance(10)
    bench.scheduler.tick()
    assert len(bench.claims) == 8
    states = [run.state.value for run in bench.store.runs(RunFilter(limit=100))]
    assert (states.count("claimed"), states.count("ready")) == (8, 12)


def test_a_planner_that_fails_for_one_job_stops_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("good", "every 10s")
    bench.add("poisoned", "every 10s")

    def explode(job: Job, due: Due, *rest: Any, **more: Any) -> planner.Plan:
        if job.name == "poisoned":
            raise ZeroDivisionError("a bug")
        return planner.plan(job, due, *rest, **more)

    monkeypatch.setattr(scheduler_module, "plan", explode)
    for _ in range(3):
        bench.clock.advance(10)
        bench.scheduler.tick()
    assert {claim.job.name for claim in bench.claims} == {"good"}
    assert "job_poisoned" in [event.kind.value for event in bench.store.events(10)]
    monkeypatch.undo()
    bench.clock.advance(60)
    bench.scheduler.tick()
    names = {run.job_name for run in bench.store.runs(RunFilter(limit=100))}
    assert "poisoned" in names, "it was lost instead of pushed ahead"


def test_what_a_lost_commit_won_is_read_again_and_nothing_else_starts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("job", "every 10s")
    bench.clock.advance(10)
    fire = bench.store.fire

    @contextmanager
    def deaf(limit: int) -> Iterator[FireBatch]:
        with fire(limit) as batch:
            yield batch
        raise Unavailable("the answer to COMMIT never came")

    monkeypatch.setattr(bench.store, "fire", deaf)
    with pytest.raises(Unavailable):
        bench.scheduler.tick()
    assert bench.claims == []
    monkeypatch.undo()
    bench.scheduler.tick()
    assert len(bench.claims) == 1
    bench.scheduler.tick()
    assert len(bench.claims) == 1


def test_after_a_suspend_it_does_not_take_itself_for_silent(bench: Bench) -> None:
    bench.add("job", "every 10s")
    bench.clock.advance(10)
    bench.scheduler.tick()
    bench.clock.advance(3_600)  # its run holds the permit, its lease has run out
    bench.scheduler.tick()
    reasons = {row.reason.value for row in bench.store.ledger(None, 100)}
    assert "previous_unknown" not in reasons
    assert "overlap" in reasons


def test_after_a_step_of_the_clock_it_renews_its_lease(bench: Bench) -> None:
    bench.scheduler.tick()
    bench.clock.step(3_600)
    bench.scheduler.tick()
    assert bench.store.nodes()[0].alive(bench.clock.now_us())


def test_while_the_fleet_holds_nothing_fires_and_afterwards_it_does(bench: Bench) -> None:
    bench.add("job", "every 10s")
    bench.store.set_hold("ann", hold=True)
    bench.clock.advance(10)
    assert bench.scheduler.tick() == 1.0
    assert bench.claims == []
    bench.store.set_hold("ann", hold=False)
    bench.scheduler.tick()
    assert len(bench.claims) == 1


def test_rows_that_others_hold_are_looked_at_again_soon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("job", "every 10s")
    bench.clock.advance(10)
    monkeypatch.setattr(bench.store.db.dialect, "due", lambda *_: [])
    assert bench.scheduler.tick() == scheduler_module.BUSY_S
    monkeypatch.undo()
    bench.scheduler.tick()
    assert len(bench.claims) == 1


def test_what_the_database_refuses_for_one_row_stops_only_that_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        bench.add(f"job-{number}", "every 10s")
    bench.clock.advance(10)
    fire = bench.store.fire

    @contextmanager
    def picky(limit: int) -> Iterator[FireBatch]:
        with fire(limit) as batch:
            yield batch
            inserted = batch._connection.fetch("SELECT job_id FROM run")  # type: ignore[attr-defined]
            poisoned = bench.store.find_job("job-4").id
            if any(from_stored(row[0]) == poisoned for row in inserted):
                raise StatementRefused("a value nobody can store")

    monkeypatch.setattr(bench.store, "fire", picky)
    bench.scheduler.tick()
    names = {run.job_name for run in bench.store.runs(RunFilter(limit=100))}
    assert names == {f"job-{number}" for number in range(10)} - {"job-4"}
    assert "job_poisoned" in [event.kind.value for event in bench.store.events(30)]
