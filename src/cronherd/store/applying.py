"""Applying: the jobs of one source become what it says, in one transaction.

Each source has a gate, whose number counts how often it was applied. Whoever applies says at which
number it looked, so of two at once one finds another number and changes nothing. Locks: the due
rows of all jobs, then the gate, then the runs of each job, as everywhere.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.store.controls import drop
from cronherd.store.database import Connection, Database, Duplicate, Row, fetch, many, one
from cronherd.store.definitions import read_definition
from cronherd.store.duerows import lock_due, read_row
from cronherd.store.events import EventRows, known
from cronherd.store.facts import Application, Kept, KeptJob
from cronherd.store.jobs import JobRows, in_parts, lock_named

_KEPT = 'id, "key", name, spec, version, enabled, source, applied, drifted, deleted_us FROM job'
BY_KEY = f'SELECT {_KEPT} WHERE "key" IN ?'
BY_SOURCE = f"SELECT {_KEPT} WHERE source = ? AND deleted_us IS NULL"
TURN = "SELECT seq FROM gate WHERE gkey = ?"
LOCK_TURN = "SELECT seq FROM gate WHERE gkey = ? /*lock*/"
ADD_TURN = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, 0, 0)"
NEXT_TURN = "UPDATE gate SET seq = seq + 1 WHERE gkey = ? AND seq = ?"
SETTLE = "UPDATE job SET applied = version, drifted = FALSE WHERE id = ? AND version = ?"
# What a job says that is no longer as it was when somebody looked.
_STALE = frozenset({"version_conflict", "name_taken", "no_such_job"})


class ApplyRows:
    """What a source has, and making it what the source says."""

    def __init__(self, db: Database, events: EventRows, jobs: JobRows) -> None:
        self._db = db
        self._events = events
        self._jobs = jobs

    def kept_jobs(self, source: str, keys: Sequence[str]) -> Kept:
        with self._db.read() as connection:
            turn = _turn(connection, TURN, source)
            # A database may take `x ` for `x`; whoever plans compares once more.
            rows = [*fetch(connection, BY_SOURCE, (source,))]
            found = {row[1] for row in rows}
            rest = sorted({key for key in keys if key not in found})
            rows += in_parts(connection, BY_KEY, rest)
        return Kept(turn=turn or 0, jobs=[_kept(row) for row in rows])

    def apply_jobs(self, application: Application, actor: str) -> list[str]:
        return self._events.surely(lambda mark: self._again(application, actor, mark))

    def _again(self, application: Application, actor: str, mark: str) -> list[str]:
        try:
            return self._apply(application, actor, mark)
        except Duplicate:  # somebody made such a job, or applied this source first: look again
            return self._apply(application, actor, mark)

    def _apply(self, application: Application, actor: str, mark: str) -> list[str]:
        with self._db.write() as connection:
            lock_named(connection, application.writes)
            lock_due(connection, [to_stored(job_id) for job_id, _ in application.drops])
            if not _take_turn(connection, application, mark):
                return []
            try:
                first = self._drop(connection, application.drops, actor)
                self._jobs.store(connection, application.writes, actor)
            except (Conflict, NotFound) as error:
                if error.code in _STALE:
                    raise _outdated(error.text) from None
                raise
            settled = [(to_stored(job_id), version) for job_id, version in application.settled]
            many(connection, SETTLE, settled)
            events, text = self._events.by(mark), application.text
            events.add(connection, EventKind.JOBS_APPLIED, application.source, actor, text)
        return first

    def _drop(
        self, connection: Connection, drops: Sequence[tuple[str, int]], actor: str
    ) -> list[str]:
        now_us, first = self._db.dialect.now_us(connection), list[str]()
        told: list[tuple[str, str]] = []
        for job_id, version in drops:
            row = read_row(connection, to_stored(job_id))
            if row is None or row.deleted_us is not None or row.version != version:
                raise _outdated("a job that was to be deleted was changed by somebody else")
            job = read_definition(row.spec)
            first += drop(connection, row, job, now_us)
            told.append((job_id if isinstance(job, str) else job.name, ""))
        self._events.add_all(connection, EventKind.JOB_DELETED, told, actor)
        return first


def _take_turn(connection: Connection, application: Application, mark: str) -> bool:
    """Whether it is ours to do; False: it was done, and only the answer was lost."""
    gate = _gate(application.source)
    turn = _turn(connection, LOCK_TURN, application.source)
    if turn is None:
        one(connection, ADD_TURN, (gate,))
        turn = 0
    if known(connection, mark):
        return False
    if turn != application.turn or one(connection, NEXT_TURN, (gate, turn)) != 1:
        raise _outdated("somebody else has applied this source")
    return True


def _turn(connection: Connection, sql: str, source: str) -> int | None:
    rows = fetch(connection, sql, (_gate(source),))
    return int(rows[0][0]) if rows else None


def _gate(source: str) -> str:
    """A source may be longer than the key of a gate, and in any alphabet."""
    return "a" + hashlib.blake2b(source.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _outdated(text: str) -> Conflict:
    return Conflict(
        f"{text} meanwhile: nothing was changed",
        code="plan_outdated",
        hint="look at the changes again, then apply",
    )


def _kept(row: Row) -> KeptJob:
    return KeptJob(
        id=from_stored(row[0]),
        key=row[1],
        name=row[2],
        spec=_spec(row[3]),
        version=row[4],
        enabled=bool(row[5]),
        source=row[6],
        applied=row[7],
        drifted=bool(row[8]),
        deleted=row[9] is not None,
    )


def _spec(text: str) -> Mapping[str, object]:
    """Whatever stands there: a definition that nobody can read differs from every other."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
