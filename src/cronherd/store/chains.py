"""`after` jobs: their next slot comes with the end of the run they have.

Every ending of such a run re-arms its job in the same transaction, under the lock of its due row.
"""

from collections.abc import Sequence

from cronherd.domain.job import Job
from cronherd.domain.policy import FOREVER_US
from cronherd.store.database import Connection, Row, fetch, one
from cronherd.store.definitions import JobCache

# A chain whose run ended without a process, or without anybody who knew the next slot.
UNARMED = """
SELECT d.job_id, d.version, j.name, d.last_slot_us, d.paused_until_us, d.fired
FROM job_due d JOIN job j ON j.id = d.job_id
WHERE d.next_us IS NULL AND j.enabled AND j.deleted_us IS NULL AND j.spec LIKE '%"after%'
AND (d.paused_until_us IS NULL OR d.paused_until_us < ?)
AND NOT EXISTS (SELECT 1 FROM run r WHERE r.job_id = d.job_id AND r.slot_us IS NOT NULL) {}
"""
# Jobs whose next slot may come with the end of one of these runs.
CHAINED = """
SELECT DISTINCT r.job_id FROM run r JOIN job j ON j.id = r.job_id
WHERE r.id IN ? AND r.slot_us IS NOT NULL AND j.spec LIKE '%"after%'
"""
UNARMED_AMONG = UNARMED.format("AND d.job_id IN ?")
UNARMED_ANY = UNARMED.format("LIMIT 100")
ARM = "UPDATE job_due SET slot_us = ?, next_us = ? WHERE job_id = ? AND next_us IS NULL"


def rearm_after(
    connection: Connection, cache: JobCache, job_ids: Sequence[bytes], now_us: int
) -> list[str]:
    """Of these jobs, whose due rows are locked, those whose chain has no run go on from now."""
    if not job_ids:
        return []
    return _arm(connection, cache, UNARMED_AMONG, (FOREVER_US, list(job_ids)), now_us)


def chained(connection: Connection, run_ids: Sequence[bytes]) -> list[bytes]:
    """Jobs that an end of one of these runs would re-arm; read without a lock."""
    if not run_ids:
        return []
    return [row[0] for row in fetch(connection, CHAINED, (list(run_ids),))]


def unarmed(connection: Connection, cache: JobCache) -> list[bytes]:
    """Jobs whose chain nobody re-armed; read without a lock."""
    return [row[0] for row, _ in _open(connection, cache, UNARMED_ANY, (FOREVER_US,))]


def _arm(
    connection: Connection, cache: JobCache, sql: str, values: Sequence[object], now_us: int
) -> list[str]:
    armed: list[str] = []
    for (stored, _, name, last_us, paused_us, _), job in _open(connection, cache, sql, values):
        assert job.schedule is not None
        slot_us = max(job.schedule.next_after(now_us) or now_us, last_us + 1)
        one(connection, ARM, (slot_us, max(slot_us, paused_us or 0), stored))
        armed.append(name)
    return armed


def _open(
    connection: Connection, cache: JobCache, sql: str, values: Sequence[object]
) -> list[tuple[Row, Job]]:
    """Of the rows that a statement finds, the chains that are not over."""
    rows = fetch(connection, sql, values)
    jobs = cache.get(connection, [(row[0], row[1]) for row in rows])
    pairs = ((row, jobs.get((row[0], row[1]))) for row in rows)
    return [
        (row, job)
        for row, job in pairs
        if isinstance(job, Job) and job.chained and not job.ended(row[5])
    ]
