"""Backfill: runs for slots of the past, because somebody wants them after all.

The ledger keeps what it said of such a slot when it was due; the run beside it says that it was
made up for. Slots that are still to come belong to the planner, under the same lock.
"""

from collections.abc import Sequence

from cronherd.domain.admission import Gate, Refusal, Target, admit, own_key
from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.place import shown_place
from cronherd.domain.planner import Due, Fire
from cronherd.domain.run import Cause
from cronherd.store import permits
from cronherd.store.database import Connection, Database, Values, fetch, many, one
from cronherd.store.definitions import JobCache
from cronherd.store.doors import Doors
from cronherd.store.events import EventRows
from cronherd.store.facts import Backfilled
from cronherd.store.firing import ADD_RUN, DEADLINE, run_row
from cronherd.store.nodes import Places
from cronherd.store.pacing import Pace

DUE = "SELECT version, seq, last_slot_us FROM job_due WHERE job_id = ? /*lock*/"
DELETED = "SELECT deleted_us FROM job WHERE id = ?"
TAKEN = """
SELECT slot_us, id FROM run WHERE job_id = ? AND slot_us BETWEEN ? AND ?
UNION ALL SELECT slot_us, id FROM run_history WHERE job_id = ? AND slot_us BETWEEN ? AND ?
"""
SET_SEQ = "UPDATE job_due SET seq = ? WHERE job_id = ?"


class BackfillRows:
    """Runs of slots that are past."""

    def __init__(self, db: Database, cache: JobCache, events: EventRows, pace: Pace) -> None:
        self._db = db
        self._pace = pace
        self._cache = cache
        self._events = events

    def backfill(
        self, job_id: str, runs: Sequence[tuple[str, int]], actor: str
    ) -> list[Backfilled]:
        stored = to_stored(job_id)
        with self._db.write() as connection:
            due, job = self._locked(connection, job_id)
            newest_us = max((slot_us for _, slot_us in runs), default=0)
            if newest_us > due.last_slot_us:
                raise Conflict(
                    f"the slot {format_instant(newest_us)} of '{job.name}' is not past yet",
                    code="not_past",
                    hint="end the range before it",
                )
            taken = _taken(connection, stored, runs)
            made = [pair for pair in runs if pair[1] not in taken]
            self._insert(connection, due, job, made, actor)
        return [
            Backfilled(slot_us=slot_us, run_id=taken.get(slot_us, run_id), made=_made(taken, pair))
            for pair in runs
            for run_id, slot_us in [pair]
        ]

    def _locked(self, connection: Connection, job_id: str) -> tuple[Due, Job]:
        stored = to_stored(job_id)
        rows = fetch(connection, DUE, (stored,))
        if not rows or fetch(connection, DELETED, (stored,))[0][0] is not None:
            raise NotFound("that job no longer exists", code="no_such_job")
        version, seq, last_us = rows[0]
        job = self._cache.get(connection, [(stored, version)])[stored, version]
        if isinstance(job, str):
            raise Conflict(job, code="bad_definition", hint="edit the job first")
        due = Due(
            job_id=job_id, next_us=0, slot_us=0, last_slot_us=last_us, version=version, seq=seq
        )
        return due, job

    def _insert(
        self,
        connection: Connection,
        due: Due,
        job: Job,
        made: Sequence[tuple[str, int]],
        actor: str,
    ) -> None:
        if not made:
            return
        now_us = self._db.dialect.now_us(connection)
        places = Places(connection, now_us)
        doors = Doors({due.job_id: job}, places)
        doors.read(connection, now_us)
        rows: list[Values] = []
        held: list[Values] = []
        for turn, (run_id, slot_us) in enumerate(made):
            fires = self._fires(due, job, slot_us, doors, places)
            if not fires:
                raise _no_node(job)
            # A job on all nodes has one run of a slot for each; the first has the id told.
            ids = [run_id, *(self._events.new_id() for _ in fires[1:])]
            for told, fire in zip(ids, fires, strict=True):
                row = list(run_row(told, due, job, fire, now_us, None, turn))
                row[DEADLINE] = None  # whoever asks for the past does not mind that it is late
                rows.append(row)
                if fire.admission.permit is not None:
                    key = own_key(job, due.job_id, fire.target)
                    held.append((key, fire.admission.permit, row[0]))
        many(connection, ADD_RUN, rows)
        permits.take(connection, held)
        one(connection, SET_SEQ, (due.seq, to_stored(due.job_id)))
        text = f"{len(made)} from {format_instant(made[0][1])} to {format_instant(made[-1][1])}"
        self._events.add(connection, EventKind.BACKFILLED, job.name, actor, text)
        self._db.dialect.notify(connection)

    def _fires(self, due: Due, job: Job, slot_us: int, doors: Doors, places: Places) -> list[Fire]:
        """What one slot becomes; a node for which too many wait already is left out."""
        fires: list[Fire] = []
        for target in doors.targets(due.job_id) if job.on_all else (None,):
            fits = target.fits if target else places.served(job.place)
            gate = target.gate if target else doors.gate(due.job_id)
            fire = _fire(job, due, gate, slot_us, target, fits=fits)
            if fire is not None:
                fires.append(paced := self._pace.line_up(fire))
                due.seq = max(due.seq, paced.seq)
        return fires


def _fire(
    job: Job, due: Due, gate: Gate, slot_us: int, target: Target | None, *, fits: bool
) -> Fire | None:
    """The run enters by the door of all others, and waits there whatever the overlap says.

    None where as many wait already for a node that fits as may.
    """
    answer = admit(job, gate, due.job_id, fits=fits, queue=True, target=target)
    if isinstance(answer, Refusal):
        return None
    seq = due.seq + 1 if answer.entered else 0
    cause = Cause.BACKFILL
    return Fire(slot_us=slot_us, cause=cause, seq=seq, admission=answer, target=target)


def _no_node(job: Job) -> Conflict:
    text = f"no node fits '{job.name}', and as many runs as may wait for one already"
    place = shown_place(job.place) or "any"
    return Conflict(text, code="no_node", hint=f"it wants {place}: 'cronherd node list'")


def _taken(
    connection: Connection, job_id: bytes, runs: Sequence[tuple[str, int]]
) -> dict[int, str]:
    """The runs that these slots have already: of several, the one that was told before."""
    if not runs:
        return {}
    slots = [slot_us for _, slot_us in runs]
    values = (job_id, min(slots), max(slots))
    told = {run_id for run_id, _ in runs}
    found = [(slot, from_stored(run)) for slot, run in fetch(connection, TAKEN, (*values, *values))]
    return dict(sorted(found, key=lambda pair: pair[1] in told))


def _made(taken: dict[int, str], pair: tuple[str, int]) -> bool:
    """Also when it was made by this very request, whose answer was lost."""
    run_id, slot_us = pair
    return taken.get(slot_us, run_id) == run_id
