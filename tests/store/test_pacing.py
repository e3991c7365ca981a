"""Runs that make up for the past begin at the rate that is set, in their order, fleet-wide."""

from typing import Any

import pytest

from cronherd.domain.rate import Rate, parse_rate
from cronherd.store.pacing import PACED, Pace
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US
JOBS = 12


def paced(stage: Stage, **rates: Rate) -> Stage:
    """The same store, by a node that was told these rates."""
    return stage.on(SqlStore(stage.store.db, stage.new_id, Pace(**rates)))


def absent(stage: Stage, **spec: Any) -> None:
    """Jobs that each missed one slot which they catch up."""
    for number in range(JOBS):
        stage.job(f"job{number:02}", "every 1h", catchup="latest", catchup_window="1d", **spec)
    stage.advance(3600 + 120)
    stage.fire_all()


def started(stage: Stage, seconds: float) -> int:
    """How many begin in so much time, looked at each second as nodes do."""
    count = 0
    for _ in range(int(seconds)):
        stage.advance(1)
        stage.settle()
        count += stage.finish_all()
    return count


def test_without_a_rate_all_begin_at_once(stage: Stage):
    absent(stage)
    assert stage.finish_all() == JOBS


def test_caught_up_runs_begin_at_the_rate_of_the_fleet(stage: Stage):
    slow = paced(stage, fleet=parse_rate("30/m"))
    absent(slow)
    assert {run.wait_key for run in slow.runs()} == {PACED}
    assert slow.finish_all() == 0
    assert started(slow, 10) in {5, 6}
    assert started(slow, 30) in {6, 7}
    assert {run.outcome for run in slow.runs()} == {"succeeded"}


def test_two_nodes_share_one_line(stage: Stage):
    first = paced(stage, fleet=parse_rate("30/m"))
    second = paced(stage, fleet=parse_rate("30/m"))
    absent(first)
    count = 0
    for turn in range(10):
        stage.advance(1)
        (first if turn % 2 else second).settle()
        second.settle()
        count += first.finish_all()
    assert count in {5, 6}


def test_the_rate_of_a_node_counts_for_each_that_lives(stage: Stage):
    slow = paced(stage, node=parse_rate("30/m"))
    absent(slow)
    assert started(slow, 4) in {2, 3}
    slow.join("two")
    assert started(slow, 4) in {4, 5}


def test_slots_on_time_are_not_held_up(stage: Stage):
    slow = paced(stage, fleet=parse_rate("1/h"))
    absent(slow)
    slow.job("timely", "every 60s")
    slow.after(60)
    names = [claim.job.name for claim in slow.claim()]
    assert names == ["timely"]


def test_the_slots_of_a_job_keep_their_order_and_its_limit(stage: Stage):
    slow = paced(stage, fleet=parse_rate("2/s"))
    job_id = slow.job("job", "every 60s", catchup="all", overlap="skip")
    slow.advance(600)
    slow.fire_all()
    order: list[int] = []
    for _ in range(20):
        slow.advance(1)
        slow.settle()
        claims = slow.claim()
        assert len(claims) <= 1
        order += [claim.slot_us or 0 for claim in claims]
        slow.start(*claims)
        slow.end(*claims)
    assert len(order) == 8  # the last two were on time, and refused by what was in line
    assert order == sorted(order)
    assert {run.outcome for run in slow.runs(job_id)} == {"succeeded"}


def test_backfilled_runs_are_paced_too(stage: Stage):
    job_id = stage.job("job", "every 60s", catchup="none", overlap="allow")
    stage.after(600)
    stage.finish_all()
    (skip, *_) = stage.skips(job_id)
    slow = paced(stage, fleet=parse_rate("1/s"))
    slots = range(skip.from_us, skip.to_us + 1, MINUTE_US)
    slow.store.backfill(job_id, [(slow.new_id(), slot_us) for slot_us in slots], "ann")
    assert slow.finish_all() == 0
    assert started(slow, 4) in {4, 5}


def test_what_is_in_line_goes_on_when_the_rate_is_taken_away(stage: Stage):
    slow = paced(stage, fleet=parse_rate("1/h"))
    absent(slow)
    stage.settle()
    assert stage.finish_all() == JOBS


@pytest.mark.parametrize("change", ["cancel", "pause", "delete"])
def test_people_reach_what_is_in_line(stage: Stage, change: str):
    slow = paced(stage, fleet=parse_rate("1/h"))
    job_id = slow.job("job", "every 1h", catchup="latest", catchup_window="1d")
    slow.advance(3600 + 120)
    slow.fire_all()
    (run,) = slow.runs(job_id)
    if change == "cancel":
        slow.store.cancel_run(run.id)
    elif change == "pause":
        slow.pause(job_id)
    else:
        slow.delete(job_id)
    started(slow, 3)
    (run,) = slow.runs(job_id)
    wanted = "held" if change == "pause" else "cancelled"
    assert (run.outcome or run.state) == wanted
