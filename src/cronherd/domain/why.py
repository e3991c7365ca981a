"""Why a slot ran, or did not: facts in, verdict out. Pure: what is not on record is not guessed."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cronherd.domain.job import Job
from cronherd.domain.planner import LONGEST_COUNT, Skip
from cronherd.domain.run import Cause, Outcome, Reason, Run, RunState
from cronherd.domain.timing.misfit import Cut, is_slot, misfit
from cronherd.domain.waiting import WaitsFor, waiting_for

# A slot that starts within so long is not called late.
PROMPT_US = 1_000_000


class Answer(StrEnum):
    """What became of an instant, or will become of it."""

    RAN = "ran"
    WAITING = "waiting"
    MISSED = "did_not_run"
    DUE = "due"
    WILL_RUN = "will_run"
    WILL_NOT_RUN = "will_not_run"
    NO_SLOT = "no_slot"
    UNKNOWN = "unknown"


ANSWER_WORDS = {
    Answer.RAN: "it became a run that was started",
    Answer.WAITING: "it became a run that has not started yet",
    Answer.MISSED: "it did not run; a reason of the ledger or an outcome says why",
    Answer.DUE: "it is due, and nobody has decided yet",
    Answer.WILL_RUN: "it is to come, and runs",
    Answer.WILL_NOT_RUN: "it is to come, and does not run as things are",
    Answer.NO_SLOT: "the schedule does not name this instant",
    Answer.UNKNOWN: "nothing is on record",
}


class Because(StrEnum):
    """What is neither a reason of the ledger nor an outcome nor a cut of the schedule."""

    HOLD = "hold"
    NO_AGENT = "no_agent"
    NO_NODE = "no_node"
    LATE = "late"
    POISONED = "poisoned"
    JITTER = "jitter"
    HELD = "held"
    PERMIT = "permit"
    POOL = "pool"
    ROLLING = "rolling"
    RATE = "rate"
    RETRY = "retry"
    NODE = "node"
    OVER = "over"
    NO_SCHEDULE = "no_schedule"
    BEFORE_JOB = "before_job"
    FORGOTTEN = "forgotten"
    UNREADABLE = "unreadable"
    UNEXPLAINED = "unexplained"


BECAUSE_WORDS = {
    Because.HOLD: "the fleet is held for maintenance",
    Because.NO_AGENT: "no agent is alive",
    Because.NO_NODE: "no live node has the labels that the job asks for",
    Because.LATE: "the agents have not come to it yet",
    Because.POISONED: "the job could not be planned; it is tried again every minute",
    Because.JITTER: "it fires later by the job's jitter",
    Because.HELD: "the job was paused, disabled or edited before its run started",
    Because.PERMIT: "the job runs as often as it may",
    Because.POOL: "other runs hold the permits of a pool that it needs",
    Because.ROLLING: "it runs on as many nodes at once as it may",
    Because.RATE: "no more slots of the past may start at a time",
    Because.RETRY: "its run failed, and waits for its next attempt",
    Because.NODE: "no node has taken its run yet",
    Because.OVER: "max_runs ends the schedule before it",
    Because.NO_SCHEDULE: "the job has no schedule",
    Because.BEFORE_JOB: "the job did not exist, or was deleted",
    Because.FORGOTTEN: "the account of the job does not go back so far",
    Because.UNREADABLE: "the definition of that time cannot be read by this version",
    Because.UNEXPLAINED: "there should be a run or a row of the ledger, and there is none",
}


_LACKS = {
    WaitsFor.PERMIT: Because.PERMIT,
    WaitsFor.POOL: Because.POOL,
    WaitsFor.ROLLING: Because.ROLLING,
    WaitsFor.NODE: Because.NO_NODE,
    WaitsFor.RATE: Because.RATE,
}
_WAITS = {
    RunState.WAITING: Because.PERMIT,
    RunState.DELAYED: Because.RETRY,
    RunState.HELD: Because.HELD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one instant of one job.

    `job` is the definition in force at that time, None when there was none; `unreadable` when
    there was one that nobody can read. `runs` and `rows` are those that cover the instant. What
    stands below is of today: the watermark up to which slots are decided, how many of its slots
    became runs, and the newest slot that has an outcome. `poison` is why it cannot be planned.
    """

    at_us: int
    now_us: int
    job: Job | None
    created_us: int
    unreadable: bool = False
    runs: tuple[Run, ...] = ()
    rows: tuple[Skip, ...] = ()
    enabled: bool = True
    paused_until_us: int | None = None
    skip_us: int | None = None
    next_us: int | None = None
    watermark_us: int = 0
    last_slot_us: int = 0
    fired: int = 0
    forgotten_us: int = 0
    hold: bool = False
    alive: bool = True
    poison: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, its reason in one machine word, and the words that say which.

    `row` is the row of the ledger that says so.
    """

    answer: Answer
    reason: str = ""
    details: tuple[str, ...] = ()
    row: Skip | None = None


def judge_instant(facts: Facts) -> Verdict:
    """What became of an instant of a job, or will become of it, and why."""
    run = next((run for run in facts.runs if run.cause is not Cause.BACKFILL), None)
    fits = facts.job is not None and _names(facts, facts.job)
    row = _row(facts, fits=fits)
    if run is None and row is not None:
        return Verdict(answer=Answer.MISSED, reason=row.reason.value, row=row)
    if facts.runs:
        return _of_run(run or facts.runs[0], hold=facts.hold)
    if facts.unreadable:
        return Verdict(answer=Answer.UNKNOWN, reason=Because.UNREADABLE)
    if facts.job is None or facts.at_us <= facts.created_us:
        return Verdict(answer=Answer.UNKNOWN, reason=Because.BEFORE_JOB)
    if not fits:
        return _of_misfit(facts, facts.job)
    return _of_slot(facts, facts.job)


def how_late(run: Run, job: Job | None, before: Run | None) -> list[str]:
    """Why a run started later than its slot, as far as is known; empty when it was prompt.

    `before` is the run of the job that ended last while this one waited.
    """
    slot_us, started_us = run.scheduled_us, run.started_us
    if slot_us is None or started_us is None or started_us - slot_us < PROMPT_US:
        return []
    causes: list[str] = []
    if run.cause in {Cause.CATCHUP, Cause.BACKFILL}:
        causes.append(run.cause.value)
    if job is not None and job.due_at(slot_us) - slot_us >= PROMPT_US:
        causes.append(Because.JITTER.value)
    if before is not None:
        causes.append(Because.PERMIT.value)
    if run.attempt > 1:
        causes.append(Because.RETRY.value)
    return causes


def left_out(job: Job, after_us: int, slot_us: int, left: int) -> bool:
    """Whether so many slots that are left end before this one."""
    at_us: int | None = after_us
    for _ in range(min(left, LONGEST_COUNT)):
        at_us = None if job.schedule is None or at_us is None else job.schedule.next_after(at_us)
        if at_us is None or at_us >= slot_us:
            return False
    return left <= LONGEST_COUNT


def _names(facts: Facts, job: Job) -> bool:
    """Whether the schedule names the instant."""
    if job.schedule is None:
        return False
    if job.chained:
        return facts.at_us == facts.next_us
    return is_slot(job.schedule, facts.at_us)


def _row(facts: Facts, *, fits: bool) -> Skip | None:
    """The row that says why: the narrowest; what was left out is the schedule's own word."""
    rows: Iterable[Skip] = (
        row
        for row in facts.rows
        if row.reason is not Reason.EXCLUDED
        and (fits or facts.job is None or facts.at_us in {row.from_us, row.to_us})
    )
    return min(rows, key=lambda row: row.to_us - row.from_us, default=None)


def _of_run(run: Run, *, hold: bool) -> Verdict:
    never_began = run.started_us is None or run.outcome is Outcome.SKIPPED
    if run.state is RunState.FINISHED and never_began:
        return Verdict(answer=Answer.MISSED, reason=(run.outcome or Outcome.NOT_STARTED).value)
    if run.state in {RunState.CLAIMED, RunState.RUNNING, RunState.FINISHED}:
        return Verdict(answer=Answer.RAN)
    if hold:
        return Verdict(answer=Answer.WAITING, reason=Because.HOLD)
    waiting = waiting_for(run)
    if run.state is RunState.WAITING and waiting is not None:
        details = (waiting.name,) if waiting.name else ()
        return Verdict(answer=Answer.WAITING, reason=_LACKS[waiting.kind], details=details)
    return Verdict(answer=Answer.WAITING, reason=_WAITS.get(run.state, Because.NODE))


def _of_misfit(facts: Facts, job: Job) -> Verdict:
    if job.schedule is None:
        return Verdict(answer=Answer.NO_SLOT, reason=Because.NO_SCHEDULE)
    found = misfit(job.schedule, facts.at_us)
    row = None
    if found.cut is Cut.EXCLUDED:
        row = next((row for row in facts.rows if row.reason is Reason.EXCLUDED), None)
    return Verdict(answer=Answer.NO_SLOT, reason=found.cut, details=found.details, row=row)


def _of_slot(facts: Facts, job: Job) -> Verdict:
    """A slot that has neither a run nor a row."""
    if facts.at_us <= facts.now_us and job.ended(facts.fired) and facts.at_us > facts.last_slot_us:
        return Verdict(answer=Answer.NO_SLOT, reason=Because.OVER)
    if facts.at_us <= facts.watermark_us:
        forgotten = facts.at_us <= facts.forgotten_us
        why = Because.FORGOTTEN if forgotten else Because.UNEXPLAINED
        return Verdict(answer=Answer.UNKNOWN, reason=why)
    to_come = facts.at_us > facts.now_us
    kept_back = _kept_back(facts)
    if kept_back is not None:
        answer = Answer.WILL_NOT_RUN if to_come else Answer.MISSED
        return Verdict(answer=answer, reason=kept_back.value)
    if not to_come:
        return _of_undecided(facts, job)
    if _over(facts, job):
        return Verdict(answer=Answer.WILL_NOT_RUN, reason=Because.OVER)
    return Verdict(answer=Answer.WILL_RUN)


def _kept_back(facts: Facts) -> Reason | None:
    """What keeps a slot back that is not decided yet."""
    if not facts.enabled:
        return Reason.DISABLED
    if facts.paused_until_us is not None and facts.at_us < facts.paused_until_us:
        return Reason.PAUSED
    if facts.skip_us is not None and facts.at_us <= facts.skip_us:
        return Reason.SKIPPED
    return None


def _over(facts: Facts, job: Job) -> bool:
    if job.max_runs is None:
        return False
    kept_back_us = max(facts.skip_us or 0, (facts.paused_until_us or 0) - 1)
    after_us = max(facts.watermark_us, facts.now_us, kept_back_us)
    return left_out(job, after_us, facts.at_us, max(job.max_runs - facts.fired, 0))


def _of_undecided(facts: Facts, job: Job) -> Verdict:
    if facts.hold:
        return Verdict(answer=Answer.DUE, reason=Because.HOLD)
    if job.due_at(facts.at_us) > facts.now_us:
        return Verdict(answer=Answer.DUE, reason=Because.JITTER)
    if not facts.alive:
        return Verdict(answer=Answer.DUE, reason=Because.NO_AGENT)
    if facts.poison:
        return Verdict(answer=Answer.DUE, reason=Because.POISONED, details=(facts.poison,))
    return Verdict(answer=Answer.DUE, reason=Because.LATE)
