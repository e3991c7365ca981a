"""Windows: minutes of the local day, over midnight if need be."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import from_datetime, parse_instant
from cronherd.domain.window import parse_window

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("23:00-03:00", "23:00-03:00"),
        (" 9:05 - 17:30 ", "09:05-17:30"),
        ("00:00-24:00", "00:00-24:00"),
        ("22:00-24:00", "22:00-24:00"),
        ("23:59-00:00", "23:59-00:00"),
    ],
)
def test_it_reads_a_stretch_of_the_day(text: str, spelling: str):
    assert parse_window(text).text == spelling
    assert parse_window(spelling) == parse_window(text)


@pytest.mark.parametrize(
    "text",
    ["", "9-17", "09:00", "24:00-01:00", "09:60-10:00", "09:00-24:01", "25:00-26:00", "9:00-9:00"],
)
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(Invalid) as caught:
        parse_window(text)
    assert caught.value.code == "bad_window"


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("09:00-17:00", ["09:00", "16:59"], ["08:59", "17:00", "00:00"]),
        ("23:00-03:00", ["23:00", "23:59", "00:00", "02:59"], ["03:00", "22:59", "12:00"]),
        ("00:00-24:00", ["00:00", "23:59"], []),
        ("22:00-00:00", ["22:00", "23:59"], ["00:00", "21:59"]),
    ],
)
def test_it_opens_at_its_first_minute_and_closes_before_its_last(
    window: str, inside: list[str], outside: list[str]
):
    span = parse_window(window)
    for clock in inside:
        assert span.contains(parse_instant(f"2027-01-05 {clock}", BERLIN), BERLIN), clock
    for clock in outside:
        assert not span.contains(parse_instant(f"2027-01-05 {clock}", BERLIN), BERLIN), clock


@pytest.mark.parametrize(
    ("window", "after", "opens"),
    [
        ("09:00-17:00", "2027-01-05 08:59", "2027-01-05 09:00"),
        ("09:00-17:00", "2027-01-05 09:00", "2027-01-06 09:00"),
        ("09:00-17:00", "2027-01-05 23:00", "2027-01-06 09:00"),
        ("23:00-03:00", "2027-01-05 01:00", "2027-01-05 23:00"),
        ("02:30-05:00", "2027-03-28 00:00", "2027-03-28 03:30"),  # 02:30 does not exist that day
        ("02:30-05:00", "2027-10-31 00:00", "2027-10-31 02:30"),  # it comes twice: the first
    ],
)
def test_it_tells_its_next_opening(window: str, after: str, opens: str):
    at_us = parse_instant(after, BERLIN)
    assert parse_window(window).opens_after(at_us, BERLIN) == parse_instant(opens, BERLIN)


def test_an_opening_that_comes_twice_is_its_first_pass():
    opens_us = parse_window("02:30-05:00").opens_after(parse_instant("2027-10-31 00:00"), BERLIN)
    first = datetime(2027, 10, 31, 2, 30, fold=0, tzinfo=BERLIN)
    assert opens_us == from_datetime(first)
