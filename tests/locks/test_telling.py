"""The log levels of row D2.5: none, abandoned, verbose."""

import pytest

from cronherd.domain.lock import LogLevel
from cronherd.locks.base import Held, Hold, Holder
from cronherd.locks.telling import ABANDONED_US, ToldLock


class FakeHeld:
    shared = False
    fence = 7

    def __init__(self, *, ours: bool) -> None:
        self._ours = ours

    def renew(self) -> bool:
        return self._ours

    def release(self, *, gap_us: int = 0) -> bool:
        return self._ours


class FakeLock:
    name = "report"
    expiry_us = None

    def __init__(self, held_us: int | None = None, *, ours: bool = True) -> None:
        self.held_us = held_us
        self._ours = ours

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> Held | None:
        return FakeHeld(ours=self._ours) if self.held_us is None or wait_us is None else None

    def holder(self) -> Holder | None:
        return None if self.held_us is None else Holder(who="web1:42", held_us=self.held_us)

    def holds(self) -> list[Hold]:
        return []

    def clear(self, actor: str) -> list[Hold]:
        return []

    def close(self) -> None: ...


def said(level: LogLevel, lock: FakeLock, wait_us: int | None = 0) -> list[str]:
    sentences: list[str] = []
    held = ToldLock(lock, level, sentences.append).acquire(wait_us=wait_us)
    if held is not None:
        held.release()
    return sentences


ABANDONED = "lock 'report' looks abandoned: web1:42 has held it for 10m"
LEVELS = [
    (LogLevel.NONE, None, []),
    (LogLevel.NONE, ABANDONED_US, []),
    (LogLevel.ABANDONED, None, []),
    (LogLevel.ABANDONED, ABANDONED_US - 1, []),
    (LogLevel.ABANDONED, ABANDONED_US, [ABANDONED]),
    (
        LogLevel.VERBOSE,
        None,
        ["lock 'report' is asked for", "lock 'report' is ours", "lock 'report' is released"],
    ),
    (LogLevel.VERBOSE, 1, ["lock 'report' is asked for", "lock 'report' is held by web1:42"]),
    (LogLevel.VERBOSE, ABANDONED_US, ["lock 'report' is asked for", ABANDONED]),
]


@pytest.mark.parametrize(("level", "held_us", "sentences"), LEVELS)
def test_a_lock_says_what_its_level_asks_for_d2_5(
    level: LogLevel, held_us: int | None, sentences: list[str]
):
    assert said(level, FakeLock(held_us)) == sentences


def test_a_wait_is_told_when_it_begins_d2_5():
    assert said(LogLevel.ABANDONED, FakeLock(ABANDONED_US), None) == [ABANDONED]


def test_a_release_of_what_was_lost_is_told_d2_5():
    assert said(LogLevel.VERBOSE, FakeLock(ours=False))[-1] == (
        "lock 'report' was not ours any more"
    )
