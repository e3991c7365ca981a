"""A loop goes on whatever its tick does, sleeps as it says, and can be woken and stopped."""

import threading

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.engine.loop import LONGEST_BACKOFF_S, Ticker


def test_an_error_backs_off_and_never_ends_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = [Unavailable("the disk is full"), ValueError("a bug")]

    def tick() -> float:
        if faults:
            raise faults.pop(0)
        return 7.0

    ticker = Ticker("example", tick, FakeClock())
    assert [ticker.tick() for _ in range(3)] == [0.25, 0.5, 7.0]
    assert ticker.tick() == 7.0
    assert "the disk is full" in caplog.text
    assert "ValueError: a bug" in caplog.text


def test_the_back_off_has_an_end_and_begins_anew_after_a_good_tick() -> None:
    state = {"broken": True}

    def tick() -> float:
        if state["broken"]:
            raise Unavailable("no")
        return 0.0

    ticker = Ticker("example", tick, FakeClock())
    assert [ticker.tick() for _ in range(12)][-1] == LONGEST_BACKOFF_S
    state["broken"] = False
    ticker.tick()
    state["broken"] = True
    assert ticker.tick() == 0.25


def test_a_wake_cuts_a_sleep_short_and_a_stop_ends_it() -> None:
    ticked = threading.Semaphore(0)

    def tick() -> float:
        ticked.release()
        return 3600.0

    ticker = Ticker("example", tick, SystemClock())
    ticker.start()
    assert ticked.acquire(timeout=5)
    ticker.wake()
    assert ticked.acquire(timeout=5)
    ticker.stop()
    assert ticker.join(5)


def test_a_wake_during_a_tick_is_not_lost() -> None:
    ticked = threading.Semaphore(0)
    inside, go_on = threading.Event(), threading.Event()

    def tick() -> float:
        ticked.release()
        inside.set()
        assert go_on.wait(5)
        return 3600.0

    ticker = Ticker("example", tick, SystemClock())
    ticker.start()
    assert ticked.acquire(timeout=5)
    assert inside.wait(5)
    ticker.wake()
    go_on.set()
    assert ticked.acquire(timeout=5)
    ticker.stop()
    assert ticker.join(5)
