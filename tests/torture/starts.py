"""Starts: one for each slot, never early, seldom late, never too many, with growing fences."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.torture.case import Case, Violation
from tests.torture.evidence import SECOND_NS, SECOND_US, Birth
from tests.torture.matching import unmatched
from tests.torture.records import JobRecord

# A death that nobody announced is seen this much late at the most.
CORONER_NS = SECOND_NS // 20
MATCH_LATE_US = 300 * SECOND_US


def starts(case: Case) -> Iterator[Violation]:
    for name, births in case.births.items():
        job = case.records.jobs.get(name)
        grouped: dict[object, list[Birth]] = defaultdict(list)
        for birth in births:
            grouped[birth.run if birth.slot_us is None else birth.slot_us].append(birth)
        for slot, group in grouped.items():
            most = 1 + (job.retries if job else 0)
            if job is not None and job.at_least_once:
                most = 1_000
            yield from _starts_of(case, name, slot, group, most)


def _starts_of(
    case: Case, name: str, slot: object, group: list[Birth], most: int
) -> Iterator[Violation]:
    where = f"slot {slot}: " + ", ".join(
        f"run {birth.run[:8]} attempt {birth.attempt} on {birth.node}" for birth in group
    )
    if len({birth.run for birth in group}) > 1:
        yield Violation(kind="two_runs", job=name, text=where, at_ns=group[-1].at_ns)
        return
    if len(group) > most or len({birth.attempt for birth in group}) < len(group):
        yield Violation(kind="started_twice", job=name, text=where, at_ns=group[-1].at_ns)
    for before, after in pairwise(group):
        overlap = after.at_ns < _surely_alive_until(before)
        if overlap and not case.was_suspended(before, after.at_ns):
            yield Violation(kind="attempts_overlap", job=name, text=where, at_ns=after.at_ns)
        if after.fence <= before.fence:
            yield Violation(
                kind="attempt_fence",
                job=name,
                text=f"{where}: fence {after.fence} after {before.fence}",
                at_ns=after.at_ns,
            )


def _surely_alive_until(birth: Birth) -> int:
    if birth.end_ns is not None:
        return birth.end_ns
    return birth.until_ns - CORONER_NS


# ------------------------------------------------------------------ in time


def timing(case: Case) -> Iterator[Violation]:
    for birth in case.evidence.births:
        if birth.slot_us is None:
            continue
        at_us = case.evidence.database_us(birth.at_ns)
        late_us = at_us - birth.slot_us
        if late_us < -case.evidence.clock_error_us:
            yield Violation(
                kind="early_start",
                job=birth.job,
                text=f"slot {birth.slot_us} was started {-late_us / SECOND_US:.3f} s before it"
                f" on {birth.node}",
                at_ns=birth.at_ns,
            )
        job = case.records.jobs.get(birth.job)
        if job is not None and late_us > case.late_us and _is_punctual(case, job, birth):
            yield Violation(
                kind="late_start",
                job=birth.job,
                text=f"slot {birth.slot_us} was started {late_us / SECOND_US:.3f} s late on"
                f" {birth.node}, and no fault was near",
                at_ns=birth.at_ns,
            )


def _is_punctual(case: Case, job: JobRecord, birth: Birth) -> bool:
    """Whether nothing excuses its being late: no policy that waits, no fault, no person."""
    waits = job.overlap in {"queue", "replace"} or birth.attempt > 1 or job.chained
    waits = waits or bool(job.pools)
    assert birth.slot_us is not None
    from_ns = case.evidence.boot_ns(birth.slot_us)
    people = [
        deed
        for deed in case.evidence.deeds
        if deed.from_ns - SECOND_NS <= birth.at_ns and from_ns <= deed.to_ns + 15 * SECOND_NS
    ]
    return not waits and not people and not case.faults_within(from_ns, birth.at_ns)


# ------------------------------------------------------------------ at most so many at once


def exclusion(case: Case) -> Iterator[Violation]:
    for name, births in case.births.items():
        job = case.records.jobs.get(name)
        if job is None or job.permits is None:
            continue
        alive: list[Birth] = []
        for birth in births:
            alive = [
                other
                for other in alive
                if _surely_alive_until(other) > birth.at_ns
                and not case.was_suspended(other, birth.at_ns)
            ]
            alive.append(birth)
            if len(alive) > job.permits:
                text = ", ".join(f"{other.run[:8]} on {other.node}" for other in alive)
                yield Violation(
                    kind="too_many",
                    job=name,
                    text=f"{len(alive)} at once where {job.permits} may be: {text}",
                    at_ns=birth.at_ns,
                )


def shared(case: Case) -> Iterator[Violation]:
    """The runs of all jobs together hold no more of a pool than it has."""
    for pool, permits in case.records.pools.items():
        users = {
            job.name: job.pools[pool] for job in case.records.jobs.values() if pool in job.pools
        }
        births = (birth for name in users for birth in case.births.get(name, ()))
        alive: list[Birth] = []
        for birth in sorted(births, key=lambda birth: birth.at_ns):
            alive = [
                other
                for other in alive
                if _surely_alive_until(other) > birth.at_ns
                and not case.was_suspended(other, birth.at_ns)
            ]
            alive.append(birth)
            held = sum(users[other.job] for other in alive)
            if held > permits:
                text = ", ".join(f"{other.job} on {other.node}" for other in alive)
                yield Violation(
                    kind="pool_overfull",
                    job=birth.job,
                    text=f"{held} of the {permits} permits of {pool} at once: {text}",
                    at_ns=birth.at_ns,
                )


# ------------------------------------------------------------------ fences grow


def fences(case: Case) -> Iterator[Violation]:
    for name, births in case.births.items():
        job = case.records.jobs.get(name)
        if job is None or job.permits != 1:
            continue
        for before, after in pairwise(births):
            if after.fence <= before.fence:
                yield Violation(
                    kind="fence_order",
                    job=name,
                    text=f"run {after.run[:8]} has fence {after.fence}, the one before it"
                    f" ({before.run[:8]}) {before.fence}",
                    at_ns=after.at_ns,
                )


# ------------------------------------------------------------------ blind to what they say


def blind(case: Case) -> Iterator[Violation]:
    for name, births in case.births.items():
        job = case.records.jobs.get(name)
        if job is None or job.retries or job.at_least_once or job.chained:
            continue
        must, may = case.slots(job)
        skipped = {
            slot
            for row in case.records.ledger
            if row.job == name
            for slot in must
            if row.from_us <= slot <= row.to_us
        }
        slack_us = case.evidence.clock_error_us
        targets = [(slot - slack_us, slot + MATCH_LATE_US) for slot in (must | may) - skipped]
        for deed in case.deeds(name, "run"):
            asked_us = case.evidence.database_us(deed.from_ns)
            targets.append((asked_us, asked_us + MATCH_LATE_US))
        instants = [case.evidence.database_us(birth.at_ns) for birth in births]
        for extra in unmatched(targets, instants):
            yield Violation(
                kind="extra_start",
                job=name,
                text=f"{len(births)} starts, and the one at {extra} fits no slot that was to run",
                at_ns=case.evidence.boot_ns(extra),
            )
