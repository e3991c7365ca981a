"""Windows: minutes of the local day, on some days of the week, over midnight if need be."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, MINUTE_US
from cronherd.domain.timing.changes import wall_from
from cronherd.domain.timing.window import MAX_WINDOWS, parse_window, parse_windows


def wall(text: str) -> int:
    return wall_from(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("23:00-03:00", "23:00-03:00"),
        (" 9:05 - 17:30 ", "09:05-17:30"),
        ("00:00-24:00", "00:00-24:00"),
        ("22:00-24:00", "22:00-24:00"),
        ("23:59-00:00", "23:59-00:00"),
        ("mon-fri 9:00-17:00", "Mon-Fri 09:00-17:00"),
        ("Sunday, Sat 22:00-02:00", "Sat,Sun 22:00-02:00"),
        ("Fri-Mon 22:00-02:00", "Fri-Mon 22:00-02:00"),
        ("Mon,Wed-Fri,Sun 01:00-02:00", "Wed-Fri,Sun,Mon 01:00-02:00"),
        ("Mon-Sun 01:00-02:00", "01:00-02:00"),
        ("Sat - Sun", "Sat,Sun"),
        ("Mon-Fri 00:00-24:00", "Mon-Fri"),
    ],
)
def test_it_reads_a_stretch_of_the_day(text: str, spelling: str):
    assert parse_window(text).text == spelling
    assert parse_window(spelling) == parse_window(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "9-17", "09:00", "24:00-01:00", "09:60-10:00", "09:00-24:01", "25:00-26:00"),
        *("9:00-9:00", "Mon 9:00", "Mo-Fr 09:00-17:00", "Foo", "Mon-Tue-Wed", "Mon-", ",Mon"),
        *("Mon-Fri09:00-17:00", "09:00-17:00 Mon", "Mon 09:00-17:00 x"),
    ],
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
        assert span.contains(wall(f"2027-01-05 {clock}")), clock
    for clock in outside:
        assert not span.contains(wall(f"2027-01-05 {clock}")), clock


def test_its_days_are_those_on_which_it_opens():
    """2027-01-04 is a Monday."""
    span = parse_window("Mon-Fri 23:00-03:00")
    assert not span.contains(wall("2027-01-04 02:00")), "that window opened on Sunday"
    assert span.contains(wall("2027-01-08 23:30"))
    assert span.contains(wall("2027-01-09 02:59")), "this one opened on Friday"
    assert not span.contains(wall("2027-01-09 23:30"))


@pytest.mark.parametrize(
    ("window", "after", "opens"),
    [
        ("09:00-17:00", "2027-01-05 08:59", "2027-01-05 09:00"),
        ("09:00-17:00", "2027-01-05 09:00", "2027-01-06 09:00"),
        ("23:00-03:00", "2027-01-05 01:00", "2027-01-05 23:00"),
        ("Tue 09:00-17:00", "2027-01-05 09:00", "2027-01-12 09:00"),
        ("Sat,Sun", "2027-01-09 00:00", "2027-01-10 00:00"),
    ],
)
def test_it_tells_its_next_opening(window: str, after: str, opens: str):
    assert parse_window(window).begins_after(wall(after)) == wall(opens)


@pytest.mark.parametrize(
    ("window", "at", "closes"),
    [
        ("09:00-17:00", "2027-01-05 09:00", "2027-01-05 17:00"),
        ("23:00-03:00", "2027-01-05 23:00", "2027-01-06 03:00"),
        ("23:00-03:00", "2027-01-05 02:59", "2027-01-05 03:00"),
        ("Mon 22:00-24:00", "2027-01-04 23:59", "2027-01-05 00:00"),
    ],
)
def test_it_tells_when_it_closes(window: str, at: str, closes: str):
    assert parse_window(window).until(wall(at)) == wall(closes)


def test_several_windows_are_a_list_with_an_end():
    assert [span.text for span in parse_windows(["Sat", "22:00-23:00"])] == ["Sat", "22:00-23:00"]
    for spec in ([], ["Sat"] * (MAX_WINDOWS + 1)):
        with pytest.raises(Invalid):
            parse_windows(spec)


@given(
    days=st.sets(st.integers(0, 6), min_size=1),
    opens=st.integers(0, 1439),
    closes=st.integers(0, 1440),
    minute=st.integers(0, 100 * 365 * 1440),
)
def test_what_it_tells_of_itself_fits_together(
    days: set[int], opens: int, closes: int, minute: int
):
    """Counted minute by minute from what was asked, apart from its own arithmetic."""
    if opens == closes or (opens, closes) == (0, 0):
        return
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    clock = f"{opens // 60}:{opens % 60:02}-{closes // 60}:{closes % 60:02}"
    span = parse_window(f"{','.join(names[day] for day in days)} {clock}")
    length = (closes - opens) % 1440 or 1440
    begins = {day * 1440 + opens for day in days}  # minutes of the week, from Monday

    def is_open(at: int) -> bool:
        week = (at + 3 * 1440) % 10_080  # 1970-01-01 was a Thursday
        return any((week - begin) % 10_080 < length for begin in begins)

    assert span.contains(minute * MINUTE_US) == is_open(minute)
    assert span.contains((minute + 1) * MINUTE_US - 1) == is_open(minute)
    following = span.begins_after(minute * MINUTE_US) // MINUTE_US
    assert following > minute
    assert (following + 3 * 1440) % 10_080 in begins
    if is_open(minute):
        until = span.until(minute * MINUTE_US) // MINUTE_US
        assert minute < until <= minute + DAY_US // MINUTE_US
        assert all(is_open(at) for at in range(minute, until))
