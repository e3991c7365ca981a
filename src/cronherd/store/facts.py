"""What people keep and look at, as the contracts pass it on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cronherd.domain.event import EventKind
from cronherd.domain.job import Job
from cronherd.domain.run import Outcome, Reason, Run, RunState
from cronherd.domain.search import RunSearch
from cronherd.domain.standing import Standing

SOURCE_LENGTH = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class BootJob:
    """A job that runs when a host has started, unless it is `paused`."""

    id: str
    job: Job
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The run of a slot of the past; not `made` when it had one before."""

    slot_us: int
    run_id: str
    made: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as people see it, with the facts a list needs."""

    id: str
    job: Job
    version: int
    enabled: bool
    source: str
    created_us: int
    updated_us: int
    next_us: int | None
    last_slot_us: int | None
    live: int
    last: Run | None
    paused_until_us: int | None = None
    skip_us: int | None = None
    fired: int = 0
    forgotten_us: int = 0
    """Up to this slot runs or ledger rows of it were dropped by its retention."""
    standing: frozenset[Standing] = frozenset()
    applied: int | None = None
    """The version that its source last gave it; None: never, or nobody knows."""
    drifted: bool = False
    """Whether its definition says something else by now than that version."""


class JobPlan(NamedTuple):
    """A job with what its next slots depend on; a plain tuple as JobRank."""

    id: str
    job: Job
    enabled: bool
    next_us: int | None
    last_slot_us: int | None
    paused_until_us: int | None
    skip_us: int | None
    fired: int


class JobRank(NamedTuple):
    """What jobs are put in order by; `outcome` to `node` are of the last finished run.

    A plain tuple: a thousand of them are read for a page of fifty.
    """

    job: Job
    enabled: bool
    source: str
    next_us: int | None
    paused_until_us: int | None
    skip_us: int | None
    live: int
    outcome: Outcome | None
    started_us: int | None
    ended_us: int | None
    node: str | None
    standing: frozenset[Standing]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWrite:
    """One job to be saved: `version` is the one that was read, None for a new job.

    `enabled` None leaves it as it is at that moment; a new job is enabled. `request`: who asks
    for a new job again by the same words asks for the same one. `applied`: its source says so.
    """

    id: str
    job: Job
    enabled: bool | None
    source: str
    version: int | None = None
    request: str | None = None
    applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """What whoever applies definitions asks of a job; a deleted one keeps its name."""

    id: str
    key: str
    name: str
    spec: Mapping[str, object]
    version: int
    enabled: bool
    source: str
    applied: int | None
    drifted: bool
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Jobs at one instant; `turn` counts how often their source was applied."""

    turn: int
    jobs: Sequence[KeptJob]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What makes the jobs of one source what it says, as seen at one `turn` of it.

    `drops` are deleted, by (id, version); `settled` are as the source says, and known to be so
    from now on. `text` says for the event how many of each.
    """

    source: str
    turn: int
    writes: Sequence[JobWrite] = ()
    drops: Sequence[tuple[str, int]] = ()
    settled: Sequence[tuple[str, int]] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A slot, or a range of slots, that did not run, and why; `at_us`: when it was recorded."""

    job_id: str
    job_name: str
    from_us: int
    to_us: int
    count: int
    reason: Reason
    ref: str | None
    at_us: int | None = field(default=None, compare=False)
    node: str | None = None
    """The node that a run of a job on all nodes is missing from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list shows, newest first; `before` is the last id of the previous page.

    `looks`: how many stretches of history are looked through for what no index knows.
    """

    job_id: str | None = None
    search: RunSearch = field(default_factory=RunSearch)
    before: str | None = None
    limit: int = 50
    looks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool: how many permits it has, how many are held, how many runs wait for some."""

    name: str
    capacity: int
    held: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a page of what is recorded begins: at an instant, behind so many of that instant."""

    at_us: int
    passed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a list shows, newest first, after `after_us`."""

    kind: EventKind | None = None
    subject: str | None = None
    after_us: int = 0
    mark: Mark | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which rows of the ledger a list shows, newest first."""

    job_id: str | None = None
    reason: Reason | None = None
    mark: Mark | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A finished run, as far as a chart shows it."""

    job_id: str
    run_id: str
    outcome: Outcome
    created_us: int
    started_us: int | None
    ended_us: int | None


class RunSpan(NamedTuple):
    """Where a run lies in time, and how it stands; `lease_us`: of the node it is on, if it has one.

    A plain tuple: a timeline reads a thousand of them.
    """

    run_id: str
    job_name: str
    state: RunState
    outcome: Outcome | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    node: str | None
    lease_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows were dropped."""

    runs: int
    ledger: int
    requests: int
    events: int


def mark_after(mark: Mark | None, instants: Sequence[int], limit: int) -> Mark | None:
    """Where the page behind one goes on, whose rows have these instants; None when it was short."""
    if len(instants) < limit:
        return None
    last_us = instants[-1]
    before = mark.passed if mark is not None and mark.at_us == last_us else 0
    return Mark(at_us=last_us, passed=before + sum(at_us == last_us for at_us in instants))
