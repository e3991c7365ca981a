"""The recount and the planner's evaluator say the same, though they share no search."""

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, HOUR_US, MINUTE_US, from_datetime
from cronherd.domain.job import build_job
from cronherd.domain.timing.recount import recount
from cronherd.domain.timing.rule import Schedule

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
RULES: list[object] = [
    "*/7 * * * *",
    "30 2 * * *",
    "0,30 1-3 * * *",
    "15 */2 * * MON",
    "0 0 L * *",
    "0 12 LW * *",
    "0 9 15W * *",
    "0 9 * * MON#2",
    "45 23 * * 5L",
    "0 0 13 * FRI",
    "5 4 1-7 * */2",
    {"cron": "*/20 30 2 * * *", "seconds": "first"},
    "every 90m",
    "every 1h phase 25m",
    ["every 45m", "10 * * * *"],
    "oncalendar Mon..Fri 09:00",
]
AROUND: list[dict[str, object]] = [
    {},
    {"window": "23:00-04:00"},
    {"window": ["Mon-Fri 08:00-18:00", "Sat 09:00-12:00"]},
    {"excluding": ["Sat-Sun", "02:00-02:45"]},
    {"excluding": {"holidays": "DE"}},
    {"excluding": {"cron": "* 3 * * *"}, "start": "2027-03-20", "end": "2027-04-03 12:00"},
    {"dst_gap": "skip", "dst_fold": "both"},
]
# Around the changes of spring and autumn, and a plain stretch over a month's end.
STARTS = [(2027, 3, 12), (2027, 3, 26), (2027, 4, 2), (2027, 10, 29), (2027, 1, 29)]


def stepped(schedule: Schedule, after_us: int, until_us: int) -> list[int]:
    found = []
    slot_us = schedule.next_after(after_us)
    while slot_us is not None and slot_us <= until_us:
        found.append(slot_us)
        slot_us = schedule.next_after(slot_us)
    return found


def schedule_of(spec: dict[str, object]) -> Schedule | None:
    """None where what is around a rule leaves nothing of it."""
    try:
        return build_job(spec).schedule
    except Invalid as refused:
        if refused.code != "never_fires":
            raise
        return None


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("around", AROUND, ids=str)
def test_the_recount_finds_the_slots_that_the_planner_steps_through(
    zone: str, around: dict[str, object]
):
    pick = random.Random(f"{zone} {around}")
    for rule in RULES:
        spec = {"name": "job", "command": "true", "schedule": rule, "timezone": zone, **around}
        schedule = schedule_of(spec)
        if schedule is None:
            continue
        for start in pick.sample(STARTS, 1):
            midnight_us = from_datetime(datetime(*start, tzinfo=ZoneInfo(zone)))
            after_us = midnight_us + pick.randrange(24) * HOUR_US + pick.randrange(60) * MINUTE_US
            until_us = after_us + 4 * DAY_US
            found = recount(schedule, after_us, until_us)
            assert found.slots == stepped(schedule, after_us, until_us), f"{rule} from {start}"
            left_out = schedule.excluded_between(after_us, until_us, 100_000)
            assert found.excluded == [slot_us for slot_us, _ in left_out], f"{rule} from {start}"


def test_the_stretch_begins_behind_its_first_instant_and_holds_its_last():
    schedule = build_job({"name": "a", "command": "true", "schedule": "every 60s"}).schedule
    assert schedule is not None
    assert recount(schedule, 0, 3 * MINUTE_US).slots == [MINUTE_US, 2 * MINUTE_US, 3 * MINUTE_US]
