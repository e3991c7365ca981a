"""Claims: which node may start which run; requests for runs outside the schedule; cancels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cronherd.domain.admission import (
    Admission,
    Gate,
    Refusal,
    Target,
    admit,
    own_key,
    through,
)
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, short_of, to_stored
from cronherd.domain.job import UNLIMITED, Job, build_job
from cronherd.domain.node import Node
from cronherd.domain.param import Value
from cronherd.domain.place import node_place, shown_place
from cronherd.domain.pool import is_pool_key, spell_uses
from cronherd.domain.run import Cause, Outcome, Reason, RunState
from cronherd.store import permits
from cronherd.store.base import Claim, Look, Requested
from cronherd.store.chains import rearm_after
from cronherd.store.database import Connection, Database, Row, fetch, one, plain
from cronherd.store.definitions import JobCache
from cronherd.store.doors import Doors
from cronherd.store.endings import ask_to_end, end_unstarted, make_room
from cronherd.store.events import EventRows
from cronherd.store.firing import ADD_RUN, FENCE_SHIFT, place_of
from cronherd.store.jobs import ADD_REQUEST, REQUESTED
from cronherd.store.lowbound import LowBound
from cronherd.store.nodes import Places
from cronherd.store.takers import Takers

# The places of ready runs: one step of the index for each, however many runs there are.
READY_PLACES = """
WITH RECURSIVE found (place) AS (
SELECT min(place) FROM run WHERE state = 'ready'
UNION ALL
SELECT (SELECT min(r.place) FROM run r WHERE r.state = 'ready' AND r.place > found.place)
FROM found WHERE found.place IS NOT NULL
) SELECT place FROM found WHERE place IS NOT NULL
"""
FIELDS = "id, job_id, version, attempt, token, fence, epoch, cause, slot_us, started_us, params"
BY_IDS = f"SELECT {FIELDS} FROM run WHERE id IN ? ORDER BY prio, ready_us, id"
BY_TOKEN = f"SELECT {FIELDS} FROM run WHERE node_id = ? AND token = ? AND state = 'claimed'"
BY_NODE = f"SELECT {FIELDS} FROM run WHERE node_id = ? AND state IN ('claimed', 'running')"
# The least of an index is one step into it; whether anything exists was answered by scans, and so
# was the least of what is not NULL (MariaDB, by all who wait).
LOOK = """
SELECT now_us(), (SELECT min(next_us) FROM job_due WHERE next_us BETWEEN ? AND now_us() + ?),
(SELECT min(place) FROM run WHERE state = 'ready') IS NOT NULL,
(SELECT min(wait_key) FROM run WHERE wait_key > '') IS NOT NULL
OR (SELECT min(ready_us) FROM run WHERE state = 'delayed') IS NOT NULL
OR (SELECT min(deadline_us) FROM run WHERE deadline_us IS NOT NULL) IS NOT NULL,
(SELECT count(*) FROM run WHERE node_id = ? AND cancel),
EXISTS (SELECT 1 FROM meta WHERE "key" = 'hold' AND value <> '')
"""
CANCELS = "SELECT id, attempt FROM run WHERE node_id = ? AND cancel"
UPCOMING = """
SELECT job_id, version, slot_us FROM job_due WHERE next_us > now_us() AND next_us <= ?
ORDER BY next_us, job_id LIMIT ?
"""
DUE_ROW = "SELECT version, seq, job_id FROM job_due WHERE job_id = ? /*lock*/"
DELETED = "SELECT deleted_us FROM job WHERE id = ?"
SET_PARAMS = "UPDATE run SET params = ? WHERE id = ?"
SET_SEQ = "UPDATE job_due SET seq = ? WHERE job_id = ?"
RUN_JOB = "SELECT job_id FROM run WHERE id = ?"
RUN_STATE = "SELECT state, slot_us FROM run WHERE id = ? /*lock*/"


# What stands for a definition that cannot be read any more while its run is settled.
UNUSABLE = build_job({"name": "unusable", "command": "false"})


class ClaimRows:
    """The live table, seen from a node that wants work."""

    def __init__(self, db: Database, cache: JobCache, events: EventRows, bound: LowBound) -> None:
        self._db = db
        self._cache = cache
        self._events = events
        self._bound = bound

    def look(self, node_id: str, horizon_us: int) -> Look:
        stored = to_stored(node_id)
        with self._db.glance() as connection:
            now_us, next_us, ready, waiting, cancels, hold = fetch(
                connection, LOOK, (self._bound.low_us(), horizon_us, stored)
            )[0]
            wanted = fetch(connection, CANCELS, (stored,)) if cancels else ()
        self._bound.saw(next_us, now_us)
        return Look(
            now_us=now_us,
            hold=bool(hold),
            next_us=next_us,
            ready=bool(ready),
            waiting=bool(waiting),
            cancels=tuple((from_stored(run_id), attempt) for run_id, attempt in wanted),
        )

    def upcoming(self, until_us: int, limit: int) -> list[tuple[Job, int]]:
        with self._db.glance() as connection:
            rows = fetch(connection, UPCOMING, (until_us, limit))
            jobs = self._cache.get(connection, [(row[0], row[1]) for row in rows])
        pairs = ((jobs[job_id, version], slot_us) for job_id, version, slot_us in rows)
        return [(job, slot_us) for job, slot_us in pairs if isinstance(job, Job)]

    def claim(
        self,
        node: Node,
        token: str,
        limit: int,
        held: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Claim]:
        with self._db.write() as connection:
            found = [row[0] for row in fetch(connection, READY_PLACES)]
            takers = Takers(node, limit, token, held)
            taken = takers.take(self._db.dialect, connection, found)
            return self._usable(connection, _by_ids(connection, taken))

    def claimed_by(self, node_id: str, token: str) -> list[Claim]:
        with self._db.glance() as connection:
            return self._claims(
                connection, fetch(connection, BY_TOKEN, (to_stored(node_id), token))
            )

    def held_by(self, node_id: str) -> list[Claim]:
        with self._db.glance() as connection:
            return self._claims(connection, fetch(connection, BY_NODE, (to_stored(node_id),)))

    def _usable(self, connection: Connection, rows: Sequence[Row]) -> list[Claim]:
        """Claims that can be started; a definition nobody can read ends its run, with words."""
        jobs = self._cache.get(connection, [(row[1], row[2]) for row in rows])
        good: list[Row] = []
        for row in rows:
            job = jobs[row[1], row[2]]
            if isinstance(job, Job):
                good.append(row)
                continue
            now_us = self._db.dialect.now_us(connection)
            end_unstarted(connection, [row[0]], Outcome.NOT_STARTED, plain(job, 400), now_us)
        return [_claim(row, jobs) for row in good]

    def _claims(self, connection: Connection, rows: Sequence[Row]) -> list[Claim]:
        jobs = self._cache.get(connection, [(row[1], row[2]) for row in rows])
        return [_claim(row, jobs) for row in rows]

    def request_run(
        self,
        job_id: str,
        run_id: str,
        dedup: str,
        cause: Cause,
        *,
        force: bool,
        params: Mapping[str, Value] = MappingProxyType({}),
        target: tuple[str, str] | None = None,
        actor: str = "",
    ) -> Requested:
        stored = to_stored(job_id)
        with self._db.write() as connection:
            rows = fetch(connection, DUE_ROW, (stored,))
            if not rows or fetch(connection, DELETED, (stored,))[0][0] is not None:
                raise NotFound("that job no longer exists", code="no_such_job")
            before = fetch(connection, REQUESTED, (stored, dedup))
            if before:
                return Requested(run_id=from_stored(before[0][0]), repeated=True)
            asked = _Asked(job_id, run_id, dedup, cause, target, force, actor or cause.value)
            wait_key = self._insert(connection, asked, rows[0])
            if params:
                one(connection, SET_PARAMS, (json.dumps(dict(params)), to_stored(run_id)))
        lined_up = wait_key if is_pool_key(wait_key) else None
        return Requested(run_id=run_id, repeated=False, lined_up=lined_up)

    def _insert(self, connection: Connection, asked: "_Asked", due: Row) -> str | None:
        """The key on which it waits, if it does."""
        stored = to_stored(asked.job_id)
        version, seq, _ = due
        job = self._cache.get(connection, [(stored, version)])[stored, version]
        if isinstance(job, str):
            raise Conflict(job, code="bad_definition", hint="edit the job first")
        now_us = self._db.dialect.now_us(connection)
        admission, target = _admit(connection, asked, job, now_us)
        seq += admission.entered
        row = _requested_row(asked, job, version, admission, target, now_us)
        fence = (seq if admission.entered else 0) << FENCE_SHIFT
        one(connection, ADD_RUN, (*row[:15], fence, *row[15:]))
        if admission.permit is not None:
            key = own_key(job, asked.job_id, target)
            permits.take(connection, [(key, admission.permit, row[0])])
        make_room(connection, [admission], now_us)
        if admission.replaces or admission.cancels:
            rearm_after(connection, self._cache, [stored], now_us)
        one(connection, SET_SEQ, (seq, stored))
        one(connection, ADD_REQUEST, (stored, asked.dedup, row[0], now_us))
        text = f"{asked.run_id}{' by force' if asked.force else ''}"
        self._events.add(connection, EventKind.RUN_REQUESTED, job.name, asked.actor, text)
        if admission.state is RunState.READY:
            self._db.dialect.notify(connection)
        return admission.wait_key

    def cancel_run(self, run_id: str, actor: str = "local") -> RunState:
        stored = to_stored(run_id)
        with self._db.write() as connection:
            jobs = fetch(connection, RUN_JOB, (stored,))
            if not jobs:
                return RunState.FINISHED
            fetch(connection, DUE_ROW, jobs[0])
            rows = fetch(connection, RUN_STATE, (stored,))
            if not rows:
                return RunState.FINISHED
            state = RunState(rows[0][0])
            if state in {RunState.CLAIMED, RunState.RUNNING}:
                ask_to_end(connection, [stored])
                self._db.dialect.notify(connection)  # its node looks at once
            else:
                now_us = self._db.dialect.now_us(connection)
                text = "cancelled before it started"
                end_unstarted(connection, [stored], Outcome.CANCELLED, text, now_us)
                rearm_after(connection, self._cache, [jobs[0][0]], now_us)
            self._events.add(connection, EventKind.RUN_CANCELLED, run_id, actor)
        return state


def shown_fence(fence: int, epoch: int) -> int:
    """What the outside sees: the job's counter, then which of the run's claims this is.

    The 65535th claim and all after it show the same number: one more would be the counter's, and
    so another run's.
    """
    return fence | min(epoch, (1 << FENCE_SHIFT) - 1)


def _by_ids(connection: Connection, ids: Sequence[bytes]) -> Sequence[Row]:
    return fetch(connection, BY_IDS, (list(ids),)) if ids else []


def _claim(row: Row, jobs: Mapping[tuple[bytes, int], Job | str]) -> Claim:
    run_id, job_id, version, attempt, token, fence, epoch, cause, slot_us, started_us, params = row
    job = jobs[job_id, version]
    return Claim(
        run_id=from_stored(run_id),
        job_id=from_stored(job_id),
        job=job if isinstance(job, Job) else UNUSABLE,
        version=version,
        attempt=attempt,
        token=token,
        fence=shown_fence(fence, epoch),
        cause=Cause(cause),
        slot_us=slot_us,
        started_us=started_us,
        params=json.loads(params) if params else {},
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request as it came; `target`: the id and the name of the node it is meant for."""

    job_id: str
    run_id: str
    dedup: str
    cause: Cause
    target: tuple[str, str] | None
    force: bool
    actor: str


def _admit(
    connection: Connection, asked: _Asked, job: Job, now_us: int
) -> tuple[Admission, Target | None]:
    """The same door as for slots; by force past the job's own limit. Raises Conflict."""
    places = Places(connection, now_us)
    doors = Doors({asked.job_id: job}, places)
    doors.read(connection, now_us)
    target = _target(asked, job, doors, places)
    fits = target.fits if target else places.served(job.place)
    if asked.force and fits:
        return through(job, asked.job_id, None), target
    gate = target.gate if target else doors.gate(asked.job_id)
    answer = admit(job, gate, asked.job_id, fits=fits, queue=False, target=target)
    if isinstance(answer, Refusal):
        raise _refused(job, answer, target)
    return answer, target


def _target(asked: _Asked, job: Job, doors: Doors, places: Places) -> Target | None:
    """The node that was named, with the gate that counts for it."""
    if asked.target is None:
        return None
    node_id, name = asked.target
    for target in doors.targets(asked.job_id):
        if target.node_id == node_id:
            return target
    fits = places.served(node_place(job.place, name))
    gate = Gate() if job.on_all else doors.gate(asked.job_id)
    return Target(node_id=node_id, name=name, gate=gate, fits=fits)


def _refused(job: Job, answer: Refusal, target: Target | None) -> Conflict:
    if answer.reason is Reason.NO_NODE:
        which = f"the node {target.name} does not take" if target else "no node fits"
        place = shown_place(job.place)
        return Conflict(
            f"{which} '{job.name}', and a run waits for one already",
            code=answer.reason.value,
            hint=f"it wants {place or 'any'}; 'cronherd node list' shows the nodes",
        )
    way = f" (run {answer.ref[:8]} is in the way)" if answer.ref else ""
    text = f"already runs as often as it may{way}"
    if answer.reason is Reason.MIN_GAP:
        gap = format_duration(job.min_gap_us)
        text = f"ended less than {gap} ago{way}, and keeps that much between its runs"
    return Conflict(
        f"'{job.name}' {text}", code=answer.reason.value, hint="wait for it, or force it"
    )


def _requested_row(
    asked: _Asked,
    job: Job,
    version: int,
    admission: Admission,
    target: Target | None,
    now_us: int,
) -> tuple[object, ...]:
    """The columns of ADD_RUN but the fence."""
    limit = job.start_deadline_us
    return (
        to_stored(asked.run_id),
        short_of(asked.run_id),
        to_stored(asked.job_id),
        asked.dedup,
        None,
        asked.cause.value,
        version,
        admission.state.value,
        place_of(job, target),
        job.priority,
        now_us,
        None if limit is None else now_us + limit,
        now_us,
        1,
        0,
        None,
        None,
        None if admission.permit is None else own_key(job, asked.job_id, target),
        admission.permit,
        admission.wait_key,
        False,
        spell_uses(job.uses(asked.job_id)),
        None if target is None else to_stored(target.node_id),
        admission.entered and admission.permit is None and job.permits != UNLIMITED,
    )
