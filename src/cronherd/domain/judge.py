"""judge(job, attempt, exit): what an ending means. Pure."""

from collections.abc import Container
from dataclasses import dataclass

from cronherd.domain.job import SUCCESS_CODES, Job
from cronherd.domain.lock import LOST as LOCK_LOST
from cronherd.domain.policy import Delivery
from cronherd.domain.run import Exit, Outcome

VOID = "void"
SKIPPED = "skipped"
"""The error of an attempt whose hooks said no before its command was started."""
_KILLED = {
    "timeout": Outcome.TIMED_OUT,
    "cancel": Outcome.CANCELLED,
    "shutdown": Outcome.CANCELLED,
    "fenced": Outcome.LOST,
    "gone": Outcome.LOST,
}
_RETRIED = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.NOT_STARTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`outcome` is of the attempt; with `wait_us` set the run goes on, that much later.

    A length and not an instant: the host's clock, which saw the end, is not the one that decides
    what is due.

    `void`: the claim was never used; the same attempt may be claimed again.
    """

    outcome: Outcome
    wait_us: int | None = None
    void: bool = False


def judge(job: Job, attempt: int, ending: Exit, chance: float) -> Verdict:
    """The verdict over one attempt; `chance` in [0, 1) is the jitter's draw."""
    if ending.error == VOID or _was_withdrawn(ending):
        return Verdict(outcome=Outcome.NOT_STARTED, void=True)
    outcome = outcome_of(ending, job.success_codes)
    if outcome is Outcome.LOST and job.delivery is Delivery.AT_LEAST_ONCE:
        return Verdict(outcome=outcome, wait_us=0)
    if _is_retried(job, outcome, ending) and attempt <= job.retry.most:
        delay_us = job.retry.delay_us(attempt, chance)
        return Verdict(outcome=outcome, wait_us=delay_us)
    return Verdict(outcome=outcome)


def _is_retried(job: Job, outcome: Outcome, ending: Exit) -> bool:
    """Any failure; where the job names exit codes, only these."""
    if job.retry_on is None:
        return outcome in _RETRIED
    return outcome is Outcome.FAILED and ending.exit_code in job.retry_on


def outcome_of(ending: Exit, success: Container[int] = SUCCESS_CODES) -> Outcome:
    """How an attempt ended, in one word."""
    if ending.killed_by:
        return _KILLED[ending.killed_by]
    if ending.error == LOCK_LOST:
        return Outcome.FAILED
    if ending.error:
        return Outcome.SKIPPED if ending.error == SKIPPED else Outcome.NOT_STARTED
    return Outcome.SUCCEEDED if ending.exit_code in success else Outcome.FAILED


def _was_withdrawn(ending: Exit) -> bool:
    """The supervisor ended with the order still in its hands: it knows that nothing ran."""
    ended_with_it = ending.killed_by in {"gone", "shutdown"}
    return ended_with_it and ending.started_us is None and not ending.error


LOST = "lost"


def lost_exit(started_us: int | None, ended_us: int, text: str) -> Exit:
    """The ending of an attempt whose processes are proven gone and whose exit nobody saw."""
    return Exit(
        started_us=started_us,
        ended_us=ended_us,
        killed_by="gone",
        error=LOST,
        error_text=text,
    )
