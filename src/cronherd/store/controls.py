"""Controls: disable, enable, pause, resume, delete. Once acknowledged nothing contradicts them.

Each locks the job's due row, so it comes before or after any firing, and then all of its live
runs, so it comes before or after any claim or end. Who was first is named in the answer.

Disable, enable and pause may be said again. A second resume or delete is an error of the person
who says it, so the store itself asks once more when the answer to its COMMIT was lost: the event
of the first time, whose id was made before, tells that it was done.
"""

from collections.abc import Callable
from typing import TypeVar

from cronherd.domain.errors import Conflict, NotFound, Unavailable
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Outcome, Reason
from cronherd.store.database import Connection, Database, again, fetch, one
from cronherd.store.definitions import read_definition
from cronherd.store.duerows import (
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
from cronherd.store.events import EventRows
from cronherd.store.failures import forget

SET_ENABLED = "UPDATE job SET enabled = ?, updated_us = ? WHERE id = ?"
DELETE = "UPDATE job SET deleted_us = ?, enabled = FALSE, failures = 0, updated_us = ? WHERE id = ?"
DONE = "SELECT 1 FROM event WHERE id = ?"

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

    def delete_job(self, job_id: str, actor: str) -> list[str]:
        return self._surely(lambda mark: self._delete(job_id, actor, mark))

    def _delete(self, job_id: str, actor: str, mark: str) -> list[str]:
        with self._db.write() as connection:
            if _done(connection, job_id, mark):
                return lock_runs(connection, to_stored(job_id))[1]
            row, job = _locked(connection, job_id)
            now_us = self._db.dialect.now_us(connection)
            if isinstance(job, Job):  # what was due is the last that the ledger owes
                account_gap(connection, row, job, now_us, Reason.DISABLED)
            one(connection, STOP_DUE, (None, row.id))
            one(connection, DELETE, (now_us, now_us, row.id))
            waiting, first = lock_runs(connection, row.id)
            text = "the job was deleted"
            end_unstarted(connection, waiting, Outcome.CANCELLED, text, now_us)
            self._tell(connection, EventKind.JOB_DELETED, row, job, actor, mark=mark)
        return first

    def _surely(self, verb: Callable[[str], R]) -> R:
        """Once more when nobody knows whether it was done; `mark` is the id of its event.

        Its locks are ours only when the COMMIT that was on its way is over, either way; until then
        it is asked again here, with the same mark.
        """
        mark = self._events.new_id()
        try:
            return verb(mark)
        except Unavailable as error:
            if error.code != "database_lost":
                raise
        return again(verb)(mark)

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
        events = self._events if mark is None else EventRows(self._db, lambda: mark)
        events.add(connection, kind, name, actor, text)


def _done(connection: Connection, job_id: str, mark: str) -> bool:
    """Whether this very event is on record, as it is once the job's due row is ours."""
    lock_due(connection, [to_stored(job_id)])
    return bool(fetch(connection, DONE, (to_stored(mark),)))


def _locked(connection: Connection, job_id: str) -> tuple[DueRow, Job | str]:
    row = locked_row(connection, to_stored(job_id))
    if row is None or row.deleted_us is not None:
        raise NotFound("that job no longer exists", code="no_such_job")
    return row, read_definition(row.spec)


def _arm(connection: Connection, row: DueRow, job: Job, now_us: int, reason: Reason) -> None:
    """Go on from now: what was due meanwhile is told, the first slot after now is the next."""
    last_us = account_gap(connection, row, job, now_us, reason)
    next_us, slot_us = first_slot(job, max(last_us, now_us), enabled=True)
    next_us = not_before(next_us, row.paused_us)
    set_due(connection, job, (next_us, slot_us, last_us, row.version, row.id))
