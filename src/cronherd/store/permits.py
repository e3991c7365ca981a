"""Permits and waiters of jobs, read under the locks that let one take them."""

from collections.abc import Mapping, Sequence
from itertools import count

from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.planner import Gate, gate_key
from cronherd.domain.policy import Overlap
from cronherd.store.database import Connection, Values, fetch, many, one

HELD = """
SELECT p.gkey, p.n, p.run_id, p.until_us, n.lease_us FROM permit p
LEFT JOIN run r ON r.id = p.run_id LEFT JOIN node n ON n.id = r.node_id
WHERE p.gkey IN ?
"""
WAITING = "SELECT wait_key, count(*) FROM run WHERE wait_key IN ? GROUP BY wait_key"
WAITERS = "SELECT wait_key, id FROM run WHERE wait_key IN ? ORDER BY id"
PARKED = """
SELECT job_id, count(*) FROM run WHERE job_id IN ? AND wait_key LIKE '@%' GROUP BY job_id
"""
NUMBERS = "SELECT n FROM permit WHERE gkey = ?"
UNBOUND = """
SELECT id, state FROM run WHERE job_id = ? AND excl_key IS NULL
AND state IN ('ready', 'delayed', 'claimed', 'running') ORDER BY id
"""
LOCK_RUNS = "SELECT id FROM run /*by primary*/ WHERE id IN ? ORDER BY id /*lock, skip*/"
COUNTED = "UPDATE run SET excl_key = ?, excl_n = ? WHERE id = ?"
LINE_UP = "UPDATE run SET state = 'waiting', wait_key = ? WHERE id IN ?"
TAKE = "INSERT INTO permit (gkey, n, run_id) VALUES (?, ?, ?)"
FREE = "DELETE FROM permit WHERE run_id IN ?"
EXPIRE = "DELETE FROM permit WHERE gkey = ? AND n = ?"


def read_gates(connection: Connection, jobs: Mapping[str, Job], now_us: int) -> dict[str, Gate]:
    """The gates of these jobs by job id. An expired permit counts as free and is dropped."""
    gates = {job_id: Gate() for job_id in jobs}
    limited = {gate_key(i): i for i, job in jobs.items() if job.permits != UNLIMITED}
    if not limited:
        return gates
    expired: list[Values] = []
    keys = list(limited)
    for key, n, run_id, until_us, lease_us in fetch(connection, HELD, (keys,)):
        if until_us is not None and until_us <= now_us:
            expired.append((key, n))
            continue
        gate = gates[limited[key]]
        gate.used.add(n)
        gate.holders.append(from_stored(run_id))
        gate.silent = gate.silent or (lease_us is not None and lease_us <= now_us)
    many(connection, EXPIRE, expired)
    for key, waiting in fetch(connection, WAITING, (keys,)):
        gates[limited[key]].waiting = waiting
    _read_waiters(connection, gates, jobs)
    return gates


def read_parked(connection: Connection, gates: Mapping[str, Gate], job_ids: Sequence[str]) -> None:
    """How many runs of these jobs wait for a node that fits."""
    stored = [to_stored(job_id) for job_id in job_ids]
    for job_id, parked in fetch(connection, PARKED, (stored,)):
        gates[from_stored(job_id)].parked = parked


def _read_waiters(
    connection: Connection, gates: Mapping[str, Gate], jobs: Mapping[str, Job]
) -> None:
    """Who waits matters only where a newer slot takes the older one's place."""
    keys = [
        gate_key(job_id)
        for job_id, job in jobs.items()
        if job.overlap is Overlap.REPLACE and gates[job_id].waiting
    ]
    if not keys:
        return
    for key, run_id in fetch(connection, WAITERS, (keys,)):
        gates[key[1:]].waiters.append(from_stored(run_id))


def busy(connection: Connection, gates: Mapping[str, Gate], jobs: Mapping[str, Job]) -> set[str]:
    """Of the jobs that would replace runs: those one of whose runs somebody else has locked."""
    runs = {
        to_stored(run_id): job_id
        for job_id, job in jobs.items()
        if job.overlap is Overlap.REPLACE
        for run_id in (*gates[job_id].holders, *gates[job_id].waiters)
    }
    if not runs:
        return set()
    free = {row[0] for row in fetch(connection, LOCK_RUNS, (sorted(runs),))}
    return {job_id for run_id, job_id in runs.items() if run_id not in free}


def take(connection: Connection, rows: Sequence[Values]) -> None:
    """Plain INSERTs of (key, n, run id): a forgotten lock becomes an aborted transaction."""
    many(connection, TAKE, rows)


def bind(connection: Connection, stored: bytes, key: str) -> None:
    """A job that had no limit has one now: what runs is counted, what is ready lines up.

    Numbers may lie beyond the limit: those who hold them run out.
    """
    used = {row[0] for row in fetch(connection, NUMBERS, (key,))}
    unbound = fetch(connection, UNBOUND, (stored,))
    ready = [row[0] for row in unbound if row[1] == "ready"]
    numbers = (n for n in count() if n not in used)
    held = [(key, next(numbers), row[0]) for row in unbound if row[1] != "ready"]
    take(connection, held)
    many(connection, COUNTED, held)
    if ready:
        one(connection, LINE_UP, (key, ready))


def free(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Give back what these runs hold."""
    if run_ids:
        one(connection, FREE, (list(run_ids),))
