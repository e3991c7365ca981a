"""A pause that was acknowledged while four nodes fire: nothing starts afterwards."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.run import Cause
from cronherd.store.base import Claim, Offer
from cronherd.store.database import Contended
from cronherd.store.sqlstore import SqlStore
from tests.store.sound import assert_sound
from tests.store.stage import Stage

NODES = 4
ROUNDS = 60
LONG_ROUNDS = 1000
# As long as the test: nobody renews.
LEASE_US = 10**15
SCHEDULED = {Cause.SCHEDULE, Cause.CATCHUP}
LIVE = "SELECT id, state FROM run WHERE job_id = ? AND slot_us IS NOT NULL"
OVERLAPS = ("skip", "queue", "allow", "replace")
ENDINGS: tuple[dict[str, Any], ...] = (
    {"exit_code": 0},
    {"exit_code": 1},
    {"exit_code": None, "error": "void"},
)


class Watch:
    """What was heard of claims, beside what was acknowledged about pauses."""

    def __init__(self) -> None:
        self.claimed = 0
        self.wrong: list[str] = []
        self._named: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def heard(self, claims: list[Claim]) -> None:
        with self._lock:
            self.claimed += len(claims)
            for claim in claims:
                named = self._named.get(claim.job_id)
                if claim.cause in SCHEDULED and named is not None and claim.run_id not in named:
                    self.wrong.append(f"{claim.job.name}: {claim.run_id} was claimed")

    def paused(self, job_id: str, named: list[str]) -> None:
        with self._lock:
            self._named[job_id] = set(named)

    def resumes(self, job_id: str) -> None:
        with self._lock:
            del self._named[job_id]

    def look(self, stage: Stage, job_id: str, named: list[str]) -> None:
        """Those that were first go on; all others are held."""
        for stored, state in stage.fetch(LIVE, to_stored(job_id)):
            first = state in {"claimed", "running"} and from_stored(stored) in named
            if not first and state != "held":
                self.wrong.append(f"{from_stored(stored)} is {state}")


class Worker:
    """One node, as fast as it can."""

    def __init__(self, stage: Stage, seed: int, watch: Watch) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.watch = watch
        self.over = threading.Event()
        self.fault: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.over.is_set():
                self._step()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.fault = error

    def _step(self) -> None:
        stage = self.stage
        labels = stage.node.place_labels
        offer = Offer(node_id=stage.node.id, token=stage.new_id(), labels=labels, most=9)
        try:
            claims = stage.fire(20, offer)
        except Contended:  # the scheduler comes again
            claims = []
        self.watch.heard(claims)
        more = stage.claim(9)
        self.watch.heard(more)
        claims += more
        stage.plans.clear()
        if claims and self.random.random() < 0.5:
            stage.start(*claims)
        for claim in claims:
            stage.store.promote(stage.end(claim, **self.random.choice(ENDINGS)).freed)
        if self.random.random() < 0.2:
            stage.settle()
        self.over.wait(0.001)


def pause_and_resume(
    stage: Stage, open_second: Callable[[], SqlStore], rounds: int
) -> tuple[int, Watch]:
    chance = random.Random(rounds)
    ids = [
        stage.job(name, "every 1s", overlap=name, max_running=2, retries={"max": 2, "backoff": 0})
        for name in OVERLAPS
    ]
    stage.store.register_node(stage.node, LEASE_US)
    watch = Watch()
    workers = []
    for n in range(NODES):
        view = stage.on(open_second())
        view.node = stage.join(f"node {n}")
        stage.store.register_node(view.node, LEASE_US)
        workers.append(Worker(view, n, watch))
    done = 0
    try:
        while done < rounds and not watch.wrong:
            done += 1
            job_id = chance.choice(ids)
            stage.clock.advance(1)
            named = stage.pause(job_id, chance.choice([None, 3600]))
            watch.paused(job_id, named)
            watch.look(stage, job_id, named)
            for _ in range(chance.choice([1, 3])):
                stage.clock.advance(1)
                workers[0].over.wait(0.002)
            watch.look(stage, job_id, named)
            watch.resumes(job_id)
            stage.resume(job_id)
    finally:
        for worker in workers:
            worker.over.set()
        for worker in workers:
            worker.thread.join(30)
    assert [worker.fault for worker in workers] == [None] * NODES
    assert_sound(stage)
    print(f"{stage.store.db.dialect.name}: {done} rounds, {watch.claimed} claims")  # noqa: T201
    return done, watch


def test_nothing_starts_after_a_pause_that_was_acknowledged(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    done, watch = pause_and_resume(stage, open_second, ROUNDS)
    assert watch.wrong == []
    assert done == ROUNDS
    assert watch.claimed > ROUNDS


@pytest.mark.full
def test_nothing_starts_after_a_pause_over_many_rounds(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    done, watch = pause_and_resume(stage, open_second, LONG_ROUNDS)
    assert watch.wrong == []
    assert done == LONG_ROUNDS
    assert watch.claimed > LONG_ROUNDS
