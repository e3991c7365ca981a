"""Pools: gates that runs of any job wait in front of, and what people say of them."""

from collections.abc import Callable, Sequence

from cronherd.domain.errors import Conflict
from cronherd.domain.job import Job
from cronherd.domain.pool import Admitted, PoolUse, Room, let_in, read_uses, rolling_key
from cronherd.store import permits
from cronherd.store.database import Connection, Database, Row, fetch, many, one

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
# The same without those that can never go on, however many they are.
LINE_BUT = LINE.replace("wait_key = ?", "wait_key = ? AND NOT (pools IN ?)")
LOCK_LINE = """
SELECT id, pools FROM run /*by primary*/ WHERE id IN ? AND wait_key = ? ORDER BY id /*lock, skip*/
"""
LET_IN = """
UPDATE run SET state = 'ready', wait_key = NULL, ready_us = now_us() WHERE id = ? AND wait_key = ?
"""
MOVE = "UPDATE run SET wait_key = ? WHERE id = ? AND wait_key = ?"

# Looked at beyond what is free: the first ones may wait for other gates, too.
BEYOND = 20
MOST = 500
# Looks at one line in a row, while those in front go out of the way of others.
LOOKS = 20

Tell = Callable[[Connection, str, str], None]


def promote_line(db: Database, key: str) -> int:
    """Let those in front of one gate go on, as many as there are permits; how many did.

    Without a permit to give it costs one look, however many wait.
    """
    ready = 0
    never: list[str] = []
    for _ in range(LOOKS):
        line, whole = _look(db, key, never)
        if not line:
            break
        answer = _let_on(db, key, line)
        ready += len(answer.taken)
        # Who goes away, or never goes on, must not hide those behind.
        if not answer.moved and (whole or not answer.never):
            break
        asked = dict(tuple(row) for row in line)
        never = sorted({*never, *(asked[run_id] for run_id in answer.never)})
    return ready


def _look(db: Database, key: str, never: list[str]) -> tuple[Sequence[Row], bool]:
    """The beginning of a line, where it can move at all; whether that is all of it."""
    with db.glance() as connection:
        found = fetch(connection, FREE, (key,))
        if not found or found[0][0] <= 0:
            return (), True
        most = min(found[0][0] + BEYOND, MOST)
        if never:
            line = fetch(connection, LINE_BUT, (key, never, most))
        else:
            line = fetch(connection, LINE, (key, most))
    return line, len(line) < most


def _let_on(db: Database, key: str, line: Sequence[Row]) -> Admitted[bytes]:
    """One transaction: the gates' locks, who holds what, and who of these goes on."""
    with db.write() as connection:
        rooms = _rooms(connection, line)
        order = {row[0]: n for n, row in enumerate(line)}
        locked = fetch(connection, LOCK_LINE, (sorted(order), key))
        # What was read without a lock is asked again: an edit may have changed what it wants.
        waiting = [
            (row[0], read_uses(row[1])) for row in sorted(locked, key=lambda row: order[row[0]])
        ]
        answer = let_in(key, waiting, rooms)
        held: list[tuple[str, int, bytes]] = [
            (*permit, run) for run, taken in answer.taken for permit in taken
        ]
        permits.take(connection, sorted(held, key=lambda row: (row[0], row[1])))
        many(connection, MOVE, [(other, run, key) for run, other in answer.moved])
        many(connection, LET_IN, [(run, key) for run, _ in answer.taken])
        if answer.taken:
            db.dialect.notify(connection)
    return answer


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
        # One that is closed for a while must not keep anybody from writing his jobs.
        if key in uses and uses[key].permits > capacity > 0:
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
