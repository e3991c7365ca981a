"""What a torture knows in the end, in the form in which checks ask: by job, by slot, by fault."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from tests.torture.evidence import SECOND_NS, SECOND_US, Birth, Deed, Evidence, Fault
from tests.torture.oracle import Blur, Era, expected, is_chained
from tests.torture.records import AttemptRecord, JobRecord, Records, RunRecord

# How long after a fault its traces may still be felt: until the claims of a node that was away
# are settled or taken over; for others until calls are repeated.
AFTERMATH_NS = 45 * SECOND_NS
BRIEF_NS = 12 * SECOND_NS
BRIEF = frozenset({"delay", "skew", "forget", "db_cut", "hold"})
# These make nobody silent and end nothing.
HARMLESS = frozenset({"delay", "skew", "hold"})
# A host that wakes after it was taken over ends what it ran within its grace.
WAKING_NS = 4 * SECOND_NS
# What an ending takes from the process to its record, when nothing is wrong.
RECORD_NS = 3 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken. `at_ns` is where on the time line to look."""

    kind: str
    job: str
    text: str
    at_ns: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.job}: {self.text}"


@dataclass(kw_only=True)
class Case:
    """All that is known of one torture. `over_us`: when nothing more was due."""

    evidence: Evidence
    records: Records
    over_us: int
    late_us: int = 3 * SECOND_US

    @cached_property
    def births(self) -> dict[str, list[Birth]]:
        """By job, in the order they were born."""
        found: dict[str, list[Birth]] = defaultdict(list)
        for birth in sorted(self.evidence.births, key=lambda birth: birth.at_ns):
            found[birth.job].append(birth)
        return found

    @cached_property
    def attempts(self) -> dict[tuple[str, int], AttemptRecord]:
        return {(record.run, record.number): record for record in self.records.attempts}

    @cached_property
    def runs(self) -> dict[str, RunRecord]:
        return {run.id: run for run in self.records.runs}

    @cached_property
    def by_job(self) -> dict[str, list[RunRecord]]:
        found: dict[str, list[RunRecord]] = defaultdict(list)
        for run in self.records.runs:
            found[run.job].append(run)
        return found

    def slots(self, job: JobRecord) -> tuple[set[int], set[int]]:
        """What its schedules say up to its watermark: slots that must and may have an outcome."""
        eras, blurs = self._eras(job)
        return expected(eras, blurs)

    def _eras(self, job: JobRecord) -> tuple[list[Era], list[Blur]]:
        eras: list[Era] = []
        blurs: list[Blur] = []
        ends = [at_us for at_us, _ in job.schedules[1:]]
        for (from_us, schedule), to_us in zip(
            job.schedules, [*ends, job.last_slot_us], strict=True
        ):
            if schedule and not is_chained(schedule):
                to = min(to_us, job.last_slot_us)
                eras.append(Era(schedule=schedule, from_us=from_us, to_us=to))
        for at_us in ends:
            # The edit reads the clock, then waits for its lock: at most this long.
            to_us = min(at_us + 5 * SECOND_US, job.last_slot_us)
            if at_us <= to_us:
                blurs.append(Blur(from_us=at_us - SECOND_US // 2, to_us=to_us))
        return eras, blurs

    def faults_within(
        self, from_ns: int, to_ns: int, kinds: Iterable[str] | None = None
    ) -> list[Fault]:
        """Faults whose traces may be felt between the two instants."""
        wanted = None if kinds is None else frozenset(kinds)
        return [
            fault
            for fault in self.evidence.faults
            if fault.from_ns <= to_ns
            and fault.to_ns + (BRIEF_NS if fault.kind in BRIEF else AFTERMATH_NS) >= from_ns
            and (wanted is None or fault.kind in wanted)
        ]

    def silencers_within(self, from_ns: int, to_ns: int, target: str | None = None) -> list[Fault]:
        """Those of them that can keep a node, or this node, from being heard."""
        return [
            fault
            for fault in self.faults_within(from_ns, to_ns)
            if fault.kind not in HARMLESS and target in {None, fault.target, "database"}
        ]

    def was_suspended(self, birth: Birth, at_ns: int) -> bool:
        """Whether its whole host stood still then: it did nothing, and ends when its host wakes."""
        return any(
            fault.kind.startswith("stop_node")
            and fault.target == birth.node
            and fault.from_ns <= at_ns
            and birth.until_ns <= fault.to_ns + WAKING_NS
            for fault in self.evidence.faults
        )

    def deeds(self, job: str, *kinds: str) -> list[Deed]:
        return [
            deed
            for deed in self.evidence.deeds
            if deed.target == job and deed.kind in kinds and deed.ok is not False
        ]

    def spells(self, job: str, begin: str, end: str) -> Iterator[tuple[Deed, Deed | None]]:
        """From each `begin` to the `end` that follows it; None: it was never ended."""
        ends = [deed for deed in self.deeds(job, end) if deed.ok]
        for deed in self.deeds(job, begin):
            after = [other for other in ends if other.from_ns >= deed.from_ns]
            yield deed, min(after, key=lambda other: other.from_ns, default=None)


Check = Callable[[Case], Iterator[Violation]]
