"""What people see of pools, and change."""

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.job import Job
from cronherd.domain.pool import no_such_pool, pool_key, read_uses
from cronherd.domain.run import Run
from cronherd.store.database import Connection, Database, Duplicate, fetch, one
from cronherd.store.definitions import read_definition
from cronherd.store.events import EventRows
from cronherd.store.facts import PoolRow
from cronherd.store.history import LIVE, read_run
from cronherd.store.pools import ADD_GATE, LOCK_GATES, SET_CAPACITY

DROP_GATE = "DELETE FROM gate WHERE gkey = ?"
POOLS = """
SELECT g.gkey, g.capacity, (SELECT count(*) FROM permit p WHERE p.gkey = g.gkey),
(SELECT count(*) FROM run r WHERE r.wait_key = g.gkey) FROM gate g WHERE g.gkey LIKE 'p%'
ORDER BY g.gkey
"""
HOLDERS = "SELECT run_id, count(*) FROM permit WHERE gkey = ? GROUP BY run_id LIMIT ?"
# The word may stand elsewhere in a definition too; the job itself knows.
USERS = "SELECT name, spec FROM job WHERE deleted_us IS NULL AND spec LIKE '%\"pools\"%'"
ASKED = "SELECT pools FROM run WHERE pools LIKE ?"
HOLDERS_SHOWN = 100


class PoolRows:
    """Verbs of the catalog."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def pools(self) -> list[PoolRow]:
        with self._db.glance() as connection:
            rows = fetch(connection, POOLS)
        return [
            PoolRow(name=key[1:], capacity=capacity, held=held, waiting=waiting)
            for key, capacity, held, waiting in rows
        ]

    def holders(self, key: str) -> list[tuple[Run, int]]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            held = dict(tuple(row) for row in fetch(connection, HOLDERS, (key, HOLDERS_SHOWN)))
            if not held:
                return []
            rows = fetch(connection, LIVE.format("r.id IN ?"), (sorted(held), HOLDERS_SHOWN))
        return [(read_run(row, now_us), held[row[0]]) for row in rows]

    def pool_users(self, name: str) -> list[str]:
        with self._db.glance() as connection:
            return self._users(connection, pool_key(name))

    def _users(self, connection: Connection, key: str) -> list[str]:
        found = ((name, read_definition(spec)) for name, spec in fetch(connection, USERS))
        return sorted(
            name
            for name, job in found
            if isinstance(job, Job) and any(use.key == key for use in job.pools)
        )

    def set_pool(self, name: str, capacity: int, actor: str) -> None:
        try:
            self._set(name, capacity, actor)
        except Duplicate:  # somebody made it at the same instant: look again
            self._set(name, capacity, actor)

    def _set(self, name: str, capacity: int, actor: str) -> None:
        key = pool_key(name)
        with self._db.write() as connection:
            rows = fetch(connection, LOCK_GATES, ([key],))
            if rows and rows[0][1] == capacity:
                return
            if rows:
                one(connection, SET_CAPACITY, (capacity, key))
                text = f"{rows[0][1]} → {capacity}"
            else:
                one(connection, ADD_GATE, (key, capacity))
                text = f"{capacity}"
            self._events.add(connection, EventKind.POOL_SET, name, actor, text)

    def remove_pool(self, name: str, actor: str) -> None:
        key = pool_key(name)
        with self._db.write() as connection:
            if not fetch(connection, LOCK_GATES, ([key],)):
                raise no_such_pool(name)
            users = self._users(connection, key)
            asked = fetch(connection, ASKED, (f"%{key}%",))
            runs = sum(any(use.key == key for use in read_uses(row[0])) for row in asked)
            if users or runs:
                by = f"the job '{users[0]}'" if users else f"{runs} live runs"
                raise Conflict(
                    f"the pool '{name}' is used by {by}",
                    code="pool_in_use",
                    hint="take it out of the jobs that name it first",
                )
            one(connection, DROP_GATE, (key,))
            self._events.add(connection, EventKind.POOL_REMOVED, name, actor)
