"""The real store on a server whose clock stands apart: what is due tomorrow can be fired today.

Nothing else is changed: the shift is a number in the statement that reads the clock.
"""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cronherd.domain.ident import make_id
from cronherd.domain.node import Node
from cronherd.domain.planner import Plan, plan
from cronherd.engine.clock import SystemClock
from cronherd.store.base import FireBatch
from cronherd.store.database import Contended, Database
from cronherd.store.migrate import upgrade_schema
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.sqlstore import SqlStore

CLOCK = SystemClock()
BATCH = 1_000  # as the scheduler's
BUSY_S = 0.002
DAY_US = 86_400_000_000


class ShiftedPostgres(PostgresDialect):
    def shift(self, shift_us: int) -> None:
        """From now on its clock is so far ahead."""
        self.now_sql = f"({PostgresDialect.now_sql} + {shift_us})"


class ShiftedMysql(MysqlDialect):
    def shift(self, shift_us: int) -> None:
        """From now on its clock is so far ahead."""
        self.now_sql = f"({MysqlDialect.now_sql} + {shift_us})"


def tune() -> None:
    """As wiring does in an agent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def new_id() -> str:
    return make_id(CLOCK.now_us(), os.urandom(10))


def dialect_of(url: str) -> ShiftedPostgres | ShiftedMysql:
    made = ShiftedPostgres if url.startswith("postgresql") else ShiftedMysql
    return made(url, CLOCK.boot_us)


class Shifted:
    """A store, and the way to move its clock."""

    def __init__(self, url: str) -> None:
        self.dialect = dialect_of(url)
        self.db = Database(self.dialect)
        self.shift_us = 0
        self.store = SqlStore(self.db, new_id)
        node_id = new_id()
        self.node = Node(
            id=node_id,
            name=f"bench-{node_id[:8]}",
            incarnation=new_id(),
            boot_id="bench",
            capacity=64,
        )

    def begin_at(self, now_us: int) -> None:
        """Its clock shows this instant now, and goes on from there."""
        self.shift_us = now_us - CLOCK.now_us()
        self.dialect.shift(self.shift_us)

    def now_us(self) -> int:
        """What its clock shows, by this host's."""
        return CLOCK.now_us() + self.shift_us

    def register(self) -> None:
        """A node that stays alive however the clock is moved."""
        self.store.register_node(self.node, 30 * DAY_US)

    def close(self) -> None:
        self.store.release_node(self.node.id, self.node.incarnation)
        self.store.close()


@contextmanager
def opened(url: str, now_us: int) -> Iterator[Shifted]:
    """A store whose clock shows this instant now."""
    shifted = Shifted(url)
    try:
        shifted.begin_at(now_us)
        shifted.register()
        yield shifted
    finally:
        shifted.close()


def migrate(url: str) -> None:
    db = Database(dialect_of(url))
    try:
        upgrade_schema(db, timezone="UTC", incarnation=new_id())
    finally:
        db.close()


@dataclass(slots=True)
class Fired:
    """What firing took, in seconds by the clock."""

    rows: int = 0
    batches: int = 0
    empty: int = 0
    contended: int = 0
    read_s: float = 0.0
    plan_s: float = 0.0
    write_s: float = 0.0
    commit_s: float = 0.0
    slowest_s: float = 0.0
    began: float = field(default_factory=time.time)
    ended: float = field(default_factory=time.time)


def fire_all(shifted: Shifted, limit: int = BATCH, most: int | None = None) -> Fired:
    """Fire until nothing is due, or so many rows, as the scheduler does."""
    told = Fired()
    node_id = shifted.node.id
    while most is None or told.rows < most:
        try:
            count = _fire(shifted.store, limit if most is None else min(limit, most), told)
        except Contended:
            told.contended += 1
            continue
        if count:
            told.ended = time.time()
            continue
        look = shifted.store.look(node_id, 0)
        if look.next_us is None or look.next_us > look.now_us:
            break
        told.empty += 1  # others hold what is left
        time.sleep(BUSY_S)
    return told


def _fire(store: SqlStore, limit: int, told: Fired) -> int:
    began = time.perf_counter()
    with store.fire(limit) as batch:
        read = time.perf_counter()
        plans = plans_of(batch)
        planned = time.perf_counter()
        batch.commit(plans, None)
        written = time.perf_counter()
        count = len(batch.due)
    ended = time.perf_counter()
    if count:
        told.rows += count
        told.batches += 1
        told.read_s += read - began
        told.plan_s += planned - read
        told.write_s += written - planned
        told.commit_s += ended - written
        told.slowest_s = max(told.slowest_s, ended - began)
    return count


def plans_of(batch: FireBatch) -> list[Plan]:
    """As the scheduler makes them; a job that cannot be planned is an error here."""
    made: list[Plan] = []
    for due in batch.due:
        job = batch.jobs[due.job_id]
        fits = batch.fits(job.place)
        made.append(plan(job, due, batch.gate(due.job_id), batch.now_us, fits=fits))
    return made


def as_json(told: Fired) -> dict[str, Any]:
    return {name: getattr(told, name) for name in Fired.__slots__}
