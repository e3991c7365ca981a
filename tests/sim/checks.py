"""Checks: what must hold, by the evidence of the machines and not by the store's own word."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cronherd.domain.instant import parse_instant
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.policy import Delivery
from tests.sim.evidence import Deed

if TYPE_CHECKING:
    from tests.sim.world import World

# How an execution ends that may be followed by another attempt without a takeover.
OWN_ENDS = frozenset({"exit", "timeout"})


class Violation(AssertionError):
    """A promise was broken; `job` names whose time line tells the story."""

    def __init__(self, text: str, job: str = "") -> None:
        super().__init__(text)
        self.job = job


@dataclass(slots=True)
class Ban:
    """An acknowledged pause, disable or delete: until then, and but for these runs."""

    until_us: int | None
    named: frozenset[str]
    word: str


@dataclass(slots=True)
class Checks:
    """Told of every start; everything else is looked at in `endings`."""

    world: "World"
    by_attempt: dict[tuple[str, int], Deed] = field(default_factory=dict)
    by_slot: dict[tuple[str, str], list[Deed]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    bans: dict[str, dict[str, Ban]] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)

    def fail(self, text: str, job: str) -> None:
        raise Violation(text, job)

    # ------------------------------------------------------------------ at each start

    def began(self, deed: Deed) -> None:
        self.world.note(f"START {deed.run_id[:8]}/{deed.attempt} on {deed.host}", deed.job)
        job = self.world.job_named(deed.job)
        self._once(deed)
        if deed.scheduled:
            self._slot(deed, job)
            self._early(deed)
            self._banned(deed)
        if deed.run_id not in self.forced:
            self._alone(deed.job, job)
            self._fence(deed, job)

    def _once(self, deed: Deed) -> None:
        if (deed.run_id, deed.attempt) in self.by_attempt:
            self.fail(f"attempt {deed.attempt} of {deed.run_id[:8]} was executed twice", deed.job)
        self.by_attempt[deed.run_id, deed.attempt] = deed

    def _slot(self, deed: Deed, job: Job) -> None:
        """One run per slot; another attempt only after an end of its own, or a lost one."""
        before = self.by_slot.setdefault((deed.job, deed.slot), [])
        for other in before:
            if other.run_id != deed.run_id:
                self.fail(f"the slot {deed.slot} started as two runs", deed.job)
            if other.alive:
                self.fail(f"attempts of the slot {deed.slot} overlap", deed.job)
            if other.fence >= deed.fence:
                self.fail(f"attempts of {deed.slot} with fences that do not grow", deed.job)
            own = other.how in OWN_ENDS
            if not own and job.delivery is Delivery.AT_MOST_ONCE:
                self.fail(f"the slot {deed.slot} started again after '{other.how}'", deed.job)
        before.append(deed)

    def _early(self, deed: Deed) -> None:
        if parse_instant(deed.slot) > self.world.peak_db_us:
            self.fail(f"the slot {deed.slot} started early", deed.job)

    def _banned(self, deed: Deed) -> None:
        for ban in self.bans.get(deed.job, {}).values():
            if deed.run_id in ban.named:
                continue
            if ban.until_us is None or ban.until_us > self.world.peak_db_us:
                self.fail(f"{deed.run_id[:8]} started after an acknowledged {ban.word}", deed.job)

    def _alone(self, name: str, job: Job) -> None:
        if job.permits == UNLIMITED or name in self.world.unlimited:
            return
        open_deeds = self.world.evidence.open.get(name, [])
        alive = [deed for deed in open_deeds if deed.alive and deed.run_id not in self.forced]
        if len(alive) > self.world.most_of(name):
            runs = ", ".join(f"{deed.run_id[:8]} on {deed.host}" for deed in alive)
            self.fail(f"{len(alive)} run at once: {runs}", name)

    def _fence(self, deed: Deed, job: Job) -> None:
        if job.permits != 1 or deed.job in self.world.unlimited:
            return
        if deed.fence <= self.fences.get(deed.job, 0):
            self.fail(f"the fence {deed.fence} does not grow", deed.job)
        self.fences[deed.job] = deed.fence

    def woke(self) -> None:
        """A frozen machine goes on: what it still runs must not meet another."""
        for name in self.world.evidence.open:
            self._alone(name, self.world.job_named(name))

    # ------------------------------------------------------------------ controls

    def ban(self, name: str, runs: list[str], word: str, until_us: int | None = None) -> None:
        """A control was acknowledged and named these runs."""
        self.bans.setdefault(name, {})[word] = Ban(until_us, frozenset(runs), word)

    def lift(self, name: str, word: str) -> None:
        """Somebody has undone it, this very instant; a new job knows nothing of the old one."""
        bans = self.bans.get(name, {})
        if word == "delete":
            bans.clear()
        bans.pop(word, None)
