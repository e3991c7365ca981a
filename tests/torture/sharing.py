"""Many jobs that share few permits: what they start in truth, and what the permits would allow."""

import heapq
import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.torture.evidence import SECOND_NS, Evidence
from tests.torture.load import TAKEOVER, Work
from tests.torture.nemesis import LONG_S, Step

JOBS = 200
MUTEXES = 20
POOLS = {f"p{n}": 3 for n in range(5)}
SHORTEST_MS, LONGEST_MS = 50, 500
PERIOD_S = 2.0
# Everything is up and the lines are full; from here on it is counted until the first fault.
WARM_S = 6.0


def shared_works(seed: int) -> list[Work]:
    """Each job is in one mutex and in one pool, and every mutex meets every pool."""
    chance = random.Random(seed)
    return [
        Work(
            name=f"share-{n:03}",
            schedule=f"every {PERIOD_S:g}s",
            ms=chance.randint(SHORTEST_MS, LONGEST_MS),
            settings={
                "pools": [f"m{n % MUTEXES:02}", f"p{n // MUTEXES % len(POOLS)}"],
                "takeover_after": TAKEOVER,
            },
        )
        for n in range(JOBS)
    ]


def short_plan(quiet_s: float) -> list[Step]:
    """After the quiet part agents are killed and stopped, one after the other."""
    return [
        Step(at_s=quiet_s, kind="kill_agent", target=0, length_s=1.0),
        Step(at_s=quiet_s + 1, kind="freeze_agent", target=1, length_s=2.0),
        Step(at_s=quiet_s + 2, kind="kill_agent", target=2, length_s=0.5),
    ]


def long_plan(quiet_s: float) -> list[Step]:
    """The same for longer, with a host that stands still until others have taken over."""
    return [
        Step(at_s=quiet_s, kind="stop_node_long", target=3, length_s=LONG_S),
        Step(at_s=quiet_s + 4, kind="kill_agent", target=0, length_s=1.0),
        Step(at_s=quiet_s + 10, kind="kill_both", target=1, length_s=3.0),
        Step(at_s=quiet_s + 18, kind="kill_agent", target=2, length_s=2.0),
        Step(at_s=quiet_s + 26, kind="freeze_agent", target=0, length_s=6.0),
        Step(at_s=quiet_s + 36, kind="kill_agent", target=1, length_s=0.5),
    ]


# ------------------------------------------------------------------ what the permits allow


def ideal_starts(
    works: Sequence[Work], pools: Mapping[str, int], from_s: float, to_s: float
) -> int:
    """How many runs start between the two instants where nothing costs any time.

    The same jobs, slots and durations under the same permits: a slot is skipped while the run
    before it waits or runs, a run starts as soon as all of its permits are free, and of several
    that could the one that came first. Whoever lacks a permit stops nobody.
    """
    ideal = _Ideal(works, pools)
    slot_s = 0.0
    started = 0
    while (now_s := min(slot_s, ideal.next_end_s())) < to_s:
        ideal.end(now_s)
        if now_s >= slot_s:
            ideal.ask(works)
            slot_s += PERIOD_S
        found = ideal.start(now_s)
        started += found if now_s >= from_s else 0
    return started


class _Ideal:
    """Who holds what, who waits, in the order in which they came, and who ends when."""

    def __init__(self, works: Sequence[Work], pools: Mapping[str, int]) -> None:
        self._free = {name: pools.get(name, 1) for work in works for name in _names(work)}
        self._busy: set[str] = set()
        self._line: list[Work] = []
        self._ends: list[tuple[float, str, Work]] = []

    def next_end_s(self) -> float:
        return self._ends[0][0] if self._ends else float("inf")

    def end(self, now_s: float) -> None:
        while self.next_end_s() <= now_s:
            _, name, work = heapq.heappop(self._ends)
            self._busy.discard(name)
            for each in _names(work):
                self._free[each] += 1

    def ask(self, works: Sequence[Work]) -> None:
        for work in works:
            if work.name not in self._busy:
                self._busy.add(work.name)
                self._line.append(work)

    def start(self, now_s: float) -> int:
        left: list[Work] = []
        for work in self._line:
            if any(self._free[name] < 1 for name in _names(work)):
                left.append(work)
                continue
            for name in _names(work):
                self._free[name] -= 1
            heapq.heappush(self._ends, (now_s + work.ms / 1000, work.name, work))
        started = len(self._line) - len(left)
        self._line = left
        return started


def _names(work: Work) -> list[str]:
    pools: list[str] = work.settings["pools"]
    return pools


# ------------------------------------------------------------------ what was started


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Starts in the quiet part, as they were seen and as they could have been at the most."""

    seconds: float
    starts: int
    ideal: int

    @property
    def share(self) -> float:
        return self.starts / self.ideal

    def __str__(self) -> str:
        return (
            f"{self.starts / self.seconds:.1f} starts/s of {self.ideal / self.seconds:.1f} that"
            f" the permits allow: {self.share:.0%}, seen over {self.seconds:g} quiet s"
        )


def throughput(evidence: Evidence, works: Sequence[Work], quiet_s: float) -> Throughput:
    """From the end of the warm-up, counted from the first start, until the first fault."""
    births = sorted(birth.at_ns for birth in evidence.births)
    faults = [fault.from_ns for fault in evidence.faults]
    from_ns = births[0] + round(WARM_S * SECOND_NS)
    to_ns = min([*faults, births[0] + round(quiet_s * SECOND_NS)])
    seconds = (to_ns - from_ns) / SECOND_NS
    seen = bisect_left(births, to_ns) - bisect_left(births, from_ns)
    ideal = ideal_starts(works, POOLS, WARM_S, WARM_S + seconds)
    return Throughput(seconds=round(seconds, 1), starts=seen, ideal=ideal)
