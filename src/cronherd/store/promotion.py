"""Promotion: waiting runs take what is free. Derived from state only, so it can be repeated.

A finish only frees; a run may have parked while the finish was not yet committed. So promotion is
a transaction of its own after each freeing one, and every node sweeps all keys about once a second.
"""

from collections.abc import Mapping, Sequence

from cronherd.domain.admission import Gate, gate_key
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored
from cronherd.domain.instant import SECOND_US
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.pool import is_pool_key, read_uses, spell_uses
from cronherd.domain.run import Outcome
from cronherd.store import permits
from cronherd.store.chains import rearm_after, unarmed
from cronherd.store.database import Connection, Database, Row, Values, fetch, many, one
from cronherd.store.definitions import JobCache
from cronherd.store.duerows import let_go, lock_due, read_row
from cronherd.store.endings import end_unstarted
from cronherd.store.events import EventRows
from cronherd.store.failures import Last, count, lock_runs_of
from cronherd.store.firing import FENCE_SHIFT
from cronherd.store.nodes import Places
from cronherd.store.pacing import PACED, Pace
from cronherd.store.pools import promote_line

WAITERS = "SELECT id, job_id FROM run WHERE wait_key = ? ORDER BY prio, ready_us, id LIMIT ?"
LOCK_DUE = """
SELECT job_id, seq FROM job_due /*by primary*/ WHERE job_id IN ? ORDER BY job_id /*lock*/
"""
LOCK_WAITERS = """
SELECT id, job_id, version, target_id FROM run /*by primary*/
WHERE id IN ? AND wait_key = ? ORDER BY id /*lock, skip*/
"""
LET_IN = """
UPDATE run SET state = 'ready', wait_key = NULL, excl_key = ?, excl_n = ?, fence = ?, ready_us = ?
WHERE id = ? AND wait_key = ?
"""
# It keeps its turn: the line goes by when it came.
TO_POOL = """
UPDATE run SET excl_key = ?, excl_n = ?, fence = ?, pools = ?, wait_key = ?
WHERE id = ? AND wait_key = ?
"""
PARK = "UPDATE run SET wait_key = ? WHERE id = ? AND wait_key = ?"
SET_SEQ = "UPDATE job_due SET seq = ? WHERE job_id = ?"
DELAYED = "SELECT id FROM run WHERE state = 'delayed' AND ready_us <= ? LIMIT 1000"
# What was read without a lock is asked again under it: the run may have run, and wait anew.
LOCK_DELAYED = """
SELECT id, pools FROM run /*by primary*/ WHERE id IN ? AND state = 'delayed' AND ready_us <= ?
ORDER BY id /*lock, skip*/
"""
WAKE = "UPDATE run SET state = 'ready' WHERE id IN ?"
AT_POOL = "UPDATE run SET state = 'waiting', wait_key = ? WHERE id = ?"
EXPIRED = """
SELECT id, job_id FROM run WHERE deadline_us < ? AND state IN ('waiting', 'ready') AND attempt = 1
LIMIT 1000
"""
LOCK_EXPIRED = """
SELECT id FROM run /*by primary*/ WHERE id IN ? AND deadline_us < ?
AND state IN ('waiting', 'ready') AND attempt = 1 ORDER BY id /*lock, skip*/
"""
# The keys that are waited for behind this one: a step of the index for each, however many wait.
KEYS = """
WITH RECURSIVE found (k) AS (
SELECT min(wait_key) FROM run WHERE wait_key > ?
UNION ALL
SELECT (SELECT min(r.wait_key) FROM run r WHERE r.wait_key > found.k)
FROM found WHERE found.k IS NOT NULL
) SELECT k FROM found WHERE k IS NOT NULL LIMIT ?
"""
# The same for MySQL and MariaDB, whose recursion would read through the whole line.
KEYS_BY_GROUP = "SELECT wait_key FROM run WHERE wait_key > ? GROUP BY wait_key LIMIT ?"
UNCLAIMED = """
SELECT id, place FROM run WHERE state = 'ready' AND ready_us < ? AND place <> '' LIMIT 1000
"""
LOCK_PLACES = """
SELECT id, place FROM run /*by primary*/ WHERE id IN ? AND state = 'ready'
ORDER BY id /*lock, skip*/
"""
SEND_BACK = """
UPDATE run SET state = 'waiting', wait_key = ?, excl_key = NULL, excl_n = NULL WHERE id = ?
"""

# Held runs of a job whose pause ran out: its next slot may be far away, or never come.
PAUSED_OUT = """
SELECT DISTINCT r.job_id FROM run r JOIN job_due d ON d.job_id = r.job_id
JOIN job j ON j.id = r.job_id
WHERE r.state = 'held' AND d.paused_until_us <= ? AND j.enabled LIMIT 100
"""

BATCH = 100  # waiters of one key in one transaction
KEYS_AT_ONCE = 1_000  # of one sweep; the next one begins behind them
# A run that nobody claims for so long waits for a node that fits, and holds nothing meanwhile.
UNCLAIMED_US = 30 * SECOND_US


class PromotionRows:
    """What moves without anybody asking."""

    def __init__(self, db: Database, cache: JobCache, events: EventRows, pace: Pace) -> None:
        self._db = db
        self._pace = pace
        self._cache = cache
        self._events = events
        self._swept = ""

    def promote(self, keys: Sequence[str]) -> int:
        """One transaction per key; the number of runs that became ready.

        Jobs' own keys come first: whoever passes there may have to wait for a pool.
        """
        lined_up: set[str] = set()
        own = [key for key in keys if not is_pool_key(key)]
        ready = sum(self._promote(key, lined_up) for key in own)
        lined_up.update(key for key in keys if is_pool_key(key))
        return ready + sum(promote_line(self._db, key) for key in sorted(lined_up))

    def _promote(self, key: str, lined_up: set[str]) -> int:
        with self._db.glance() as connection:
            found = fetch(connection, WAITERS, (key, BATCH))
        if not found:
            return 0
        order = {row[0]: n for n, row in enumerate(found)}
        with self._db.write() as connection:
            ids = sorted({row[1] for row in found})
            seqs = dict(tuple(row) for row in fetch(connection, LOCK_DUE, (ids,)))
            now_us = self._db.dialect.now_us(connection)
            if key == PACED:
                order = self._next_in_line(connection, order, now_us)
            waiters = fetch(connection, LOCK_WAITERS, (sorted(order), key)) if order else ()
            if not waiters:
                return 0
            if key.startswith("@") and not Places(connection, now_us).served(key[1:]):
                return 0
            waiters = sorted(waiters, key=lambda row: order[row[0]])
            ready, onward = self._let_in(connection, key, waiters, seqs, now_us)
            if ready:
                self._db.dialect.notify(connection)
        lined_up.update(onward)
        return ready

    def _next_in_line(
        self, connection: Connection, order: dict[bytes, int], now_us: int
    ) -> dict[bytes, int]:
        """Those whose turn it is; all of them once nobody limits the rate any more."""
        if not self._pace.limits:
            return order
        alive = Places(connection, now_us).alive
        most = self._pace.take(connection, now_us, alive, len(order))
        return {run_id: n for run_id, n in order.items() if n < most}

    def _let_in(
        self,
        connection: Connection,
        key: str,
        waiters: Sequence[Row],
        seqs: dict[bytes, int],
        now_us: int,
    ) -> tuple[int, set[str]]:
        """How many are ready, and the pools in front of which others wait now."""
        jobs = self._cache.get(connection, [(row[1], row[2]) for row in waiters])
        usable = [
            (run_id, job_id, job, _own_key(job, job_id, target))
            for run_id, job_id, version, target in waiters
            if isinstance(job := jobs[job_id, version], Job)
        ]
        doors = {own: job for _, _, job, own in usable}
        gates = permits.read_gates(connection, doors, now_us)
        ready: list[Values] = []
        at_pool: list[Values] = []
        parked: list[Values] = []
        held: list[Values] = []
        for run_id, job_id, job, own in usable:
            permit = _permit(job, gates[own], own=key == own)
            if permit is None:
                if key != own:
                    parked.append((own, run_id, key))
                continue
            seqs[job_id] += 1
            excl = (None, None) if permit < 0 else (own, permit)
            fence = seqs[job_id] << FENCE_SHIFT
            if uses := job.uses(from_stored(job_id)):
                at_pool.append((*excl, fence, spell_uses(uses), uses[0].key, run_id, key))
            else:
                ready.append((*excl, fence, now_us, run_id, key))
            if permit >= 0:
                held.append((own, permit, run_id))
        permits.take(connection, held)
        many(connection, PARK, parked)
        if ready or at_pool:
            drawn = {row[1] for row in waiters}
            many(connection, SET_SEQ, [(seqs[job_id], job_id) for job_id in sorted(drawn)])
        many(connection, TO_POOL, at_pool)
        return many(connection, LET_IN, ready), {str(row[4]) for row in at_pool}

    def sweep(self) -> list[str]:
        """Delayed runs become ready, expired ones end, lost chains and held runs go on."""
        with self._db.glance() as connection:
            now_us = self._db.dialect.now_us(connection)
            delayed = [row[0] for row in fetch(connection, DELAYED, (now_us,))]
            expired = dict(tuple(row) for row in fetch(connection, EXPIRED, (now_us,)))
            chains = unarmed(connection, self._cache)
            paused = [row[0] for row in fetch(connection, PAUSED_OUT, (now_us,))]
            unclaimed = dict(
                tuple(row) for row in fetch(connection, UNCLAIMED, (now_us - UNCLAIMED_US,))
            )
        if delayed or expired or chains:
            with self._db.write() as connection:
                lock_due(connection, [*expired.values(), *chains])
                lasts = [Last(expired[run], run, Outcome.NOT_STARTED) for run in expired]
                lock_runs_of(connection, self._cache, lasts)
                now_us = self._db.dialect.now_us(connection)
                self._wake(connection, delayed, now_us)
                self._expire(connection, expired, now_us)
                self._rearm(connection, [*expired.values(), *chains], now_us)
        if paused:
            with self._db.write() as connection:
                self._go_on(connection, paused)
        if unclaimed:
            with self._db.write() as connection:
                self._send_back(connection, unclaimed)
        with self._db.glance() as connection:
            sql = KEYS_BY_GROUP if self._db.dialect.name == "mysql" else KEYS
            keys = [row[0] for row in fetch(connection, sql, (self._swept, KEYS_AT_ONCE))]
        self._swept = keys[-1] if len(keys) == KEYS_AT_ONCE else ""
        return keys

    def _wake(self, connection: Connection, delayed: Sequence[bytes], now_us: int) -> None:
        if not delayed:
            return
        rows = fetch(connection, LOCK_DELAYED, (sorted(delayed), now_us))
        asking = [(read_uses(pools)[0].key, run_id) for run_id, pools in rows if pools]
        many(connection, AT_POOL, asking)
        ready = [run_id for run_id, pools in rows if not pools]
        if ready:
            one(connection, WAKE, (ready,))
            self._db.dialect.notify(connection)

    def _expire(self, connection: Connection, expired: Mapping[bytes, bytes], now_us: int) -> None:
        ids = _locked(connection, LOCK_EXPIRED, list(expired), now_us)
        text = "its start_deadline passed before it could start"
        end_unstarted(connection, ids, Outcome.NOT_STARTED, text, now_us)
        lasts = [Last(expired[run_id], run_id, Outcome.NOT_STARTED) for run_id in ids]
        count(connection, self._cache, self._events, lasts, now_us)

    def _rearm(self, connection: Connection, job_ids: Sequence[bytes], now_us: int) -> None:
        for name in rearm_after(connection, self._cache, job_ids, now_us):
            text = "its chain was re-armed"
            self._events.add(connection, EventKind.JOB_CHANGED, name, "sweep", text)

    def _go_on(self, connection: Connection, job_ids: Sequence[bytes]) -> None:
        """Those of these jobs that nobody has stopped anew let their held runs in."""
        lock_due(connection, job_ids)
        now_us = self._db.dialect.now_us(connection)
        for job_id in job_ids:
            row = read_row(connection, job_id)
            if row is not None and row.enabled and not row.paused(now_us):
                let_go(connection, job_id, now_us)

    def _send_back(self, connection: Connection, unclaimed: Mapping[bytes, str]) -> None:
        """Ready runs for which no live node fits any more let go of what they hold."""
        places = Places(connection, self._db.dialect.now_us(connection))
        # As it is under the lock: an edit may have given it another place.
        rows = fetch(connection, LOCK_PLACES, (sorted(unclaimed),))
        homeless = [(f"@{place}", run_id) for run_id, place in rows if not places.served(place)]
        permits.free(connection, [run_id for _, run_id in homeless])
        many(connection, SEND_BACK, homeless)


def _locked(connection: Connection, sql: str, run_ids: Sequence[bytes], now_us: int) -> list[bytes]:
    """Those of these runs for which it is still so and that nobody else holds."""
    if not run_ids:
        return []
    return [row[0] for row in fetch(connection, sql, (sorted(run_ids), now_us))]


def _own_key(job: Job, job_id: bytes, target: bytes | None) -> str:
    """The key of the permits of a waiter's own job."""
    on_node = job.on_all and target is not None
    return gate_key(from_stored(job_id), from_stored(target) if on_node and target else None)


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
