"""Each slot has exactly one outcome, and each that did not run has a reason that was seen."""

from collections import defaultdict
from collections.abc import Iterator

from tests.torture.case import AFTERMATH_NS, RECORD_NS, Case, Violation
from tests.torture.evidence import SECOND_NS, Deed
from tests.torture.records import JobRecord, LedgerRecord, RunRecord

EDIT_NS = 5 * SECOND_NS
# Those that the one job with a label fits, see fleet.py.
EUROPEANS = ("node0", "node1")


def conservation(case: Case) -> Iterator[Violation]:
    for job in case.records.jobs.values():
        outcomes: dict[int, list[str]] = defaultdict(list)
        for run in case.by_job[job.name]:
            if run.slot_us is not None:
                outcomes[run.slot_us].append(f"run {run.id[:8]} {run.outcome or run.state}")
        ranges = [row for row in case.records.ledger if row.job == job.name]
        if job.chained:
            yield from _doubled(job.name, outcomes, case)
            continue
        must, may = case.slots(job)
        for row in ranges:
            yield from _spread(job, row, sorted(must | may), outcomes)
        yield from _doubled(job.name, outcomes, case)
        for slot in sorted(must - outcomes.keys()):
            yield Violation(
                kind="slot_without_outcome",
                job=job.name,
                text=f"slot {slot} is neither a run nor in the ledger",
                at_ns=case.evidence.boot_ns(slot),
            )
        for slot in sorted(outcomes.keys() - must - may):
            yield Violation(
                kind="phantom_slot",
                job=job.name,
                text=f"{outcomes[slot][0]} for {slot}, which no schedule of it ever named",
                at_ns=case.evidence.boot_ns(slot),
            )


def _doubled(job: str, outcomes: dict[int, list[str]], case: Case) -> Iterator[Violation]:
    for slot, found in sorted(outcomes.items()):
        if len(found) > 1:
            yield Violation(
                kind="two_outcomes",
                job=job,
                text=f"slot {slot}: {' and '.join(found)}",
                at_ns=case.evidence.boot_ns(slot),
            )


def _spread(
    job: JobRecord, row: LedgerRecord, slots: list[int], outcomes: dict[int, list[str]]
) -> Iterator[Violation]:
    """Write each slot of a ledger row out; around an edit its count decides between two rules."""
    inside = [slot for slot in slots if row.from_us <= slot <= row.to_us]
    for slot in inside:
        outcomes[slot].append(f"ledger {row.reason}")
    if row.from_us == row.to_us and row.from_us not in inside:
        outcomes[row.from_us].append(f"ledger {row.reason}")
    elif len(inside) != row.count and len(job.schedules) == 1:
        yield Violation(
            kind="wrong_count",
            job=job.name,
            text=f"the ledger counts {row.count} slots ({row.reason}) where there are"
            f" {len(inside)}, from {row.from_us} to {row.to_us}",
        )


# ------------------------------------------------------------------ each skip has a reason


def justified(case: Case) -> Iterator[Violation]:
    for row in case.records.ledger:
        job = case.records.jobs.get(row.job)
        if job is None:
            continue
        from_ns = case.evidence.boot_ns(row.from_us)
        to_ns = case.evidence.boot_ns(max(row.to_us, row.at_us))
        if not _is_justified(case, job, row, from_ns, to_ns):
            yield Violation(
                kind="unjustified_skip",
                job=row.job,
                text=f"{row.count} slot(s) from {row.from_us}: '{row.reason}', and nothing that"
                " was seen explains it",
                at_ns=from_ns,
            )


def _is_justified(case: Case, job: JobRecord, row: LedgerRecord, from_ns: int, to_ns: int) -> bool:
    hurt = bool(case.faults_within(from_ns, to_ns))
    late = row.at_us - row.to_us > job.on_time_us
    mode = str(job.spec.get("catchup", "latest"))
    # What an outage or a hold had left undecided is decided by the pause that follows it.
    last_ns = to_ns if hurt else from_ns
    # In front of a pool a run is in the way of the next one, though nobody sees it.
    unseen = hurt or bool(job.pools)
    busy = _was_busy(case, job, from_ns, to_ns) or (unseen and _was_kept(case, job, from_ns, row))
    reasons = {
        "overlap": busy and job.permits is not None,
        "queue_full": busy and job.overlap == "queue",
        # Of several that are due at once the newest takes the place of the others.
        "replaced": (busy or hurt) and job.overlap == "replace",
        "previous_unknown": bool(case.silencers_within(from_ns, to_ns)) and busy,
        "no_node": _nobody_fitted(case, job, from_ns, to_ns),
        "paused": _within(case.spells(job.name, "pause", "resume"), from_ns, last_ns),
        "disabled": _within(case.spells(job.name, "disable", "enable"), from_ns, last_ns),
        "edited": _was_edited(case, job, from_ns, to_ns),
        "catchup_none": hurt and late and mode == "none",
        "catchup_max": hurt and late and mode != "none",
    }  # no job of a torture says how old a slot may be: neither deadline nor catchup_window
    return reasons.get(row.reason, False)


def _was_edited(case: Case, job: JobRecord, from_ns: int, to_ns: int) -> bool:
    return any(
        deed.from_ns - EDIT_NS <= to_ns and from_ns <= deed.to_ns + EDIT_NS
        for deed in case.deeds(job.name, "edit")
    )


def _was_kept(case: Case, job: JobRecord, from_ns: int, row: LedgerRecord) -> bool:
    """Whether a run of the job had no end that anybody could have recorded by then."""
    return any(
        run.created_us <= row.at_us
        and (run.ended_us is None or _told_until(case, run, run.ended_us) >= from_ns)
        for run in case.by_job[job.name]
    )


def _told_until(case: Case, run: RunRecord, ended_us: int) -> int:
    """Until when its end may have been on its way: while its own node could not tell it."""
    last_ns = case.evidence.boot_ns(ended_us) + AFTERMATH_NS
    attempt = case.attempts.get((run.id, run.attempt))
    node = attempt.node if attempt else ""
    for fault in sorted(case.evidence.faults, key=lambda fault: fault.from_ns):
        if fault.target in {node, "database"} and fault.from_ns <= last_ns:
            last_ns = max(last_ns, fault.to_ns + AFTERMATH_NS)
    return last_ns


def _nobody_fitted(case: Case, job: JobRecord, from_ns: int, to_ns: int) -> bool:
    """Only a job that asks for certain nodes waits for one, and only while all those are away."""
    if "run_on" not in job.spec:
        return False
    return all(
        case.silencers_within(from_ns, to_ns, node)
        or _within(case.spells(node, "drain", "undrain"), from_ns, to_ns)
        for node in EUROPEANS
    )


def _was_busy(case: Case, job: JobRecord, from_ns: int, to_ns: int) -> bool:
    """Whether another run of the job lived, was about to, or waited for its next attempt then."""
    if any(
        birth.at_ns - RECORD_NS <= to_ns and from_ns <= birth.until_ns + RECORD_NS
        for birth in case.births[job.name]
    ):
        return True
    if not job.retries and not job.at_least_once:
        return False
    for run in case.by_job[job.name]:
        lived = [birth.at_ns for birth in case.births[job.name] if birth.run == run.id]
        end_ns = case.evidence.boot_ns(run.ended_us) if run.ended_us else to_ns
        if lived and min(lived) <= to_ns and from_ns <= end_ns + RECORD_NS:
            return True
    return False


def _within(spells: Iterator[tuple[Deed, Deed | None]], from_ns: int, last_ns: int) -> bool:
    """Whether slots between the two instants met a spell."""
    return any(
        begin.from_ns - SECOND_NS <= last_ns and (end is None or from_ns <= end.to_ns + SECOND_NS)
        for begin, end in spells
    )
