"""A small fleet on one store, moved by hand: what the agents do, one verb at a time."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from cronherd.domain.ident import to_stored
from cronherd.domain.job import build_job
from cronherd.domain.judge import Verdict, judge
from cronherd.domain.node import Node
from cronherd.domain.planner import Plan, plan
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Cause, Exit, Run, RunState
from cronherd.domain.search import RunSearch
from cronherd.engine.clock import FakeClock
from cronherd.store.base import Chunk, Claim, Ending, Offer, Recorded, Requested, Start
from cronherd.store.database import fetch, one
from cronherd.store.facts import JobWrite, LedgerRow, RunFilter
from cronherd.store.sqlstore import SqlStore

LEASE_US = 15_000_000
SECOND_US = 1_000_000
_ALL = "SELECT * FROM {}"


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Run all acts at one instant, each in a thread; their answers, or what they raised."""
    barrier = threading.Barrier(len(acts))
    answers: list[Any] = [None] * len(acts)

    def perform(place: int, act: Callable[[], Any]) -> None:
        barrier.wait(10)
        try:
            answers[place] = act()
        except Exception as error:  # noqa: BLE001 - the test looks at what was raised
            answers[place] = error

    threads = [threading.Thread(target=perform, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return answers


class Stage:
    """One store, one clock, one node that is registered from the start."""

    def __init__(self, store: SqlStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.new_id = store._events.new_id
        self.plans: list[Plan] = []
        self.node = self.join("one")

    def on(self, store: SqlStore) -> "Stage":
        """The same stage seen through another store."""
        other = object.__new__(Stage)
        other.store, other.clock, other.node = store, self.clock, self.node
        other.new_id, other.plans = self.new_id, []
        return other

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    # ------------------------------------------------------------------ nodes

    def join(self, name: str, **labels: str) -> Node:
        node = Node(
            id=self.new_id(),
            name=name,
            incarnation="life-1",
            boot_id="boot-1",
            capacity=8,
            labels=labels,
        )
        self.store.register_node(node, LEASE_US)
        return node

    def renew(self, node: Node | None = None) -> bool:
        node = node or self.node
        return self.store.renew(node.id, node.incarnation, LEASE_US).ours

    # ------------------------------------------------------------------ jobs

    def job(
        self,
        name: str = "job",
        schedule: object = "every 60s",
        *,
        enabled: bool = True,
        **spec: Any,
    ) -> str:
        """A new job; its id, which is the old one when the name is revived."""
        self.save(name, None, schedule, enabled=enabled, **spec)
        return self.store.find_job(name).id

    def save(
        self,
        name: str,
        version: int | None,
        schedule: object = "every 60s",
        *,
        job_id: str | None = None,
        enabled: bool = True,
        **spec: object,
    ) -> None:
        words = {"name": name, "command": "true", "schedule": schedule, **spec}
        built = build_job(words, now_us=0)
        write = JobWrite(
            id=job_id or self.new_id(), job=built, enabled=enabled, source="test", version=version
        )
        self.store.save_jobs([write], "tester")

    def edit(self, job_id: str, *, enabled: bool | None = None, **changes: object) -> None:
        row = self.store.find_job(job_id)
        words = {**row.job.spec, **changes}
        write = JobWrite(
            id=job_id,
            job=build_job(words),
            enabled=row.enabled if enabled is None else enabled,
            source="test",
            version=row.version,
        )
        self.store.save_jobs([write], "tester")

    def disable(self, job_id: str) -> None:
        self.store.set_enabled(job_id, "tester", enabled=False)

    def enable(self, job_id: str) -> None:
        self.store.set_enabled(job_id, "tester", enabled=True)

    def pause(self, job_id: str, seconds: float | None = None) -> list[str]:
        """Until so much later, or until resumed; the runs that were first."""
        until_us = FOREVER_US if seconds is None else self.now_us + round(seconds * SECOND_US)
        return self.store.pause_job(job_id, until_us, "tester")

    def resume(self, job_id: str) -> None:
        self.store.resume_job(job_id, "tester")

    def delete(self, job_id: str) -> None:
        self.store.delete_job(job_id, "tester")

    def request(self, job_id: str, dedup: str = "m:1", *, force: bool = False) -> Requested:
        return self.store.request_run(job_id, self.new_id(), dedup, Cause.MANUAL, force=force)

    # ------------------------------------------------------------------ the line

    def fire(self, limit: int = 100, offer: Offer | None = None) -> list[Claim]:
        """One batch, planned as the scheduler does."""
        with self.store.fire(limit) as batch:
            plans: list[Plan] = []
            for due in batch.due:
                job = batch.jobs.get(due.job_id)
                if job is None:
                    batch.push_ahead(due, batch.broken[due.job_id])
                    continue
                fits, targets = batch.fits(job.place), batch.targets(due.job_id)
                gate = batch.gate(due.job_id)
                made = plan(job, due, gate, batch.now_us, fits=fits, targets=targets)
                plans.append(made)
            claims = batch.commit(plans, offer)
        self.store.promote(batch.lined_up)
        self.plans += plans
        return claims

    def fire_all(self, most: int = 200) -> None:
        """Batches until nothing is due."""
        for _ in range(most):
            look = self.store.look(self.node.id, 0)
            if look.next_us is None or look.next_us > look.now_us:
                return
            self.fire()
        raise AssertionError("something stays due for ever")

    def advance(self, seconds: float) -> None:
        """Time passes; the node keeps its lease."""
        self.clock.advance(seconds)
        self.renew()

    def after(self, seconds: float) -> None:
        """Time passes, then what is due fires."""
        self.advance(seconds)
        self.fire_all()

    def claim(self, limit: int = 1000, node: Node | None = None) -> list[Claim]:
        return self.store.claim(node or self.node, self.new_id(), limit)

    def one_claim(self) -> Claim:
        (claim,) = self.claim()
        return claim

    def start(self, *claims: Claim) -> Recorded:
        starts = [Start(run_id=c.run_id, token=c.token, at_us=self.now_us, pid=7) for c in claims]
        return self.store.record(starts, [], [])

    def ending(self, claim: Claim, exit_code: int | None = 0, **seen: Any) -> Ending:
        """The end of a claim's attempt, as the judge sees it."""
        end = Exit(started_us=self.now_us, ended_us=self.now_us, exit_code=exit_code, **seen)
        return self.ending_of(claim, end, judge(claim.job, claim.attempt, end, 0.5))

    def ending_of(self, claim: Claim, end: Exit, verdict: Verdict) -> Ending:
        return claim.ended(end, verdict)

    def end(self, *claims: Claim, exit_code: int | None = 0, **seen: Any) -> Recorded:
        endings = [self.ending(claim, exit_code, **seen) for claim in claims]
        return self.store.record([], [], endings)

    def finish_all(self) -> int:
        """Claim, start and end everything that is ready; how many that were."""
        claims = self.claim()
        self.start(*claims)
        self.end(*claims)
        return len(claims)

    def settle(self) -> int:
        """What every node does about once a second."""
        return self.store.promote(self.store.sweep())

    # ------------------------------------------------------------------ looking

    def runs(self, job_id: str | None = None, state: RunState | None = None) -> list[Run]:
        search = RunSearch() if state is None else RunSearch.of(state)
        return self.store.runs(RunFilter(job_id=job_id, search=search, limit=100_000))

    def states(self, job_id: str | None = None) -> list[str]:
        """Oldest first."""
        return [run.state.value for run in reversed(self.runs(job_id))]

    def skips(self, job_id: str | None = None) -> list[LedgerRow]:
        """Oldest first."""
        return list(reversed(self.store.ledger(job_id, 100_000)))

    def reasons(self, job_id: str | None = None) -> list[str]:
        return [skip.reason.value for skip in self.skips(job_id)]

    def fetch(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.store.db.read() as connection:
            return [tuple(row) for row in fetch(connection, sql, values)]

    def write(self, sql: str, *values: object) -> int:
        with self.store.db.write() as connection:
            return one(connection, sql, values)

    def permits(self, job_id: str | None = None) -> int:
        key = "%" if job_id is None else f"j{job_id}"
        return int(self.fetch("SELECT count(*) FROM permit WHERE gkey LIKE ?", key)[0][0])

    def fence_of(self, run_id: str) -> int:
        return self.store.find_run(run_id).fence

    def dump(self, tables: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of these tables, to see that nothing changed."""
        return {table: sorted(self.fetch(_ALL.format(table)), key=repr) for table in tables}

    def spoil(self, job_id: str, spec: str) -> None:
        """Put a definition there that this program cannot read."""
        stored = to_stored(job_id)
        self.write("UPDATE job SET spec = ?, version = version + 1 WHERE id = ?", spec, stored)
        self.write("UPDATE job_due SET version = version + 1 WHERE job_id = ?", stored)


def chunk(claim: Claim, seq: int, text: bytes, stream: int = 1, token: str = "") -> Chunk:
    """A piece of output."""
    return Chunk(
        run_id=claim.run_id,
        token=token or claim.token,
        attempt=claim.attempt,
        seq=seq,
        stream=stream,
        at_us=1,
        dropped=0,
        chunk=text,
    )
