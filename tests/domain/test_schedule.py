"""Schedules: each kind, in each spelling; strictly later, the same answer each time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import LAST_US, format_instant, from_datetime, parse_instant
from cronherd.domain.timing.changes import wall_of
from cronherd.domain.timing.frame import Frame
from cronherd.domain.timing.schedule import After, canonical_schedule, parse_schedule
from cronherd.domain.timing.window import parse_windows

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kolkata",
    "Africa/Casablanca",
]


def within(window: str | None) -> Frame:
    return Frame(windows=parse_windows(window) if window else ())


def us(text: str) -> int:
    return parse_instant(text)


def slots(
    spec: object, start: str, count: int, *, timezone: str = "UTC", window: str | None = None
) -> list[str | None]:
    frame = within(window)
    schedule = parse_schedule(spec, timezone=timezone, frame=frame)
    found: list[str | None] = []
    at_us: int | None = us(start)
    for _ in range(count):
        at_us = None if at_us is None else schedule.next_after(at_us)
        found.append(format_instant(at_us))
    return found


@pytest.mark.parametrize(
    ("spec", "start", "expected"),
    [
        ("*/20 * * * *", "2027-01-01 00:05", ["00:20", "00:40", "01:00"]),
        ("@hourly", "2027-01-01 00:05", ["01:00", "02:00", "03:00"]),
        ({"cron": "0 9 * * *"}, "2027-01-01 08:59:59", ["09:00"]),
        ("cron 0 9 * * *", "2027-01-01 08:00", ["09:00"]),
        ("every 90s", "2027-01-01 00:00", ["00:01:30", "00:03", "00:04:30"]),
        ("EVERY 1h30m", "2027-01-01 00:00", ["01:30", "03:00"]),
        ({"every": "15m"}, "2027-01-01 00:01", ["00:15", "00:30"]),
        ({"every": 900}, "2027-01-01 00:01", ["00:15", "00:30"]),
        ({"at": "2027-01-01 09:00"}, "2027-01-01 00:00", ["09:00"]),
        ("at 2027-01-01T09:00:00+01:00", "2027-01-01 00:00", ["08:00"]),
        (["every 45s", "every 1m"], "2027-01-01 00:00", ["00:00:45", "00:01", "00:01:30"]),
        (["every 20m", {"at": "2027-01-01 00:20"}], "2027-01-01 00:00", ["00:20", "00:40"]),
        (["every 1h"], "2027-01-01 00:00", ["01:00"]),
        ("every 1h phase 5m", "2027-01-01 00:00", ["00:05", "01:05"]),
        ({"every": "1h", "phase": 300}, "2027-01-01 00:05", ["01:05", "02:05"]),
        ({"at": ["2027-01-01 09:00", "2027-01-01 07:00"]}, "2027-01-01 00:00", ["07:00", "09:00"]),
        ("oncalendar *-*-* 09:00/30", "2027-01-01 08:00", ["09:00", "09:30"]),
        ({"oncalendar": "hourly"}, "2027-01-01 08:00", ["09:00", "10:00"]),
        ({"cron": "30 0 9 * * *", "seconds": "first"}, "2027-01-01 08:00", ["09:00:30"]),
        (["@reboot", "every 1h"], "2027-01-01 00:00", ["01:00"]),
        ({"after": "5m"}, "2027-01-01 00:00:01", ["00:05:01"]),
    ],
)
def test_it_tells_the_next_slots(spec: object, start: str, expected: list[str]):
    wanted = [format_instant(us(f"2027-01-01 {clock}")) for clock in expected]
    assert slots(spec, start, len(expected)) == wanted


def test_a_single_instant_comes_once_and_a_slot_is_never_its_own_next():
    assert slots("at 2027-01-01 09:00", "2027-01-01 00:00", 2)[1] is None
    schedule = parse_schedule("every 1m", timezone="UTC")
    assert schedule.next_after(0) == 60_000_000
    assert schedule.next_after(60_000_000) == 120_000_000
    assert schedule.next_after(59_999_999) == 60_000_000
    assert schedule.next_after(LAST_US) is None


def test_after_counts_from_what_it_is_given():
    schedule = parse_schedule("after 5m", timezone="UTC")
    assert isinstance(schedule, After)
    assert schedule.next_after(123) == 300_000_123


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  30  2 * * * ", "30 2 * * *"),
        ({"cron": "0 9 * * *"}, "0 9 * * *"),
        ({"every": "10m"}, "every 10m"),
        ([{"at": "2027-01-01"}, "every 1h"], ["at 2027-01-01", "every 1h"]),
        ({"every": "1h", "phase": "5m"}, "every 1h phase 5m"),
        ({"at": ["2027-01-01", "2027-02-01"]}, ["at 2027-01-01", "at 2027-02-01"]),
        (["@Reboot", {"at": ["2027-01-01"]}], ["@reboot", "at 2027-01-01"]),
        ({"oncalendar": " Mon  09:00 "}, "oncalendar Mon 09:00"),
        ({"seconds": "last", "cron": "0 9 * * * 30"}, {"cron": "0 9 * * * 30", "seconds": "last"}),
    ],
)
def test_it_has_one_shortest_spelling(spec: object, expected: object):
    assert canonical_schedule(spec) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("every 90s", "every 1m30s"),
        ("after 300", "after 5m"),
        ("at 2027-01-01 09:00", "at 2027-01-01T09:00:00Z"),
        ("every 1h phase 300", "every 1h phase 5m"),
        ("oncalendar daily", "oncalendar daily"),
        ("@reboot", "@reboot"),
        (["every 1h", "0 0 * * *"], "every 1h or 0 0 * * *"),
    ],
)
def test_it_says_what_it_is(spec: object, text: str):
    assert parse_schedule(spec, timezone="UTC").text == text


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "sometimes",
        "every",
        "every x",
        "every 0s",
        "every 999ms",
        "every -5m",
        "at noon",
        "after soon",
        "* * * *",
        None,
        5,
        True,
        [],
        {},
        {"every": None},
        {"every": "1m", "at": "2027-01-01"},
        {"rrule": "FREQ=DAILY"},
        {"cron": 5},
        {"at": 5},
        {"every": ["1m"]},
        {"every": "1m", "phase": "1m"},
        {"every": "1m", "phase": ["1s"]},
        {"every": "1m", "seconds": "first"},
        {"after": "1m", "phase": "1s"},
        {"at": []},
        {"at": [5]},
        {"at": ["2027-01-01"] * 51},
        {"oncalendar": 5},
        "oncalendar",
        "oncalendar noon",
        ["@reboot", "after 5m"],
        ["every 1m", "after 5m"],
        [["every 1m"], None],
        ["every 1m"] * 51,
    ],
)
def test_what_is_no_schedule_is_refused(spec: object):
    with pytest.raises(Invalid):
        parse_schedule(spec, timezone="UTC")


def test_too_many_schedules_are_counted():
    with pytest.raises(Invalid, match="at most 50 schedules, and here are 51"):
        parse_schedule(["every 1m"] * 51, timezone="UTC")


@pytest.mark.parametrize(
    ("spec", "window", "now"),
    [
        ("0 0 30 2 *", None, "2027-01-01"),
        ("at 2026-01-01", None, "2027-01-01"),
        (["at 2026-01-01", "0 0 31 4 *"], None, "2027-01-01"),
        ("0 12 * * *", "23:00-03:00", "2027-01-01"),
        ("at 2027-06-01 12:00", "13:00-14:00", "2027-01-01"),
    ],
)
def test_a_schedule_that_never_fires_is_refused(spec: object, window: str | None, now: str):
    frame = within(window)
    with pytest.raises(Invalid) as caught:
        parse_schedule(spec, timezone="UTC", frame=frame, now_us=us(now))
    assert caught.value.code == "never_fires"


def test_an_unknown_zone_and_a_chain_with_a_window_are_refused():
    with pytest.raises(Invalid, match="unknown time zone"):
        parse_schedule("@daily", timezone="Europe/Berln")
    with pytest.raises(Invalid, match="window"):
        parse_schedule("after 5m", timezone="UTC", frame=within("01:00-02:00"))


def test_a_start_of_the_host_is_no_instant():
    schedule = parse_schedule("@reboot", timezone="UTC", now_us=us("2027-01-01"))
    assert schedule.at_boot
    assert schedule.next_after(0) is None
    assert parse_schedule(["every 1h", "@reboot"], timezone="UTC").at_boot
    assert not parse_schedule("every 1h", timezone="UTC").at_boot


@pytest.mark.parametrize(
    "spec", ["@daily", "every 1h", "after 5m", "at 2027-01-01", "oncalendar daily", "@reboot"]
)
def test_every_kind_answers_all_that_is_asked_of_a_schedule(spec: str):
    schedule = parse_schedule([spec], timezone="UTC")
    assert schedule.at_boot is (spec == "@reboot")
    assert schedule.excludes is False
    assert schedule.excluded_between(0, LAST_US, 5) == []


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(), ["2027-03-28T01:00:00Z", None]),
        (Frame(gap="skip"), [None]),
        (Frame(fold="both"), ["2027-03-28T01:00:00Z", None]),
    ],
)
def test_a_wall_time_that_does_not_exist_is_its_change_or_nothing(
    frame: Frame, expected: list[str | None]
):
    specs = ["at 2027-03-28 02:30", "at 2027-03-28 02:00"]  # both are left out that night
    if expected == [None]:
        with pytest.raises(Invalid, match="never fires"):
            parse_schedule(specs, timezone="Europe/Berlin", frame=frame)
        return
    schedule = parse_schedule(specs, timezone="Europe/Berlin", frame=frame)
    first_us = schedule.next_after(0)
    assert first_us is not None
    assert [format_instant(first_us), schedule.next_after(first_us)] == expected


def test_a_wall_time_that_comes_twice_is_its_first_pass_or_both():
    for fold, hours in (("first", ["00:30"]), ("both", ["00:30", "01:30"])):
        schedule = parse_schedule(
            "at 2027-10-31 02:30", timezone="Europe/Berlin", frame=Frame(fold=fold)
        )
        found, at_us = [], schedule.next_after(0)
        while at_us is not None:
            found.append(format_instant(at_us))
            at_us = schedule.next_after(at_us)
        assert found == [f"2027-10-31T{hour}:00Z" for hour in hours]


# ---------------------------------------------------------------- windows and clock changes


def test_slots_outside_the_window_do_not_exist():
    found = slots("every 1h", "2027-01-01 20:00", 7, window="23:00-03:00")
    assert found == [
        "2027-01-01T23:00:00Z",
        "2027-01-02T00:00:00Z",
        "2027-01-02T01:00:00Z",
        "2027-01-02T02:00:00Z",
        "2027-01-02T23:00:00Z",
        "2027-01-03T00:00:00Z",
        "2027-01-03T01:00:00Z",
    ]


def test_a_window_over_midnight_follows_the_local_clock_in_the_spring_night():
    """2027-03-28: 02:00 becomes 03:00, so the window from 23:00 to 04:00 is an hour shorter."""
    found = slots("every 1h", "2027-03-27 12:00", 5, timezone="Europe/Berlin", window="23:00-04:00")
    assert found == [
        "2027-03-27T22:00:00Z",  # 23:00
        "2027-03-27T23:00:00Z",  # 00:00
        "2027-03-28T00:00:00Z",  # 01:00
        "2027-03-28T01:00:00Z",  # 03:00 summer time
        "2027-03-28T21:00:00Z",  # 23:00
    ]


def test_a_window_over_midnight_follows_the_local_clock_in_the_autumn_night():
    """2027-10-31: 03:00 becomes 02:00, so the same window is an hour longer."""
    found = slots("every 1h", "2027-10-30 12:00", 7, timezone="Europe/Berlin", window="23:00-04:00")
    assert found == [
        "2027-10-30T21:00:00Z",  # 23:00 summer time
        "2027-10-30T22:00:00Z",
        "2027-10-30T23:00:00Z",  # 01:00
        "2027-10-31T00:00:00Z",  # 02:00
        "2027-10-31T01:00:00Z",  # 02:00 again, winter time
        "2027-10-31T02:00:00Z",  # 03:00
        "2027-10-31T22:00:00Z",  # 23:00
    ]


@pytest.mark.parametrize(
    ("night", "expected"),
    [
        ("2027-03-27 12:00", ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
        ("2027-10-30 12:00", ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
    ],
)
def test_a_daily_job_at_half_past_two_runs_once_in_both_nights(night: str, expected: list[str]):
    assert slots("30 2 * * *", night, 2, timezone="Europe/Berlin") == expected


# ---------------------------------------------------------------- properties

moments = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2037, 12, 31), timezones=st.just(UTC)
).map(from_datetime)
specs = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "15,45 1-3 * * *",
        "0 0 1 * *",
        "0 0 L * *",
        "59 23 * * SUN",
        "30 1,2 29,30,31 3,10 *",
        "every 7s",
        "every 90m",
        ["every 50m", "0 */2 * * *"],
        "every 1h phase 7m",
        "oncalendar Mon..Fri *:0/20",
        "oncalendar *-*~1 02:30:15",
        {"cron": "15 30 2 * * *", "seconds": "first"},
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    spec=specs,
    zone=st.sampled_from(ZONES),
    window=st.sampled_from([None, "22:30-02:31", "23:00-03:30"]),
    at_us=moments,
)
def test_slots_are_strictly_later_and_reproducible(
    spec: object, zone: str, window: str | None, at_us: int
):
    frame = within(window)
    schedule = parse_schedule(spec, timezone=zone, frame=frame)
    again = parse_schedule(spec, timezone=zone, frame=frame)
    before = at_us
    for _ in range(5):
        slot_us = schedule.next_after(before)
        assert slot_us is not None
        assert slot_us > before
        assert again.next_after(before) == slot_us
        assert schedule.next_after(slot_us - 1) == slot_us, "nothing lies in between"
        for span in frame.windows:
            assert span.contains(wall_of(slot_us, ZoneInfo(zone)))
        before = slot_us


@settings(max_examples=100, deadline=None)
@given(spec=specs, zone=st.sampled_from(ZONES), at_us=moments, later=st.integers(0, 10**11))
def test_a_later_question_never_has_an_earlier_answer(
    spec: object, zone: str, at_us: int, later: int
):
    schedule = parse_schedule(spec, timezone=zone)
    first, second = schedule.next_after(at_us), schedule.next_after(at_us + later)
    assert first is not None
    assert second is not None
    assert first <= second
    assert first == second or first <= at_us + later
