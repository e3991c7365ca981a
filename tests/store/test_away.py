"""A fleet that was away for ten days: each catch-up policy, and an account without a hole."""

from itertools import product
from typing import Any

import pytest

from cronherd.domain.run import Cause
from tests.store.stage import SECOND_US, Stage
from tests.store.test_conservation import desk_of

DAYS_10 = 10 * 86_400
SCHEDULES: dict[str, object] = {
    "minutes": "*/10 * * * *",
    "nights": {"cron": "30 2 * * *"},
    "hours": ["every 1h phase 10m", "15 */2 * * MON-FRI"],
}
AROUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "framed": {"window": "Mon-Fri 01:00-22:00", "excluding": ["Sat-Sun", "12:00-13:00"]},
}
CATCHUPS: dict[str, dict[str, Any]] = {
    "none": {"catchup": "none"},
    "latest": {"catchup": "latest", "catchup_window": "20d"},
    "all": {"catchup": "all", "catchup_window": "3d", "catchup_max": 50},
}


@pytest.mark.parametrize("zone", ["Europe/Berlin"])
def test_every_slot_of_ten_days_is_accounted_for(stage: Stage, zone: str):
    names: dict[str, str] = {}
    for schedule, around, catchup in product(SCHEDULES, AROUND, CATCHUPS):
        name = f"{schedule} {around} {catchup}"
        names[name] = stage.job(
            name,
            SCHEDULES[schedule],
            timezone=zone,
            overlap="queue",
            **AROUND[around],
            **CATCHUPS[catchup],
        )
    stage.advance(DAYS_10)
    stage.fire_all(2_000)
    for _ in range(60):
        stage.finish_all()
        stage.settle()
    desk = desk_of(stage)
    for name, job_id in names.items():
        (found,) = desk.audit(name, start="2027-01-01", end="2027-12-31")["items"]
        assert found["sound"], found
        assert found["slots"] >= 6, name
        caught = [run for run in stage.runs(job_id) if run.cause is Cause.CATCHUP]
        if name.endswith("none"):
            assert caught == []
        elif name.endswith("latest"):
            assert len(caught) <= 1
        else:
            oldest_us = stage.now_us - 3 * 86_400 * SECOND_US
            assert 1 <= len(caught) <= 50
            assert all((run.scheduled_us or 0) >= oldest_us for run in caught)
        assert found["ran"] >= len(caught)


def test_the_latest_of_ten_days_runs_even_when_it_is_days_old(stage: Stage):
    job_id = stage.job("old", "30 2 * * MON", catchup="latest", catchup_window="20d")
    stage.after(DAYS_10)
    (run,) = stage.runs(job_id)
    assert run.cause is Cause.CATCHUP
    assert sum(skip.count for skip in stage.skips(job_id)) <= 1
