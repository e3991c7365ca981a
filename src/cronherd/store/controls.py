"""Controls: disable, enable, pause, resume, delete. Once acknowledged nothing contradicts them.

Each locks the job's due row, so it comes before or after any firing, and then all of its live
runs, so it comes before or after any claim or end. Who was first is named in the answer.

Disable, enable and pause may be said again. A second resume or delete is an error of the person
who says it, so the store itself asks once more when the answer to its COMMIT was lost: the event
of the first time, whose id was made before, tells that it was done.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Outcome, Reason
from cronherd.store.database import Connection, Database, one
from cronherd.store.definitions import read_definition
from cronherd.store.duerows import (
    SET_SKIP,
    STOP_DUE,
    DueRow,
    account_gap,
    first_slot,
    let_go,
    lock_due,
    lock_runs,
    locked_row,
    not_before,
    pause,
    set_due,
    stop,
)
from cronherd.store.endings import end_unstarted
from cronherd.store.events import EventRows, known
from cronherd.store.failures import forget
from cronherd.store.jobtexts import empty_texts

SET_ENABLED = "UPDATE job SET enabled = ?, updated_us = ? WHERE id = ?"
DELETE = "UPDATE job SET deleted_us = ?, enabled = FALSE, failures = 0, updated_us = ? WHERE id = ?"
MOST_SKIPPED = 1_000  # more than that is a pause

R = TypeVar("R")


class ControlRows:
    """What people do to a job without changing what it is."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def set_enabled(self, job_id: str, actor: str, *, enabled: bool) -> list[str]:
        with self._db.write() as connection:
            row, job = _locked(connection, job_id)
            if row.enabled == enabled:  # asked again: who was first is still first
                return [] if enabled else lock_runs(connection, row.id)[1]
            now_us = self._db.dialect.now_us(connection)
            one(connection, SET_ENABLED, (enabled, now_us, row.id))
            if enabled:
                if isinstance(job, str):
                    raise Conflict(job, code="bad_definition", hint="edit the job first")
                _arm(connection, row, job, now_us, Reason.DISABLED)
                if not row.paused(now_us):
                    let_go(connection, row.id, now_us)
                self._tell(connection, EventKind.JOB_ENABLED, row, job, actor)
                return []
            if isinstance(job, Job):  # what was due and is not planned yet
                account_gap(connection, row, job, now_us, Reason.DISABLED)
            one(connection, STOP_DUE, (row.paused_us, row.id))
            first = stop(connection, row.id)
            self._tell(connection, EventKind.JOB_DISABLED, row, job, actor)
        return first

    def pause_job(self, job_id: str, until_us: int, actor: str) -> list[str]:
        with self._db.write() as connection:
            row, job = _locked(connection, job_id)
            now_us = self._db.dialect.now_us(connection)
            first = pause(connection, row, job, until_us, now_us)
            forever = until_us >= FOREVER_US
            text = "until resumed" if forever else f"until {format_instant(until_us)}"
            self._tell(connection, EventKind.JOB_PAUSED, row, job, actor, text)
        return first

    def resume_job(self, job_id: str, actor: str) -> None:
        self._surely(lambda mark: self._resume(job_id, actor, mark))

    def _resume(self, job_id: str, actor: str, mark: str) -> None:
        with self._db.write() as connection:
            if _done(connection, job_id, mark):
                return
            row, job = _locked(connection, job_id)
            if row.paused_us is None:
                raise Conflict("that job is not paused", code="not_paused")
            now_us = self._db.dialect.now_us(connection)
            one(connection, STOP_DUE, (None, row.id))
            forget(connection, row.id)
            # The pause ends now, so all that was due until now is its own.
            ended = row._replace(paused_us=None)
            if isinstance(job, Job) and row.enabled:
                _arm(connection, ended, job, now_us, Reason.PAUSED)
                let_go(connection, row.id, now_us)
            self._tell(connection, EventKind.JOB_RESUMED, row, job, actor, mark=mark)

    def skip_next(self, job_id: str, count: int, actor: str) -> list[int]:
        return self._surely(lambda mark: self._skip(job_id, count, actor, mark))

    def _skip(self, job_id: str, count: int, actor: str, mark: str) -> list[int]:
        with self._db.write() as connection:
            done = _done(connection, job_id, mark)
            row, job = _locked(connection, job_id)
            if isinstance(job, str):
                raise Conflict(job, code="bad_definition", hint="edit the job first")
            slots = _skipped(row, job)
            if done:
                return slots
            _require_next(row, job)
            while len(slots) < MOST_SKIPPED and count > 0:
                following_us = _following(row, job, slots)
                if following_us is None:
                    break
                slots.append(following_us)
                count -= 1
            if count:
                raise _no_more(job, slots)
            one(connection, SET_SKIP, (slots[-1], row.id))
            text = f"up to {format_instant(slots[-1])}"
            self._tell(connection, EventKind.SLOTS_SKIPPED, row, job, actor, text, mark)
        return slots

    def undo_skip(self, job_id: str, actor: str) -> None:
        with self._db.write() as connection:
            row, job = _locked(connection, job_id)
            if row.skip_us is not None:
                one(connection, SET_SKIP, (None, row.id))
                self._tell(connection, EventKind.SKIP_UNDONE, row, job, actor)

    def delete_job(self, job_id: str, actor: str) -> list[str]:
        return self._surely(lambda mark: self._delete(job_id, actor, mark))

    def _delete(self, job_id: str, actor: str, mark: str) -> list[str]:
        with self._db.write() as connection:
            if _done(connection, job_id, mark):
                return lock_runs(connection, to_stored(job_id))[1]
            row, job = _locked(connection, job_id)
            first = drop(connection, row, job, self._db.dialect.now_us(connection))
            self._tell(connection, EventKind.JOB_DELETED, row, job, actor, mark=mark)
        return first

    def _surely(self, verb: Callable[[str], R]) -> R:
        return self._events.surely(verb)

    def _tell(
        self,
        connection: Connection,
        kind: EventKind,
        row: DueRow,
        job: Job | str,
        actor: str,
        text: str = "",
        mark: str | None = None,
    ) -> None:
        name = job.name if isinstance(job, Job) else from_stored(row.id)
        events = self._events if mark is None else self._events.by(mark)
        events.add(connection, kind, name, actor, text)


def drop(connection: Connection, row: DueRow, job: Job | str, now_us: int) -> list[str]:
    """Delete a job whose due row is ours; the runs that were first."""
    if isinstance(job, Job):  # what was due is the last that the ledger owes
        account_gap(connection, row, job, now_us, Reason.DISABLED, closing=True)
    one(connection, STOP_DUE, (None, row.id))
    one(connection, DELETE, (now_us, now_us, row.id))
    empty_texts(connection, row.id)
    waiting, first = lock_runs(connection, row.id)
    end_unstarted(connection, waiting, Outcome.CANCELLED, "the job was deleted", now_us)
    return first


def _skipped(row: DueRow, job: Job) -> list[int]:
    """The slots to come that somebody skips already, in order."""
    slots: list[int] = []
    if row.skip_us is None or row.next_us is None:
        return slots
    slot_us: int | None = row.slot_us
    while slot_us is not None and slot_us <= row.skip_us and len(slots) < MOST_SKIPPED:
        slots.append(slot_us)
        slot_us = None if job.chained or job.schedule is None else job.schedule.next_after(slot_us)
    return slots


def _following(row: DueRow, job: Job, slots: Sequence[int]) -> int | None:
    """The slot behind those that are skipped."""
    if not slots:
        return row.slot_us
    return None if job.chained or job.schedule is None else job.schedule.next_after(slots[-1])


def _require_next(row: DueRow, job: Job) -> None:
    """Raise Conflict for a job that has no next slot to skip."""
    if row.next_us is not None:
        return
    if not row.enabled:
        why, hint = "is disabled", f"cronherd job enable {job.name}"
    elif row.paused_us is not None:
        why, hint = "is paused until it is resumed", f"cronherd job resume {job.name}"
    elif job.chained:
        why, hint = "counts its next slot from the end of the run it has", "wait for that end"
    else:
        why, hint = "has no next slot", ""
    raise Conflict(f"'{job.name}' {why}: there is nothing to skip", code="no_next", hint=hint)


def _no_more(job: Job, slots: Sequence[int]) -> Conflict:
    if len(slots) >= MOST_SKIPPED:
        text, hint = f"at most {MOST_SKIPPED} slots are skipped", "pause the job instead"
    else:
        text, hint = f"'{job.name}' has only {len(slots)} slots left to skip", ""
    return Conflict(text, code="too_many_skips", hint=hint)


def _done(connection: Connection, job_id: str, mark: str) -> bool:
    """Whether this very event is on record, as it is once the job's due row is ours."""
    lock_due(connection, [to_stored(job_id)])
    return known(connection, mark)


def _locked(connection: Connection, job_id: str) -> tuple[DueRow, Job | str]:
    row = locked_row(connection, to_stored(job_id))
    if row is None or row.deleted_us is not None:
        raise NotFound("that job no longer exists", code="no_such_job")
    return row, read_definition(row.spec)


def _arm(connection: Connection, row: DueRow, job: Job, now_us: int, reason: Reason) -> None:
    """Go on from now: what was due meanwhile is told, the first slot after now is the next."""
    last_us = account_gap(connection, row, job, now_us, reason)
    next_us, slot_us = first_slot(job, max(last_us, now_us), enabled=True, fired=row.fired)
    next_us = not_before(next_us, row.paused_us)
    set_due(connection, job, (next_us, slot_us, last_us, row.version, row.id))
