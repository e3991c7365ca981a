"""Batch: the one transaction of a fire, from due rows to runs, permits and ledger rows."""

from collections.abc import Sequence
from dataclasses import replace

from cronherd.domain.admission import Gate, Target
from cronherd.domain.errors import Conflict
from cronherd.domain.ident import to_stored
from cronherd.domain.job import Job
from cronherd.domain.place import place_matches
from cronherd.domain.planner import Due, Fire, Plan
from cronherd.domain.run import RunState
from cronherd.store.base import Claim, Offer
from tests.sim.rows import RunRow
from tests.sim.tables import FENCE_SHIFT, Tables


class Batch:
    """Due rows as they were read. The model has no locks: who was overtaken is refused."""

    def __init__(self, tables: Tables, limit: int) -> None:
        self._tables = tables
        self.now_us = tables.clock()
        lines = [
            line
            for line in tables.lines.values()
            if line.next_us is not None and line.next_us <= self.now_us and not tables.holding
        ]
        lines.sort(key=lambda line: (line.next_us or 0, to_stored(line.id)))
        self.due = [
            Due(
                job_id=line.id,
                next_us=line.next_us or 0,
                slot_us=line.slot_us,
                last_slot_us=line.last_slot_us,
                version=line.version,
                seq=line.seq,
                paused_until_us=line.paused_until_us,
            )
            for line in lines[:limit]
        ]
        self.jobs: dict[str, Job] = {due.job_id: tables.lines[due.job_id].job for due in self.due}
        self.broken: dict[str, str] = {}
        self._touched = {due.job_id: tables.lines[due.job_id].touched for due in self.due}
        self._gates: dict[str, Gate] = {}

    def gate(self, job_id: str) -> Gate:
        if job_id not in self._gates:
            self._gates[job_id] = self._tables.gate(job_id, self.jobs[job_id])
        return self._gates[job_id]

    lined_up: Sequence[str] = ()

    def targets(self, job_id: str) -> Sequence[Target]:
        """The model knows no job on all nodes."""
        del job_id
        return ()

    def fits(self, place: str) -> bool:
        return self._tables.serves(place)

    def push_ahead(self, due: Due, text: str) -> None:
        raise AssertionError(f"a job of the simulation cannot be planned: {text}")

    def commit(self, plans: Sequence[Plan], offer: Offer | None) -> list[Claim]:
        for plan in plans:
            self.check(plan)
        offer = self._room(offer)
        claims = [claim for plan in plans for claim in self._insert(plan, offer)]
        for plan in plans:
            for skip in plan.skips:
                self._tables.add_skip(plan.due.job_id, skip)
        self._tables.make_room([fire.admission for plan in plans for fire in plan.fires])
        for plan in plans:
            self._tables.lines[plan.due.job_id].paused_until_us = None
            if plan.due.paused_until_us is not None:
                self._tables.let_go(self._tables.lines[plan.due.job_id])
        if plans:
            self._tables.committed(plans)
            self._tables.changed()
        return claims

    def check(self, plan: Plan) -> None:
        """The compare-and-set: the row is as it was read, and only goes on to a later slot."""
        line, due = self._tables.lines[plan.due.job_id], plan.due
        if plan.last_slot_us > self.now_us:
            raise Conflict("a slot of the future was planned", code="early_slot")
        as_read = (line.next_us, line.version) == (due.next_us, due.version)
        if not as_read or plan.last_slot_us <= line.last_slot_us:
            raise Conflict("a due row was fired by somebody else", code="fired_twice")
        if line.touched != self._touched[due.job_id]:
            raise Conflict("somebody else held the row's lock", code="fired_twice")

    def _room(self, offer: Offer | None) -> Offer | None:
        """At most a fair share of the batch; nothing while a run is ready: that one was first."""
        tables = self._tables
        if offer is None or any(r.state is RunState.READY for r in tables.live.values()):
            return None
        alive = sum(
            host.lease_us > self.now_us and not host.drained for host in tables.hosts.values()
        )
        return replace(offer, most=min(offer.most, -(-len(self.due) // max(1, alive))))

    def _insert(self, plan: Plan, offer: Offer | None) -> list[Claim]:
        tables, line = self._tables, self._tables.lines[plan.due.job_id]
        line.touched += 1
        line.next_us, line.slot_us = plan.next_us, plan.slot_us
        line.last_slot_us, line.seq = plan.last_slot_us, plan.seq
        claims = []
        for fire in plan.fires:
            row = self._row(plan.due, fire)
            tables.add_run(row)
            if fire.admission.permit is not None:
                tables.take_permit(row, fire.admission.permit)
            fits = offer is not None and place_matches(row.place, offer.labels)
            if offer and offer.most > 0 and fits and row.state is RunState.READY:
                row.state, row.epoch = RunState.CLAIMED, 1
                row.token, row.node_id = offer.token, offer.node_id
                row.claimed_us = self.now_us
                claims.append(tables.claim_of(row))
                object.__setattr__(offer, "most", offer.most - 1)
        return claims

    def _row(self, due: Due, fire: Fire) -> RunRow:
        job, run_id = self.jobs[due.job_id], self._tables.new_id()
        limit_us = job.start_deadline_us
        return RunRow(
            id=run_id,
            order=to_stored(run_id),
            job_id=due.job_id,
            dedup=f"s:{fire.slot_us}",
            slot_us=fire.slot_us,
            cause=fire.cause,
            version=due.version,
            state=fire.admission.state,
            place=job.place,
            prio=job.priority,
            ready_us=self.now_us,
            deadline_us=None if limit_us is None else fire.slot_us + limit_us,
            fence=fire.seq << FENCE_SHIFT,
            wait_key=fire.admission.wait_key,
        )
