"""Pools: gates that runs of any job wait in front of, and what people say of them."""

from collections.abc import Callable, Sequence

from cronherd.domain.errors import Conflict
from cronherd.domain.job import Job
from cronherd.domain.pool import (
    PoolUse,
    Room,
    let_in,
    read_uses,
    rolling_key,
)
from cronherd.store import permits
from cronherd.store.database import Connection, Database, Row, fetch, many, one

GATES = "SELECT gkey, capacity FROM gate WHERE gkey IN ?"
LOCK_GATES = """
SELECT gkey, capacity FROM gate /*by primary*/ WHERE gkey IN ? ORDER BY gkey /*lock*/
"""
ADD_GATE = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, ?, 0)"
SET_CAPACITY = "UPDATE gate SET capacity = ? WHERE gkey = ?"
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

# Looked at beyond what is free: the first ones may wait for other gates, too.
BEYOND = 20
MOST = 500

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
