"""D3.1 and D3.2: when the next command starts, in a clock of our own and with seeded chance."""

from itertools import pairwise
from random import Random

import pytest

from cronherd.domain.errors import Invalid
from cronherd.tools.pace import Bounds, Pace, draw

S = 1_000_000


def bounds(least: int, most: int, from_s: float, to_s: float) -> Bounds:
    return Bounds(least=least, most=most, from_us=round(from_s * S), to_us=round(to_s * S))


def starts(
    limits: Bounds, *, seed: int, lasts_us: int, until_us: int, fails: bool = False
) -> list[int]:
    """Instants of the starts, when each command takes so long; -1 is for ever."""
    pace = Pace(limits, Random(seed).randint, 0)
    now_us, running, found = 0, list[int](), list[int]()
    while True:
        start_us = pace.next_us(len(running))
        end_us = min(running, default=None) if lasts_us >= 0 else None
        if start_us is not None and (end_us is None or start_us < end_us):
            now_us = max(now_us, start_us)
        elif end_us is not None:
            now_us = max(now_us, end_us)
            running.remove(end_us)
            if fails:
                pace.failed(now_us)
            continue
        else:
            return found
        if now_us >= until_us:
            return found
        pace.started(now_us)
        found.append(now_us)
        running.append(now_us + lasts_us)
        assert len(running) <= limits.most


def gaps(found: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(found)]


def test_a_program_that_ends_at_once_starts_at_most_once_a_second():
    """D3.1, D3.2: `1 3 1 5 true` once started 11,904 times in 14 s."""
    found = starts(bounds(1, 3, 1, 5), seed=1, lasts_us=0, until_us=14 * S)
    assert found == [second * S for second in range(14)]


def test_the_interval_is_kept_and_drawn_anew_each_time():
    """D3.1: within FROM and TO, spread evenly; not a drift that happens to move."""
    found = gaps(starts(bounds(0, 4, 300, 900), seed=7, lasts_us=S, until_us=3_000_000 * S))
    assert len(found) > 4_000
    assert min(found) >= 300 * S
    assert max(found) <= 900 * S
    tenths = [sum(at * 60 <= gap / S - 300 < (at + 1) * 60 for gap in found) for at in range(10)]
    assert min(tenths) > 0.8 * len(found) / 10
    assert max(tenths) < 1.2 * len(found) / 10
    after = sum((a - 600 * S) * (b - 600 * S) for a, b in pairwise(found)) / len(found)
    assert abs(after) < 0.05 * (300 * S) ** 2  # one gap tells nothing of the next


def test_ten_minutes_or_so_spreads_over_hosts_that_begin_together():
    """D3.1: `0 4 600 600` on 2,000 hosts at once: each keeps its 600 s, together they are even."""
    every = [
        starts(bounds(0, 4, 600, 600), seed=seed, lasts_us=S, until_us=3_000 * S)
        for seed in range(2_000)
    ]
    assert {gap for found in every for gap in gaps(found)} == {600 * S}
    tenths = [sum(at * 60 <= found[0] / S < (at + 1) * 60 for found in every) for at in range(10)]
    assert min(tenths) > 140
    assert max(tenths) < 260


def test_those_that_hang_stop_the_pace_only_at_the_limit():
    """D3.1: never more than MAX; below it a hung one stops nothing."""
    found = starts(bounds(1, 5, 1, 3), seed=3, lasts_us=-1, until_us=1_000 * S)
    assert len(found) == 5
    assert found[0] == 0
    assert found[-1] <= 4 * 3 * S


def test_below_the_least_it_starts_as_fast_as_it_may():
    """D3.1: MIN are kept running."""
    found = starts(bounds(4, 9, 2, 60), seed=3, lasts_us=3_600 * S, until_us=9 * S)
    assert found == [0, 2 * S, 4 * S, 6 * S]


def test_a_failure_makes_the_next_start_wait():
    """D3.1: TO, also below MIN."""
    found = starts(bounds(1, 3, 1, 5), seed=1, lasts_us=0, until_us=30 * S, fails=True)
    assert gaps(found) == [5 * S] * 5


def test_suspended_and_ending_start_nothing():
    pace = Pace(bounds(1, 3, 1, 5), Random(1).randint, 0)
    assert pace.next_us(0) == 0
    pace.suspended = True
    assert pace.next_us(0) is None
    pace.suspended = False
    pace.ending = True
    assert pace.next_us(0) is None


@pytest.mark.parametrize(
    "wrong", [(0, 0, 1, 1), (2, 1, 1, 1), (-1, 1, 1, 1), (0, 1, 2, 1), (0, 1, 0, 1)]
)
def test_bounds_that_make_no_sense_are_refused(wrong: tuple[int, int, int, int]):
    with pytest.raises(Invalid):
        bounds(*wrong)


def test_the_kernels_chance_stays_within():
    assert {draw(3, 5) for _ in range(200)} == {3, 4, 5}
    assert draw(4, 4) == 4
