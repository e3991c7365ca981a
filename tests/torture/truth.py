"""Records tell the truth, everything is resolved in the end, and people get what they were told."""

from collections import defaultdict
from collections.abc import Iterator

from tests.torture.case import RECORD_NS, Case, Violation
from tests.torture.evidence import SECOND_NS, SECOND_US, Birth
from tests.torture.oracle import slots_between
from tests.torture.records import AttemptRecord

SCHEDULED = frozenset({"schedule", "catchup"})
# A claim that came first may still start within this after a pause, a disable or a drain.
CLAIM_NS = 6 * SECOND_NS
# A firing that had looked just before sees slots of the next moment.
HELD_NS = SECOND_NS // 2
# A process that was killed so soon may not have come to its first line.
UNBORN_US = 3 * SECOND_US


def truth(case: Case) -> Iterator[Violation]:
    births = {(birth.run, birth.attempt): birth for birth in case.evidence.births}
    for key, birth in births.items():
        run = case.runs.get(birth.run)
        if run is None or (key not in case.attempts and run.attempt == birth.attempt):
            if run is None or run.state == "finished":
                yield Violation(
                    kind="start_without_record",
                    job=birth.job,
                    text=f"run {birth.run[:8]} attempt {birth.attempt} on {birth.node} has no"
                    " record",
                    at_ns=birth.at_ns,
                )
        elif key not in case.attempts and run.attempt > birth.attempt:
            yield Violation(
                kind="start_without_record",
                job=birth.job,
                text=f"attempt {birth.attempt} of run {birth.run[:8]} on {birth.node} has no"
                " record",
                at_ns=birth.at_ns,
            )
    for key, attempt in case.attempts.items():
        run = case.runs.get(attempt.run)
        job_name = run.job if run else "?"
        yield from _attempt_truth(case, job_name, attempt, births.get(key))


def _attempt_truth(
    case: Case, job: str, attempt: AttemptRecord, birth: Birth | None
) -> Iterator[Violation]:
    if birth is None:
        if attempt.started_us is not None and not _may_be_unborn(attempt):
            yield Violation(
                kind="record_without_start",
                job=job,
                text=f"run {attempt.run[:8]} attempt {attempt.number} is said to have run on"
                f" {attempt.node}; nobody saw it",
            )
        return
    said = f"run {birth.run[:8]} attempt {birth.attempt}"
    if attempt.started_us is None and attempt.error not in {"lost", ""}:
        text = f"{said} is said not to have started ({attempt.error}); it did"
        yield Violation(kind="denied_start", job=job, text=text, at_ns=birth.at_ns)
    if attempt.exit_code is not None and attempt.exit_code != birth.code:
        yield Violation(
            kind="wrong_exit_code",
            job=job,
            text=f"{said} ended with {birth.code}, the record says {attempt.exit_code}",
            at_ns=birth.until_ns,
        )
    lost = attempt.exit_code is None and attempt.signal is None
    if lost and not case.silencers_within(birth.at_ns, birth.until_ns + RECORD_NS):
        yield Violation(
            kind="lost_without_cause",
            job=job,
            text=f"{said} has no end in its record ({attempt.error or attempt.killed_by}), and"
            " no fault was near",
            at_ns=birth.at_ns,
        )


def _may_be_unborn(attempt: AttemptRecord) -> bool:
    """Killed before the witness could write its first line."""
    if attempt.exit_code is not None or attempt.started_us is None or attempt.ended_us is None:
        return False
    return attempt.ended_us - attempt.started_us < UNBORN_US or attempt.error == "lost"


# ------------------------------------------------------------------ in the end all is resolved


def liveness(case: Case) -> Iterator[Violation]:
    states = {run.id: run.state for run in case.records.runs}
    for run in case.records.runs:
        if run.state not in {"finished", "held"}:
            text = f"run {run.id[:8]} is still {run.state} (slot {run.slot_us})"
            at_ns = case.evidence.boot_ns(run.slot_us) if run.slot_us else 0
            yield Violation(kind="stuck_run", job=run.job, text=text, at_ns=at_ns)
    for key, n, run_id in case.records.permits:
        state = states.get(run_id, "unknown")
        if state in {"finished", "held", "unknown"}:  # of all others it was said already
            text = f"permit {n} of {key} is still held by {run_id[:8]}, which is {state}"
            yield Violation(kind="leaked_permit", job="-", text=text)
    for job in case.records.jobs.values():
        if job.chained or not job.schedules[-1][1] or _was_left_off(case, job.name):
            continue
        until_us = case.over_us - 5 * SECOND_US
        since_us = max(job.last_slot_us, job.schedules[-1][0] + 5 * SECOND_US)
        missed = slots_between(job.schedules[-1][1], since_us, until_us)
        if missed:
            yield Violation(
                kind="unfired_slots",
                job=job.name,
                text=f"{len(missed)} slots from {missed[0]} on were never decided",
                at_ns=case.evidence.boot_ns(missed[0]),
            )


def _was_left_off(case: Case, job: str) -> bool:
    """Nobody could switch it on again: the torture's own fault, and its slots are not due."""
    ways = (("pause", "resume"), ("disable", "enable"))
    return any(end is None or not end.ok for way in ways for _, end in case.spells(job, *way))


# ------------------------------------------------------------------ what people were promised


def obedience(case: Case) -> Iterator[Violation]:
    """After a pause or a disable was acknowledged, nothing starts but what was first."""
    for name, births in case.births.items():
        for begin, end in (("pause", "resume"), ("disable", "enable")):
            for first, last in case.spells(name, begin, end):
                if first.ok is None:
                    continue
                until_ns = case.evidence.boot_ns(case.over_us) if last is None else last.from_ns
                for birth in births:
                    scheduled = birth.cause in SCHEDULED
                    if scheduled and first.to_ns + CLAIM_NS < birth.at_ns < until_ns:
                        yield Violation(
                            kind=f"start_while_{begin}d",
                            job=name,
                            text=f"run {birth.run[:8]} started on {birth.node}"
                            f" {(birth.at_ns - first.to_ns) / SECOND_NS:.1f} s after the {begin}",
                            at_ns=birth.at_ns,
                        )


def held(case: Case) -> Iterator[Violation]:
    """While the fleet is held, no slot fires that became due after that was acknowledged."""
    for first, last in case.spells("all", "hold", "let_go"):
        if first.ok is None:
            continue
        until_ns = case.evidence.boot_ns(case.over_us) if last is None else last.from_ns
        for birth in case.evidence.births:
            if birth.slot_us is None:
                continue
            due_ns = case.evidence.boot_ns(birth.slot_us)
            if first.to_ns + HELD_NS < due_ns and birth.at_ns < until_ns:
                yield Violation(
                    kind="start_while_held",
                    job=birth.job,
                    text=f"slot {birth.slot_us} was started on {birth.node} while the fleet was"
                    " held",
                    at_ns=birth.at_ns,
                )


def requests(case: Case) -> Iterator[Violation]:
    """The same request sent twice is one run."""
    answers: dict[str, set[str]] = defaultdict(set)
    for deed in case.evidence.deeds:
        if deed.kind == "run" and deed.ok and ":" in deed.answer:
            request, run_id = deed.answer.split(":", 1)
            answers[request].add(run_id)
    for request, found in answers.items():
        if len(found) > 1:
            text = f"request {request} was answered with {', '.join(sorted(found))}"
            yield Violation(kind="request_repeated", job="-", text=text)
