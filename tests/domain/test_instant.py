"""Instants: microseconds, and how they meet people."""

from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import (
    LAST_US,
    format_instant,
    from_datetime,
    load_zone,
    parse_instant,
    to_datetime,
    zone_names,
    zone_rules,
)

BERLIN = ZoneInfo("Europe/Berlin")


@given(at_us=st.integers(0, LAST_US))
def test_an_instant_survives_the_way_to_people_and_back(at_us: int):
    text = format_instant(at_us)
    assert text is not None
    assert text.endswith("Z")
    assert parse_instant(text) == at_us
    assert from_datetime(to_datetime(at_us, timezone(timedelta(hours=-7)))) == at_us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-01", "2026-12-31T23:00:00Z"),
        ("2027-01-01 09:00", "2027-01-01T08:00:00Z"),
        ("2027-07-01T09:00:00.5", "2027-07-01T07:00:00.500000Z"),
        (" 2027-01-01T09:00:00Z ", "2027-01-01T09:00:00Z"),
        ("2027-01-01T09:00:00-05:30", "2027-01-01T14:30:00Z"),
    ],
)
def test_without_an_offset_the_zone_is_meant(text: str, expected: str):
    assert format_instant(parse_instant(text, BERLIN)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "noon", "2027-13-01", "2027-01-01 25:00", "1969-12-31", "9999-12-31 23:59", "12:00"],
)
def test_what_is_no_instant_is_refused(text: str):
    with pytest.raises(Invalid) as caught:
        parse_instant(text)
    assert caught.value.code == "bad_instant"


def test_nothing_is_shown_as_nothing():
    assert format_instant(None) is None


def test_a_datetime_of_any_zone_is_one_instant():
    assert from_datetime(datetime(1970, 1, 1, 1, tzinfo=BERLIN)) == 0
    assert from_datetime(datetime(1970, 1, 1, 0, 0, 0, 7, tzinfo=UTC)) == 7


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_a_zone_of_the_list_is_loaded(name: str):
    assert load_zone(name).key == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("xyzzy", "such as"),
        ("", "such as"),
        ("../../etc/passwd", "such as"),
        ("/etc/localtime", ""),
        ("localtime", ""),
        ("right/UTC", ""),
        ("posixrules", ""),
    ],
)
def test_what_is_no_zone_is_refused_with_a_hint(name: str, hint: str):
    with pytest.raises(Invalid) as caught:
        load_zone(name)
    assert caught.value.code == "unknown_timezone"
    assert hint in caught.value.hint


def test_the_list_has_no_files_that_differ_from_host_to_host():
    names = zone_names()
    assert "UTC" in names
    assert not {"localtime", "Factory", "posixrules"} & names


def test_zone_rules_are_a_version_only_where_they_come_from_the_package(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    assert zone_rules() == version("tzdata")
    monkeypatch.setattr("zoneinfo.TZPATH", ("/usr/share/zoneinfo",))
    assert zone_rules() == "PYTHONTZPATH"
