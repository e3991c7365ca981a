"""Jobs: definitions and versions; saving one moves its due row under its lock."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import UNLIMITED, Job, name_key
from cronherd.domain.pool import is_pool_key, spell_uses
from cronherd.domain.run import Reason
from cronherd.store import permits
from cronherd.store.database import (
    Connection,
    Database,
    Duplicate,
    Row,
    Values,
    fetch,
    many,
    one,
    parts,
    plain,
)
from cronherd.store.definitions import read_definition
from cronherd.store.duerows import (
    ANEW,
    SET_SKIP,
    DueRow,
    account_gap,
    first_slot,
    hold,
    let_go,
    lock_due,
    lock_runs,
    not_before,
    read_row,
    set_due,
)
from cronherd.store.events import SUBJECT_LENGTH, EventRows
from cronherd.store.facts import SOURCE_LENGTH, JobWrite
from cronherd.store.jobtexts import JobText, write_texts
from cronherd.store.pools import ensure_pools

IDS_OF_KEYS = 'SELECT id FROM job WHERE "key" IN ?'
KEYS_OF = 'SELECT "key", id FROM job WHERE "key" IN ?'
ID_OF_KEY = 'SELECT id FROM job WHERE "key" = ?'
ADD_JOB = """
INSERT INTO job ("key", name, spec, version, texted, enabled, source, updated_us, applied, drifted,
id, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SET_JOB = """
UPDATE job SET "key" = ?, name = ?, spec = ?, version = ?, texted = ?, enabled = ?, source = ?,
updated_us = ?, applied = ?, drifted = ?, deleted_us = NULL WHERE id = ?
"""
MADE_AGAIN = "UPDATE job SET created_us = ?, forgotten_us = 0 WHERE id = ?"
# What a source said when it was applied, against what an edit makes of it.
GIVEN = """
SELECT v.version, v.spec FROM job j JOIN job_version v ON v.job_id = j.id AND v.version = j.applied
WHERE j.id = ?
"""
ADD_VERSION = 'INSERT INTO job_version (job_id, version, spec, "by", at_us) VALUES (?, ?, ?, ?, ?)'
ADD_DUE = """
INSERT INTO job_due (next_us, slot_us, last_slot_us, version, job_id, seq) VALUES (?, ?, ?, ?, ?, ?)
"""
# NULL for what a definition that nobody here can read does not say: it stays. What runs because a
# host has started stays there.
RESTAMP = """
UPDATE run SET version = ?, place = CASE WHEN cause = 'boot' OR target_id IS NOT NULL
THEN place ELSE coalesce(?, place) END,
prio = coalesce(?, prio), wait_key = CASE WHEN wait_key LIKE '@%' AND cause <> 'boot'
AND target_id IS NULL THEN coalesce(?, wait_key) ELSE wait_key END WHERE id IN ?
"""
ASKS = "SELECT id, pools, state, wait_key FROM run WHERE id IN ? ORDER BY id"
SET_ASKS = "UPDATE run SET pools = ? WHERE id IN ?"
REQUESTED = "SELECT run_id FROM request WHERE job_id = ? AND dedup = ?"
ADD_REQUEST = "INSERT INTO request (job_id, dedup, run_id, at_us) VALUES (?, ?, ?, ?)"
ALL_KEYS = "SELECT name FROM job WHERE deleted_us IS NULL"
VERSIONS = """
SELECT version, spec, "by", at_us FROM job_version WHERE job_id = ? ORDER BY version DESC
"""

INSERTED = 1_000  # rows of one statement: short enough for the deadline of a call


class JobRows:
    """Writing of jobs: each verb one transaction, locking job_due before runs."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def save_jobs(self, writes: Sequence[JobWrite], actor: str) -> None:
        try:
            self._save_all(writes, actor)
        except Duplicate:  # somebody made a job of that name at the same instant: look again
            self._save_all(writes, actor)

    def _save_all(self, writes: Sequence[JobWrite], actor: str) -> None:
        with self._db.write() as connection:
            lock_named(connection, writes)
            self.store(connection, writes, actor)

    def store(self, connection: Connection, writes: Sequence[JobWrite], actor: str) -> None:
        """Save jobs whose due rows are ours already."""
        now_us = self._db.dialect.now_us(connection)
        keys = [write.job.key for write in writes]
        known = {row[0]: row[1] for row in in_parts(connection, KEYS_OF, keys)}
        ensure_pools(connection, _named(known, writes), self._told(actor))
        # What is there already goes first, as it was told: it may give up a name.
        fresh = [write for write in writes if write.version is None]
        others = [write for write in writes if write.version is not None]
        others += [write for write in fresh if write.job.key in known]
        saved = [(self._save(connection, write, actor, now_us), write.job) for write in others]
        told = [JobText.of(stored, job) for stored, job in saved if stored is not None]
        write_texts(connection, told, fresh=False)
        # New ones in the order of their names: two who insert the same wait in one line.
        fresh = sorted(
            (write for write in fresh if write.job.key not in known),
            key=lambda write: write.job.key,
        )
        for first in range(0, len(fresh), INSERTED):
            self._add(connection, fresh[first : first + INSERTED], actor, now_us)

    def _add(
        self, connection: Connection, writes: Sequence[JobWrite], actor: str, now_us: int
    ) -> None:
        """New jobs of names that nobody ever had, many in a statement."""
        jobs, versions, dues, requests = [], [], [], []
        for write in writes:
            stored, enabled = to_stored(write.id), write.enabled is not False
            next_us, slot_us = first_slot(write.job, now_us, enabled=enabled)
            values = columns(write, 1, now_us, enabled=enabled)
            jobs.append((*values, *_given(write, 1), stored, now_us))
            versions.append((stored, 1, values[2], plain(actor, SUBJECT_LENGTH), now_us))
            dues.append((next_us, slot_us, now_us, 1, stored, 0))
            if write.request is not None:
                requests.append((stored, write.request, stored, now_us))
        many(connection, ADD_JOB, jobs)
        many(connection, ADD_DUE, dues)
        many(connection, ADD_VERSION, versions)
        many(connection, ADD_REQUEST, requests)
        texts = [JobText.of(to_stored(write.id), write.job) for write in writes]
        write_texts(connection, texts, fresh=True)
        told = [(write.job.name, write.source) for write in writes]
        self._events.add_all(connection, EventKind.JOB_CREATED, told, actor)

    def _told(self, actor: str) -> Callable[[Connection, str, str], None]:
        def tell(connection: Connection, name: str, text: str) -> None:
            self._events.add(connection, EventKind.POOL_SET, name, actor, text)

        return tell

    def _save(
        self, connection: Connection, write: JobWrite, actor: str, now_us: int
    ) -> bytes | None:
        """The job's id; None when this was saved before."""
        ids = fetch(connection, ID_OF_KEY, (write.job.key,))
        named = read_row(connection, ids[0][0]) if ids else None
        if write.version is None:
            if named is not None and named.deleted_us is None:
                if from_stored(named.id) == write.id and _stored_before(write, named, 1):
                    return None
                if requested(connection, named.id, write.request) is not None:
                    return None
                raise Conflict(
                    f"a job named '{write.job.name}' exists already",
                    code="name_taken",
                    hint=f"change it with 'cronherd job edit {write.job.name}'",
                )
            return self._insert(connection, write, named, actor, now_us)
        if named is not None and from_stored(named.id) != write.id:
            raise Conflict(f"another job is named '{write.job.name}'", code="name_taken")
        row = read_row(connection, to_stored(write.id))
        if row is None or row.deleted_us is not None:
            raise NotFound(f"the job '{write.job.name}' no longer exists", code="no_such_job")
        if row.version != write.version:
            if _stored_before(write, row, write.version + 1):
                return None
            raise Conflict(
                f"the job '{write.job.name}' was changed by somebody else meanwhile",
                code="version_conflict",
                hint="look at it again, then edit",
            )
        self._update(connection, write, row, actor, now_us)
        return row.id

    def _insert(
        self, connection: Connection, write: JobWrite, tomb: DueRow | None, actor: str, now_us: int
    ) -> bytes:
        """A new job, or an old one revived: its watermark stays, so no slot fires twice."""
        stored = tomb.id if tomb else to_stored(write.id)
        if tomb and requested(connection, tomb.id, write.request) is not None:
            raise Conflict(
                f"this request made the job '{write.job.name}', which was deleted since",
                code="already_done",
                hint="ask with another key to make it again",
            )
        version = tomb.version + 1 if tomb else 1
        last_us = max(tomb.last_us, now_us) if tomb else now_us
        enabled = write.enabled is not False
        next_us, slot_us = first_slot(write.job, last_us, enabled=enabled)
        values = columns(write, version, now_us, enabled=enabled)
        if tomb:
            one(connection, SET_JOB, (*values, *_given(write, version), stored))
            one(connection, ANEW, (stored,))
            one(connection, MADE_AGAIN, (last_us, stored))
            set_due(connection, write.job, (next_us, slot_us, last_us, version, stored))
            lock_runs(connection, stored)  # what was running when it was deleted still runs
            if _counts_anew(read_definition(tomb.spec), write.job):
                permits.bind(connection, from_stored(stored), write.job)
        else:
            one(connection, ADD_JOB, (*values, *_given(write, version), stored, now_us))
            one(connection, ADD_DUE, (next_us, slot_us, last_us, version, stored, 0))
        one(
            connection,
            ADD_VERSION,
            (stored, version, values[2], plain(actor, SUBJECT_LENGTH), last_us),
        )
        if write.request is not None:
            values = (stored, write.request, to_stored(write.id), now_us)
            one(connection, ADD_REQUEST, values)
        self._events.add(connection, EventKind.JOB_CREATED, write.job.name, actor, write.source)
        return stored

    def _update(
        self, connection: Connection, write: JobWrite, row: DueRow, actor: str, now_us: int
    ) -> None:
        old = read_definition(row.spec)
        version = row.version + 1
        enabled = bool(row.enabled) if write.enabled is None else write.enabled
        values = columns(write, version, now_us, enabled=enabled)
        given = _given(write, version)
        if not write.applied:
            rows = fetch(connection, GIVEN, (row.id,))
            given = (rows[0][0], rows[0][1] != values[2]) if rows else given
        one(connection, SET_JOB, (*values, *given, row.id))
        last_us = self._move(connection, write, row, old, version, now_us, enabled=enabled)
        one(
            connection,
            ADD_VERSION,
            (row.id, version, values[2], plain(actor, SUBJECT_LENGTH), max(last_us, now_us)),
        )
        waiting, _ = lock_runs(connection, row.id)
        restamp(connection, row.id, waiting, write.job, version)
        if _counts_anew(old, write.job):
            permits.bind(connection, write.id, write.job)
        if row.enabled and not enabled:
            hold(connection, waiting)
        if enabled and not row.enabled and not row.paused(now_us):
            let_go(connection, row.id, now_us)
        self._events.add(connection, EventKind.JOB_CHANGED, write.job.name, actor)

    def _move(
        self,
        connection: Connection,
        write: JobWrite,
        row: DueRow,
        old: Job | str,
        version: int,
        now_us: int,
        *,
        enabled: bool,
    ) -> int:
        """The due row, at its next slot by the new rule; slots of the old one do not vanish.

        The new watermark: the slots behind it are those of the new rule.
        """
        next_us, slot_us, last_us = row.next_us, row.slot_us, row.last_us
        goes_on = row.enabled and enabled
        if not (goes_on and isinstance(old, Job) and _same(old, write.job)):
            if isinstance(old, Job):
                reason = Reason.EDITED if row.enabled else Reason.DISABLED
                last_us = account_gap(connection, row, old, now_us, reason, closing=True)
            last_us = max(last_us, now_us)
            next_us, slot_us = first_slot(write.job, last_us, enabled=enabled, fired=row.fired)
            if row.skip_us is not None:  # it named a slot of the old schedule
                one(connection, SET_SKIP, (None, row.id))
            next_us = not_before(next_us, row.paused_us)
        set_due(connection, write.job, (next_us, slot_us, last_us, version, row.id))
        return last_us

    def creation(self, job_id: str, request: str) -> str | None:
        with self._db.glance() as connection:
            found = requested(connection, to_stored(job_id), request)
        return from_stored(found) if found is not None else None

    def versions(self, job_id: str) -> list[tuple[int, Mapping[str, object], str, int]]:
        with self._db.glance() as connection:
            rows = fetch(connection, VERSIONS, (to_stored(job_id),))
        return [(version, json.loads(spec), by, at_us) for version, spec, by, at_us in rows]


def requested(connection: Connection, job_id: bytes, request: str | None) -> bytes | None:
    """What was made of this request for this job, None when it is new."""
    if request is None:
        return None
    rows = fetch(connection, REQUESTED, (job_id, request))
    return bytes(rows[0][0]) if rows else None


def restamp(
    connection: Connection, job_id: bytes, run_ids: Sequence[bytes], job: Job | str, version: int
) -> None:
    """These runs, whose rows are locked, start by this definition, or not at all."""
    stamp: Values = (None, None, None)
    if isinstance(job, Job):
        stamp = (job.place, job.priority, f"@{job.place}")
    for some in parts(run_ids):
        one(connection, RESTAMP, (version, *stamp, some))
        if isinstance(job, Job):
            _ask_anew(connection, some, from_stored(job_id), job)


def _ask_anew(connection: Connection, run_ids: Sequence[bytes], job_id: str, job: Job) -> None:
    """Runs whose job asks for other pools now: what has got the old ones lines up once more."""
    asks = spell_uses(job.uses(job_id))
    others = [row for row in fetch(connection, ASKS, (list(run_ids),)) if row[1] != asks]
    if others:
        one(connection, SET_ASKS, (asks, [row[0] for row in others]))
        inside = [row[0] for row in others if row[2] == "ready" or is_pool_key(row[3])]
        permits.line_up(connection, job_id, inside)


def no_such_job(connection: Connection, name: str) -> NotFound:
    """The error for a name that fits no job, with close ones as its hint."""
    names = [row[0] for row in fetch(connection, ALL_KEYS)]
    close = difflib.get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    known = next((known for known in names if close and known.lower() == close[0]), None)
    hint = f"did you mean '{known}'?" if known else "'cronherd job list' shows them all"
    return NotFound(f"there is no job '{name[:120]}'", code="no_such_job", hint=hint)


def lock_named(connection: Connection, writes: Sequence[JobWrite]) -> None:
    """All due rows at once, in their order: two who write many jobs do not block each other."""
    keys = [write.job.key for write in writes]
    named = [row[0] for row in in_parts(connection, IDS_OF_KEYS, keys)]
    lock_due(connection, [*named, *(to_stored(write.id) for write in writes)])


def in_parts(connection: Connection, sql: str, keys: Sequence[str]) -> list[Row]:
    """All rows of a query `… IN ?`, so many keys at a time."""
    return [row for some in parts(keys) for row in fetch(connection, sql, (some,))]


def _named(known: Mapping[str, bytes], writes: Sequence[JobWrite]) -> list[tuple[str, Job]]:
    """The jobs with the ids that they have, or get: a name that was deleted gets its old one."""
    return [
        (from_stored(known[key]) if write.version is None and key in known else write.id, write.job)
        for write in writes
        for key in [write.job.key]
    ]


def _given(write: JobWrite, version: int) -> tuple[int | None, bool]:
    """(applied, drifted) of a job that is new, or as its source says."""
    return (version if write.applied else None), False


def columns(write: JobWrite, version: int, now_us: int, *, enabled: bool) -> tuple[object, ...]:
    """What both statements that write a job begin with."""
    job = write.job
    source = plain(write.source, SOURCE_LENGTH)
    return (name_key(job.name), job.name, _text(job), version, version, enabled, source, now_us)


def _text(job: Job) -> str:
    """The definition as it is stored; whether it is enabled is told elsewhere."""
    spec = {key: value for key, value in job.spec.items() if key != "enabled"}
    return json.dumps(spec, ensure_ascii=False, sort_keys=True)


def _stored_before(write: JobWrite, row: DueRow, version: int) -> bool:
    """Whether this very write was stored already and its answer was lost on the way."""
    same = write.enabled is None or bool(row.enabled) == write.enabled
    return row.version == version and row.spec == _text(write.job) and same


def _same(old: Job, new: Job) -> bool:
    return (old.schedule, old.jitter_us, old.max_runs) == (
        new.schedule,
        new.jitter_us,
        new.max_runs,
    )


def _counts_anew(old: Job | str, new: Job) -> bool:
    """Whether a limit begins to count, or counts by node from now on, or no longer by node."""
    if new.permits == UNLIMITED:
        return False
    return isinstance(old, str) or old.permits == UNLIMITED or old.on_all != new.on_all
