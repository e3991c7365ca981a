"""Invariant 3: slots = runs + recorded skips, whatever happens to a job and its runs."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from cronherd.domain.errors import Conflict
from cronherd.domain.job import Job
from cronherd.domain.node import Node
from cronherd.domain.run import RunState
from cronherd.engine.clock import FakeClock
from cronherd.service.audit import AuditDesk
from cronherd.store.base import Claim
from cronherd.store.sqlstore import SqlStore
from tests.store.only import sqlite_only
from tests.store.slotbook import Outcomes, SlotBook, assert_conserved, run_slots
from tests.store.stage import Stage

SCHEDULES: list[object] = [
    "every 7s",
    "every 20s",
    "every 60s",
    "* * * * *",
    "*/5 * * * *",
    ["every 45s", "every 1m"],
    "at 2027-01-15 08:20:00",
]
NAMES = ["alpha", "beta", "gamma", "delta"]
ENDINGS: list[dict[str, object]] = [
    {"exit_code": 0},
    {"exit_code": 1},
    {"exit_code": None, "killed_by": "timeout"},
    {"exit_code": None, "killed_by": "gone"},
    {"exit_code": None, "error": "void"},
    {"exit_code": None, "error": "no_command"},
]


def desk_of(stage: Stage) -> AuditDesk:
    """The audit that people ask for, over the same store."""
    return AuditDesk(
        stage.store,
        stage.store,
        new_id=stage.new_id,
        wake=lambda: None,
        pause=lambda: False,
        timezone="UTC",
    )


class History:
    """A random life of four jobs: every act is told to the book, nothing is read from it."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.book = SlotBook()
        self.pruned: dict[str, Outcomes] = {}
        self.nodes: list[Node] = []
        self.jobs: dict[str, str] = {}
        self.open: list[Claim] = []
        self.refused: set[str] = set()

    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        """What happens, and how often."""
        return [
            (30, self.pass_time),
            (30, self.fire),
            (15, self.claim),
            (15, self.end),
            (10, self.settle),
            (3, self.edit),
            (2, self.switch),
            (2, self.delete),
            (6, self.make),
            (3, self.request),
            (3, self.cancel),
            (2, self.step_back),
            (2, self.prune),
            (2, self.push_ahead),
            (3, self.pause),
            (3, self.resume),
            (3, self.skip),
        ]

    def live(self, seconds: int) -> None:
        acts = self.acts()
        weights, choices = [weight for weight, _ in acts], [act for _, act in acts]
        for name in NAMES:
            self.make(name)
        for act in self.random.choices(choices, weights, k=seconds):
            act()
            self.look()

    def look(self) -> None:
        """After each act."""

    def close(self) -> None:
        """Everything that is still owed is fired, then counted."""
        self.stage.clock.advance(7200)
        self.stage.renew()
        for job_id in self.jobs.values():
            self.end_pause(job_id)
            if not self.book.owed[job_id].enabled:
                self.stage.enable(job_id)
                self.book.owed[job_id].enabled = True
        known = {"overlap", "queue_full", "previous_unknown", "no_node", "min_gap"}
        assert self.refused <= {*known, "pool_too_small"}
        self.stage.fire_all()
        self.book.fired(self.stage.now_us)
        self.check()
        desk = desk_of(self.stage)
        for name in self.jobs:
            (found,) = desk.audit(name, start="2027-01-01", end="2027-12-31")["items"]
            assert found["sound"], found

    def check(self) -> None:
        nodes = [node.id for node in self.nodes]
        assert_conserved(self.stage, self.book, self.pruned, nodes)

    # ------------------------------------------------------------------ acts

    def pass_time(self) -> None:
        seconds = self.random.choice([1, 5, 20, 61, 61, 200, 4000])
        self.stage.clock.advance(seconds)
        if self.random.random() < 0.9:
            self.stage.renew()

    def step_back(self) -> None:
        self.stage.clock.step(-self.random.choice([1, 50, 400]))
        self.stage.renew()

    def fire(self) -> None:
        if self.random.random() < 0.5:
            self.stage.fire_all()
        else:
            self.stage.fire(self.random.choice([1, 2, 10]))
        for plan in self.stage.plans:
            self.book.went(plan.due.job_id, plan.last_slot_us)
        self.stage.plans.clear()

    def claim(self) -> None:
        self.open += self.stage.claim(self.random.choice([1, 3, 50]))

    def end(self) -> None:
        self.random.shuffle(self.open)
        for claim in self.open[: self.random.choice([1, 2, 5])]:
            if self.random.random() < 0.5:
                self.stage.start(claim)
            seen = dict(self.random.choice(ENDINGS))
            code = seen.pop("exit_code")
            assert code is None or isinstance(code, int)
            recorded = self.stage.end(claim, exit_code=code, **seen)
            assert recorded.stale == []
            self.open.remove(claim)
            if self.random.random() < 0.5:
                self.stage.store.promote(recorded.freed)

    def settle(self) -> None:
        self.stage.settle()

    def words(self) -> dict[str, object]:
        pick = self.random.choice
        return {
            "overlap": pick(["skip", "queue", "replace", "allow"]),
            "max_running": pick([1, 1, 3]),
            "queue_max": pick([0, 2, 100]),
            "catchup": pick(["none", "latest", "all"]),
            "catchup_window": pick(["1m", "30m", "3h"]),
            "catchup_max": pick([0, 1, 5, 200]),
            "on_time": pick(["0s", "10s", "60s"]),
            "start_deadline": pick([None, None, "30s", "10m"]),
            "retries": pick([0, 2]),
            "delivery": pick(["at_most_once", "at_least_once"]),
            "run_on": pick([{}, {}, {"disk": "none"}]),
            "window": pick([None, None, None, "08:00-08:30"]),
            "retention": {"age": "10s", "runs": 2},
        }

    def make(self, name: str = "") -> None:
        name = name or self.random.choice(NAMES)
        if name in self.jobs:
            return
        enabled = self.random.random() < 0.8
        spec = self.words()
        if self.random.random() < 0.2:
            spec["timezone"] = "Europe/Berlin"
        job_id = self.stage.job(name, self.random.choice(SCHEDULES), enabled=enabled, **spec)
        self.jobs[name] = job_id
        self.book.made(job_id, self.definition(job_id), self.stage.now_us, enabled=enabled)

    def definition(self, job_id: str) -> Job:
        return self.stage.store.find_job(job_id).job

    def any_job(self) -> str:
        return self.random.choice(list(self.jobs.values()) or [self.new()])

    def new(self) -> str:
        self.make(NAMES[0])
        return self.jobs[NAMES[0]]

    def edit(self) -> None:
        job_id = self.any_job()
        was = self.book.owed[job_id].enabled
        enabled = was if self.random.random() < 0.7 else not was
        changes = self.words()
        if self.random.random() < 0.5:
            changes["schedule"] = self.random.choice(SCHEDULES)
        self.stage.edit(job_id, enabled=enabled, **changes)
        self.book.edited(job_id, self.definition(job_id), self.stage.now_us, enabled=enabled)

    def switch(self) -> None:
        job_id = self.any_job()
        owed = self.book.owed[job_id]
        if owed.enabled:
            self.stage.disable(job_id)
        else:
            self.stage.enable(job_id)
        self.book.went(job_id, self.stage.now_us)  # the gap is accounted for
        owed.enabled = not owed.enabled

    def pause(self) -> None:
        job_id = self.any_job()
        self.stage.pause(job_id, self.random.choice([None, 30, 600, 5000]))
        if self.book.owed[job_id].enabled:
            self.book.went(job_id, self.stage.now_us)

    def skip(self) -> None:
        job_id = self.any_job()
        if self.random.random() < 0.3:
            self.stage.store.undo_skip(job_id, "tester")
            return
        with suppress(Conflict):
            self.stage.store.skip_next(job_id, self.random.choice([1, 1, 5]), "tester")

    def resume(self) -> None:
        self.end_pause(self.any_job())

    def end_pause(self, job_id: str) -> None:
        if self.stage.store.find_job(job_id).paused_until_us is None:
            return
        self.stage.resume(job_id)
        if self.book.owed[job_id].enabled:
            self.book.went(job_id, self.stage.now_us)

    def delete(self) -> None:
        name = self.random.choice(NAMES)
        if job_id := self.jobs.pop(name, None):
            self.stage.delete(job_id)
            self.book.deleted(job_id, self.stage.now_us)

    def request(self) -> None:
        try:
            self.stage.request(self.any_job(), f"m:{self.random.randrange(20)}")
        except Conflict as refused:
            self.refused.add(refused.code)

    def cancel(self) -> None:
        runs = [run for run in self.stage.runs() if run.state is not RunState.FINISHED]
        if runs:
            self.stage.store.cancel_run(self.random.choice(runs).id)

    def prune(self) -> None:
        before = {job_id: run_slots(self.stage, job_id) for job_id in self.book.owed}
        self.stage.store.prune(10**18, self.random.choice([1, 1000]))
        for job_id, slots in before.items():
            left = set(run_slots(self.stage, job_id))
            self.pruned.setdefault(job_id, []).extend(s for s in slots if s not in left)

    def push_ahead(self) -> None:
        with self.stage.store.fire(1) as batch:
            for due in batch.due:
                batch.push_ahead(due, "planned by a bad planner")
            batch.commit([], None)


@sqlite_only
@pytest.mark.parametrize("seed", range(9, 25))
def test_every_slot_is_accounted_for_over_more_histories(stage: Stage, seed: int):
    history = History(stage, seed)
    history.live(150)
    history.close()


@pytest.mark.parametrize("seed", range(1, 9))
def test_every_slot_is_one_run_or_one_ledger_row_over_a_random_history(stage: Stage, seed: int):
    history = History(stage, seed)
    history.live(150)
    history.close()
    assert sum(len(history.book.expected(job_id)) for job_id in history.jobs.values()) > 20


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_every_slot_is_accounted_for_over_a_long_history(stage: Stage, seed: int):
    history = History(stage, seed)
    history.live(1000)
    history.close()


def test_the_count_notices_a_slot_that_vanished(stage: Stage):
    """The count itself can fail: a run is taken away by hand."""
    history = History(stage, 3)
    history.live(100)
    stage.job("plain", "every 60s", overlap="allow")
    row = stage.store.find_job("plain")
    history.book.made(row.id, row.job, stage.now_us)
    stage.advance(60)
    history.close()
    assert stage.write("DELETE FROM run WHERE slot_us = (SELECT max(slot_us) FROM run)") >= 1
    with pytest.raises(AssertionError):
        assert_conserved(stage, history.book, history.pruned)


def test_the_count_notices_a_range_that_is_off_by_one(stage: Stage):
    book = SlotBook()
    job_id = stage.job("plain", "every 60s", catchup="none")
    book.made(job_id, stage.store.find_job("plain").job, stage.now_us)
    stage.advance(3600)
    stage.fire_all()
    book.fired(stage.now_us)
    assert_conserved(stage, book, {})
    assert stage.write("UPDATE ledger SET count = count + 1") >= 1
    with pytest.raises(AssertionError, match="not what the schedule says"):
        assert_conserved(stage, book, {})


def test_a_disabled_gap_is_one_row_however_the_job_is_enabled(stage: Stage):
    book = SlotBook()
    ids = [stage.job(name, "every 60s") for name in ("by verb", "by edit", "by delete")]
    for job_id in ids:
        book.made(job_id, stage.store.find_job(job_id).job, stage.now_us)
        stage.disable(job_id)
        book.owed[job_id].enabled = False
    stage.advance(600)
    stage.enable(ids[0])
    stage.edit(ids[1], enabled=True)
    book.edited(ids[1], stage.store.find_job(ids[1]).job, stage.now_us, enabled=True)
    stage.delete(ids[2])
    book.deleted(ids[2], stage.now_us)
    book.owed[ids[0]].enabled = True
    book.fired(stage.now_us)
    for job_id in ids:
        assert [(s.reason.value, s.count) for s in stage.skips(job_id)] == [("disabled", 10)]
    assert_conserved(stage, book, {})


def test_an_edit_while_disabled_keeps_the_account_of_the_old_schedule(stage: Stage):
    job_id = stage.job("plain", "every 60s")
    stage.disable(job_id)
    stage.advance(600)
    stage.edit(job_id, schedule="every 30s")
    stage.advance(60)
    stage.enable(job_id)
    assert [(s.reason.value, s.count) for s in stage.skips(job_id)] == [
        ("disabled", 10),
        ("disabled", 2),
    ]


def test_two_stores_with_memories_of_their_own_agree(
    stage: Stage, open_second: Callable[[], SqlStore], clock: FakeClock
):
    other = stage.on(open_second())
    job_id = stage.job("plain", "every 60s", catchup="all")
    book = SlotBook()
    book.made(job_id, stage.store.find_job("plain").job, stage.now_us)
    for turn in range(6):
        stage.advance(90)
        (stage if turn % 2 else other).fire_all()
        book.fired(clock.now_us())
        other.edit(job_id, max_running=1 + turn)
        stage.finish_all()
    assert_conserved(stage, book, {})
