"""Which part of a schedule leaves an instant out."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cronherd.domain.instant import from_datetime
from cronherd.domain.timing.frame import read_frame
from cronherd.domain.timing.misfit import Cut, is_slot, misfit
from cronherd.domain.timing.schedule import parse_schedule

BERLIN = "Europe/Berlin"


def at(text: str, *, fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold)
    return from_datetime(moment)


def rule(schedule: object, **around: Any) -> Any:
    frame = read_frame(around, BERLIN, "job")
    return parse_schedule(schedule, timezone=BERLIN, frame=frame)


# 2026-11-20 is a Friday.
CASES = [
    ("30 2 * * *", {}, "2026-11-20 02:31", Cut.FIELD, ("minute",)),
    ("30 2 * * *", {}, "2026-11-20 03:30", Cut.FIELD, ("hour",)),
    ("30 2 * * Mon", {}, "2026-11-20 04:31", Cut.FIELD, ("minute", "hour", "day of week")),
    ("30 2 1 * *", {}, "2026-11-20 02:30", Cut.FIELD, ("day of month",)),
    ("30 2 * 5 *", {}, "2026-11-20 02:30", Cut.FIELD, ("month",)),
    ("30 2 * * *", {}, "2026-11-20 02:30:05", Cut.FIELD, ("second",)),
    ("30 2 * * *", {}, "2026-11-20 02:30:00.5", Cut.FIELD, ("second",)),
    # The 13th or a Friday: neither.
    ("30 2 13 * Fri", {}, "2026-11-19 02:30", Cut.FIELD, ("day of month", "day of week")),
    ("every 10m", {}, "2026-11-20 02:31", Cut.BETWEEN, ()),
    ("at 2026-11-20 02:30", {}, "2026-11-20 02:31", Cut.DATES, ()),
    ("oncalendar Mon 09:00", {}, "2026-11-20 09:00", Cut.DATES, ()),
    ("after 5m", {}, "2026-11-20 09:00", Cut.AFTER, ()),
    ("@reboot", {}, "2026-11-20 09:00", Cut.BOOT, ()),
    # Of several the one that is nearest.
    (["0 3 1 1 *", "30 2 * * Mon"], {}, "2026-11-20 02:30", Cut.FIELD, ("day of week",)),
    (["every 7m", "30 2 * * Mon"], {}, "2026-11-20 02:30", Cut.FIELD, ("day of week",)),
    ("0 * * * *", {"window": "23:00-03:00"}, "2026-11-20 04:00", Cut.WINDOW, ("23:00-03:00",)),
    ("0 * * * *", {"excluding": "Sat-Sun"}, "2026-11-21 04:00", Cut.EXCLUDED, ("Sat,Sun",)),
    ("0 * * * *", {"excluding": {"dates": ["2026-11-20"]}}, "2026-11-20 04:00", Cut.EXCLUDED,
     ("dates 2026-11-20",)),
    ("0 * * * *", {"start": "2026-12-01"}, "2026-11-20 04:00", Cut.START,
     ("2026-11-30T23:00:00Z",)),
    ("0 * * * *", {"end": "2026-11-20 04:00"}, "2026-11-20 04:00", Cut.END,
     ("2026-11-20T03:00:00Z",)),
    # The rule itself comes before what is said around it.
    ("0 * * * *", {"window": "23:00-03:00"}, "2026-11-20 04:30", Cut.FIELD, ("minute",)),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "around", "instant", "cut", "details"), CASES)
def test_it_says_what_leaves_an_instant_out(
    schedule: object, around: dict[str, Any], instant: str, cut: Cut, details: tuple[str, ...]
):
    known = rule(schedule, **around)
    at_us = at(instant)
    assert not is_slot(known, at_us)
    found = misfit(known, at_us)
    assert (found.cut, found.details) == (cut, details)


def test_a_time_that_comes_twice_is_a_slot_once():
    known = rule("30 2 * * *")
    first, second = (at("2026-10-25 02:30", fold=fold) for fold in (0, 1))
    assert is_slot(known, first)
    assert not is_slot(known, second)
    found = misfit(known, second)
    assert (found.cut, found.details) == (Cut.CLOCK, ("02:30",))
    assert is_slot(rule("30 2 * * *", dst_fold="both"), second)


def test_what_counts_from_an_end_names_no_instant():
    known = rule("after 5m")
    assert not is_slot(known, (known.next_after(0) or 0))
