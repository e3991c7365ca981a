"""Clock changes of zones, and the way between wall time and instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.instant import DAY_US, format_instant, parse_instant
from cronherd.domain.timing.changes import (
    changes_between,
    instants_of,
    steady_at,
    wall_from,
    wall_of,
    wall_text,
    wall_to,
)

ZONES = [
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"),
    *("Africa/Casablanca", "Antarctica/Troll", "America/Santiago", "UTC"),
]


def wall(text: str) -> int:
    return wall_from(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("zone", "year", "expected"),
    [
        ("Europe/Berlin", 2027,
         ["2027-03-28T01:00:00Z 02:00 03:00", "2027-10-31T01:00:00Z 03:00 02:00"]),
        ("Australia/Lord_Howe", 2027,
         ["2027-04-03T15:00:00Z 02:00 01:30", "2027-10-02T15:30:00Z 02:00 02:30"]),
        ("Antarctica/Troll", 2027,
         ["2027-03-28T01:00:00Z 01:00 03:00", "2027-10-31T01:00:00Z 03:00 01:00"]),
        ("Pacific/Apia", 2011,
         ["2011-04-02T14:00:00Z 04:00 03:00", "2011-09-24T14:00:00Z 03:00 04:00",
          "2011-12-30T10:00:00Z 00:00 00:00"]),
        ("Africa/Casablanca", 2027,  # for the month of Ramadan
         ["2027-02-07T02:00:00Z 03:00 02:00", "2027-03-14T02:00:00Z 02:00 03:00"]),
        ("Asia/Kolkata", 2027, []),
        ("UTC", 2027, []),
    ],
)  # fmt: skip
def test_it_knows_the_changes_of_a_year(zone: str, year: int, expected: list[str]):
    found = changes_between(
        ZoneInfo(zone), parse_instant(f"{year}-01-01"), parse_instant(f"{year + 1}-01-01")
    )
    assert [
        f"{format_instant(change.at_us)} {wall_text(change.before_us)} {wall_text(change.after_us)}"
        for change in found
    ] == expected
    assert all(change.forward is (change.after_us > change.before_us) for change in found)


def test_a_change_belongs_to_what_ends_with_it():
    zone, at_us = ZoneInfo("Europe/Berlin"), parse_instant("2027-03-28 01:00")
    assert len(changes_between(zone, at_us - 1, at_us)) == 1
    assert changes_between(zone, at_us, at_us + DAY_US) == []
    assert changes_between(zone, at_us - 1, at_us - 1) == []


@pytest.mark.parametrize(
    ("text", "gap", "fold", "expected"),
    [
        ("2027-03-28 01:59", "skip", "both", ["00:59"]),
        ("2027-03-28 02:00", "after", "both", ["01:00"]),
        ("2027-03-28 02:59", "after", "first", ["01:00"]),
        ("2027-03-28 02:30", "skip", "both", []),
        ("2027-03-28 03:00", "skip", "both", ["01:00"]),
        ("2027-10-31 01:59", "after", "both", ["23:59"]),
        ("2027-10-31 02:00", "after", "both", ["00:00", "01:00"]),
        ("2027-10-31 02:59", "after", "first", ["00:59"]),
        ("2027-10-31 03:00", "after", "both", ["02:00"]),
        ("2027-07-01 12:00", "after", "both", ["10:00"]),
    ],
)
def test_a_wall_time_is_so_many_instants(text: str, gap: str, fold: str, expected: list[str]):
    found = instants_of(wall(text), ZoneInfo("Europe/Berlin"), gap=gap, fold=fold)
    assert [str(format_instant(at_us))[11:16] for at_us in found] == expected


def test_a_day_that_does_not_exist_ends_where_the_next_begins():
    found = instants_of(wall("2011-12-30 12:00"), ZoneInfo("Pacific/Apia"))
    assert [format_instant(at_us) for at_us in found] == ["2011-12-30T10:00:00Z"]


@settings(max_examples=300)
@given(
    zone=st.sampled_from(ZONES),
    second=st.integers(0, 2_500_000_000)
    | st.integers(-90_000, 90_000).map(lambda near: 1_806_195_600 + near),  # Berlin's spring
)
def test_it_shows_what_the_zone_itself_shows(zone: str, second: int):
    place = ZoneInfo(zone)
    at_us = second * 1_000_000
    shown = datetime.fromtimestamp(second, place)
    assert wall_to(wall_of(at_us, place)) == shown.replace(tzinfo=None, fold=0)
    part = steady_at(at_us, place)
    assert part.begins_us <= at_us < part.ends_us
    for edge in (part.begins_us, part.ends_us - 1):
        moment = datetime.fromtimestamp(edge // 1_000_000, UTC).astimezone(place)
        assert moment.utcoffset() == timedelta(microseconds=part.offset_us)
    assert at_us in instants_of(wall_of(at_us, place), place, fold="both")
