"""judge: what an ending means. Every row of the table."""

import pytest

from cronherd.domain.job import Job, build_job
from cronherd.domain.judge import Verdict, judge, lost_exit, outcome_of
from cronherd.domain.run import Exit, Outcome

END_US = 1_000_000_000
SECOND_US = 1_000_000


def job_of(**spec: object) -> Job:
    return build_job({"name": "job", "command": "true", **spec})


def exit_of(**seen: object) -> Exit:
    return Exit(started_us=1, ended_us=END_US, **seen)  # type: ignore[arg-type]


ENDINGS: list[tuple[dict[str, object], Outcome, bool]] = [
    ({"exit_code": 0}, Outcome.SUCCEEDED, False),
    ({"exit_code": 1}, Outcome.FAILED, True),
    ({"exit_code": 255}, Outcome.FAILED, True),
    ({"exit_code": None, "signal": 9}, Outcome.FAILED, True),
    ({"exit_code": None, "signal": 15, "killed_by": "timeout"}, Outcome.TIMED_OUT, True),
    ({"exit_code": 0, "killed_by": "timeout"}, Outcome.TIMED_OUT, True),
    ({"exit_code": None, "killed_by": "cancel"}, Outcome.CANCELLED, False),
    ({"exit_code": 0, "killed_by": "cancel"}, Outcome.CANCELLED, False),
    ({"exit_code": None, "killed_by": "shutdown"}, Outcome.CANCELLED, False),
    ({"exit_code": None, "killed_by": "gone"}, Outcome.LOST, False),
    ({"exit_code": None, "error": "no_command"}, Outcome.NOT_STARTED, True),
    ({"exit_code": None, "error": "lost", "killed_by": "gone"}, Outcome.LOST, False),
]


@pytest.mark.parametrize(("seen", "outcome", "tried_again"), ENDINGS)
def test_an_ending_has_one_outcome_and_some_are_tried_again(
    seen: dict[str, object], outcome: Outcome, *, tried_again: bool
):
    end = exit_of(**seen)
    assert outcome_of(end) is outcome
    assert judge(job_of(), 1, end, 0.5) == Verdict(outcome=outcome)
    patient = job_of(retries={"max": 2, "backoff": "10s", "jitter": 0})
    wait_us = 10 * SECOND_US if tried_again else None
    assert judge(patient, 1, end, 0.5) == Verdict(outcome=outcome, wait_us=wait_us)


def test_attempts_end_after_the_last_retry():
    job = job_of(retries={"max": 2, "backoff": "10s", "jitter": 0})
    waits = [judge(job, attempt, exit_of(exit_code=1), 0.5).wait_us for attempt in (1, 2, 3)]
    assert waits == [10 * SECOND_US, 20 * SECOND_US, None]


@pytest.mark.parametrize("attempt", [1, 2, 99])
def test_a_lost_attempt_of_an_at_least_once_job_goes_on_at_once(attempt: int):
    verdict = judge(job_of(delivery="at_least_once"), attempt, lost_exit(1, END_US, "gone"), 0.5)
    assert verdict == Verdict(outcome=Outcome.LOST, wait_us=0)


def test_at_least_once_tries_nothing_else_again():
    job = job_of(delivery="at_least_once")
    for seen, outcome, _ in ENDINGS:
        if outcome is not Outcome.LOST:
            assert judge(job, 1, exit_of(**seen), 0.5).wait_us is None


@pytest.mark.parametrize("attempt", [1, 5])
def test_a_void_claim_is_no_attempt(attempt: int):
    verdict = judge(job_of(retries=3), attempt, exit_of(exit_code=None, error="void"), 0.5)
    assert verdict == Verdict(outcome=Outcome.NOT_STARTED, void=True)


def test_an_ending_nobody_saw_is_lost_and_says_why():
    end = lost_exit(None, END_US, "its host was restarted")
    assert outcome_of(end) is Outcome.LOST
    assert (end.started_us, end.exit_code, end.error_text) == (None, None, "its host was restarted")


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8), (0.5, 10), (0.75, 11)])
def test_the_draw_varies_the_wait(chance: float, seconds: int):
    job = job_of(retries={"max": 1, "backoff": "10s", "jitter": "20%"})
    wait_us = judge(job, 1, exit_of(exit_code=1), chance).wait_us
    assert wait_us == seconds * SECOND_US


CODES: list[tuple[list[int], int, Outcome]] = [
    ([0], 0, Outcome.SUCCEEDED),
    ([0], 1, Outcome.FAILED),
    ([0, 24], 24, Outcome.SUCCEEDED),
    ([0, 24], 0, Outcome.SUCCEEDED),
    ([0, 24], 1, Outcome.FAILED),
    ([1], 0, Outcome.FAILED),
    ([1], 1, Outcome.SUCCEEDED),
]


@pytest.mark.parametrize(("codes", "code", "outcome"), CODES)
def test_the_job_says_which_exit_codes_mean_success(codes: list[int], code: int, outcome: Outcome):
    job = job_of(success_codes=codes, retries={"max": 1, "backoff": "10s", "jitter": 0})
    verdict = judge(job, 1, exit_of(exit_code=code), 0.5)
    wait_us = 10 * SECOND_US if outcome is Outcome.FAILED else None
    assert verdict == Verdict(outcome=outcome, wait_us=wait_us)


@pytest.mark.parametrize(
    "seen",
    [
        {"exit_code": 0, "killed_by": "timeout"},
        {"exit_code": 0, "killed_by": "cancel"},
        {"exit_code": 0, "error": "not_found"},
        {"exit_code": None, "signal": 9},
    ],
)
def test_a_good_code_does_not_excuse_what_ended_otherwise(seen: dict[str, object]):
    verdict = judge(job_of(success_codes=[0, 9]), 1, exit_of(**seen), 0.5)
    assert verdict.outcome != Outcome.SUCCEEDED


RETRIED: list[tuple[dict[str, object], bool]] = [
    ({"exit_code": 75}, True),
    ({"exit_code": 69}, True),
    ({"exit_code": 1}, False),
    ({"exit_code": None, "signal": 9}, False),
    ({"exit_code": 75, "killed_by": "timeout"}, False),
    ({"exit_code": 75, "error": "not_found"}, False),
    ({"exit_code": 75, "killed_by": "cancel"}, False),
]


@pytest.mark.parametrize(("seen", "tried_again"), RETRIED)
def test_a_job_that_names_exit_codes_tries_only_these_again(
    seen: dict[str, object], *, tried_again: bool
):
    job = job_of(retry_on=[69, 75], retries={"max": 1, "backoff": "10s", "jitter": 0})
    wait_us = 10 * SECOND_US if tried_again else None
    assert judge(job, 1, exit_of(**seen), 0.5).wait_us == wait_us
    assert judge(job, 2, exit_of(**seen), 0.5).wait_us is None


def test_codes_to_try_again_change_nothing_about_a_loss_that_may_be_repeated():
    job = job_of(retry_on=[75], delivery="at_least_once")
    assert judge(job, 1, lost_exit(1, END_US, "gone"), 0.5).wait_us == 0
