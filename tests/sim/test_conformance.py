"""The model is honest: the same verbs, sent to it and to the SQL store, get the same answers."""

import random
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from cronherd.domain.errors import CronherdError
from cronherd.domain.ident import from_stored, make_id
from cronherd.domain.job import build_job
from cronherd.domain.judge import judge
from cronherd.domain.node import Node
from cronherd.domain.planner import plan
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Cause, Exit
from cronherd.engine.clock import FakeClock
from cronherd.store.base import Claim, Ending, Offer, Start, Store
from cronherd.store.database import Database, fetch
from cronherd.store.facts import JobWrite
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.sim.jobs import words
from tests.sim.model import Model
from tests.store.backends import migrated

LEASE_US = 15_000_000
NAMES = ("alpha", "beta", "gamma")
DUE = "SELECT job_id, next_us, slot_us, last_slot_us, version, seq, paused_until_us FROM job_due"
LIVE = "SELECT id, job_id, dedup, state, attempt, epoch, fence, cancel, wait_key, excl_n FROM run"
PAST = "SELECT id, job_id, dedup, outcome, attempt, fence FROM run_history"
SKIPS = "SELECT job_id, from_us, to_us, count, reason FROM ledger"


def counter(clock: FakeClock, first: int) -> Callable[[], str]:
    """Ids in the order in which they were made, so that both sort runs alike."""
    made = [first]

    def new_id() -> str:
        made[0] += 1
        return make_id(clock.now_us(), made[0].to_bytes(10, "big"))

    return new_id


class Pair:
    """Both stores, one clock; each verb goes to both and what differs fails the test."""

    def __init__(self, folder: Any, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = FakeClock()
        self.shared = counter(self.clock, 1 << 40)
        path = shutil.copyfile(migrated("UTC"), folder / "cronherd.db")
        db = Database(SqliteDialect(path, self.clock.now_us))
        self.sql = SqlStore(db, counter(self.clock, 0))
        self.model = Model(self.clock.now_us, counter(self.clock, 0))
        self.nodes = [self._join("n0"), self._join("n1")]
        self.jobs: dict[str, str] = {}
        self.claims: list[tuple[Claim, Claim]] = []
        self.done: list[str] = []

    def _stores(self) -> tuple[Store, Store]:
        return self.model, self.sql

    def both(self, verb: str, *given: Any, **more: Any) -> tuple[Any, Any]:
        """The two answers; errors must have one code."""
        answers: list[Any] = []
        for store in (self.model, self.sql):
            try:
                answers.append(getattr(store, verb)(*given, **more))
            except CronherdError as error:
                answers.append(error)
        codes = [getattr(answer, "code", "") for answer in answers]
        assert codes[0] == codes[1], f"{verb}{given}: {answers}"
        self.done.append(f"{verb} {given!r:.120} -> {answers[0]!r:.60}")
        return answers[0], answers[1]

    def _join(self, name: str) -> Node:
        node = Node(
            id=self.shared(), name=name, incarnation=f"{name}-1", boot_id="b", capacity=4, home="h"
        )
        for store in (self.model, self.sql):
            store.register_node(node, LEASE_US)
        return node

    # ------------------------------------------------------------------ acts

    def act(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (30, self.fire), (20, self.claim), (25, self.end), (25, self.pass_time),
            (15, self.settle), (6, self.make), (5, self.edit), (5, self.switch),
            (5, self.pause), (5, self.resume), (2, self.delete), (8, self.request),
            (6, self.cancel), (3, self.drain), (4, self.take_over), (2, self.hold),
            (2, self.remove),
        ]  # fmt: skip
        self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()
        self.compare()

    def pass_time(self) -> None:
        self.clock.advance(self.random.choice([1, 5, 20, 61, 200]))
        for node in self.nodes:
            if self.random.random() < 0.8:
                one, other = self.both("renew", node.id, node.incarnation, LEASE_US)
                assert one == other

    def fire(self) -> None:
        node, token = self.random.choice(self.nodes), self.shared()
        most = self.random.choice([0, 1, 5])
        offer = Offer(node_id=node.id, token=token, labels=node.place_labels, most=most)
        won = [self._fire(store, offer if most else None) for store in (self.model, self.sql)]
        self._won(won[0], won[1])

    def _fire(self, store: Store, offer: Offer | None) -> list[Claim]:
        with store.fire(50) as batch:
            plans = [
                plan(
                    batch.jobs[due.job_id],
                    due,
                    batch.gate(due.job_id),
                    batch.now_us,
                    fits=batch.fits(batch.jobs[due.job_id].place),
                )
                for due in batch.due
            ]
            self.done.append(f"fire {[(p.due.job_id[:8], p.next_us) for p in plans]}")
            return batch.commit(plans, offer)

    def claim(self) -> None:
        node = self.random.choice(self.nodes)
        self._won(*self.both("claim", node, self.shared(), self.random.choice([1, 3])))

    def _won(self, one: list[Claim], other: list[Claim]) -> None:
        assert [told(c) for c in one] == [told(c) for c in other]
        self.claims += zip(one, other, strict=True)

    def end(self) -> None:
        """A start, an end, or an end that comes twice."""
        if not self.claims:
            return
        pair = self.random.choice(self.claims)
        now_us = self.clock.now_us()
        if self.random.random() < 0.4:
            self._record(pair, None)
            return
        shape: dict[str, Any] = self.random.choice(
            [{"exit_code": 0}, {"exit_code": 1}, {"error": "void"}, {"killed_by": "fenced"},
             {"killed_by": "cancel"}, {"killed_by": "timeout"}]
        )  # fmt: skip
        self._record(pair, Exit(started_us=None, ended_us=now_us, **shape))
        if self.random.random() < 0.8:
            self.claims.remove(pair)

    def _record(self, pair: tuple[Claim, Claim], seen: Exit | None) -> None:
        answers = []
        for store, claim in zip(self._stores(), pair, strict=True):
            starts, endings = [], []
            if seen is None:
                starts = [
                    Start(run_id=claim.run_id, token=claim.token, at_us=self.clock.now_us(), pid=7)
                ]
            else:
                endings = [self._ending(claim, seen)]
            answer = store.record(starts, [], endings)
            answers.append((len(answer.stale), answer.freed, answer.ready))
        self.done.append(f"record {told(pair[0])} {seen}")
        assert answers[0] == answers[1], answers

    def _ending(self, claim: Claim, seen: Exit) -> Ending:
        return claim.ended(seen, judge(claim.job, claim.attempt, seen, 0.5))

    def settle(self) -> None:
        one, other = self.both("sweep")
        assert one == sorted(other)
        one, other = self.both("promote", one)
        assert one == other

    def make(self) -> None:
        name = self.random.choice(NAMES)
        spec = {"name": name, "command": "true", **words(self.random, kind="dense")}
        job_id = self.jobs.setdefault(name, self.shared())
        write = JobWrite(
            id=job_id,
            job=build_job(spec),
            enabled=self.random.choice([None, True, False]),
            source="t",
        )
        self.both("save_jobs", [write], "t")

    def edit(self) -> None:
        line = self._line()
        if line is None:
            return
        spec = {**line.job.spec, **words(self.random, kind="dense")}
        enabled = self.random.choice([None, None, None, True, False])
        version = line.version if self.random.random() < 0.9 else 1
        job = build_job({key: value for key, value in spec.items() if value is not None})
        write = JobWrite(id=line.id, job=job, enabled=enabled, source="t", version=version)
        self.both("save_jobs", [write], "t")

    def switch(self) -> None:
        line = self._line()
        if line is not None:
            self._named("set_enabled", line.id, "t", enabled=self.random.random() < 0.5)

    def pause(self) -> None:
        line = self._line()
        if line is not None:
            span_us = self.random.choice([20, 200]) * 1_000_000
            until_us = self.random.choice([FOREVER_US, self.clock.now_us() + span_us])
            self._named("pause_job", line.id, until_us, "t")

    def resume(self) -> None:
        line = self._line()
        if line is not None:
            self.both("resume_job", line.id, "t")

    def delete(self) -> None:
        line = self._line()
        if line is not None:
            self._named("delete_job", line.id, "t")

    def request(self) -> None:
        line = self._line()
        if line is not None:
            dedup, force = f"m:{self.random.randrange(20)}", self.random.random() < 0.2
            given = (line.id, self.shared(), dedup, Cause.MANUAL)
            one, other = self.both("request_run", *given, force=force)
            if not isinstance(one, Exception):
                assert one == other

    def cancel(self) -> None:
        ids = self._ids()
        if ids:
            run_id = self.random.choice(list(ids))
            self.done.append(f"cancel {run_id[:8]}")
            assert self.model.cancel_run(run_id) == self.sql.cancel_run(ids[run_id])

    def drain(self) -> None:
        node = self.random.choice(self.nodes)
        self.both("set_drained", node.id, "t", drained=self.random.random() < 0.4)

    def hold(self) -> None:
        self.both("set_hold", "t", hold=self.random.random() < 0.3)

    def take_over(self) -> None:
        """As the watcher of a peer: the node as it is now, or as it was a beat ago."""
        node = self.random.choice(self.nodes)
        seen = next(peer for peer in self.model.peers("").nodes if peer.id == node.id)
        if self.random.random() < 0.3:
            seen = Node(**{**_fields(seen), "beat": seen.beat - 1})
        lost = Exit(started_us=None, ended_us=self.clock.now_us(), killed_by="fenced")
        pairs = [pair for pair in self.claims if self._holder(pair[0]) == node.id]
        answers = []
        for place, store in enumerate(self._stores()):
            endings = [self._ending(pair[place], lost) for pair in pairs]
            told_back = store.take_over(seen, endings, judged=False)
            answers.append(told_back and (len(told_back.stale), told_back.freed))
        self.done.append(f"take_over {node.name}")
        assert answers[0] == answers[1], answers

    def remove(self) -> None:
        """Without a word on its runs; it comes back at once, as a new life under its old id."""
        node = self.random.choice(self.nodes)
        seen = next((peer for peer in self.model.peers("").nodes if peer.id == node.id), None)
        if seen is None:
            return
        one, _ = self.both("remove_node", seen, [], "t")
        if not isinstance(one, Exception):
            one, other = self.both("register_node", node, LEASE_US)
            assert (one.boot_id, one.beat, one.drained) == (
                other.boot_id,
                other.beat,
                other.drained,
            )

    # ------------------------------------------------------------------ comparing

    def _named(self, verb: str, *given: Any, **more: Any) -> None:
        """Controls name the runs that were first."""
        one, other = self.both(verb, *given, **more)
        if isinstance(one, list):
            ids = self._ids()
            assert sorted(str(ids.get(run_id)) for run_id in one) == sorted(other), verb

    def _line(self) -> Any:
        return self.random.choice(list(self.model.lines.values()) or [None])

    def _holder(self, claim: Claim) -> str | None:
        row = self.model.live.get(claim.run_id)
        return row.node_id if row is not None and row.token == claim.token else None

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        with self.sql.db.read() as connection:
            return [tuple(row) for row in fetch(connection, sql)]

    def _ids(self) -> dict[str, str]:
        """Run ids of the model to those of the other: the same (job, dedup)."""
        theirs = {(from_stored(row[1]), row[2]): from_stored(row[0]) for row in self._fetch(LIVE)}
        return {row.id: theirs[row.job_id, row.dedup] for row in self.model.live.values()}

    def compare(self) -> None:
        """Every row that decides anything."""
        lines = self.model.lines.values()
        ours = sorted(
            (x.id, x.next_us, x.slot_us, x.last_slot_us, x.version, x.seq, x.paused_until_us)
            for x in lines
        )
        theirs = sorted((from_stored(row[0]), *row[1:]) for row in self._fetch(DUE))
        assert ours == theirs, self.story()
        runs = sorted(
            (r.job_id, r.dedup, r.state.value, r.attempt, r.epoch, r.fence, r.cancel,
             r.wait_key or "", -1 if r.permit is None else r.permit)
            for r in self.model.live.values()
        )  # fmt: skip
        held = sorted(
            (from_stored(row[1]), *row[2:7], bool(row[7]), row[8] or "",
             -1 if row[9] is None else row[9])
            for row in self._fetch(LIVE)
        )  # fmt: skip
        assert runs == held, self.story()
        past = sorted(
            (p.run.job_id, p.run.dedup, p.outcome.value, p.attempt, p.run.fence | p.run.epoch)
            for p in self.model.past.values()
        )
        assert past == sorted((from_stored(r[1]), *r[2:]) for r in self._fetch(PAST)), self.story()
        skips = sorted(
            (s.job_id, s.from_us, s.to_us, s.count, s.reason.value)
            for s in self.model.skips.values()
        )
        assert skips == sorted((from_stored(r[0]), *r[1:]) for r in self._fetch(SKIPS)), (
            self.story()
        )

    def story(self) -> str:
        return "\n".join(self.done[-12:])


def _fields(node: Node) -> dict[str, Any]:
    return {name: getattr(node, name) for name in Node.__dataclass_fields__}


def told(claim: Claim) -> tuple[Any, ...]:
    return claim.job_id, claim.slot_us, claim.attempt, claim.fence, claim.cause, claim.version


@pytest.mark.parametrize("seed", range(12))
def test_model_and_store_answer_alike(tmp_path: Any, seed: int):
    pair = Pair(tmp_path, seed)
    for _ in range(250):
        pair.act()
    pair.sql.close()
