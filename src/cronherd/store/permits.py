"""Permits and waiters of jobs, read under the locks that let one take them."""

from collections.abc import Mapping, Sequence
from itertools import count

from cronherd.domain.admission import Gate, gate_key
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.policy import Overlap
from cronherd.store.database import Connection, Row, Values, fetch, many, one, parts

HELD = """
SELECT p.gkey, p.n, p.run_id, p.until_us, n.lease_us FROM permit p
LEFT JOIN run r ON r.id = p.run_id LEFT JOIN node n ON n.id = r.node_id
WHERE p.gkey IN ?
"""
WAITING = "SELECT wait_key, count(*) FROM run WHERE wait_key IN ? GROUP BY wait_key"
WAITERS = "SELECT wait_key, id FROM run WHERE wait_key IN ? ORDER BY id"
PARKED = """
SELECT job_id, target_id, count(*) FROM run WHERE job_id IN ? AND wait_key LIKE '@%'
GROUP BY job_id, target_id
"""
# What has passed its job's own limit, also when it waits for a pool.
INSIDE = """
SELECT id, state, target_id FROM run WHERE job_id = ? AND (state IN
('ready', 'delayed', 'claimed', 'running') OR wait_key LIKE 'p%' OR wait_key LIKE 'r%') ORDER BY id
"""
LOCK_RUNS = "SELECT id FROM run /*by primary*/ WHERE id IN ? ORDER BY id /*lock, skip*/"
COUNTED = "UPDATE run SET excl_key = ?, excl_n = ? WHERE id = ?"
LINE_UP = """
UPDATE run SET state = 'waiting', wait_key = ?, excl_key = NULL, excl_n = NULL WHERE id IN ?
"""
TAKE = "INSERT INTO permit (gkey, n, run_id) VALUES (?, ?, ?)"
FREE = "DELETE FROM permit WHERE run_id IN ?"
FREE_OWN = "DELETE FROM permit WHERE run_id IN ? AND gkey LIKE 'j%'"
FREE_POOLS = "DELETE FROM permit WHERE run_id IN ? AND gkey NOT LIKE 'j%'"
REST = "UPDATE permit SET until_us = ? WHERE run_id = ?"
EXPIRE = "DELETE FROM permit WHERE gkey = ? AND n = ?"

Doors = Mapping[str, Job]
"""Whose permits each key gives: the job's, or those of one of its nodes."""


def read_gates(connection: Connection, doors: Doors, now_us: int) -> dict[str, Gate]:
    """The gates of these keys. An expired permit counts as free and is dropped."""
    gates = {key: Gate() for key in doors}
    limited = [key for key, job in doors.items() if job.permits != UNLIMITED]
    if not limited:
        return gates
    expired: list[Values] = []
    for key, n, run_id, until_us, lease_us in fetch(connection, HELD, (limited,)):
        if until_us is not None and until_us <= now_us:
            expired.append((key, n))
            continue
        gate = gates[key]
        gate.used.add(n)
        (gate.holders if until_us is None else gate.resting).append(from_stored(run_id))
        gate.silent = gate.silent or (lease_us is not None and lease_us <= now_us)
    many(connection, EXPIRE, expired)
    for key, waiting in fetch(connection, WAITING, (limited,)):
        gates[key].waiting = waiting
    _read_waiters(connection, gates, doors)
    return gates


def read_parked(
    connection: Connection, job_ids: Sequence[str]
) -> dict[tuple[str, str | None], int]:
    """How many runs of these jobs wait for a node that fits, by the node they are meant for."""
    stored = [to_stored(job_id) for job_id in job_ids]
    return {
        (from_stored(job_id), None if target is None else from_stored(target)): parked
        for job_id, target, parked in fetch(connection, PARKED, (stored,))
    }


def _read_waiters(connection: Connection, gates: Mapping[str, Gate], doors: Doors) -> None:
    """Who waits matters only where a newer slot takes the older one's place."""
    keys = [
        key for key, job in doors.items() if job.overlap is Overlap.REPLACE and gates[key].waiting
    ]
    if not keys:
        return
    for key, run_id in fetch(connection, WAITERS, (keys,)):
        gates[key].waiters.append(from_stored(run_id))


def busy(connection: Connection, gates: Mapping[str, Gate], doors: Doors) -> set[str]:
    """Of the keys whose jobs would replace runs: those one of whose runs is locked elsewhere."""
    runs = {
        to_stored(run_id): key
        for key, job in doors.items()
        if job.overlap is Overlap.REPLACE
        for run_id in (*gates[key].holders, *gates[key].waiters)
    }
    if not runs:
        return set()
    free = {row[0] for row in fetch(connection, LOCK_RUNS, (sorted(runs),))}
    return {key for run_id, key in runs.items() if run_id not in free}


def take(connection: Connection, rows: Sequence[Values]) -> None:
    """Plain INSERTs of (key, n, run id): a forgotten lock becomes an aborted transaction."""
    many(connection, TAKE, rows)


def bind(connection: Connection, job_id: str, job: Job) -> None:
    """A limit began to count, or counts by node now: what runs is counted, the rest lines up.

    Numbers may lie beyond the limit: those who hold them run out.
    """
    inside = fetch(connection, INSIDE, (to_stored(job_id),))
    started = [row for row in inside if row[1] in {"delayed", "claimed", "running"}]
    if started:
        one(connection, FREE_OWN, ([row[0] for row in started],))
    numbers: dict[str, count[int]] = {}
    held: list[Values] = []
    for row in started:
        key = _door(job_id, job, row)
        held.append((key, next(numbers.setdefault(key, count())), row[0]))
    _make_way(connection, numbers)
    take(connection, held)
    many(connection, COUNTED, held)
    line_up(connection, job_id, [row[0] for row in inside if row not in started])


def _door(job_id: str, job: Job, row: Row) -> str:
    target = row[2]
    return gate_key(job_id, from_stored(target) if job.on_all and target is not None else None)


def _make_way(connection: Connection, keys: Mapping[str, object]) -> None:
    """What rests or is held otherwise under these keys is counted anew."""
    if keys:
        one(connection, "DELETE FROM permit WHERE gkey IN ?", (list(keys),))


def line_up(connection: Connection, job_id: str, run_ids: Sequence[bytes]) -> None:
    """These runs, whose rows are locked, give back all they hold and ask at the door again."""
    for some in parts(run_ids):
        free(connection, some)
        one(connection, LINE_UP, (gate_key(job_id), some))


def free(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Give back what these runs hold."""
    if run_ids:
        one(connection, FREE, (list(run_ids),))


def free_pools(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Give back what these runs hold beside the permits of their own jobs."""
    if run_ids:
        one(connection, FREE_POOLS, (list(run_ids),))


def rest(connection: Connection, rows: Sequence[tuple[int, bytes]]) -> None:
    """(until, run id): runs that ended, whose jobs start nothing in their place until then."""
    if rows:
        free_pools(connection, [run_id for _, run_id in rows])
        many(connection, REST, rows)
