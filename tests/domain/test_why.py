"""What became of an instant: a table of facts and verdicts."""

from dataclasses import replace
from typing import Any

import pytest

from cronherd.domain.instant import HOUR_US, MINUTE_US, SECOND_US
from cronherd.domain.job import Job, build_job
from cronherd.domain.planner import Skip
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Cause, Outcome, Reason, Run, RunState
from cronherd.domain.why import (
    ANSWER_WORDS,
    BECAUSE_WORDS,
    Answer,
    Because,
    Facts,
    how_late,
    judge_instant,
    left_out,
)

NOW_US = 1_795_255_200 * SECOND_US  # 2026-11-21T10:00:00Z
PAST_US, TO_COME_US = NOW_US - 2 * HOUR_US, NOW_US + 2 * HOUR_US


def job(**spec: Any) -> Job:
    return build_job({"name": "job", "command": "true", "schedule": "0 * * * *", **spec})


def facts(at_us: int = PAST_US, **given: Any) -> Facts:
    """An hourly job that is decided up to now."""
    plain = Facts(
        at_us=at_us,
        now_us=NOW_US,
        job=job(),
        created_us=NOW_US - 100 * HOUR_US,
        next_us=NOW_US + HOUR_US,
        watermark_us=NOW_US,
        last_slot_us=NOW_US,
    )
    return replace(plain, **given)


def run(state: RunState = RunState.FINISHED, **given: Any) -> Run:
    ended = state is RunState.FINISHED
    plain = Run(
        id="a" * 32, job_id="j" * 32, job_name="job", cause=Cause.SCHEDULE, state=state,
        outcome=Outcome.SUCCEEDED if ended else None, scheduled_us=PAST_US, created_us=PAST_US,
        started_us=PAST_US if ended or state is RunState.RUNNING else None,
        ended_us=PAST_US + 1 if ended else None, attempt=1, fence=1, node="web-1",
    )  # fmt: skip
    return replace(plain, **given)


def row(reason: Reason, from_us: int = PAST_US, to_us: int = PAST_US) -> Skip:
    return Skip(from_us=from_us, to_us=to_us, count=1, reason=reason)


OPEN = {"watermark_us": PAST_US - HOUR_US, "last_slot_us": PAST_US - HOUR_US}  # not decided yet
LIVE = RunState.WAITING
RANGE = row(Reason.PAUSED, PAST_US - HOUR_US, PAST_US + HOUR_US)
BACKFILL = run(cause=Cause.BACKFILL)
SAT = {"excluding": "Sat"}  # as is the 21st of November 2026
ONCE = job(max_runs=1)

CASES: list[tuple[str, Facts, Answer, str]] = [
    ("it ran", facts(runs=(run(),)), Answer.RAN, ""),
    ("it failed", facts(runs=(run(outcome=Outcome.FAILED),)), Answer.RAN, ""),
    ("it runs", facts(runs=(run(RunState.RUNNING),)), Answer.RAN, ""),
    ("it is being started", facts(runs=(run(RunState.CLAIMED),)), Answer.RAN, ""),
    ("skipped by a hook", facts(runs=(run(started_us=PAST_US, outcome=Outcome.SKIPPED),)),
     Answer.MISSED, "skipped"),
    ("not started", facts(runs=(run(started_us=None, outcome=Outcome.NOT_STARTED),)),
     Answer.MISSED, "not_started"),
    ("cancelled first", facts(runs=(run(started_us=None, outcome=Outcome.CANCELLED),)),
     Answer.MISSED, "cancelled"),
    ("waits", facts(runs=(run(LIVE, wait_key="jx"),)), Answer.WAITING, "permit"),
    ("no node", facts(runs=(run(LIVE, wait_key="@gpu=yes"),)), Answer.WAITING, "no_node"),
    ("a pool", facts(runs=(run(LIVE, wait_key="pdb"),)), Answer.WAITING, "pool"),
    ("rolling", facts(runs=(run(LIVE, wait_key="rx"),)), Answer.WAITING, "rolling"),
    ("at a rate", facts(runs=(run(LIVE, wait_key="~pace"),)), Answer.WAITING, "rate"),
    ("ready", facts(runs=(run(RunState.READY),)), Answer.WAITING, "node"),
    ("retries", facts(runs=(run(RunState.DELAYED),)), Answer.WAITING, "retry"),
    ("held", facts(runs=(run(RunState.HELD),)), Answer.WAITING, "held"),
    ("a hold", facts(runs=(run(RunState.READY),), hold=True), Answer.WAITING, "hold"),
    ("missed", facts(rows=(row(Reason.OVERLAP),)), Answer.MISSED, "overlap"),
    ("in a range", facts(rows=(RANGE,)), Answer.MISSED, "paused"),
    ("a range over no slot", facts(PAST_US + MINUTE_US, rows=(RANGE,)), Answer.NO_SLOT, "field"),
    ("the narrowest row", facts(rows=(RANGE, row(Reason.EDITED))), Answer.MISSED, "edited"),
    ("a row of an older schedule", facts(job=job(schedule="7 * * * *"), rows=(row(Reason.EDITED),)),
     Answer.MISSED, "edited"),
    ("backfilled beside its row", facts(rows=(row(Reason.OVERLAP),), runs=(BACKFILL,)),
     Answer.MISSED, "overlap"),
    ("backfilled, the row is gone", facts(runs=(BACKFILL,), forgotten_us=PAST_US), Answer.RAN, ""),
    ("a range over one that ran", facts(rows=(RANGE,), runs=(run(),)), Answer.RAN, ""),
    ("late agents", facts(**OPEN), Answer.DUE, "late"),
    ("nobody", facts(**OPEN, alive=False), Answer.DUE, "no_agent"),
    ("maintenance", facts(**OPEN, hold=True, alive=False), Answer.DUE, "hold"),
    ("poisoned", facts(**OPEN, poison="bad"), Answer.DUE, "poisoned"),
    ("paused, not recorded", facts(**OPEN, paused_until_us=FOREVER_US), Answer.MISSED, "paused"),
    ("disabled, not recorded", facts(**OPEN, enabled=False), Answer.MISSED, "disabled"),
    ("to be skipped, due", facts(**OPEN, skip_us=PAST_US), Answer.MISSED, "skipped"),
    ("to come", facts(TO_COME_US), Answer.WILL_RUN, ""),
    ("paused then", facts(TO_COME_US, paused_until_us=FOREVER_US), Answer.WILL_NOT_RUN, "paused"),
    ("the pause ends", facts(TO_COME_US, paused_until_us=TO_COME_US), Answer.WILL_RUN, ""),
    ("disabled then", facts(TO_COME_US, enabled=False), Answer.WILL_NOT_RUN, "disabled"),
    ("skipped then", facts(TO_COME_US, skip_us=TO_COME_US), Answer.WILL_NOT_RUN, "skipped"),
    ("behind the skipped", facts(TO_COME_US, skip_us=TO_COME_US - 1), Answer.WILL_RUN, ""),
    ("behind the last", facts(TO_COME_US, job=ONCE), Answer.WILL_NOT_RUN, "over"),
    ("the last", facts(TO_COME_US - HOUR_US, job=ONCE), Answer.WILL_RUN, ""),
    ("the first is skipped", facts(TO_COME_US, job=ONCE, skip_us=TO_COME_US - HOUR_US),
     Answer.WILL_RUN, ""),
    ("over", facts(PAST_US, job=ONCE, fired=1, last_slot_us=PAST_US - 9 * HOUR_US),
     Answer.NO_SLOT, "over"),
    ("no slot", facts(PAST_US + 1), Answer.NO_SLOT, "field"),
    ("left out", facts(job=job(**SAT)), Answer.NO_SLOT, "excluded"),
    ("no schedule", facts(job=job(schedule=None)), Answer.NO_SLOT, "no_schedule"),
    ("from an end", facts(job=job(schedule="after 5m")), Answer.NO_SLOT, "after"),
    ("the next from an end", facts(TO_COME_US, job=job(schedule="after 5m"), next_us=TO_COME_US),
     Answer.WILL_RUN, ""),
    ("before the job", facts(job=None), Answer.UNKNOWN, "before_job"),
    ("between two lives", facts(created_us=NOW_US - HOUR_US), Answer.UNKNOWN, "before_job"),
    ("unreadable", facts(job=None, unreadable=True), Answer.UNKNOWN, "unreadable"),
    ("pruned", facts(forgotten_us=PAST_US), Answer.UNKNOWN, "forgotten"),
    ("just not pruned", facts(forgotten_us=PAST_US - 1), Answer.UNKNOWN, "unexplained"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "answer", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_it_judges(given: Facts, answer: Answer, reason: str):
    verdict = judge_instant(given)
    assert (verdict.answer, str(verdict.reason)) == (answer, reason)


def test_every_word_of_a_verdict_is_in_the_table_and_explained():
    seen = {str(judge_instant(given).reason) for _, given, _, _ in CASES}
    jitter = judge_instant(facts(**OPEN, job=job(jitter="50m"), now_us=PAST_US))
    assert (jitter.answer, jitter.reason) == (Answer.DUE, Because.JITTER)
    assert set(Because) - {Because.JITTER} <= seen
    assert set(BECAUSE_WORDS) == set(Because)
    assert set(ANSWER_WORDS) == {case[2] for case in CASES} == set(Answer)


def test_a_verdict_names_the_row_it_goes_by():
    told = row(Reason.EXCLUDED)
    assert judge_instant(facts(job=job(**SAT), rows=(told,))).row == told
    assert judge_instant(facts(rows=(told, RANGE))).row == RANGE


@pytest.mark.parametrize(
    ("given", "spec", "before", "causes"),
    [
        ({"started_us": PAST_US + SECOND_US - 1}, {}, None, []),
        ({"started_us": None}, {}, None, []),
        ({"scheduled_us": None}, {}, None, []),
        ({}, {}, None, []),
        ({"cause": Cause.CATCHUP}, {}, None, ["catchup"]),
        ({"cause": Cause.BACKFILL}, {}, None, ["backfill"]),
        ({}, {}, run(), ["permit"]),
        ({"attempt": 2}, {}, run(), ["permit", "retry"]),
        ({}, {"jitter": "50m"}, None, ["jitter"]),
    ],
)
def test_why_a_run_was_late(
    given: dict[str, Any], spec: dict[str, Any], before: Run | None, causes: list[str]
):
    late = run(started_us=PAST_US + HOUR_US)
    assert how_late(replace(late, **given), job(**spec), before) == causes


def test_slots_behind_the_last_one_are_left_out():
    hourly = job()
    assert left_out(hourly, NOW_US, NOW_US + HOUR_US, 0)
    assert not left_out(hourly, NOW_US, NOW_US + 3 * HOUR_US, 3)
    assert left_out(hourly, NOW_US, NOW_US + 4 * HOUR_US, 3)
    # Nobody counts so far: then it is not said.
    assert not left_out(job(schedule="every 1s"), NOW_US, NOW_US + 10**15, 10**9)
