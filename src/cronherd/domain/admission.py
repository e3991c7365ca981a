"""admit(job, gate, …): may one more run of a job enter, must it wait, or is it refused.

Pure: who holds and who waits was read under the lock of the job's due row.
"""

from dataclasses import dataclass, field

from cronherd.domain.ident import to_stored
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.place import node_place
from cronherd.domain.policy import Overlap
from cronherd.domain.pool import is_pool_key
from cronherd.domain.run import Reason, RunState


@dataclass(slots=True, kw_only=True)
class Gate:
    """Who holds and who waits for the permits of one job; plans of one batch share it.

    `used` are the numbers of held permits, `holders` the runs that hold them, `resting` those that
    ended less than `min_gap` ago, `waiters` the runs that wait on it, `parked` how many of the
    job's runs wait for a node that fits. `silent`: the node of a holder does not answer.
    """

    used: set[int] = field(default_factory=set)
    holders: list[str] = field(default_factory=list)
    resting: list[str] = field(default_factory=list)
    waiters: list[str] = field(default_factory=list)
    waiting: int = 0
    parked: int = 0
    silent: bool = False

    def take(self, permits: int) -> int | None:
        """The smallest free number, now taken; None when full or when others wait already."""
        # A lowered limit lets those beyond it run out: their number counts as well.
        if self.waiting or len(self.used) >= permits:
            return None
        free = next((n for n in range(permits) if n not in self.used), None)
        if free is not None:
            self.used.add(free)
        return free


@dataclass(slots=True, kw_only=True)
class Target:
    """A node for which alone a run is meant; `fits`: it takes runs of the job at the moment.

    A job on all nodes has a gate for each of them.
    """

    node_id: str
    name: str
    gate: Gate
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How one new run enters: ready with its permit, or parked on `wait_key`."""

    state: RunState
    permit: int | None = None
    wait_key: str | None = None
    cancels: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @property
    def entered(self) -> bool:
        """Whether it has passed its job's own limit: if it waits, then for a pool."""
        return self.state is RunState.READY or is_pool_key(self.wait_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a run does not enter, and the run in the way."""

    reason: Reason
    ref: str | None = None


_UNCOUNTED = Admission(state=RunState.READY)


def admit(
    job: Job, gate: Gate, job_id: str, *, fits: bool, queue: bool, target: Target | None = None
) -> Admission | Refusal:
    """Let one run in, park it, or refuse it. `queue`: it waits whatever the policy says.

    To replace asks the oldest holder to end, and no more than that one.
    """
    if not fits:
        return _park(job, gate, target)
    if job.permits == UNLIMITED:
        return through(job, job_id, None)
    permit = gate.take(job.permits)
    if permit is not None:
        return through(job, job_id, permit)
    if not queue and job.overlap is Overlap.SKIP:
        return Refusal(reason=_in_the_way(gate), ref=_blocker(gate))
    if not queue and job.overlap is Overlap.QUEUE and gate.waiting >= job.queue_max:
        return Refusal(reason=Reason.QUEUE_FULL, ref=_blocker(gate))
    replaces: tuple[str, ...] = ()
    cancels: tuple[str, ...] = ()
    if not queue and job.overlap is Overlap.REPLACE:
        replaces, cancels = tuple(gate.waiters), tuple(sorted(gate.holders, key=to_stored)[:1])
        gate.waiters.clear()
        gate.waiting = 0
    gate.waiting += 1
    wait_key = own_key(job, job_id, target)
    return Admission(state=RunState.WAITING, wait_key=wait_key, cancels=cancels, replaces=replaces)


def through(job: Job, job_id: str, permit: int | None) -> Admission:
    """What becomes of a run that has passed its job's own limit: ready, or in line for a pool."""
    uses = job.uses(job_id)
    if uses:
        return Admission(state=RunState.WAITING, permit=permit, wait_key=uses[0].key)
    return _UNCOUNTED if permit is None else Admission(state=RunState.READY, permit=permit)


def _in_the_way(gate: Gate) -> Reason:
    if gate.silent:
        return Reason.PREVIOUS_UNKNOWN
    return Reason.MIN_GAP if gate.resting and not gate.holders else Reason.OVERLAP


def _blocker(gate: Gate) -> str | None:
    return next(iter((*gate.holders, *gate.resting)), None)


def _park(job: Job, gate: Gate, target: Target | None) -> Admission | Refusal:
    """Wait for a node that fits, holding nothing; but no more than would wait for a permit."""
    lines_up = job.overlap in {Overlap.QUEUE, Overlap.ALLOW}
    if gate.parked >= (job.queue_max if lines_up else 1):
        return Refusal(reason=Reason.NO_NODE)
    gate.parked += 1
    place = node_place(job.place, target.name) if target else job.place
    return Admission(state=RunState.WAITING, wait_key=f"@{place}")


def gate_key(job_id: str, node_id: str | None = None) -> str:
    """The key on which runs of a job wait for its own permits; on one node, if that is said."""
    return f"j{job_id}" if node_id is None else f"j{job_id}.{node_id}"


def own_key(job: Job, job_id: str, target: Target | None) -> str:
    """The key of the permits of a run's own job."""
    return gate_key(job_id, target.node_id if target and job.on_all else None)
