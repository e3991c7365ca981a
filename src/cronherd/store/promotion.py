"""Promotion: waiting runs take what is free. Derived from state only, so it can be repeated.

A finish only frees; a run may have parked while the finish was not yet committed. So promotion is
a transaction of its own after each freeing one, and every node sweeps all keys about once a second.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.planner import Gate, gate_key
from cronherd.domain.run import Outcome
from cronherd.store import permits
from cronherd.store.database import Database, Row, Values, fetch, many, marks, one
from cronherd.store.endings import end_unstarted
from cronherd.store.events import EventRows
from cronherd.store.firing import FENCE_SHIFT
from cronherd.store.jobs import JobCache
from cronherd.store.nodes import Places

WAITERS = """
SELECT id, job_id, version, excl_key FROM run WHERE wait_key = ? ORDER BY prio, ready_us, id LIMIT ?
"""
LOCK_DUE = "SELECT job_id, seq FROM job_due WHERE job_id IN ({}) ORDER BY job_id"
LET_IN = """
UPDATE run SET state = 'ready', wait_key = NULL, excl_key = ?, excl_n = ?, fence = ?, ready_us = ?
WHERE id = ? AND wait_key = ?
"""
PARK = "UPDATE run SET wait_key = ? WHERE id = ? AND wait_key = ?"
SET_SEQ = "UPDATE job_due SET seq = ? WHERE job_id = ?"
DELAYED = "UPDATE run SET state = 'ready' WHERE state = 'delayed' AND ready_us <= ?"
KEYS = "SELECT DISTINCT wait_key FROM run WHERE wait_key IS NOT NULL LIMIT 1000"
EXPIRED = """
SELECT id FROM run WHERE state IN ('waiting', 'ready') AND attempt = 1 AND deadline_us < ?
LIMIT 1000
"""
# An `after` job without a due instant and without a live run has lost its chain.
UNARMED = """
SELECT d.job_id, d.version, j.name, d.last_slot_us FROM job_due d JOIN job j ON j.id = d.job_id
WHERE d.next_us IS NULL AND j.enabled = 1 AND j.deleted_us IS NULL
AND j.spec LIKE '%"after%'
AND NOT EXISTS (SELECT 1 FROM run r WHERE r.job_id = d.job_id AND r.slot_us IS NOT NULL) LIMIT 100
"""
ARM = "UPDATE job_due SET slot_us = ?, next_us = ? WHERE job_id = ? AND next_us IS NULL"

BATCH = 100  # waiters of one key in one transaction


class PromotionRows:
    """What moves without anybody asking."""

    def __init__(self, db: Database, cache: JobCache, events: EventRows) -> None:
        self._db = db
        self._cache = cache
        self._events = events

    def promote(self, keys: Sequence[str]) -> int:
        """One transaction per key; the number of runs that became ready."""
        return sum(self._promote(key) for key in keys)

    def _promote(self, key: str) -> int:
        with self._db.write() as connection:
            waiters = fetch(connection, WAITERS, (key, BATCH))
            if not waiters:
                return 0
            ids = sorted({row[1] for row in waiters})
            lock = LOCK_DUE.format(marks(len(ids))) + self._db.dialect.for_update
            seqs = dict(tuple(row) for row in fetch(connection, lock, ids))
            now_us = self._db.dialect.now_us(connection)
            if key.startswith("@") and not Places(connection, now_us).served(key[1:]):
                return 0
            return self._let_in(connection, key, waiters, seqs, now_us)

    def _let_in(
        self,
        connection: Connection,
        key: str,
        waiters: Sequence[Row],
        seqs: dict[bytes, int],
        now_us: int,
    ) -> int:
        jobs = self._cache.get(connection, [(row[1], row[2]) for row in waiters])
        usable = {from_stored(pair[0]): job for pair, job in jobs.items() if isinstance(job, Job)}
        gates = permits.read_gates(connection, usable, now_us)
        let_in: list[Values] = []
        parked: list[Values] = []
        held: list[Values] = []
        for run_id, job_id, _, _ in waiters:
            shown = from_stored(job_id)
            job = usable.get(shown)
            if job is None:
                continue
            permit = _permit(job, gates[shown], own=key == gate_key(shown))
            if permit is None:
                if key != gate_key(shown):
                    parked.append((gate_key(shown), run_id, key))
                continue
            seqs[job_id] += 1
            excl = (None, None) if permit < 0 else (gate_key(shown), permit)
            let_in.append((*excl, seqs[job_id] << FENCE_SHIFT, now_us, run_id, key))
            if permit >= 0:
                held.append((gate_key(shown), permit, run_id))
        permits.take(connection, held)
        many(connection, PARK, parked)
        many(connection, SET_SEQ, [(seq, job_id) for job_id, seq in seqs.items()])
        return many(connection, LET_IN, let_in)

    def sweep(self) -> list[str]:
        """Delayed runs become ready, expired ones end, lost chains are re-armed."""
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            one(connection, DELAYED, (now_us,))
            self._expire(connection, now_us)
            self._rearm(connection, now_us)
            return [row[0] for row in fetch(connection, KEYS)]

    def _expire(self, connection: Connection, now_us: int) -> None:
        ids = [row[0] for row in fetch(connection, EXPIRED, (now_us,))]
        text = "its start_deadline passed before it could start"
        end_unstarted(connection, ids, Outcome.NOT_STARTED, text, now_us)

    def _rearm(self, connection: Connection, now_us: int) -> None:
        rows = fetch(connection, UNARMED)
        jobs = self._cache.get(connection, [(row[0], row[1]) for row in rows])
        for stored, version, name, last_us in rows:
            job = jobs[stored, version]
            if isinstance(job, Job) and job.chained and job.schedule is not None:
                slot_us = max(job.schedule.next_after(now_us) or now_us, last_us + 1)
                one(connection, ARM, (slot_us, slot_us, stored))
                self._events.add(
                    connection, EventKind.JOB_CHANGED, name, "sweep", "its chain was re-armed"
                )


def _permit(job: Job, gate: Gate, *, own: bool) -> int | None:
    """A free number, -1 when none is needed, None when full.

    Those who wait on this very key are the line itself, so the line does not stop them; a run
    that comes from elsewhere queues up behind it.
    """
    if job.permits == UNLIMITED:
        return -1
    if not own and gate.waiting:
        return None
    waiting, gate.waiting = gate.waiting, 0
    taken = gate.take(job.permits)
    gate.waiting = waiting
    return taken
