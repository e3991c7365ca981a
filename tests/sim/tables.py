"""Tables: the rows of the model and what several verbs ask of them. Nothing here decides."""

from collections.abc import Callable, Iterable, Sequence
from copy import copy

from cronherd.domain.admission import Admission, Gate, gate_key
from cronherd.domain.ident import to_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.node import Node
from cronherd.domain.place import place_matches
from cronherd.domain.planner import Plan, Skip
from cronherd.domain.run import Outcome, Reason, RunState
from cronherd.store.base import Claim
from cronherd.store.facts import LedgerRow
from tests.sim.rhythm import Rhythm
from tests.sim.rows import JobLine, NodeRow, Past, RunRow

FENCE_SHIFT = 16
UNSTARTED = frozenset({RunState.WAITING, RunState.READY, RunState.DELAYED, RunState.HELD})
STARTED = frozenset({RunState.CLAIMED, RunState.RUNNING})


class Broken(Exception):
    """A key that must be unique is there already: the real store would abort here."""


class Tables:
    """All rows, and their unique keys."""

    def __init__(self, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self.clock = clock
        self.new_id = new_id
        self.lines: dict[str, JobLine] = {}
        self.keys: dict[str, str] = {}
        self.live: dict[str, RunRow] = {}
        self.dedups: set[tuple[str, str]] = set()
        self.past: dict[str, Past] = {}
        self.tried: set[tuple[str, int]] = set()
        self.known: set[tuple[str, str]] = set()
        self.permits: dict[tuple[str, int], str] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.skips: dict[tuple[str, int, Reason], LedgerRow] = {}
        self._hosts: dict[str, NodeRow] = {}
        self.rhythms: dict[str, Rhythm] = {}
        self.holding = False
        # Told after each transaction that changed more than a lease.
        self.changed: Callable[[], None] = lambda: None
        # Told of a node that is heard again before anybody noticed its silence.
        self.returned: Callable[[], None] = lambda: None
        # Told of the plans of each batch that was committed.
        self.committed: Callable[[Sequence[Plan]], None] = lambda plans: None

    @property
    def hosts(self) -> dict[str, NodeRow]:
        """The nodes, as their beats until now have made them."""
        if self.rhythms:
            self.catch_up()
        return self._hosts

    def catch_up(self) -> None:
        for rhythm in self.rhythms.values():
            rhythm.catch_up()

    # ------------------------------------------------------------------ unique keys

    def add_run(self, row: RunRow) -> None:
        if (row.job_id, row.dedup) in self.dedups:
            raise Broken(f"run {row.dedup} of {row.job_id} exists already")
        self.dedups.add((row.job_id, row.dedup))
        self.live[row.id] = row

    def take_permit(self, row: RunRow, n: int) -> None:
        if (row.job_id, n) in self.permits:
            raise Broken(f"permit {n} of {row.job_id} is held")
        self.permits[row.job_id, n] = row.id
        row.permit = n
        row.limited = True

    def free(self, row: RunRow) -> None:
        """Give back what it holds."""
        for key in [key for key, holder in self.permits.items() if holder == row.id]:
            del self.permits[key]
        row.permit = None

    def add_skip(self, job_id: str, skip: Skip) -> None:
        key = (job_id, skip.from_us, skip.reason)
        if key in self.skips:
            raise Broken(f"ledger row {key} exists already")
        self.skips[key] = LedgerRow(
            job_id=job_id,
            job_name=self.lines[job_id].job.name,
            from_us=skip.from_us,
            to_us=skip.to_us,
            count=skip.count,
            reason=skip.reason,
            ref=skip.ref,
        )

    # ------------------------------------------------------------------ endings

    def drop(self, row: RunRow) -> None:
        del self.live[row.id]
        self.dedups.discard((row.job_id, row.dedup))

    def finish(
        self, row: RunRow, outcome: Outcome, *, started_us: int | None, ended_us: int, text: str
    ) -> None:
        """To history, its permit freed."""
        self.free(row)
        self.drop(row)
        self.past[row.id] = Past(
            run=copy(row),
            outcome=outcome,
            attempt=row.attempt,
            token=row.token,
            started_us=started_us,
            ended_us=ended_us,
            text=text,
        )

    def end_unstarted(self, rows: Iterable[RunRow], outcome: Outcome, text: str) -> None:
        for row in rows:
            self.finish(row, outcome, started_us=None, ended_us=self.clock(), text=text)

    def hold(self, rows: Iterable[RunRow]) -> None:
        """Keep these from starting, and free what they hold."""
        for row in rows:
            self.free(row)
            row.state, row.wait_key, row.limited = RunState.HELD, None, False

    def let_go(self, line: JobLine) -> None:
        """Held runs enter again by the door for those who wait."""
        for row in self.of_job(line.id, {RunState.HELD}):
            row.state, row.wait_key, row.ready_us = (
                RunState.WAITING,
                gate_key(line.id),
                self.clock(),
            )

    def make_room(self, admissions: Sequence[Admission]) -> None:
        """Replace: waiters end (slots in the ledger), holders are asked to, or end unstarted."""
        waiters = {run_id for answer in admissions for run_id in answer.replaces}
        holders = {run_id for answer in admissions for run_id in answer.cancels}
        for run_id in sorted(waiters | holders, key=to_stored):
            row = self.live.get(run_id)
            if row is None:
                continue
            if row.state in STARTED:
                row.cancel = row.cancel or run_id in holders
            elif run_id in waiters and _never_ran(row):
                self.drop(row)
                assert row.slot_us is not None
                slot_us, reason = row.slot_us, Reason.REPLACED
                self.add_skip(
                    row.job_id, Skip(from_us=slot_us, to_us=slot_us, count=1, reason=reason)
                )
            else:
                self.end_unstarted([row], Outcome.CANCELLED, "replaced by a newer run")

    # ------------------------------------------------------------------ questions

    def of_job(self, job_id: str, states: Iterable[RunState]) -> list[RunRow]:
        wanted = frozenset(states)
        found = [r for r in self.live.values() if r.job_id == job_id and r.state in wanted]
        return sorted(found, key=lambda row: row.order)

    def begun(self, job_id: str) -> list[str]:
        """What a control was too late for."""
        return [row.id for row in self.of_job(job_id, STARTED)]

    def job_of(self, row: RunRow) -> Job:
        return self.lines[row.job_id].versions[row.version]

    def serves(self, place: str) -> bool:
        """Whether a live node matches; with no place, any at all will do later."""
        now_us = self.clock()
        return not place or any(
            place_matches(place, host.place_labels)
            for host in self.hosts.values()
            if host.lease_us > now_us and not host.drained
        )

    def gate(self, job_id: str, job: Job) -> Gate:
        """Who holds and who waits."""
        gate = Gate()
        if not self.serves(job.place):
            gate.parked = sum(
                row.job_id == job_id and (row.wait_key or "").startswith("@")
                for row in self.live.values()
            )
        if job.permits == UNLIMITED:
            return gate
        now_us = self.clock()
        for (holder_job, n), run_id in sorted(self.permits.items()):
            if holder_job == job_id:
                gate.used.add(n)
                gate.holders.append(run_id)
                host = self.hosts.get(self.live[run_id].node_id or "")
                gate.silent = gate.silent or (host is not None and host.lease_us <= now_us)
        waiters = [row for row in self.live.values() if row.wait_key == gate_key(job_id)]
        gate.waiting = len(waiters)
        gate.waiters = [row.id for row in sorted(waiters, key=lambda row: row.order)]
        return gate

    def claim_of(self, row: RunRow) -> Claim:
        assert row.token is not None
        return Claim(
            run_id=row.id,
            job_id=row.job_id,
            job=self.job_of(row),
            version=row.version,
            attempt=row.attempt,
            token=row.token,
            fence=row.fence | row.epoch,
            cause=row.cause,
            slot_us=row.slot_us,
            started_us=row.started_us,
        )


def seen(row: NodeRow, *, live: int) -> Node:
    """A host as its peers see it."""
    return Node(
        id=row.id,
        name=row.name,
        incarnation=row.incarnation,
        boot_id=row.boot_id,
        capacity=row.capacity,
        labels=row.labels,
        home=row.home,
        beat=row.beat,
        lease_us=row.lease_us,
        drained=row.drained,
        unfenced=row.unfenced,
        settled_boot=row.settled_boot,
        live=live,
    )


def _never_ran(row: RunRow) -> bool:
    """A waiter whose slot may still become one that did not run."""
    first = row.slot_us is not None and row.attempt == 1
    return first and row.state is RunState.WAITING
