"""Fire: one transaction from due rows to runs, permits and ledger rows."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cronherd.domain.admission import Gate, Target, own_key
from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, short_of, to_stored
from cronherd.domain.job import Job
from cronherd.domain.place import node_place, parse_place, shown_place
from cronherd.domain.planner import Due, Fire, Plan
from cronherd.domain.pool import is_pool_key, spell_uses
from cronherd.domain.run import RunState
from cronherd.store import permits
from cronherd.store.announcing import announce_no_node, announce_skips
from cronherd.store.base import Claim, FireBatch, Offer
from cronherd.store.database import Connection, Database, Values, fetch, many, one
from cronherd.store.definitions import JobCache
from cronherd.store.doors import Doors
from cronherd.store.duerows import let_go
from cronherd.store.endings import make_room
from cronherd.store.events import EventRows, add_skips
from cronherd.store.lowbound import LowBound
from cronherd.store.nodes import Places
from cronherd.store.pacing import Pace

ADD_RUN = """
INSERT INTO run (id, short, job_id, dedup, slot_us, cause, version, state, place, prio, ready_us,
deadline_us, created_us, attempt, epoch, fence, token, node_id, excl_key, excl_n, wait_key, cancel,
pools, target_id, forced)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
HELD = "SELECT 1 FROM meta WHERE \"key\" = 'hold' AND value <> ''"
ANY_READY = "SELECT 1 FROM run WHERE state = 'ready' LIMIT 1"
PUSH_AHEAD = "UPDATE job_due SET next_us = ? WHERE job_id = ? AND next_us = ?"

# Where ADD_RUN has the slot and the deadline.
SLOT, DEADLINE = 4, 11
# The fence of a run is the job's counter, then which of its claims this is.
FENCE_SHIFT = 16
# How long a job that cannot be planned is left alone: long enough to be cheap, short enough
# that a repaired one is back within the hour's first minute.
POISONED_US = 60_000_000


class SqlFireBatch:
    """Due rows under their locks. Implements the contract's FireBatch."""

    def __init__(
        self,
        db: Database,
        connection: Connection,
        cache: JobCache,
        events: EventRows,
        bound: LowBound,
        pace: Pace,
        limit: int,
    ) -> None:
        self._db = db
        self._connection = connection
        self._events = events
        self._pace = pace
        self.lined_up: Sequence[str] = ()
        self._homeless: list[tuple[str, Job, str]] = []
        now_us = db.dialect.now_us(connection)
        held = fetch(connection, HELD)
        rows = [] if held else db.dialect.due(connection, bound.low_us(), now_us, limit)
        bound.fired(rows[0][1] if rows else None, now_us)
        # Read once more: the locks may have been waited for, and nothing may fire early.
        self.now_us = db.dialect.now_us(connection) if rows else now_us
        self.due = [
            Due(
                job_id=from_stored(job_id),
                next_us=next_us,
                slot_us=slot_us,
                last_slot_us=last_us,
                version=version,
                seq=seq,
                paused_until_us=paused_us,
                skip_us=skip_us,
                fired=fired,
            )
            for job_id, next_us, slot_us, last_us, version, seq, paused_us, skip_us, fired in rows
        ]
        found = cache.get(connection, [(row[0], row[4]) for row in rows])
        self.jobs: dict[str, Job] = {}
        self.broken: dict[str, str] = {}
        for (stored, _), job in found.items():
            if isinstance(job, Job):
                self.jobs[from_stored(stored)] = job
            else:
                self.broken[from_stored(stored)] = job
        self._places = Places(connection, self.now_us) if rows else None
        self._doors = Doors(self.jobs, self._places)
        # A statement of its own, after the locks: a fresh look at who holds what.
        self._doors.read(connection, self.now_us)
        self._leave_behind(self._doors.busy(connection))

    def _leave_behind(self, busy: Collection[str]) -> None:
        """Jobs one of whose runs somebody has locked stay due and are looked at again at once."""
        if busy:
            self.due = [due for due in self.due if due.job_id not in busy]

    def gate(self, job_id: str) -> Gate:
        return self._doors.gate(job_id)

    def targets(self, job_id: str) -> Sequence[Target]:
        return self._doors.targets(job_id)

    def fits(self, place: str) -> bool:
        return self._places is None or self._places.served(place)

    def push_ahead(self, due: Due, text: str) -> None:
        later_us = self.now_us + POISONED_US
        one(self._connection, PUSH_AHEAD, (later_us, to_stored(due.job_id), due.next_us))
        job = self.jobs.get(due.job_id)
        name = job.name if job else due.job_id
        self._events.add(self._connection, EventKind.JOB_POISONED, name, "scheduler", text)

    def commit(self, plans: Sequence[Plan], offer: Offer | None) -> list[Claim]:
        if self._pace.limits:
            for plan in plans:
                plan.fires = tuple(map(self._pace.line_up, plan.fires))
        self._advance(plans)
        claims = self._insert_runs(plans, self._room(offer))
        skips = [(to_stored(plan.due.job_id), skip) for plan in plans for skip in plan.skips]
        add_skips(self._connection, skips, self.now_us)
        skipped = [(job_id, self.jobs[from_stored(job_id)], skip) for job_id, skip in skips]
        announce_skips(self._connection, skipped, self.now_us)
        self._tell_of_homeless(self._homeless)
        answers = [fire.admission for plan in plans for fire in plan.fires]
        make_room(self._connection, answers, self.now_us)
        for plan in plans:
            if plan.due.paused_until_us is not None:
                let_go(self._connection, to_stored(plan.due.job_id), self.now_us)
        if sum(answer.state is RunState.READY for answer in answers) > len(claims):
            self._db.dialect.notify(self._connection)
        self.lined_up = sorted({str(a.wait_key) for a in answers if is_pool_key(a.wait_key)})
        return claims

    def _tell_of_homeless(self, homeless: Sequence[tuple[str, Job, str]]) -> None:
        """Of jobs that no live node fits: the first run that waits for one, once."""
        waiting = [
            (job_id, job, run_id, f"no live node has {shown_place(job.place)}")
            for job_id, job, run_id in homeless
        ]
        for _, job, _, text in waiting:
            self._events.add(self._connection, EventKind.NO_NODE, job.name, "scheduler", text)
        announce_no_node(self._connection, waiting, self.now_us)

    def _advance(self, plans: Sequence[Plan]) -> None:
        rows: list[Values] = []
        for plan in plans:
            if plan.last_slot_us > self.now_us:
                raise Conflict("a slot of the future was planned", code="early_slot")
            due = plan.due
            stored = to_stored(due.job_id)
            seen = (stored, due.next_us, due.version)
            rows.append(
                (plan.next_us, plan.slot_us, plan.last_slot_us, plan.seq, plan.fired, *seen)
            )
        if self._db.dialect.advance(self._connection, rows) != len(rows):
            raise Conflict("a due row was fired by somebody else", code="fired_twice")

    def _begins_to_wait(self, plan: Plan, fire: Fire) -> bool:
        """Whether this is the first run of its job that waits for a node that fits."""
        parked = (fire.admission.wait_key or "").startswith("@") and fire.target is None
        now = sum((each.admission.wait_key or "").startswith("@") for each in plan.fires)
        return parked and self.gate(plan.due.job_id).parked <= now

    def _room(self, offer: Offer | None) -> Offer | None:
        """At most a fair share of the batch; nothing when a run is ready: that one was first."""
        if offer is None or self._places is None or fetch(self._connection, ANY_READY):
            return None
        share = -(-len(self.due) // max(1, self._places.alive))
        return replace(offer, most=min(offer.most, share))

    def _insert_runs(self, plans: Sequence[Plan], offer: Offer | None) -> list[Claim]:
        rows: list[Values] = []
        held: list[Values] = []
        claims: list[Claim] = []
        for plan in plans:
            job = self.jobs[plan.due.job_id]
            for turn, fire in enumerate(plan.fires):
                run_id = self._events.new_id()
                taken = (
                    offer
                    if offer
                    and len(claims) < offer.most
                    and fire.admission.state is RunState.READY
                    and parse_place(place_of(job, fire.target)).at_once(offer.labels)
                    else None
                )
                row = run_row(run_id, plan.due, job, fire, self.now_us, taken, turn)
                rows.append(row)
                if turn == 0 and self._begins_to_wait(plan, fire):
                    self._homeless.append((plan.due.job_id, job, run_id))
                if fire.admission.permit is not None:
                    key = own_key(job, plan.due.job_id, fire.target)
                    held.append((key, fire.admission.permit, row[0]))
                if taken:
                    claims.append(_claim(run_id, plan.due, job, fire, taken))
        many(self._connection, ADD_RUN, rows)
        permits.take(self._connection, sorted(held, key=lambda row: (row[0], row[1])))
        return claims


def run_row(
    run_id: str,
    due: Due,
    job: Job,
    fire: Fire,
    now_us: int,
    offer: Offer | None,
    turn: int = 0,
) -> tuple[object, ...]:
    """The columns of ADD_RUN. Slots that enter together line up by their `turn`."""
    limit = job.start_deadline_us
    admission, target = fire.admission, fire.target
    return (
        to_stored(run_id),
        short_of(run_id),
        to_stored(due.job_id),
        f"s:{fire.slot_us}" if target is None else f"s:{fire.slot_us}:{target.node_id}",
        fire.slot_us,
        fire.cause.value,
        due.version,
        RunState.CLAIMED.value if offer else admission.state.value,
        place_of(job, target),
        job.priority,
        now_us + turn,
        None if limit is None else job.due_at(fire.slot_us) + limit,
        now_us,
        1,
        1 if offer else 0,
        fire.seq << FENCE_SHIFT,
        offer.token if offer else None,
        to_stored(offer.node_id) if offer else None,
        None if admission.permit is None else own_key(job, due.job_id, target),
        admission.permit,
        admission.wait_key,
        False,
        spell_uses(job.uses(due.job_id)),
        None if target is None else to_stored(target.node_id),
        False,
    )


def place_of(job: Job, target: Target | None) -> str:
    """Where a run may go: wherever its job may, or on the one node that it is meant for."""
    return job.place if target is None else node_place(job.place, target.name)


def _claim(run_id: str, due: Due, job: Job, fire: Fire, offer: Offer) -> Claim:
    return Claim(
        run_id=run_id,
        job_id=due.job_id,
        job=job,
        version=due.version,
        attempt=1,
        token=offer.token,
        fence=fire.seq << FENCE_SHIFT | 1,
        cause=fire.cause,
        slot_us=fire.slot_us,
    )


@contextmanager
def fire(
    db: Database, cache: JobCache, events: EventRows, bound: LowBound, pace: Pace, limit: int
) -> Iterator[FireBatch]:
    """The one transaction of a batch."""
    with db.write() as connection:
        yield SqlFireBatch(db, connection, cache, events, bound, pace, limit)
