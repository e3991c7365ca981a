"""Rows: what the model of the store remembers, one small record per table of the real one."""

from dataclasses import dataclass, field

from cronherd.domain.job import Job
from cronherd.domain.run import Cause, Outcome, RunState


@dataclass(slots=True, kw_only=True)
class JobLine:
    """A job and its due row. `touched` counts the transactions that held the row's lock."""

    id: str
    job: Job
    version: int
    enabled: bool
    next_us: int | None
    slot_us: int
    last_slot_us: int
    seq: int = 0
    paused_until_us: int | None = None
    paused_us: int = 0
    deleted: bool = False
    touched: int = 0
    versions: dict[int, Job] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RunRow:
    """A live run."""

    id: str
    order: bytes
    job_id: str
    dedup: str
    slot_us: int | None
    cause: Cause
    version: int
    state: RunState
    place: str
    prio: int
    ready_us: int
    deadline_us: int | None
    asked_us: int = 0  # of one that a person asked for
    attempt: int = 1
    epoch: int = 0
    fence: int = 0
    token: str | None = None
    node_id: str | None = None
    started_us: int | None = None
    claimed_us: int = 0  # for the checks only
    permit: int | None = None
    limited: bool = False
    wait_key: str | None = None
    cancel: bool = False


@dataclass(slots=True, kw_only=True)
class Past:
    """A finished run: the row it was, how it ended and by which attempt."""

    run: RunRow
    outcome: Outcome
    attempt: int
    token: str | None
    started_us: int | None
    ended_us: int
    text: str


@dataclass(slots=True, kw_only=True)
class NodeRow:
    """A host."""

    id: str
    name: str
    boot_id: str
    incarnation: str
    capacity: int
    labels: dict[str, str]
    home: str
    beat: int
    lease_us: int
    drained: bool = False
    unfenced: bool = False
    settled_boot: str = ""
    removed: bool = False

    @property
    def place_labels(self) -> dict[str, str]:
        return {**self.labels, "node": self.name}
