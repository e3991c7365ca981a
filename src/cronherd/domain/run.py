"""Runs: states, outcomes, causes, the reasons of the ledger, and the one table of transitions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cronherd.domain.errors import Conflict
from cronherd.domain.param import Value
from cronherd.domain.telling import Progress


class RunState(StrEnum):
    """Where a run is. Only `finished` is final."""

    WAITING = "waiting"
    READY = "ready"
    DELAYED = "delayed"
    HELD = "held"
    CLAIMED = "claimed"
    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a finished run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    NOT_STARTED = "not_started"
    SKIPPED = "skipped"


class Cause(StrEnum):
    """Why a run exists."""

    SCHEDULE = "schedule"
    CATCHUP = "catchup"
    BACKFILL = "backfill"
    BOOT = "boot"
    MANUAL = "manual"
    API = "api"
    GEARMAN = "gearman"


class Reason(StrEnum):
    """Why a slot did not run: one ledger row says it for one slot or a range of them."""

    OVERLAP = "overlap"
    QUEUE_FULL = "queue_full"
    PAUSED = "paused"
    DISABLED = "disabled"
    PREVIOUS_UNKNOWN = "previous_unknown"
    NO_NODE = "no_node"
    DEADLINE = "deadline"
    CATCHUP_NONE = "catchup_none"
    CATCHUP_WINDOW = "catchup_window"
    CATCHUP_MAX = "catchup_max"
    REPLACED = "replaced"
    EDITED = "edited"
    EXCLUDED = "excluded"
    SKIPPED = "skipped"
    MIN_GAP = "min_gap"
    BAD_DEFINITION = "bad_definition"


STATE_WORDS = {
    RunState.WAITING: "waits for a permit of its job or of a pool, or for a node that fits",
    RunState.READY: "may be claimed by any node that fits",
    RunState.DELAYED: "failed, and waits for its next attempt",
    RunState.HELD: "kept back because its job was paused, disabled or edited",
    RunState.CLAIMED: "belongs to a node, its process is being started",
    RunState.RUNNING: "its process was started",
    RunState.FINISHED: "ended, with an outcome",
}
OUTCOME_WORDS = {
    Outcome.SUCCEEDED: "the command exited with 0, or with another of the job's success_codes",
    Outcome.FAILED: "the command exited with another code, or died by a signal",
    Outcome.TIMED_OUT: "the command was killed at its time limit",
    Outcome.CANCELLED: "somebody cancelled it, or the node was stopped",
    Outcome.LOST: "its node or supervisor died with it; how it ended is unknown",
    Outcome.NOT_STARTED: "the command could not be started, or was given up before",
    Outcome.SKIPPED: "one of the job's `when` or `skip` said no, so the command was not started",
}
REASON_WORDS = {
    Reason.OVERLAP: "the job was already running as often as it may",
    Reason.QUEUE_FULL: "queue_max runs were already waiting",
    Reason.PAUSED: "the job was paused",
    Reason.DISABLED: "the job was disabled",
    Reason.PREVIOUS_UNKNOWN: "the node of the previous run is silent, so its end is unknown",
    Reason.NO_NODE: "no node fits the job",
    Reason.DEADLINE: "it could not start before its start_deadline",
    Reason.CATCHUP_NONE: "it was missed, and the job catches nothing up",
    Reason.CATCHUP_WINDOW: "it was missed, and is older than catchup_window",
    Reason.CATCHUP_MAX: "it was missed, and newer ones take its place",
    Reason.REPLACED: "a newer slot took its place before it started",
    Reason.EDITED: "it was due at the moment its schedule was changed",
    Reason.EXCLUDED: "the job's schedule leaves it out",
    Reason.SKIPPED: "somebody said that it is to be skipped",
    Reason.MIN_GAP: "the run before had ended less than min_gap ago",
    Reason.BAD_DEFINITION: "the job's definition could not be used",
}

_W, _R, _D = RunState.WAITING, RunState.READY, RunState.DELAYED
_H, _C, _N, _F = RunState.HELD, RunState.CLAIMED, RunState.RUNNING, RunState.FINISHED
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _W: frozenset({_R, _H, _F}),
    _R: frozenset({_C, _W, _H, _F}),
    _D: frozenset({_R, _W, _H, _F}),
    _H: frozenset({_W, _R, _F}),
    # A claim whose process cannot be proven to have started is void, or ends.
    _C: frozenset({_N, _R, _D, _F}),
    _N: frozenset({_D, _R, _F}),
    _F: frozenset(),
}


def require_transition(old: RunState, new: RunState) -> None:
    """Raise Conflict unless the table allows it."""
    if new not in TRANSITIONS[old]:
        raise Conflict(f"a run that is {old} cannot become {new}", code="illegal_transition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """What the supervisor saw of an attempt's end; `error` is a code when nothing was started."""

    started_us: int | None
    ended_us: int
    exit_code: int | None = None
    signal: int | None = None
    killed_by: str = ""
    error: str = ""
    error_text: str = ""
    dropped: int = 0
    cpu_us: int = 0
    peak_rss_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    pid: int = 0
    how: str = ""
    leaked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One occurrence of a job as people see it: `scheduled_us` is None for runs without a slot."""

    id: str
    job_id: str
    job_name: str
    cause: Cause
    state: RunState
    outcome: Outcome | None
    scheduled_us: int | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    attempt: int
    fence: int
    node: str | None
    exit_code: int | None = None
    signal: int | None = None
    error_text: str = ""
    wait_key: str | None = None
    cancel: bool = False
    suspected: bool = False
    dropped: int = 0
    progress: Progress | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    forced: bool = False
    """Somebody let it in past the limit of its job."""
    target: str | None = None
    """The name of the node that it is meant for; None: any that fits."""
    pools: str | None = None
    """The gates whose permits it needs, as domain/pool.py spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a run on one node."""

    number: int
    node: str
    started_us: int | None
    ended_us: int | None
    exit_code: int | None
    signal: int | None
    killed_by: str
    error: str
    error_text: str
    cpu_us: int
    peak_rss_bytes: int
    dropped: int
    read_bytes: int = 0
    written_bytes: int = 0
    pid: int = 0
    how: str = ""
    leaked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPiece:
    """A stored chunk as it is read back."""

    attempt: int
    seq: int
    stream: int
    at_us: int
    dropped: int
    chunk: bytes
