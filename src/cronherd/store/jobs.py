"""Jobs: definitions, versions and due rows; the controls that lock them."""

import difflib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from cronherd.domain.errors import Conflict, CronherdError, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import UNLIMITED, Job, build_job, name_key
from cronherd.domain.planner import Skip, gate_key, missed_between
from cronherd.domain.run import Outcome, Reason
from cronherd.store import permits
from cronherd.store.base import JobWrite
from cronherd.store.database import Database, Row, fetch, many, marks, one
from cronherd.store.endings import end_unstarted
from cronherd.store.events import EventRows, add_skips

BY_KEY = """
SELECT j.id, j.version, j.enabled, j.deleted_us, d.last_slot_us, d.next_us, d.slot_us, j.spec
FROM job j JOIN job_due d ON d.job_id = j.id WHERE j.key = ?
"""
BY_ID = BY_KEY.replace("j.key = ?", "j.id = ?")
ADD_JOB = """
INSERT INTO job (key, name, spec, version, enabled, source, updated_us, id, created_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SET_JOB = """
UPDATE job SET key = ?, name = ?, spec = ?, version = ?, enabled = ?, source = ?, updated_us = ?,
deleted_us = NULL WHERE id = ?
"""
ADD_VERSION = 'INSERT INTO job_version (job_id, version, spec, "by", at_us) VALUES (?, ?, ?, ?, ?)'
ADD_DUE = """
INSERT INTO job_due (next_us, slot_us, last_slot_us, version, job_id, seq) VALUES (?, ?, ?, ?, ?, 0)
"""
SET_DUE = """
UPDATE job_due SET next_us = ?, slot_us = ?, last_slot_us = ?, version = ? WHERE job_id = ?
"""
RESTAMP = """
UPDATE run SET version = ?, place = ?, prio = ?,
wait_key = CASE WHEN wait_key LIKE '@%' THEN ? ELSE wait_key END
WHERE job_id = ? AND state IN ('waiting', 'ready', 'delayed', 'held')
"""
# The next slot of an `after` job comes with the end of the run it has.
UNARM = """
UPDATE job_due SET next_us = NULL WHERE job_id = ?
AND EXISTS (SELECT 1 FROM run WHERE run.job_id = job_due.job_id AND slot_us IS NOT NULL)
"""
NOT_STARTED = """
SELECT id FROM run WHERE job_id = ? AND state IN ('waiting', 'ready', 'delayed', 'held') ORDER BY id
"""
HOLD = "UPDATE run SET state = 'held', wait_key = NULL, excl_n = NULL WHERE id = ?"
LET_GO = """
UPDATE run SET state = 'waiting', wait_key = ?, ready_us = ? WHERE job_id = ? AND state = 'held'
"""
SET_ENABLED = "UPDATE job SET enabled = ?, updated_us = ? WHERE id = ?"
STOP_DUE = "UPDATE job_due SET next_us = NULL WHERE job_id = ?"
DELETE = "UPDATE job SET deleted_us = ?, enabled = 0, updated_us = ? WHERE id = ?"
ALL_KEYS = "SELECT name FROM job WHERE deleted_us IS NULL"
CURRENT_SPECS = "SELECT id, version, spec FROM job WHERE id IN ({})"
OLD_SPEC = "SELECT spec FROM job_version WHERE job_id = ? AND version = ?"
VERSIONS = """
SELECT version, spec, "by", at_us FROM job_version WHERE job_id = ? ORDER BY version DESC
"""

_CACHED = 20_000  # definitions kept in memory, whatever the number of jobs


class JobCache:
    """Definitions by (job, version): a version never changes, so nothing is ever stale."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[tuple[bytes, int], Job | str] = OrderedDict()

    def get(
        self, connection: Connection, wanted: Iterable[tuple[bytes, int]]
    ) -> dict[tuple[bytes, int], Job | str]:
        """The definitions; a sentence instead of a Job for one that cannot be used."""
        asked = list(wanted)
        missing = [pair for pair in asked if pair not in self._jobs]
        found = {pair: self._jobs[pair] for pair in asked if pair in self._jobs}
        for pair, spec in _specs(connection, missing).items():
            found[pair] = self._jobs[pair] = _build(spec)
        while len(self._jobs) > _CACHED:
            self._jobs.popitem(last=False)
        return found


def _specs(
    connection: Connection, missing: Sequence[tuple[bytes, int]]
) -> dict[tuple[bytes, int], str]:
    if not missing:
        return {}
    ids = list({job_id for job_id, _ in missing})
    specs = {
        (job_id, version): spec
        for job_id, version, spec in fetch(connection, CURRENT_SPECS.format(marks(len(ids))), ids)
    }
    for pair in missing:
        if pair not in specs:
            rows = fetch(connection, OLD_SPEC, pair)
            specs[pair] = rows[0][0] if rows else "null"
    return {pair: specs[pair] for pair in missing}


def _build(spec: str) -> Job | str:
    """A stored definition may be from another version of the program: never raise, say why."""
    try:
        return build_job(json.loads(spec))
    except CronherdError as error:
        return str(error)
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        RecursionError,
    ) as error:
        return f"the stored definition cannot be read ({type(error).__name__}: {error})"


class JobRows:
    """Writing of jobs: each verb one transaction, locking job_due before runs."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def save_jobs(self, writes: Sequence[JobWrite], actor: str) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            for write in writes:
                self._save(connection, write, actor, now_us)

    def _save(self, connection: Connection, write: JobWrite, actor: str, now_us: int) -> None:
        locked = self._db.dialect.for_update
        named = fetch(connection, BY_KEY + locked, (write.job.key,))
        if write.version is None:
            if named and named[0][3] is None:
                raise Conflict(
                    f"a job named '{write.job.name}' exists already",
                    code="name_taken",
                    hint=f"change it with 'cronherd job edit {write.job.name}'",
                )
            self._insert(connection, write, named[0] if named else None, actor, now_us)
            return
        if named and from_stored(named[0][0]) != write.id:
            raise Conflict(f"another job is named '{write.job.name}'", code="name_taken")
        rows = fetch(connection, BY_ID + locked, (to_stored(write.id),))
        if not rows or rows[0][3] is not None:
            raise NotFound(f"the job '{write.job.name}' no longer exists", code="no_such_job")
        if rows[0][1] != write.version:
            raise Conflict(
                f"the job '{write.job.name}' was changed by somebody else meanwhile",
                code="version_conflict",
                hint="look at it again, then edit",
            )
        self._update(connection, write, rows[0], actor, now_us)

    def _insert(
        self, connection: Connection, write: JobWrite, tomb: Row | None, actor: str, now_us: int
    ) -> None:
        """A new job, or an old one revived: its watermark stays, so no slot fires twice."""
        stored = tomb[0] if tomb else to_stored(write.id)
        version = tomb[1] + 1 if tomb else 1
        last_us = max(tomb[4], now_us) if tomb else now_us
        next_us, slot_us = _first(write.job, last_us, enabled=write.enabled)
        values = _columns(write, version, now_us)
        if tomb:
            one(connection, SET_JOB, (*values, stored))
            _set_due(connection, write.job, (next_us, slot_us, last_us, version, stored))
        else:
            one(connection, ADD_JOB, (*values, stored, now_us))
            one(connection, ADD_DUE, (next_us, slot_us, last_us, version, stored))
        one(connection, ADD_VERSION, (stored, version, values[2], actor, now_us))
        self._events.add(connection, EventKind.JOB_CREATED, write.job.name, actor, write.source)

    def _update(
        self, connection: Connection, write: JobWrite, row: Row, actor: str, now_us: int
    ) -> None:
        stored, version, enabled, _, last_us, next_us, slot_us, spec = row
        old = _build(spec)
        version += 1
        values = _columns(write, version, now_us)
        one(connection, SET_JOB, (*values, stored))
        one(connection, ADD_VERSION, (stored, version, values[2], actor, now_us))
        if not (enabled and write.enabled and isinstance(old, Job) and _same(old, write.job)):
            # Slots of the old rule that were due but not yet planned do not vanish.
            if isinstance(old, Job):
                reason = Reason.EDITED if enabled else Reason.DISABLED
                skip = missed_between(old, last_us, now_us, reason)
                last_us = self._account(connection, stored, skip, last_us, now_us)
            last_us = max(last_us, now_us)
            next_us, slot_us = _first(write.job, last_us, enabled=write.enabled)
        _set_due(connection, write.job, (next_us, slot_us, last_us, version, stored))
        place = write.job.place
        one(connection, RESTAMP, (version, place, write.job.priority, f"@{place}", stored))
        if write.job.permits != UNLIMITED and _had_no_limit(old):
            permits.bind(connection, stored, gate_key(write.id))
        if enabled and not write.enabled:
            _hold(connection, stored)
        if write.enabled and not enabled:
            _let_go(connection, stored, now_us)
        self._events.add(connection, EventKind.JOB_CHANGED, write.job.name, actor)

    def set_enabled(self, job_id: str, actor: str, *, enabled: bool) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            row = self._locked(connection, job_id)
            stored, version, was, _, last_us, *_, spec = row
            job = _build(spec)
            if bool(was) == enabled:
                return
            one(connection, SET_ENABLED, (enabled, now_us, stored))
            if enabled:
                if isinstance(job, str):
                    raise Conflict(job, code="bad_definition", hint="edit the job first")
                skip = missed_between(job, last_us, now_us, Reason.DISABLED)
                last_us = self._account(connection, stored, skip, last_us, now_us)
                next_us, slot_us = _first(job, max(last_us, now_us), enabled=True)
                _set_due(connection, job, (next_us, slot_us, last_us, version, stored))
                _let_go(connection, stored, now_us)
            else:
                one(connection, STOP_DUE, (stored,))
                _hold(connection, stored)
            kind = EventKind.JOB_ENABLED if enabled else EventKind.JOB_DISABLED
            name = job.name if isinstance(job, Job) else from_stored(stored)
            self._events.add(connection, kind, name, actor)

    def delete_job(self, job_id: str, actor: str) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            stored, _, _, _, last_us, *_, spec = self._locked(connection, job_id)
            job = _build(spec)
            if isinstance(job, Job):
                # What was due and not yet planned is the last that the ledger owes.
                skip = missed_between(job, last_us, now_us, Reason.DISABLED)
                self._account(connection, stored, skip, last_us, now_us)
            one(connection, STOP_DUE, (stored,))
            one(connection, DELETE, (now_us, now_us, stored))
            _end_waiting(connection, stored, now_us)
            name = job.name if isinstance(job, Job) else from_stored(stored)
            self._events.add(connection, EventKind.JOB_DELETED, name, actor)

    def versions(self, job_id: str) -> list[tuple[int, Mapping[str, object], str, int]]:
        with self._db.read() as connection:
            rows = fetch(connection, VERSIONS, (to_stored(job_id),))
        return [(version, json.loads(spec), by, at_us) for version, spec, by, at_us in rows]

    def _locked(self, connection: Connection, job_id: str) -> Row:
        rows = fetch(connection, BY_ID + self._db.dialect.for_update, (to_stored(job_id),))
        if not rows or rows[0][3] is not None:
            raise NotFound("that job no longer exists", code="no_such_job")
        return rows[0]

    def _account(
        self, connection: Connection, stored: bytes, skip: Skip | None, last_us: int, now_us: int
    ) -> int:
        if skip is None:
            return last_us
        add_skips(connection, [(stored, skip)], now_us)
        watermark = "UPDATE job_due SET last_slot_us = ? WHERE job_id = ? AND last_slot_us < ?"
        one(connection, watermark, (skip.to_us, stored, skip.to_us))
        return max(last_us, skip.to_us)


def no_such_job(connection: Connection, name: str) -> NotFound:
    """The error for a name that fits no job, with close ones as its hint."""
    names = [row[0] for row in fetch(connection, ALL_KEYS)]
    close = difflib.get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    known = next((known for known in names if close and known.lower() == close[0]), None)
    hint = f"did you mean '{known}'?" if known else "'cronherd job list' shows them all"
    return NotFound(f"there is no job '{name[:120]}'", code="no_such_job", hint=hint)


def _columns(write: JobWrite, version: int, now_us: int) -> tuple[object, ...]:
    spec = {key: value for key, value in write.job.spec.items() if key != "enabled"}
    text = json.dumps(spec, ensure_ascii=False, sort_keys=True)
    job = write.job
    return (name_key(job.name), job.name, text, version, write.enabled, write.source, now_us)


def _first(job: Job, after_us: int, *, enabled: bool) -> tuple[int | None, int]:
    """(next, slot) of a job whose watermark is `after_us`."""
    slot_us = job.schedule.next_after(after_us) if job.schedule else None
    if slot_us is None:
        return None, after_us
    return (slot_us if enabled else None), slot_us


def _same(old: Job, new: Job) -> bool:
    return old.schedule == new.schedule


def _had_no_limit(old: Job | str) -> bool:
    return isinstance(old, str) or old.permits == UNLIMITED


def _set_due(connection: Connection, job: Job, values: Sequence[object]) -> None:
    one(connection, SET_DUE, values)
    if job.chained:
        one(connection, UNARM, (values[-1],))


def _hold(connection: Connection, stored: bytes) -> None:
    hold(connection, [row[0] for row in fetch(connection, NOT_STARTED, (stored,))])


def hold(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Keep these runs, whose rows are locked, from starting, and free what they hold."""
    permits.free(connection, run_ids)
    many(connection, HOLD, [(run_id,) for run_id in run_ids])


def _let_go(connection: Connection, stored: bytes, now_us: int) -> None:
    """Held runs enter again by the door for those who wait: promotion lets them in."""
    one(connection, LET_GO, (gate_key(from_stored(stored)), now_us, stored))


def _end_waiting(connection: Connection, stored: bytes, now_us: int) -> None:
    ids = [row[0] for row in fetch(connection, NOT_STARTED, (stored,))]
    end_unstarted(connection, ids, Outcome.CANCELLED, "the job was deleted", now_us)
