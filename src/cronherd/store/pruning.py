"""Pruning: what is past its retention goes, a bounded number of rows at a time.

The watermark of a job stays, so a slot that was forgotten here never fires again.
"""

from cronherd.domain.instant import DAY_US
from cronherd.domain.job import Job
from cronherd.domain.policy import Retention
from cronherd.store.database import Connection, Database, fetch, many, one
from cronherd.store.definitions import JobCache
from cronherd.store.deliveries import DROP_DELIVERIES
from cronherd.store.facts import Pruned
from cronherd.store.jobtexts import refresh
from cronherd.store.locks import tidy_locks

# A re-sent click is answered with the same run for this long.
REQUEST_AGE_US = 7 * DAY_US
EVENT_AGE_US = 400 * DAY_US

JOBS = """
SELECT h.job_id, j.version, count(*), min(h.ended_us) FROM run_history h
JOIN job j ON j.id = h.job_id GROUP BY h.job_id, j.version
"""
OLD_RUNS = """
SELECT id FROM run_history WHERE job_id = ? AND ended_us < ?
AND id < (SELECT id FROM run_history WHERE job_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
ORDER BY id LIMIT ?
"""
DROP_OUTPUT = "DELETE FROM output WHERE run_id IN ?"
DROP_ATTEMPTS = "DELETE FROM attempt WHERE run_id IN ?"
DROP_RUN = "DELETE FROM run_history WHERE id IN ?"
# Up to where the account of a job has holes from now on.
RUN_EDGES = """
SELECT job_id, max(slot_us) FROM run_history WHERE id IN ? AND slot_us IS NOT NULL
GROUP BY job_id ORDER BY job_id
"""
LEDGER_EDGES = """
SELECT job_id, max(to_us) FROM ledger WHERE at_us < ? GROUP BY job_id ORDER BY job_id
"""
SET_EDGE = "UPDATE job SET forgotten_us = ? WHERE id = ? AND forgotten_us < ?"
DROP_LEDGER = "DELETE FROM ledger WHERE at_us < ?"
DROP_REQUESTS = "DELETE FROM request WHERE at_us < ?"
# What rests for a job that is gone, or has no limit any more, is looked at by nobody else.
RESTED = "SELECT gkey, n, until_us FROM permit WHERE until_us <= ? LIMIT 1000"
DROP_RESTED = "DELETE FROM permit WHERE gkey = ? AND n = ? AND until_us = ?"
DROP_EVENTS = "DELETE FROM event WHERE at_us < ?"


class PruningRows:
    """Forgetting."""

    def __init__(self, db: Database, cache: JobCache) -> None:
        self._db = db
        self._cache = cache

    def prune(self, ledger_age_us: int, limit: int) -> Pruned:
        now_us = self._db.now_us()
        ids = self._old_runs(now_us, limit)
        oldest_us = now_us - ledger_age_us
        tidy_locks(self._db, now_us, limit)
        refresh(self._db)
        with self._db.write() as connection:
            edges = dict(tuple(row) for row in fetch(connection, LEDGER_EDGES, (oldest_us,)))
            if ids:
                for job_id, slot_us in fetch(connection, RUN_EDGES, (ids,)):
                    edges[job_id] = max(slot_us, edges.get(job_id, 0))
            many(connection, SET_EDGE, [(edges[key], key, edges[key]) for key in sorted(edges)])
            rested = sorted(tuple(row) for row in fetch(connection, RESTED, (now_us,)))
            many(connection, DROP_RESTED, rested)
            for sql in (DROP_OUTPUT, DROP_ATTEMPTS, DROP_RUN):
                if ids:
                    one(connection, sql, (ids,))
            one(connection, DROP_DELIVERIES, (now_us - REQUEST_AGE_US,))
            return Pruned(
                runs=len(ids),
                ledger=one(connection, DROP_LEDGER, (oldest_us,)),
                requests=one(connection, DROP_REQUESTS, (now_us - REQUEST_AGE_US,)),
                events=one(connection, DROP_EVENTS, (now_us - EVENT_AGE_US,)),
            )

    def _old_runs(self, now_us: int, limit: int) -> list[bytes]:
        """Ids past both limits of their job's retention; read before anything is locked."""
        found: list[bytes] = []
        with self._db.read() as connection:
            for job_id, version, count, oldest_us in fetch(connection, JOBS):
                keep = self._retention(connection, job_id, version)
                before_us = now_us - keep.age_us
                if count > keep.runs and oldest_us < before_us and len(found) < limit:
                    values = (job_id, before_us, job_id, max(keep.runs - 1, 0))
                    rows = fetch(connection, OLD_RUNS, (*values, limit - len(found)))
                    found += [row[0] for row in rows]
        return found

    def _retention(self, connection: Connection, job_id: bytes, version: int) -> Retention:
        job = self._cache.get(connection, [(job_id, version)])[job_id, version]
        return job.retention if isinstance(job, Job) else Retention()
