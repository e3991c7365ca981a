"""What the schedules in force owed: the slots of each job, recomputed apart from the store."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field

from cronherd.domain.ident import NOBODY, from_stored, to_stored
from cronherd.domain.job import Job
from cronherd.domain.timing.schedule import Schedule
from tests.store.stage import Stage


@dataclass(slots=True)
class Owed:
    """The slots of one job, from each schedule for as long as it was in force."""

    schedule: Schedule | None
    start_us: int
    fired_us: int = 0
    enabled: bool = True
    alive: bool = True
    closed: list[int] = field(default_factory=list)

    def slots(self, until_us: int) -> list[int]:
        """Those of the schedule now in force."""
        found: list[int] = []
        at_us = self.start_us
        while self.schedule is not None:
            following_us = self.schedule.next_after(at_us)
            if following_us is None or following_us > until_us:
                break
            found.append(at_us := following_us)
        return found

    def close(self, now_us: int) -> None:
        """Another schedule comes into force, or none."""
        found = self.slots(max(now_us, self.fired_us))
        self.closed += found
        self.start_us = found[-1] if found else self.start_us
        self.schedule = None


class SlotBook:
    """The expectation: told of every control, it never looks at runs or ledger."""

    def __init__(self) -> None:
        self.owed: dict[str, Owed] = {}

    def made(self, job_id: str, job: Job, now_us: int, *, enabled: bool = True) -> None:
        before = self.owed.get(job_id)
        if before is None:
            self.owed[job_id] = Owed(job.schedule, now_us, enabled=enabled)
            return
        self._opened(before, job, now_us)
        before.enabled, before.alive = enabled, True

    def edited(self, job_id: str, job: Job, now_us: int, *, enabled: bool) -> None:
        owed = self.owed[job_id]
        if owed.schedule != job.schedule or not (owed.enabled and enabled):
            owed.close(now_us)
            self._opened(owed, job, now_us)
        owed.enabled = enabled

    def deleted(self, job_id: str, now_us: int) -> None:
        owed = self.owed[job_id]
        owed.close(now_us)
        owed.alive = False

    def went(self, job_id: str, slot_us: int) -> None:
        """A batch was committed that worked this job off up to this slot."""
        owed = self.owed[job_id]
        owed.fired_us = max(owed.fired_us, slot_us)

    def fired(self, now_us: int) -> None:
        """Everything due by now was fired."""
        for owed in self.owed.values():
            if owed.enabled and owed.alive:
                owed.fired_us = max(owed.fired_us, now_us)

    def _opened(self, owed: Owed, job: Job, now_us: int) -> None:
        owed.schedule = job.schedule
        owed.start_us = max(owed.start_us, now_us)
        owed.fired_us = 0

    def expected(self, job_id: str) -> list[int]:
        owed = self.owed[job_id]
        return owed.closed + owed.slots(owed.fired_us)


Outcomes = list[tuple[int, str]]
"""Slots, each with the id of the node that it is the outcome of; empty: of the whole job."""


def run_slots(stage: Stage, job_id: str) -> Outcomes:
    """The slots that became runs and are still remembered."""
    found: Outcomes = []
    for table in ("run", "run_history"):
        sql = f"SELECT slot_us, dedup FROM {table} WHERE job_id = ? AND slot_us IS NOT NULL"  # noqa: S608
        rows = stage.fetch(sql, to_stored(job_id))
        found += [(slot_us, dedup.partition(":")[2].partition(":")[2]) for slot_us, dedup in rows]
    return sorted(found)


def told_slots(stage: Stage, job_id: str, expected: list[int]) -> Outcomes:
    """What the ledger tells of, written out; each range must count what the schedule says."""
    sql = "SELECT from_us, to_us, count, reason, node_id FROM ledger WHERE job_id = ?"
    found: Outcomes = []
    for from_us, to_us, count, reason, node in stage.fetch(sql, to_stored(job_id)):
        low, high = bisect_left(expected, from_us), bisect_right(expected, to_us)
        assert high - low == count, f"{count} {reason} is not what the schedule says"
        found += [
            (slot, "" if node == NOBODY else from_stored(node)) for slot in expected[low:high]
        ]
    return found


def assert_conserved(
    stage: Stage, book: SlotBook, pruned: dict[str, Outcomes], nodes: Collection[str] = ()
) -> None:
    """Slots = runs + ledger: each expected slot once, nothing else, and no range miscounted.

    Of a job on all nodes once on each of `nodes`, unless its outcome is that of the whole job.
    """
    for job_id in book.owed:
        expected = book.expected(job_id)
        assert expected == sorted(set(expected))
        found = run_slots(stage, job_id) + pruned.get(job_id, [])
        found += told_slots(stage, job_id, expected)
        by_slot: dict[int, list[str]] = {}
        for slot_us, node in found:
            by_slot.setdefault(slot_us, []).append(node)
        assert sorted(by_slot) == expected
        for slot_us, outcomes in by_slot.items():
            assert sorted(outcomes) in ([""], sorted(nodes)), f"{slot_us}: {outcomes}"
