"""Pools: gates that runs of any job wait in front of, and what people say of them."""

from collections.abc import Callable, Mapping, Sequence

from cronherd.domain.errors import Conflict, Invalid, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored
from cronherd.domain.job import Job
from cronherd.domain.pool import PoolUse, Room, let_in, pool_key, read_uses, rolling_key
from cronherd.store import permits
from cronherd.store.database import Connection, Database, Row, fetch, many, one
from cronherd.store.events import EventRows
from cronherd.store.facts import PoolRow

GATES = "SELECT gkey, capacity FROM gate WHERE gkey IN ?"
LOCK_GATES = """
SELECT gkey, capacity FROM gate /*by primary*/ WHERE gkey IN ? ORDER BY gkey /*lock*/
"""
ADD_GATE = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, ?, 0)"
SET_CAPACITY = "UPDATE gate SET capacity = ? WHERE gkey = ?"
DROP_GATE = "DELETE FROM gate WHERE gkey = ?"
TAKEN = "SELECT gkey, n FROM permit WHERE gkey IN ?"
FREE = """
SELECT capacity - (SELECT count(*) FROM permit p WHERE p.gkey = gate.gkey) FROM gate WHERE gkey = ?
"""
LINE = """
SELECT id, pools FROM run WHERE wait_key = ? ORDER BY prio, ready_us, id LIMIT ?
"""
LOCK_LINE = """
SELECT id, pools FROM run /*by primary*/ WHERE id IN ? AND wait_key = ? ORDER BY id /*lock, skip*/
"""
LET_IN = """
UPDATE run SET state = 'ready', wait_key = NULL, ready_us = ? WHERE id = ? AND wait_key = ?
"""
MOVE = "UPDATE run SET wait_key = ? WHERE id = ? AND wait_key = ?"
POOLS = """
SELECT g.gkey, g.capacity, (SELECT count(*) FROM permit p WHERE p.gkey = g.gkey),
(SELECT count(*) FROM run r WHERE r.wait_key = g.gkey) FROM gate g WHERE g.gkey LIKE 'p%'
ORDER BY g.gkey
"""
HOLDERS = """
SELECT p.run_id, count(*) FROM permit p WHERE p.gkey = ? GROUP BY p.run_id ORDER BY p.run_id LIMIT ?
"""
# The word may stand elsewhere in a definition too; the job itself knows.
USERS = "SELECT name, spec FROM job WHERE deleted_us IS NULL AND spec LIKE '%\"pools\"%'"
ASKED = "SELECT pools FROM run WHERE pools LIKE ?"

# Looked at beyond what is free: the first ones may wait for other gates, too.
BEYOND = 20
MOST = 500
HOLDERS_SHOWN = 100

Tell = Callable[[Connection, str, str], None]


def promote_line(db: Database, key: str) -> int:
    """Let those in front of one gate go on, as many as there are permits; how many did.

    Without a permit to give it costs one look, however many wait.
    """
    with db.glance() as connection:
        found = fetch(connection, FREE, (key,))
        if not found or found[0][0] <= 0:
            return 0
        line = fetch(connection, LINE, (key, min(found[0][0] + BEYOND, MOST)))
    if not line:
        return 0
    with db.write() as connection:
        rooms = _rooms(connection, line)
        order = {row[0]: n for n, row in enumerate(line)}
        locked = fetch(connection, LOCK_LINE, (sorted(order), key))
        # What was read without a lock is asked again: an edit may have changed what it wants.
        waiting = [
            (row[0], read_uses(row[1]))
            for row in sorted(locked, key=lambda row: order[row[0]])
            if all(use.key in rooms for use in read_uses(row[1]))
        ]
        answer = let_in(key, waiting, rooms)
        now_us = db.dialect.now_us(connection)
        held: list[tuple[str, int, bytes]] = [
            (*permit, run) for run, taken in answer.taken for permit in taken
        ]
        permits.take(connection, sorted(held, key=lambda row: (row[0], row[1])))
        many(connection, MOVE, [(other, run, key) for run, other in answer.moved])
        ready = many(connection, LET_IN, [(now_us, run, key) for run, _ in answer.taken])
        if ready:
            db.dialect.notify(connection)
    return ready


def _rooms(connection: Connection, line: Sequence[Row]) -> dict[str, Room]:
    """All gates that somebody in this line asks for, locked in their order."""
    keys = sorted({use.key for row in line for use in read_uses(row[1])})
    rooms = {
        key: Room(capacity=capacity) for key, capacity in fetch(connection, LOCK_GATES, (keys,))
    }
    for key, n in fetch(connection, TAKEN, (keys,)):
        if key in rooms:
            rooms[key].used.add(n)
    return rooms


def ensure_pools(connection: Connection, jobs: Sequence[tuple[str, Job]], tell: Tell) -> None:
    """Make the gates that these jobs need. Raises Conflict where a pool has too few permits.

    A pool that nobody has made has one permit: a mutex. How many nodes a job rolls over is its own.
    """
    uses = {use.key: use for _, job in jobs for use in sorted(job.pools, key=_permits)}
    rolling = {rolling_key(job_id): job.rolling for job_id, job in jobs if job.rolling}
    wanted = sorted({*uses, *rolling})
    if not wanted:
        return
    known = dict(tuple(row) for row in fetch(connection, LOCK_GATES, (wanted,)))
    for key in wanted:
        capacity = rolling.get(key) or known.get(key, 1)
        if key in uses and uses[key].permits > capacity:
            raise _too_small(uses[key], known.get(key))
        if key not in known:
            one(connection, ADD_GATE, (key, capacity))
            if key in uses:
                tell(connection, uses[key].name, "1 permit, by the first job that names it")
        elif known[key] != capacity:
            one(connection, SET_CAPACITY, (capacity, key))


def _permits(use: PoolUse) -> int:
    return use.permits


def _too_small(use: PoolUse, capacity: int | None) -> Conflict:
    has = f"has {capacity}" if capacity is not None else "does not exist, and would be made with 1"
    return Conflict(
        f"wants {use.permits} permits of the pool '{use.name}', which {has}",
        code="pool_too_small",
        hint=f"cronherd pool set {use.name} {use.permits}",
        where="pools",
    )


class PoolRows:
    """What people see of pools, and change."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def pools(self) -> list[PoolRow]:
        with self._db.read() as connection:
            rows = fetch(connection, POOLS)
        return [
            PoolRow(name=key[1:], capacity=capacity, held=held, waiting=waiting)
            for key, capacity, held, waiting in rows
        ]

    def holders(self, key: str) -> list[tuple[str, int]]:
        with self._db.read() as connection:
            rows = fetch(connection, HOLDERS, (key, HOLDERS_SHOWN))
        return [(from_stored(run_id), permits) for run_id, permits in rows]

    def set_pool(self, name: str, capacity: int, actor: str) -> None:
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

    def remove_pool(self, name: str, users: Mapping[str, str], actor: str) -> None:
        """Raises NotFound, and Conflict while runs hold it, wait for it, or jobs ask for it."""
        key = pool_key(name)
        with self._db.write() as connection:
            if not fetch(connection, LOCK_GATES, ([key],)):
                raise no_such_pool(name)
            asked = fetch(connection, ASKED, (f"%{key}%",))
            runs = sum(any(use.key == key for use in read_uses(row[0])) for row in asked)
            if users or runs:
                by = f"the job '{next(iter(users))}'" if users else f"{runs} live runs"
                raise Conflict(
                    f"the pool '{name}' is used by {by}",
                    code="pool_in_use",
                    hint="take it out of the jobs that name it first",
                )
            one(connection, DROP_GATE, (key,))
            self._events.add(connection, EventKind.POOL_REMOVED, name, actor)


def no_such_pool(name: str) -> NotFound:
    return NotFound(
        f"there is no pool '{name}'", code="no_such_pool", hint="'cronherd pool list' shows them"
    )


def check_capacity(capacity: int) -> int:
    """Raises Invalid for a number of permits that no pool can have."""
    if not 0 <= capacity <= 10_000:
        raise Invalid("a pool has 0 to 10000 permits", code="bad_pool", hint="0 closes it")
    return capacity
