"""Audit: whether each slot of the past has exactly one outcome, by a count of its own.

Pure: the versions of a job with the instants they came into force, the slots that became runs and
the rows of the ledger go in; what nobody can explain comes out, and that should be nothing.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cronherd.domain.run import Reason
from cronherd.domain.timing.recount import recount
from cronherd.domain.timing.schedule import After, Schedule

AT_LEAST = "at least"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A version of a job from the instant it was saved on; None where it cannot be read.

    `ends`: after so many runs its schedule is over, and so it may have been while in force.
    """

    from_us: int
    schedule: Schedule | None
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A row of the ledger."""

    from_us: int
    to_us: int
    count: int
    reason: Reason
    ref: str | None = None


@dataclass(slots=True, kw_only=True)
class Audit:
    """What a stretch of a job's past adds up to. Lists are in order, and bad unless empty.

    `unexplained`: slots without an outcome. `twice`: slots with more than one. `uncalled`: runs
    at instants that are no slots. `miscounted`: rows whose count is not what the schedule says.
    """

    from_us: int
    until_us: int
    slots: int = 0
    ran: int = 0
    told: Counter[str] = field(default_factory=Counter)
    unexplained: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    uncalled: list[int] = field(default_factory=list)
    miscounted: list[Told] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.unexplained or self.twice or self.uncalled or self.miscounted)


def by_slot(
    ran: Sequence[tuple[int, str]], rows: Sequence[tuple[Told, str]]
) -> tuple[list[int], list[Told]]:
    """What single nodes made of a slot is one outcome, unless one of them made two.

    Each slot of a run and each row comes with the id of its node, empty for those of the job.
    """
    slots = [slot_us for slot_us, node in ran if not node]
    told = [row for row, node in rows if not node]
    by_nodes = {(slot_us, node) for slot_us, node in ran if node}
    made = Counter((slot_us, node) for slot_us, node in ran if node)
    made.update((row.from_us, node) for row, node in rows if node)
    slots += {slot_us for slot_us, _ in by_nodes}
    known = set(slots)
    slots += {slot_us for (slot_us, _), times in made.items() if times > 1}
    for row, node in rows:
        if node and row.from_us not in known:
            known.add(row.from_us)
            told.append(row)
    return sorted(slots), sorted(told, key=lambda row: row.from_us)


def audit(
    versions: Sequence[InForce],
    ran: Sequence[int],
    rows: Sequence[Told],
    *,
    from_us: int,
    until_us: int,
) -> Audit:
    """Check (from, until]. `versions` from the first on; `ran`: the slot of each run.

    Backfilled runs are left out: their slots had an outcome when they were due.

    Rows that reach beyond the stretch are not counted again, but explain what lies in it.
    """
    found = Audit(from_us=from_us, until_us=until_us)
    slots, excluded = _expected(versions, ran, rows, from_us, until_us)
    found.slots = len(slots) + len(excluded)
    outcomes = Counter(slot_us for slot_us in ran if from_us < slot_us <= until_us)
    found.ran = outcomes.total()
    known = set(slots)
    found.uncalled = sorted(slot_us for slot_us in outcomes if slot_us not in known)
    covered: Counter[int] = Counter()
    for row in rows:
        among = excluded if row.reason is Reason.EXCLUDED else slots
        within = among[bisect_left(among, row.from_us) : bisect_right(among, row.to_us)]
        covered.update(within)
        found.told[row.reason.value] += len(within)
        whole = from_us < row.from_us and row.to_us <= until_us
        if whole and len(within) != row.count and row.ref != AT_LEAST:
            found.miscounted.append(row)
    for slot_us in sorted([*slots, *excluded]):
        times = outcomes[slot_us] + covered[slot_us]
        if times == 0:
            found.unexplained.append(slot_us)
        elif times > 1:
            found.twice.append(slot_us)
    return found


def _expected(
    versions: Sequence[InForce],
    ran: Sequence[int],
    rows: Sequence[Told],
    from_us: int,
    until_us: int,
) -> tuple[list[int], list[int]]:
    """The slots of each version for as long as it was in force, and those it left out."""
    slots: list[int] = []
    excluded: list[int] = []
    ends = [version.from_us for version in versions[1:]] + [until_us]
    for version, end_us in zip(versions, ends, strict=True):
        first_us, last_us = max(version.from_us, from_us), min(end_us, until_us)
        if first_us >= last_us or version.schedule is None:
            continue
        if isinstance(version.schedule, After):
            # Each slot comes from an end: those that are on record are the slots there were.
            seen = {*ran, *(row.from_us for row in rows)}
            slots += sorted(slot_us for slot_us in seen if first_us < slot_us <= last_us)
            continue
        again = recount(version.schedule, first_us, last_us)
        slots += _until_over(version, again.slots, ran, rows)
        excluded += again.excluded
    return slots, excluded


def _until_over(
    version: InForce, slots: list[int], ran: Sequence[int], rows: Sequence[Told]
) -> list[int]:
    """A schedule that ends after so many runs has no slots behind its last outcome."""
    if not version.ends or not slots:
        return slots
    known = [slot_us for slot_us in ran if slot_us <= slots[-1]]
    known += [row.to_us for row in rows if row.to_us <= slots[-1]]
    return [slot_us for slot_us in slots if slot_us <= max(known, default=0)]
