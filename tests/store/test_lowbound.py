"""The low bound: a look skips what was fired long ago, and still finds what slipped past."""

import threading
from typing import Any

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.domain.ident import to_stored
from cronherd.store import claims
from cronherd.store.lowbound import FULL_EVERY_US, SHORT_US, WIDE_US, LowBound
from tests.store.stage import SECOND_US, Stage

NOW_US = 1_000 * SECOND_US


def test_the_first_look_begins_at_the_beginning():
    assert LowBound().low_us() == 0


def test_a_look_begins_a_little_before_the_oldest_that_was_due():
    bound = LowBound()
    bound.saw(None, NOW_US)
    assert bound.low_us() == 0, "the first full look is counted from here"
    bound.saw(None, NOW_US)
    assert bound.low_us() == NOW_US - SHORT_US
    bound.saw(NOW_US - 7 * SECOND_US, NOW_US + SECOND_US)
    assert bound.low_us() == NOW_US - 7 * SECOND_US - SHORT_US


def test_every_few_seconds_it_goes_back_further():
    bound = LowBound()
    wide = []
    for second in range(20):
        now_us = NOW_US + second * SECOND_US
        bound.saw(None, now_us)
        wide += [second] if bound.low_us() == now_us - WIDE_US else []
    assert wide == [5, 10, 15]


def test_a_batch_moves_it_but_never_past_what_others_may_hold():
    bound = LowBound()
    bound.saw(NOW_US, NOW_US)
    bound.low_us()
    bound.saw(NOW_US, NOW_US)
    bound.fired(NOW_US + 2 * SECOND_US, NOW_US + 3 * SECOND_US)
    assert bound.low_us() == NOW_US - SHORT_US
    bound.fired(NOW_US + 40 * SECOND_US, NOW_US + 41 * SECOND_US)
    bound.low_us()  # the full one
    bound.fired(NOW_US + 40 * SECOND_US, NOW_US + 41 * SECOND_US)
    assert bound.low_us() == NOW_US + 40 * SECOND_US - WIDE_US
    bound.fired(NOW_US + SECOND_US, NOW_US + 41 * SECOND_US)
    assert bound.low_us() == NOW_US + SECOND_US - SHORT_US


def test_what_is_due_later_does_not_move_the_bound_past_now():
    bound = LowBound()
    bound.saw(NOW_US + 60 * SECOND_US, NOW_US)
    bound.low_us()
    bound.saw(NOW_US + 60 * SECOND_US, NOW_US)
    assert bound.low_us() == NOW_US - SHORT_US


def test_now_and_then_a_look_begins_at_the_beginning():
    bound = LowBound()
    full = []
    for second in range(100):
        bound.saw(None, NOW_US + second * SECOND_US)
        full += [second] if bound.low_us() == 0 else []
    assert full == [0, 30, 60, 90]
    assert FULL_EVERY_US == 30 * SECOND_US


def test_a_look_that_failed_counts_for_nothing():
    bound = LowBound()
    bound.saw(None, NOW_US)
    assert [bound.low_us(), bound.low_us()] == [0, 0]
    bound.saw(None, NOW_US + 5 * SECOND_US)
    wide_us = NOW_US + 5 * SECOND_US - WIDE_US
    assert [bound.low_us(), bound.low_us()] == [wide_us, wide_us]
    bound.fired(None, NOW_US + 5 * SECOND_US)
    assert bound.low_us() == wide_us + WIDE_US - SHORT_US


def test_the_answer_to_another_threads_look_counts_for_that_one_alone():
    bound = LowBound()
    bound.saw(None, NOW_US)
    full = bound.low_us()
    answer = threading.Thread(target=bound.saw, args=(None, NOW_US))
    answer.start()
    answer.join()
    assert (full, bound.low_us()) == (0, 0)


def test_after_a_backward_step_everything_is_looked_at():
    bound = LowBound()
    bound.saw(None, NOW_US)
    bound.low_us()
    back_us = NOW_US - 900 * SECOND_US
    bound.saw(None, back_us)
    assert bound.low_us() == 0
    bound.saw(None, back_us + SECOND_US)
    assert bound.low_us() == back_us
    bound.saw(None, back_us + 30 * SECOND_US)
    assert bound.low_us() == 0


# ---------------------------------------------------------------- on a database


def slip(stage: Stage, job_id: str) -> None:
    """A row that was written under an older clock, long before the bound."""
    for _ in range(2):
        stage.store.look(stage.node.id, 0)
    old_us = stage.now_us - 3600 * SECOND_US
    sql = "UPDATE job_due SET next_us = ? WHERE job_id = ?"
    assert stage.write(sql, old_us, to_stored(job_id)) == 1


def test_a_row_older_than_the_bound_is_found_within_half_a_minute(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.advance(60)
    slip(stage, job_id)
    stage.fire()
    assert stage.runs(job_id) == []
    assert stage.store.look(stage.node.id, 0).next_us is None
    for _ in range(32):  # each look goes by the instant of the one before
        stage.advance(1)
        stage.fire_all()
    assert len(stage.runs(job_id)) == 1


def test_a_batch_alone_finds_it_as_well(stage: Stage):
    job_id = stage.job(schedule="every 60s")
    stage.advance(60)
    slip(stage, job_id)
    for _ in range(32):
        stage.advance(1)
        stage.fire()
    assert len(stage.runs(job_id)) == 1


def test_a_full_look_that_failed_is_made_again(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    job_id = stage.job(schedule="every 1d")
    slip(stage, job_id)
    stage.advance(31)
    stage.store.look(stage.node.id, 0)

    def fail(*_: Any) -> None:
        raise Unavailable("the database does not answer", code="database_lost")

    with monkeypatch.context() as patched:
        patched.setattr(claims, "fetch", fail)
        patched.setattr(stage.store.db.dialect, "due", fail)
        with pytest.raises(Unavailable):
            stage.store.look(stage.node.id, 0)
        with pytest.raises(Unavailable):
            stage.fire()
    assert stage.store.look(stage.node.id, 0).next_us is not None


@pytest.mark.parametrize("back", [10, 1000])
def test_a_row_that_is_due_after_a_backward_step_is_found_at_once(stage: Stage, back: int):
    stage.job("early", "every 1d")
    for _ in range(3):
        stage.after(5)
    stage.clock.step(-back)
    job_id = stage.job("late", "every 20s")
    for _ in range(3):
        stage.advance(20)
        for _ in range(2):  # the look after the step still begins where the one before ended
            stage.fire_all()
        stage.finish_all()
    assert len(stage.runs(job_id)) == 3
