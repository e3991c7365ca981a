"""The one time line that shows how a promise was broken: slots, starts, records, faults, deeds."""

from collections.abc import Iterator

from tests.torture.case import Case, Violation
from tests.torture.evidence import FOREVER_NS, SECOND_NS

BEFORE_NS = 45 * SECOND_NS
AFTER_NS = 25 * SECOND_NS
MOST = 120


def tell(case: Case, violation: Violation) -> str:
    """Everything about the job around the instant, in order, in seconds of the torture."""
    first_ns = min((birth.at_ns for birth in case.evidence.births), default=0)
    at_ns = violation.at_ns or first_ns
    lines = [
        (instant, text)
        for instant, text in _lines(case, violation.job)
        if at_ns - BEFORE_NS <= instant <= at_ns + AFTER_NS
    ]
    near = sorted(lines, key=lambda line: abs(line[0] - at_ns))[:MOST]
    told = [
        f"    {(instant - first_ns) / SECOND_NS:8.3f}  {text}" for instant, text in sorted(near)
    ]
    return "\n".join([f"  the story of {violation}", *told])


Line = tuple[int, str]


def _lines(case: Case, job: str) -> Iterator[Line]:
    yield from _births(case, job)
    yield from _records(case, job)
    for fault in case.evidence.faults:
        yield fault.from_ns, f"FAULT  {fault.kind} {fault.target} begins"
        yield fault.to_ns, f"FAULT  {fault.kind} {fault.target} ends"
    for deed in case.evidence.deeds:
        if deed.target == job or deed.kind in {"drain", "undrain"}:
            yield deed.from_ns, f"deed   {deed.kind} {deed.target} asked"
            answer = f"{deed.ok} {deed.answer}"
            yield deed.to_ns, f"deed   {deed.kind} {deed.target} answered {answer}"


def _births(case: Case, job: str) -> Iterator[Line]:
    for birth in case.births.get(job, []):
        who = f"{birth.run[:8]}.{birth.attempt} on {birth.node}"
        slot = "no slot" if birth.slot_us is None else f"slot {birth.slot_us}"
        yield birth.at_ns, f"start  {who} ({slot}, fence {birth.fence}, {birth.cause})"
        if birth.term_ns is not None:
            yield birth.term_ns, f"TERM   {who}"
        if birth.end_ns is not None:
            yield birth.end_ns, f"end    {who} with {birth.code}"
        elif birth.until_ns != FOREVER_NS:
            yield birth.until_ns, f"killed {who}"


def _records(case: Case, job: str) -> Iterator[Line]:
    boot_ns = case.evidence.boot_ns
    for run in case.by_job.get(job, []):
        said = f"record {run.id[:8]} {run.outcome or run.state} (slot {run.slot_us}, {run.cause})"
        at_us = run.ended_us or run.slot_us
        if at_us is not None:
            yield boot_ns(at_us), said
    for attempt in case.records.attempts:
        record = case.runs.get(attempt.run)
        if record is not None and record.job == job and attempt.ended_us is not None:
            why = attempt.error or attempt.killed_by or f"exit {attempt.exit_code}"
            text = f"attempt {attempt.run[:8]}.{attempt.number} on {attempt.node}: {why}"
            yield boot_ns(attempt.ended_us), text
    for row in case.records.ledger:
        if row.job == job:
            text = f"ledger {row.count} x {row.reason}, slots {row.from_us} to {row.to_us}"
            yield boot_ns(row.at_us), text
