"""Policies: retry delays, and the table of defaults told as the code has it."""

import pytest

from cronherd.domain.duration import format_duration
from cronherd.domain.job import build_job
from cronherd.domain.policy import DEFAULTS, Retry, default_capacity

SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (Retry(jitter=0), [30, 60, 120, 240]),
        (Retry(jitter=0, factor=1), [30, 30, 30, 30]),
        (Retry(jitter=0, factor=10, max_delay_us=100 * SECOND_US), [30, 100, 100, 100]),
        (Retry(jitter=0, backoff_us=0), [0, 0, 0, 0]),
    ],
)
def test_each_wait_is_longer_by_the_factor_up_to_the_longest(retry: Retry, seconds: list[int]):
    waits = [retry.delay_us(attempt, 0.9) for attempt in (1, 2, 3, 4)]
    assert waits == [second * SECOND_US for second in seconds]


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (0.75, 1.1)])
def test_jitter_varies_a_wait_by_its_share_at_most(chance: float, share: float):
    assert Retry(jitter=0.2).delay_us(1, chance) == round(30 * SECOND_US * share)


def test_a_wait_never_overflows():
    assert Retry(jitter=0, factor=1000.0).delay_us(10_000, 0.5) == 3600 * SECOND_US


def test_the_table_of_defaults_tells_what_the_code_does():
    told = {default.setting: default.value for default in DEFAULTS}
    plain = build_job({"name": "job", "command": "true"})
    assert told["overlap"] == plain.overlap
    assert told["max_running"] == str(plain.max_running)
    assert told["queue_max"] == str(plain.queue_max)
    assert told["catchup"] == plain.catchup.mode
    assert told["catchup_window"] == format_duration(plain.catchup.window_us)
    assert told["catchup_max"] == str(plain.catchup.most)
    assert told["on_time"] == format_duration(plain.on_time_us).replace("1m", "60s")
    assert told["grace"] == format_duration(plain.grace_us)
    assert told["retries"] == str(plain.retry.most)
    assert told["delivery"] == plain.delivery
    assert told["takeover_after"] == format_duration(plain.takeover_after_us or 0)
    assert (told["start_deadline"], plain.start_deadline_us) == ("none", None)
    assert (told["timeout"], plain.timeout_us) == ("none", None)
    assert told["retention"].startswith(format_duration(plain.retention.age_us))
    assert str(plain.retention.runs) in told["retention"]


@pytest.mark.parametrize(("processors", "capacity"), [(1, 32), (4, 32), (5, 40), (64, 512)])
def test_a_node_takes_eight_runs_for_each_processor(processors: int, capacity: int):
    assert default_capacity(processors) == capacity
