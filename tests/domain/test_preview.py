"""The next slots with the marks of clock changes, and schedules in English."""

import pytest

from cronherd.domain.instant import load_zone, parse_instant, to_datetime
from cronherd.domain.timing.explained import explain
from cronherd.domain.timing.frame import read_frame
from cronherd.domain.timing.preview import preview
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import parse_schedule


def read(spec: object, zone: str, said: dict[str, object], now: str = "2027-01-01") -> Schedule:
    frame = read_frame(said, zone, "nightly")
    return parse_schedule(spec, timezone=zone, frame=frame, now_us=parse_instant(now))


def shown(
    spec: object,
    start: str,
    count: int,
    said: dict[str, object] | None = None,
    zone: str = "Europe/Berlin",
) -> list[str]:
    place = load_zone(zone)
    from_us = parse_instant(start, place)
    schedule = read(spec, zone, said or {}, start)
    return [
        f"{to_datetime(at_us, place):%m-%d %H:%M %Z} {mark}".rstrip()
        for at_us, mark in preview(schedule, place, from_us, count)
    ]


@pytest.mark.parametrize(
    ("spec", "said", "expected"),
    [
        ("30 2 * * *", {}, ["03-27 02:30 CET",
            "03-28 03:00 CEST moved: 02:30 does not exist on this day", "03-29 02:30 CEST"]),
        ("30 2 * * *", {"dst_gap": "skip"}, ["03-27 02:30 CET",
            "03-29 02:30 CEST left out: 02:30 does not exist on 2027-03-28"]),
        ("30 2 * * *", {"dst_gap": "skip", "excluding": "Sun"}, ["03-27 02:30 CET",
            "03-29 02:30 CEST"]),
        ("*/30 2 * * *", {}, ["03-27 02:00 CET", "03-27 02:30 CET",
            "03-29 02:00 CEST left out: 02:00 does not exist on 2027-03-28"]),
        ("0 0,3 * * *", {}, ["03-27 03:00 CET",
            "03-28 00:00 CET clock goes forward at 02:00",
            "03-28 03:00 CEST clock goes forward at 02:00"]),
        ("0 2,3 * * *", {"window": "Sun"}, ["03-28 03:00 CEST clock goes forward at 02:00"]),
        ("oncalendar 02:30", {}, ["03-27 02:30 CET",
            "03-29 02:30 CEST left out: 02:30 does not exist on 2027-03-28"]),
        (["oncalendar 02:30", "every 1d"], {"dst_gap": "after"}, ["03-27 01:00 CET",
            "03-27 02:30 CET", "03-28 01:00 CET clock goes forward at 02:00",
            "03-28 03:00 CEST moved: 02:30 does not exist on this day"]),
        ("every 12h", {}, ["03-27 01:00 CET", "03-27 13:00 CET",
            "03-28 01:00 CET clock goes forward at 02:00"]),
    ],
)  # fmt: skip
def test_the_spring_night(spec: object, said: dict[str, object], expected: list[str]):
    assert shown(spec, "2027-03-27 00:30", len(expected), said) == expected


@pytest.mark.parametrize(
    ("spec", "said", "expected"),
    [
        ("30 2 * * *", {},
         ["10-31 02:30 CEST 02:30 comes twice on this day: the first one", "11-01 02:30 CET"]),
        ("30 2 * * *", {"dst_fold": "both"},
         ["10-31 02:30 CEST 02:30 comes twice on this day: the first one",
          "10-31 02:30 CET 02:30 comes twice on this day: the second one", "11-01 02:30 CET"]),
        ("0 4 * * *", {}, ["10-31 04:00 CET clock goes back at 03:00", "11-01 04:00 CET"]),
    ],
)  # fmt: skip
def test_the_autumn_night(spec: object, said: dict[str, object], expected: list[str]):
    assert shown(spec, "2027-10-30 12:00", len(expected), said) == expected


def test_a_zone_without_changes_has_no_marks():
    assert shown("30 2 * * *", "2027-03-27", 2, zone="UTC") == [
        "03-27 02:30 UTC",
        "03-28 02:30 UTC",
    ]


def test_a_whole_day_that_does_not_exist():
    assert shown("0 12 30 12 *", "2011-12-01", 1, zone="Pacific/Apia") == [
        "12-31 00:00 +14 moved: 12:00 does not exist on this day"
    ]


CUSTOM = (
    "A time that the clock skips comes right after the change; one that it repeats comes once, "
    "the first time."
)
WILD = (
    "Where the minute or the hour begins with *, it follows the clock on the wall: what is "
    "skipped does not come, what is repeated comes twice."
)
THREE = (
    "Only on Monday through Friday from 22:00 to 02:00 of the next day, on Saturday and Sunday or "
    "from 10:00 to 11:00."
)


@pytest.mark.parametrize(
    ("spec", "zone", "said", "expected"),
    [
        ("30 2 * * *", "UTC", {}, ["At 02:30 every day.", "Its times are those of UTC."]),
        ("30 2 * * *", "Europe/Berlin", {},
         ["At 02:30 every day.", "Its times are those of Europe/Berlin.", CUSTOM]),
        ("30 2 * * *", "Europe/Berlin", {"dst_gap": "skip", "dst_fold": "both"},
         ["At 02:30 every day.", "Its times are those of Europe/Berlin.",
          "A time that the clock skips does not come; one that it repeats comes both times."]),
        ("*/30 * * * *", "Europe/Berlin", {},
         ["Every 30 minutes.", "Its times are those of Europe/Berlin.",
          WILD]),
        ("every 1h phase 5m", "Europe/Berlin", {},
         ["Every 1h, counted from 1970-01-01 00:00 UTC, moved by 5m."]),
        ("after 5m", "UTC", {}, ["5m after the end of the run before."]),
        ("@reboot", "UTC", {}, ["Once at each start of a host."]),
        ("at 2027-06-01 09:00", "Europe/Berlin", {},
         ["Once, at 2027-06-01 09:00 CEST.", "Its times are those of Europe/Berlin."]),
        ({"at": ["2027-06-01", "2027-07-01 00:00:30"]}, "UTC", {},
         ["At 2027-06-01 00:00 UTC and 2027-07-01 00:00:30 UTC.", "Its times are those of UTC."]),
        (["oncalendar Mon 09:00 UTC", "0 9 * * *"], "Europe/Berlin", {},
         ["At systemd's calendar event Mon 09:00 UTC, in UTC.", "At 09:00 every day.",
          "An instant that two of them name is one slot.",
          "Its times are those of Europe/Berlin.", CUSTOM]),
        ("every 1h", "UTC",
         {"window": ["Mon-Fri 22:00-02:00", "Sat,Sun", "10:00-11:00"],
          "start": "2027-01-01", "end": "2027-12-31 12:00"},
         ["Every 1h, counted from 1970-01-01 00:00 UTC.",
          THREE,
          "From 2027-01-01 00:00 UTC on.", "No more from 2027-12-31 12:00 UTC on.",
          "Its times are those of UTC."]),
        ("every 1h", "UTC",
         {"excluding": ["Sat", "Fri 18:00 - Mon 06:00", "12-24 - 01-02", "12-31", "2027-05-01",
                        "2027-05-02 - 2027-05-09", "holidays DE-BY", "cron * * 13 * *",
                        {"dates": ["2027-06-01"]}]},
         ["Every 1h, counted from 1970-01-01 00:00 UTC.", "Not on Saturday.",
          "Not from Friday 18:00 to Monday 06:00.", "Not in 12-24 - 01-02 of any year.",
          "Not on 12-31 of any year.", "Not on 2027-05-01.", "Not in 2027-05-02 - 2027-05-09.",
          "Not on public holidays of DE-BY.", "Not every minute on day 13 of the month.",
          "Not on 2027-06-01.", "Its times are those of UTC."]),
    ],
)  # fmt: skip
def test_each_rule_has_its_sentence(
    spec: object, zone: str, said: dict[str, object], expected: list[str]
):
    assert explain(read(spec, zone, said), load_zone(zone)) == expected


def test_kinds_with_customs_of_their_own_are_told_apart():
    schedule = read(["oncalendar 02:30", "30 2 * * *"], "Europe/Berlin", {})
    words = explain(schedule, load_zone("Europe/Berlin"))
    assert words[-2].startswith("Of oncalendar 02:30, a time that the clock skips does not come")
    assert words[-1].startswith("Of 30 2 * * *, a time that the clock skips comes right after")
