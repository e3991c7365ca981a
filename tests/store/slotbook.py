"""What the schedules in force owed: the slots of each job, recomputed apart from the store."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from cronherd.domain.ident import to_stored
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


def run_slots(stage: Stage, job_id: str) -> list[int]:
    """The slots that became runs and are still remembered."""
    found: list[int] = []
    for table in ("run", "run_history"):
        sql = f"SELECT slot_us FROM {table} WHERE job_id = ? AND slot_us IS NOT NULL"  # noqa: S608
        found += [row[0] for row in stage.fetch(sql, to_stored(job_id))]
    return sorted(found)


def assert_conserved(stage: Stage, book: SlotBook, pruned: dict[str, list[int]]) -> None:
    """Slots = runs + ledger: each expected slot once, nothing else, and no range miscounted."""
    for job_id in book.owed:
        expected = book.expected(job_id)
        assert expected == sorted(set(expected))
        found = run_slots(stage, job_id) + pruned.get(job_id, [])
        for skip in stage.store.ledger(job_id, 100_000):
            low, high = bisect_left(expected, skip.from_us), bisect_right(expected, skip.to_us)
            assert high - low == skip.count, f"{skip} is not what the schedule says"
            found += expected[low:high]
        assert sorted(found) == expected
