"""The contract `Store`, the line from slot to recorded end; catalog.py has what people keep.

Every verb is one transaction unless it says otherwise, and may be sent again after a lost answer
without a second effect: ids and tokens are made by the caller. Instants are UTC microseconds.
Lock order everywhere: job_due, gate, run, permit.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from cronherd.domain.admission import Gate, Target
from cronherd.domain.event import EventKind
from cronherd.domain.job import Job
from cronherd.domain.judge import Verdict
from cronherd.domain.node import Node
from cronherd.domain.param import Value
from cronherd.domain.planner import Due, Plan
from cronherd.domain.run import Cause, Exit, RunState
from cronherd.domain.telling import Advance
from cronherd.store.facts import BootJob, Pruned


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A node's right to start one attempt: shown to nobody but its supervisor."""

    run_id: str
    job_id: str
    job: Job
    version: int
    attempt: int
    token: str
    fence: int
    cause: Cause
    slot_us: int | None
    started_us: int | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    """What whoever asked for the run gave; what is not there has its default."""

    def ended(self, seen: Exit, verdict: Verdict) -> "Ending":
        """The end of this attempt."""
        again = verdict.void or verdict.wait_us is not None
        return Ending(
            run_id=self.run_id,
            job_id=self.job_id,
            token=self.token,
            attempt=self.attempt,
            exit=seen,
            verdict=verdict,
            rearms=self.job.chained and self.slot_us is not None and not again,
            watched=self.job.pause_after_failures > 0,
            announced=self.job.alerts is not None,
            rest_us=self.job.min_gap_us,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Capacity a node has reserved for runs that are fired and claimed in one transaction."""

    node_id: str
    token: str
    labels: Mapping[str, str]
    most: int


@dataclass(slots=True, kw_only=True)
class Start:
    """A supervisor said: the attempt's process exists."""

    run_id: str
    token: str
    at_us: int
    pid: int
    announced: bool = False


@dataclass(slots=True, kw_only=True)
class Chunk:
    """Bytes that a command wrote: `stream` 1 or 2, or 3 for what is kept of what a task tells.

    `seq` counts over all of them. `dropped` bytes were lost to the cap right before this chunk.
    """

    run_id: str
    token: str
    attempt: int
    seq: int
    stream: int
    at_us: int
    dropped: int
    chunk: bytes


@dataclass(slots=True, kw_only=True)
class Ending:
    """An attempt's end with the judge's verdict; `rearms`: the next slot of its `after` job.

    `watched`: its job counts failures, and pauses after too many; `announced`: somebody is told;
    `rest_us`: for so long its job starts nothing in its place.
    """

    run_id: str
    job_id: str
    token: str
    attempt: int
    exit: Exit
    verdict: Verdict
    rearms: bool = False
    watched: bool = False
    announced: bool = False
    rest_us: int = 0


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What became of a batch: `stale` runs belong to somebody else, `freed` keys have waiters.

    `posted`: the outbox has something to send.
    """

    stale: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    ready: bool = False
    posted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an idle node needs to know, in one statement."""

    now_us: int
    next_us: int | None
    ready: bool
    waiting: bool
    cancels: tuple[tuple[str, int], ...]
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The answer to a beat: whether the row is still `ours`, and what the fleet wants of us."""

    ours: bool
    drained: bool = False
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """The other nodes as one look saw them; `hold`: nobody may be judged at the moment."""

    now_us: int
    hold: bool
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The answer to a request for a run; `repeated` when it had been made before.

    `lined_up`: the gate in front of which it waits, to be promoted.
    """

    run_id: str
    repeated: bool
    lined_up: str | None = None


class FireBatch(Protocol):
    """Due rows under their locks, until the transaction ends."""

    @property
    def now_us(self) -> int:
        """The database's clock as this batch read it."""
        ...

    @property
    def due(self) -> Sequence[Due]:
        """The rows, oldest first."""
        ...

    @property
    def jobs(self) -> Mapping[str, Job]:
        """Their definitions by job id."""
        ...

    @property
    def broken(self) -> Mapping[str, str]:
        """Why a definition cannot be used, by job id."""
        ...

    def gate(self, job_id: str) -> Gate:
        """Permits and waiters of a job, as they are under the locks; shared within the batch."""
        ...

    def fits(self, place: str) -> bool:
        """Whether a live node matches the place."""
        ...

    def targets(self, job_id: str) -> Sequence[Target]:
        """The nodes that each get a run of a job on all nodes; none for other jobs."""
        ...

    @property
    def lined_up(self) -> Sequence[str]:
        """After the commit: gates in front of which runs wait now, to be promoted."""
        ...

    def push_ahead(self, due: Due, text: str) -> None:
        """Move `next_us` alone, never the watermark, and leave an event: a poisoned row."""
        ...

    def commit(self, plans: Sequence[Plan], offer: Offer | None) -> list[Claim]:
        """Advance by compare-and-set, insert runs, permits and ledger rows, commit.

        Raises when the number of advanced rows is not the number of plans: somebody fired
        without the lock. Runs that fit the offer are inserted as claimed and returned.
        """
        ...


class Store(Protocol):
    """The line itself."""

    def now_us(self) -> int:
        """The database's clock, which alone decides what is due."""
        ...

    def look(self, node_id: str, horizon_us: int) -> Look:
        """The next due instant up to `horizon_us` ahead, ready runs, cancels; locks nothing."""
        ...

    def upcoming(self, until_us: int, limit: int) -> list[tuple[Job, int]]:
        """Jobs and slots due until then, read without a lock, to precompute what follows."""
        ...

    def fire(self, limit: int) -> AbstractContextManager[FireBatch]:
        """Open the one transaction of a batch: due rows by this clock, locked, others skipped."""
        ...

    def claim(
        self, node: Node, token: str, limit: int, held: Mapping[str, int] = ...
    ) -> list[Claim]:
        """Take ready runs whose place the node matches, by priority and age.

        `held`: how many runs it has of jobs that limit them per node, as `Place.capped` names them.
        """
        ...

    def claimed_by(self, node_id: str, token: str) -> list[Claim]:
        """What a claim or fire of this node with this token won: the answer after a lost COMMIT."""
        ...

    def held_by(self, node_id: str) -> list[Claim]:
        """All claimed and running runs of a node, whatever token."""
        ...

    def record(
        self,
        starts: Sequence[Start],
        chunks: Sequence[Chunk],
        endings: Sequence[Ending],
        advances: Sequence[Advance] = (),
    ) -> Recorded:
        """Store what supervisors told, WHERE token = mine; a stale token changes nothing.

        An ending moves the run to history, frees its permits, re-arms an `after` job, or sends
        the run back for its next attempt. Of a run's advances the last one counts, while it runs.
        """
        ...

    def promote(self, keys: Sequence[str]) -> int:
        """Let waiting runs of these keys take what is free; derived from state only."""
        ...

    def sweep(self) -> list[str]:
        """Move what moves by itself; the keys that have waiters.

        Delayed runs whose time has come become ready, missed deadlines end, and `after` jobs
        without a live run are re-armed.
        """
        ...

    def request_run(
        self,
        job_id: str,
        run_id: str,
        dedup: str,
        cause: Cause,
        *,
        force: bool,
        params: Mapping[str, Value] = ...,
        target: tuple[str, str] | None = None,
        actor: str = "",
    ) -> Requested:
        """Insert one run outside the schedule, once per (job, dedup). Raises Conflict.

        `target`: id and name of the node where alone it may run; else it runs where the job may.
        """
        ...

    def boot_jobs(self) -> list[BootJob]:
        """The enabled jobs that run when a host has started, wherever they belong."""
        ...

    def cancel_run(self, run_id: str, actor: str = "local") -> RunState:
        """End a run that has not started, or mark a started one; says which state it was in."""
        ...

    def register_node(self, node: Node, lease_us: int) -> Node:
        """Insert or take over the row of this node id; returns it as it was before.

        Raises Conflict for a name in use (node_name_taken), and for a live lease that belongs to
        another boot or another place (node_cloned): the state directory was copied.
        """
        ...

    def renew(
        self, node_id: str, incarnation: str, lease_us: int, *, unfenced: bool | None = None
    ) -> Renewal:
        """Beat once and extend the lease; not `ours` when the row was judged or taken over.

        `unfenced`: the supervisor was last told of a hold; None leaves the row as it is. While that
        or a hold is in the row, nobody takes runs of this node over by time.
        """
        ...

    def peers(self, node_id: str) -> Peers:
        """All nodes but this one, as they are now; locks nothing."""
        ...

    def note(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        """Write an event that stands for itself, cut to what fits."""
        ...

    def take_over(self, node: Node, endings: Sequence[Ending], *, judged: bool) -> Recorded | None:
        """End runs of a silent node, as it was watched: None when its beat moved meanwhile.

        The node's row is locked first, so either its next renewal or this came first. `judged`:
        it loses its incarnation, so that it steps down when it comes back; None also when its
        supervisor may not have fenced them.
        """
        ...

    def release_node(self, node_id: str, incarnation: str) -> None:
        """End the lease at once: the node stopped cleanly."""
        ...

    def prune(self, ledger_age_us: int, limit: int) -> Pruned:
        """Drop a bounded number of rows that are past their retention."""
        ...


class Beats(Protocol):
    """The lease and the hints, on a connection of their own that nothing else can delay."""

    def renew(
        self, node_id: str, incarnation: str, lease_us: int, *, unfenced: bool | None = None
    ) -> Renewal:
        """As `Store.renew`."""
        ...

    def wait_hint(self, timeout_s: float) -> bool | None:
        """Wait for a word that something is ready; None where the database has none to give."""
        ...
