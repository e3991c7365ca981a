"""The due row of one job: the lock that every change of the job takes, and what it guards."""

from collections.abc import Sequence
from typing import NamedTuple

from cronherd.domain.admission import gate_key
from cronherd.domain.ident import from_stored
from cronherd.domain.job import Job
from cronherd.domain.planner import excluded_between, missed_between
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Reason
from cronherd.store import permits
from cronherd.store.database import Connection, fetch, one, parts
from cronherd.store.events import add_skips

LOCK_DUE = "SELECT job_id FROM job_due /*by primary*/ WHERE job_id IN ? ORDER BY job_id /*lock*/"
# Read after the due row is locked, in a statement of its own: as it is now.
BY_ID = """
SELECT j.id, j.version, j.enabled, j.deleted_us, d.last_slot_us, d.next_us, d.slot_us, j.spec,
d.paused_until_us, d.skip_us, d.fired FROM job j JOIN job_due d ON d.job_id = j.id WHERE j.id = ?
"""
SET_DUE = """
UPDATE job_due SET next_us = ?, slot_us = ?, last_slot_us = ?, version = ? WHERE job_id = ?
"""
# The next slot of an `after` job comes with the end of the run it has.
UNARM = """
UPDATE job_due SET next_us = NULL WHERE job_id = ?
AND EXISTS (SELECT 1 FROM run WHERE run.job_id = job_due.job_id AND slot_us IS NOT NULL)
"""
STOP_DUE = "UPDATE job_due SET next_us = NULL, paused_until_us = ? WHERE job_id = ?"
WATERMARK = "UPDATE job_due SET last_slot_us = ? WHERE job_id = ? AND last_slot_us < ?"
SET_SKIP = "UPDATE job_due SET skip_us = ? WHERE job_id = ?"
ANEW = "UPDATE job_due SET skip_us = NULL, fired = 0 WHERE job_id = ?"
LIVE_IDS = "SELECT id FROM run WHERE job_id = ?"
LOCK_RUNS = "SELECT id, state FROM run /*by primary*/ WHERE id IN ? ORDER BY id /*lock*/"
HOLD = """
UPDATE run SET state = 'held', wait_key = NULL, excl_key = NULL, excl_n = NULL WHERE id IN ?
"""
HELD_IDS = "SELECT id FROM run WHERE job_id = ? AND state = 'held' ORDER BY id"
LET_GO = "UPDATE run SET state = 'waiting', wait_key = ?, ready_us = ? WHERE id IN ?"


class DueRow(NamedTuple):
    """A job and its due row, as they are under the lock."""

    id: bytes
    version: int
    enabled: bool
    deleted_us: int | None
    last_us: int
    next_us: int | None
    slot_us: int
    spec: str
    paused_us: int | None
    skip_us: int | None
    fired: int

    def paused(self, now_us: int) -> bool:
        """Whether nothing of it is to start until later."""
        return self.paused_us is not None and self.paused_us > now_us


def lock_due(connection: Connection, job_ids: Sequence[bytes]) -> None:
    """Hold the due rows of these jobs, in their order."""
    if job_ids:
        fetch(connection, LOCK_DUE, (sorted(set(job_ids)),))


def locked_row(connection: Connection, job_id: bytes) -> DueRow | None:
    """The job as it is once its due row is ours."""
    lock_due(connection, [job_id])
    return read_row(connection, job_id)


def read_row(connection: Connection, job_id: bytes) -> DueRow | None:
    """The same of a job whose due row is ours already."""
    rows = fetch(connection, BY_ID, (job_id,))
    return DueRow(*rows[0]) if rows else None


def first_slot(job: Job, after_us: int, *, enabled: bool, fired: int = 0) -> tuple[int | None, int]:
    """(next, slot) of a job whose watermark is `after_us`; `fired` slots became runs so far."""
    slot_us = job.schedule.next_after(after_us) if job.schedule else None
    if slot_us is None or job.ended(fired):
        return None, after_us
    return (job.due_at(slot_us) if enabled else None), slot_us


def not_before(next_us: int | None, paused_us: int | None) -> int | None:
    """When a job that is paused until then is looked at next."""
    if next_us is None or paused_us is None:
        return next_us
    return None if paused_us >= FOREVER_US else max(next_us, paused_us)


def set_due(connection: Connection, job: Job, values: Sequence[object]) -> None:
    """(next, slot, last slot, version, job id)."""
    one(connection, SET_DUE, values)
    if job.chained:
        one(connection, UNARM, (values[-1],))


def account_gap(
    connection: Connection,
    row: DueRow,
    job: Job,
    now_us: int,
    reason: Reason,
    *,
    closing: bool = False,
) -> int:
    """Slots due and not yet planned, each with what kept it back. The new watermark.

    First come those of a pause, then those somebody skips, and the rest with this reason. What the
    schedule left out is told with the slot behind it; when the schedule is `closing`, up to now.
    """
    if job.ended(row.fired):
        return row.last_us
    parts = [(now_us, reason)]
    if row.skip_us is not None:
        parts.insert(0, (min(now_us, row.skip_us), Reason.SKIPPED))
    if row.paused_us is not None:
        parts.insert(0, (min(now_us, row.paused_us - 1), Reason.PAUSED))
    last_us, skips = row.last_us, []
    for until_us, why in parts:
        skip = missed_between(job, last_us, until_us, why)
        if skip is not None:
            skips.append(skip)
            last_us = skip.to_us
    skips += excluded_between(job, row.last_us, now_us if closing else last_us)
    if skips:
        add_skips(connection, [(row.id, skip) for skip in skips], now_us)
        last_us = max(last_us, *(skip.to_us for skip in skips))
        one(connection, WATERMARK, (last_us, row.id, last_us))
    return last_us


def lock_runs(connection: Connection, job_id: bytes) -> tuple[list[bytes], list[str]]:
    """Lock the job's live runs: those that have not started, and the names of those that have.

    All of them: a running one may be about to be sent back for its next try.
    """
    ids = sorted(row[0] for row in fetch(connection, LIVE_IDS, (job_id,)))
    rows = [row for some in parts(ids) for row in fetch(connection, LOCK_RUNS, (some,))]
    started = [from_stored(row[0]) for row in rows if row[1] in {"claimed", "running"}]
    return [row[0] for row in rows if row[1] not in {"claimed", "running"}], started


def stop(connection: Connection, job_id: bytes) -> list[str]:
    """Nothing more of this job starts; the runs that were first."""
    waiting, started = lock_runs(connection, job_id)
    hold(connection, waiting)
    return started


def pause(
    connection: Connection, row: DueRow, job: Job | str, until_us: int, now_us: int
) -> list[str]:
    """Nothing of this job, whose due row is ours, starts until then; the runs that were first."""
    one(connection, STOP_DUE, (until_us, row.id))
    if isinstance(job, Job) and row.enabled:
        last_us = account_gap(connection, row, job, now_us, Reason.PAUSED)
        next_us, slot_us = first_slot(job, max(last_us, now_us), enabled=True, fired=row.fired)
        next_us = not_before(next_us, until_us)
        set_due(connection, job, (next_us, slot_us, last_us, row.version, row.id))
    return stop(connection, row.id)


def hold(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Keep these runs, whose rows are locked, from starting, and free what they hold."""
    for some in parts(run_ids):
        permits.free(connection, some)
        one(connection, HOLD, (some,))


def let_go(connection: Connection, job_id: bytes, now_us: int) -> None:
    """Held runs enter again by the door for those who wait: promotion lets them in."""
    ids = [row[0] for row in fetch(connection, HELD_IDS, (job_id,))]
    for some in parts(ids):
        rows = fetch(connection, LOCK_RUNS, (some,))
        held = [row[0] for row in rows if row[1] == "held"]
        if held:
            one(connection, LET_GO, (gate_key(from_stored(job_id)), now_us, held))
