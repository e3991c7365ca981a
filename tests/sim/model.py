"""Model: the Store contract in memory, small enough to be read as its specification.

Every verb is one transaction that nothing interrupts; a verb that raises has changed nothing.
Where the real store has a lock and a condition, this has the condition. It shares with the real
one only what both take from the domain: `admit`, `Gate`, `missed_between`, `place_matches`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from cronherd.domain.admission import Admission, Gate, Refusal, admit, gate_key
from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.node import Node
from cronherd.domain.param import Value
from cronherd.domain.place import node_place, place_matches
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Cause, Outcome, RunState
from cronherd.domain.telling import Advance
from cronherd.store.base import (
    Chunk,
    Claim,
    Ending,
    FireBatch,
    Look,
    Peers,
    Recorded,
    Renewal,
    Requested,
    Start,
)
from cronherd.store.facts import BootJob, Pruned
from tests.sim.batch import Batch
from tests.sim.controls import Controls
from tests.sim.rows import JobLine, NodeRow, RunRow
from tests.sim.tables import FENCE_SHIFT, STARTED, seen

# A run that nobody claims for so long waits for a node that fits, and holds nothing meanwhile.
UNCLAIMED_US = 30_000_000


class Model(Controls):
    """Store, and with Controls what people do."""

    def now_us(self) -> int:
        return self.clock()

    # ------------------------------------------------------------------ looking

    def look(self, node_id: str, horizon_us: int) -> Look:
        now_us, rows = self.clock(), self.live.values()
        until_us = now_us + horizon_us
        nexts = [n for line in self.lines.values() if (n := line.next_us) is not None]
        next_us = min((n for n in nexts if n <= until_us), default=None)
        return Look(
            now_us=now_us,
            next_us=next_us,
            ready=any(row.state is RunState.READY for row in rows),
            waiting=any(
                row.wait_key is not None
                or row.state is RunState.DELAYED
                or row.deadline_us is not None
                for row in rows
            ),
            cancels=tuple((r.id, r.attempt) for r in rows if r.cancel and r.node_id == node_id),
            hold=self.holding,
        )

    def upcoming(self, until_us: int, limit: int) -> list[tuple[Job, int]]:
        return []  # a hint for a cache that the model does not have

    # ------------------------------------------------------------------ the line

    @contextmanager
    def fire(self, limit: int) -> Iterator[FireBatch]:
        yield Batch(self, limit)

    def claim(
        self,
        node: Node,
        token: str,
        limit: int,
        held: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Claim]:
        del held  # the model knows no limit for each node
        ready = [
            row
            for row in self.live.values()
            if row.state is RunState.READY and place_matches(row.place, node.place_labels)
        ]
        ready.sort(key=lambda row: (row.prio, row.ready_us, row.order))
        for row in ready[:limit]:
            row.state, row.epoch = RunState.CLAIMED, row.epoch + 1
            row.token, row.node_id, row.started_us = token, node.id, None
            row.claimed_us = self.clock()
        if ready[:limit]:
            self.changed()
        return [self.claim_of(row) for row in ready[:limit]]

    def claimed_by(self, node_id: str, token: str) -> list[Claim]:
        rows = [r for r in self.live.values() if (r.node_id, r.token) == (node_id, token)]
        return [self.claim_of(row) for row in rows if row.state is RunState.CLAIMED]

    def held_by(self, node_id: str) -> list[Claim]:
        rows = [r for r in self.live.values() if r.node_id == node_id and r.state in STARTED]
        return [self.claim_of(row) for row in rows]

    def record(
        self,
        starts: Sequence[Start],
        chunks: Sequence[Chunk],
        endings: Sequence[Ending],
        advances: Sequence[Advance] = (),
    ) -> Recorded:
        answer = Recorded()
        told: dict[str, set[str]] = {}
        reports: list[Start | Chunk | Ending | Advance] = [*starts, *chunks, *endings, *advances]
        for report in reports:
            told.setdefault(report.run_id, set()).add(report.token)
        for run_id in sorted(told, key=to_stored):
            if any(not self._known(run_id, token) for token in told[run_id]):
                answer.stale.append(run_id)
        for start in starts:
            row = self._mine(start.run_id, start.token)
            if row is not None:
                row.state, row.started_us = RunState.RUNNING, start.at_us
        freed: set[str] = set()
        for ending in endings:
            row = self._mine(ending.run_id, ending.token)
            if row is not None:
                self._end(row, ending, freed, answer)
        answer.freed = sorted(key for key in freed if self._waited_for(key))
        for ending in endings:
            self._correct(ending)
        self.changed()
        return answer

    def _correct(self, ending: Ending) -> None:
        """The owner of a run called lost knows its true end, and nothing newer has started."""
        past, verdict = self.past.get(ending.run_id), ending.verdict
        if past is None or past.outcome is not Outcome.LOST or past.token != ending.token:
            return
        same = past.attempt == ending.attempt and not verdict.void
        job_id, fence = past.run.job_id, past.run.fence | past.run.epoch
        newer = any(
            row.job_id == job_id and row.fence > fence and row.epoch > 0
            for row in self.live.values()
        ) or any(
            other.run.job_id == job_id
            and other.run.fence | other.run.epoch > fence
            and other.started_us is not None
            for other in self.past.values()
        )
        if same and verdict.outcome is not Outcome.LOST and not newer:
            past.outcome = verdict.outcome

    def _mine(self, run_id: str, token: str) -> RunRow | None:
        """The run, while this token owns it."""
        row = self.live.get(run_id)
        return row if row is not None and row.token == token else None

    def _known(self, run_id: str, token: str) -> bool:
        """Whether this claim is the present one, or one whose end is on record."""
        return (run_id, token) in self.known or self._mine(run_id, token) is not None

    def _end(self, row: RunRow, ending: Ending, freed: set[str], answer: Recorded) -> None:
        verdict, line = ending.verdict, self.lines[row.job_id]
        unwanted = row.cancel or line.deleted
        if verdict.void:
            answer.ready = True
        else:
            self.tried.add((row.id, row.attempt))
            self.known.add((row.id, ending.token))
            if verdict.wait_us is None or unwanted:
                if row.permit is not None:
                    freed.add(gate_key(row.job_id))
                self.finish(
                    row,
                    verdict.outcome,
                    started_us=ending.exit.started_us,
                    ended_us=ending.exit.ended_us,
                    text=ending.exit.error_text,
                )
                self._rearm(line, row, ending)
                return
            row.attempt, row.ready_us = row.attempt + 1, self.clock() + verdict.wait_us
            row.cancel = False
        row.state = RunState.READY if verdict.void else RunState.DELAYED
        row.token = row.node_id = row.started_us = None
        row.version, row.place, row.prio = line.version, line.job.place, line.job.priority
        if (unwanted or self._kept_back(line, row)) and row.permit is not None:
            freed.add(gate_key(row.job_id))
        if unwanted:
            self.end_unstarted([row], Outcome.CANCELLED, "cancelled before it started")
            self._rearm(line, row, ending)
        elif self._kept_back(line, row):
            self.hold([row])

    def _kept_back(self, line: JobLine, row: RunRow) -> bool:
        """Disabled or paused meanwhile: it does not start once more."""
        if row.slot_us is None:
            return self.paused(line) and row.asked_us < line.paused_us
        return not line.enabled or self.paused(line)

    def _rearm(self, line: JobLine, row: RunRow, ending: Ending) -> None:
        """The next slot of an `after` job counts from this end."""
        goes_on = ending.verdict.void or ending.verdict.wait_us is not None
        if ending.rearms or (goes_on and row.slot_us is not None):
            self._mend_chain(line, self.clock())

    def _waited_for(self, key: str) -> bool:
        return any(row.wait_key == key for row in self.live.values())

    # ------------------------------------------------------------------ what moves by itself

    def promote(self, keys: Sequence[str]) -> int:
        promoted = sum(self._promote(key) for key in keys)
        if promoted:
            self.changed()
        return promoted

    def _promote(self, key: str) -> int:
        if key.startswith("@") and not self.serves(key[1:]):
            return 0
        waiters = [row for row in self.live.values() if row.wait_key == key]
        waiters.sort(key=lambda row: (row.prio, row.ready_us, row.order))
        gates: dict[str, Gate] = {}
        count = 0
        for row in waiters[:100]:
            job, line = self.job_of(row), self.lines[row.job_id]
            own = gate_key(row.job_id)
            if row.job_id not in gates:
                gates[row.job_id] = self.gate(row.job_id, job)
            gate = gates[row.job_id]
            if job.permits != UNLIMITED:
                # Those who wait on this very key are the line itself.
                waiting, gate.waiting = gate.waiting, 0 if key == own else gate.waiting
                permit = gate.take(job.permits)
                gate.waiting = waiting
                if permit is None:
                    if key != own:
                        row.wait_key = own
                        self.changed()
                    continue
                self.take_permit(row, permit)
            line.touched += 1
            line.seq += 1
            row.fence = line.seq << FENCE_SHIFT
            row.state, row.wait_key, row.ready_us = RunState.READY, None, self.clock()
            count += 1
        return count

    def sweep(self) -> list[str]:
        now_us = self.clock()
        rows = list(self.live.values())
        for row in rows:
            if row.state is RunState.DELAYED and row.ready_us <= now_us:
                row.state = RunState.READY
                self.changed()
            first = row.attempt == 1 and row.state in {RunState.WAITING, RunState.READY}
            if first and row.deadline_us is not None and row.deadline_us < now_us:
                text = "its start_deadline passed before it could start"
                self.end_unstarted([row], Outcome.NOT_STARTED, text)
                self.changed()
        for line in self.lines.values():
            self._mend_chain(line, now_us)
            lapsed = line.paused_until_us is not None and line.paused_until_us <= now_us
            if lapsed and line.enabled and self.of_job(line.id, {RunState.HELD}):
                self.let_go(line)
                self.changed()
        self._send_back(now_us)
        return sorted({row.wait_key for row in self.live.values() if row.wait_key is not None})

    def _mend_chain(self, line: JobLine, now_us: int) -> None:
        """An `after` job without a due instant and without a live run has lost its chain."""
        paused_us = line.paused_until_us or 0
        idle = line.next_us is None and line.enabled and paused_us < FOREVER_US
        if not (idle and line.job.chained) or line.job.schedule is None:
            return
        if not any(r.job_id == line.id and r.slot_us is not None for r in self.live.values()):
            slot_us = line.job.schedule.next_after(now_us) or now_us
            line.slot_us = max(slot_us, line.last_slot_us + 1)
            line.next_us = max(line.slot_us, paused_us)
            line.touched += 1
            self.changed()

    def _send_back(self, now_us: int) -> None:
        """Ready runs for which no live node fits any more let go of what they hold."""
        for row in self.live.values():
            late = row.state is RunState.READY and row.ready_us < now_us - UNCLAIMED_US
            if late and row.place and not self.serves(row.place):
                self.free(row)
                row.state, row.wait_key, row.limited = RunState.WAITING, f"@{row.place}", False
                self.changed()

    # ------------------------------------------------------------------ requests

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
        line = self._line(job_id)
        if (job_id, dedup) in self.requests:
            return Requested(run_id=self.requests[job_id, dedup], repeated=True)
        job, now_us = line.job, self.clock()
        if target is not None:
            job = replace(job, place=node_place(job.place, target[1]))
        fits = self.serves(job.place)
        answer: Admission | Refusal = Admission(state=RunState.READY)
        if not (force and fits):
            gate = self.gate(job_id, job)
            answer = admit(job, gate, job_id, fits=fits, queue=False)
        if isinstance(answer, Refusal):
            raise Conflict("it already runs as often as it may", code=answer.reason.value)
        line.touched += 1
        line.seq += answer.state is RunState.READY
        limit_us = job.start_deadline_us
        row = RunRow(
            id=run_id,
            order=to_stored(run_id),
            job_id=job_id,
            dedup=dedup,
            slot_us=None,
            cause=cause,
            version=line.version,
            state=answer.state,
            place=job.place,
            prio=job.priority,
            ready_us=now_us,
            deadline_us=None if limit_us is None else now_us + limit_us,
            asked_us=now_us,
            fence=line.seq << FENCE_SHIFT if answer.state is RunState.READY else 0,
            wait_key=answer.wait_key,
        )
        self.add_run(row)
        if answer.permit is not None:
            self.take_permit(row, answer.permit)
        self.make_room([answer])
        if answer.replaces or answer.cancels:
            self._mend_chain(line, self.clock())
        self.requests[job_id, dedup] = run_id
        self.changed()
        return Requested(run_id=run_id, repeated=False)

    def boot_jobs(self) -> list[BootJob]:
        return []  # no host of ours starts anew with such jobs

    def cancel_run(self, run_id: str, actor: str = "local") -> RunState:
        row = self.live.get(run_id)
        if row is None:
            return RunState.FINISHED
        state = row.state
        if state in STARTED:
            row.cancel = True
        else:
            self.end_unstarted([row], Outcome.CANCELLED, "cancelled before it started")
            self._mend_chain(self.lines[row.job_id], self.clock())
        self.changed()
        return state

    # ------------------------------------------------------------------ nodes

    def register_node(self, node: Node, lease_us: int) -> Node:
        now_us, before = self.clock(), self.hosts.get(node.id)
        for other in self.hosts.values():
            if other.name == node.name and other.id != node.id:
                if other.lease_us > now_us:
                    raise Conflict("another live node has that name", code="node_name_taken")
                other.name = f"{other.name} (until {other.id[:8]})"
        alive = before is not None and before.lease_us > now_us and before.incarnation
        if before is not None and alive:
            same = before.boot_id == node.boot_id and before.home in {"", node.home}
            if not same:
                raise Conflict("the state directory was copied", code="node_cloned")
        self.hosts[node.id] = NodeRow(
            id=node.id,
            name=node.name,
            boot_id=node.boot_id,
            incarnation=node.incarnation,
            capacity=node.capacity,
            labels=dict(node.labels),
            home=node.home,
            beat=1 if before is None else before.beat + 1,
            lease_us=now_us + lease_us,
            drained=before is not None and before.drained,
            unfenced=node.unfenced,
            settled_boot="" if before is None else before.settled_boot,
        )
        self.changed()
        fresh = NodeRow(
            id=node.id, name=node.name, boot_id="", incarnation="", capacity=node.capacity,
            labels={}, home="", beat=0, lease_us=0,
        )  # fmt: skip
        return seen(before or fresh, live=0)

    def renew(
        self, node_id: str, incarnation: str, lease_us: int, *, unfenced: bool | None = None
    ) -> Renewal:
        host = self.hosts.get(node_id)
        if host is None or host.incarnation != incarnation:
            return Renewal(ours=False)
        was_us, now_us = host.lease_us, self.clock()
        host.lease_us, host.beat = now_us + lease_us, host.beat + 1
        host.unfenced = bool(unfenced or (unfenced is None and host.unfenced) or self.holding)
        host.settled_boot = host.boot_id
        if was_us <= now_us:
            self.changed()
            self.returned()
        return Renewal(ours=True, drained=host.drained, hold=self.holding)

    def release_node(self, node_id: str, incarnation: str) -> None:
        host = self.hosts.get(node_id)
        if host is not None and host.incarnation == incarnation:
            host.lease_us = 0  # tells an end that was announced from silence
            self.changed()

    def peers(self, node_id: str) -> Peers:
        now_us = self.clock()
        held = {row.node_id for row in self.live.values() if row.state in STARTED}
        others = tuple(
            seen(host, live=int(host.lease_us <= now_us and host.id in held))
            for host in self.hosts.values()
            if host.id != node_id and not host.removed
        )
        return Peers(now_us=now_us, hold=bool(others) and self.holding, nodes=others)

    def note(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        """Events are not checked."""

    def take_over(self, node: Node, endings: Sequence[Ending], *, judged: bool) -> Recorded | None:
        """Either its next renewal or this came first."""
        host = self.hosts.get(node.id)
        if host is None or not self.watched(host, node):
            return None
        if judged and (host.unfenced or self.holding):
            return None
        if judged:
            host.incarnation = ""
            self.changed()
        return self.record([], [], endings)

    def watched(self, host: NodeRow, node: Node) -> bool:
        """Whether it is still as it was watched, and silent by this clock too."""
        same = (host.incarnation, host.beat) == (node.incarnation, node.beat)
        return same and host.lease_us <= self.clock()

    def remove_node(self, node: Node, endings: Sequence[Ending], actor: str) -> Recorded:
        host = self.hosts.get(node.id)
        if host is None or host.beat != node.beat:
            raise Conflict("it has just moved", code="node_moved")
        if host.lease_us > self.clock():
            raise Conflict("it is alive", code="node_alive")
        named = {ending.run_id for ending in endings}
        if any(claim.run_id not in named for claim in self.held_by(node.id)):
            raise Conflict("it holds a run that was not named", code="node_holds_runs")
        answer = self.record([], [], endings)
        host.removed, host.incarnation, host.lease_us = True, "", 0
        return answer

    def prune(self, ledger_age_us: int, limit: int) -> Pruned:
        return Pruned(runs=0, ledger=0, requests=0, events=0)  # the checks need all of it
