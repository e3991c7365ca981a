"""Rows of the old job table as jobs: hours, limits, names, and what is said (D1.12)."""

from typing import Any

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.errors import Invalid
from cronherd.domain.imported import Imported
from cronherd.domain.oldtable import (
    COLUMNS,
    OldRow,
    Unsupported,
    check_columns,
    definition_of_row,
    halves_of_a_night,
    kept_names,
    read_row,
    zone_of_table,
)

NIGHT = (
    "it never ran, as {} is before {}: here {} is one window over midnight; imported as disabled"
)


def row(**more: Any) -> OldRow:
    said: dict[str, Any] = dict.fromkeys(COLUMNS)
    said |= {"id": 7, "description": "a row", "command": "true", "active": 1}
    said |= {"frequency": 60, "max_run_time": 30}
    return read_row(said | more)


def made(disabled: bool = False, **more: Any) -> Imported:  # noqa: FBT001, FBT002 - a word of the row
    job = definition_of_row(row(**more), timezone="Europe/Berlin", disabled=disabled)
    assert isinstance(job, Imported), job
    read_job(job.definition, timezone="UTC", now_us=0)  # the fleet takes it
    return job


@pytest.mark.parametrize(
    ("start", "stop", "window"),
    [
        (None, None, None),
        ("09:00:00", None, "09:00-24:00"),
        (None, "17:00:00", "00:00-17:00"),
        ("09:00:00", "17:00:00", "09:00-17:00"),
        ("00:00:00", "24:00:00", None),
        ("00:00:00", "23:59:59", None),
        ("-01:00:00", "30:00:00", None),
        ("09:00:00", "16:59:59", "09:00-17:00"),
        ("9:00", b"17:00", "09:00-17:00"),
        ("08:59:00.000000", "17:00:00.000000", "08:59-17:00"),
    ],
)
def test_anchors_become_one_window(start: str, stop: str, window: str):
    job = made(start_anchor=start, stop_anchor=stop)
    assert (job.definition.get("window"), job.notes) == (window, ())


@pytest.mark.parametrize(
    ("start", "stop", "window", "note"),
    [
        ("09:00:30", "17:00:00", "09:01-17:00", "windows are of whole minutes: it is 09:01-17:00"),
        ("09:00:00", "17:00:30", "09:00-17:00", "windows are of whole minutes: it is 09:00-17:00"),
        ("23:00:00", "03:00:00", "23:00-03:00", NIGHT.format("03:00", "23:00", "23:00-03:00")),
        ("22:00:00", "00:00:00", "22:00-00:00", NIGHT.format("00:00", "22:00", "22:00-00:00")),
    ],
)
def test_what_is_different_about_a_window_is_said(start: str, stop: str, window: str, note: str):
    job = made(start_anchor=start, stop_anchor=stop)
    assert (job.definition["window"], job.notes) == (window, (note,))
    assert job.enabled is ("never" not in note)


@pytest.mark.parametrize(
    ("start", "stop", "hours"),
    [
        ("12:00:00", "12:00:00", "12:00 to 12:00"),
        (None, "00:00:00", "00:00 to 00:00"),
        ("23:59:59", None, "23:59:59 to 24:00"),
        ("30:00:00", None, "30:00 to 24:00"),
        (None, "-00:30:00", "00:00 to -00:30"),
    ],
)
def test_a_row_that_has_no_hours_is_no_job(start: str, stop: str, hours: str):
    refused = definition_of_row(
        row(start_anchor=start, stop_anchor=stop), timezone="UTC", disabled=False
    )
    assert isinstance(refused, Unsupported)
    assert refused.reason == f"it never ran: from {hours} is no time"


@pytest.mark.parametrize(
    ("said", "schedule", "timeout", "notes"),
    [
        ({"frequency": 60, "max_run_time": 30}, "every 60m", "30m", ()),
        ({"frequency": 1, "max_run_time": 1}, "every 1m", "1m", ()),
        ({"frequency": 10, "max_run_time": 90}, "every 10m", "90m", ()),
        ({"frequency": 0}, "every 1m", "30m",
         ("its frequency of 0 minutes is taken as 1 minute",)),
        ({"frequency": -5}, "every 1m", "30m",
         ("its frequency of -5 minutes is taken as 1 minute",)),
        ({"max_run_time": 0}, "every 60m", None, ("its max_run_time is 0, which is no limit",)),
        ({"max_run_time": None}, "every 60m", None, ("its max_run_time is 0, which is no limit",)),
    ],
)  # fmt: skip
def test_minutes_become_a_schedule_and_a_limit(
    said: dict[str, Any], schedule: str, timeout: str | None, notes: tuple[str, ...]
):
    job = made(**said)
    found = (job.definition["schedule"], job.definition.get("timeout"), job.notes)
    assert found == (schedule, timeout, notes)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({"active": 0}, "it is not active: imported as disabled"),
        ({"active": None}, "it is not active: imported as disabled"),
        ({"active": 2}, "active is 2, and not 1: imported as disabled"),
        ({"command": 'echo "I forgot to put in a command."'},
         "it has the command of a row without one: imported as disabled"),
    ],
)  # fmt: skip
def test_what_ran_nothing_runs_nothing(said: dict[str, Any], note: str):
    job = made(**said)
    assert (job.enabled, job.notes) == (False, (note,))


def test_all_may_be_disabled_for_review():
    assert (made(active=1).enabled, made(disabled=True).enabled) == (True, False)
    assert made(active=True).enabled


@pytest.mark.parametrize(
    ("description", "command", "name"),
    [
        ("Nightly backup. Ask ops!", "true", "nightly-backup-7"),
        ("Yet another cron", "/srv/bin/report.sh --all", "report-7"),
        ("", "cd /srv && ./tidy", "tidy-7"),
        (None, "日本", "job-7"),
        ("x" * 100, "true", f"{'x' * 47}-7"),
    ],
)
def test_a_job_is_called_what_its_row_says_and_its_id(
    description: str | None, command: str, name: str
):
    assert made(description=description, command=command).name == name


def test_a_row_keeps_the_job_it_has():
    job = made(description="new words", id=17)
    assert [each.name for each in kept_names([job], ["old-words-17", "other-7"])] == [
        "old-words-17"
    ]
    assert [each.name for each in kept_names([job], ["other-7", "17"])] == ["17"]
    assert [each.name for each in kept_names([job], ["other-117"])] == ["new-words-17"]


def test_two_rows_for_one_night_are_told_to_be_one_job():
    late, early = row(id=1, start_anchor="23:00:00"), row(id=2, stop_anchor="03:00:00")
    hint = "rows 1 and 2 are one job with window: 23:00-03:00"
    assert halves_of_a_night([late, early]) == {1: hint, 2: hint}
    assert halves_of_a_night([early, late]) == {1: hint, 2: hint}
    for other in (
        row(id=2, stop_anchor="03:00:00", command="another"),
        row(id=2, stop_anchor="03:00:00", frequency=10),
        row(id=2, stop_anchor="23:30:00"),
        row(id=2, start_anchor="01:00:00", stop_anchor="03:00:00"),
        row(id=2),
    ):
        assert halves_of_a_night([late, other]) == {}


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("+00:00", "UTC"), ("-00:00", "UTC"),
        ("+02:00", "Etc/GMT-2"), ("-05:00", "Etc/GMT+5"),
        ("CEST", None), ("EST", None), ("CET", None), ("+05:30", None), ("Mars/Olympus", None),
    ],
)  # fmt: skip
def test_the_zone_of_a_database_is_one_of_ours_or_asked_for(said: str, zone: str | None):
    if zone is not None:
        assert zone_of_table(said).key == zone
        return
    with pytest.raises(Invalid, match=r"calls its zone .* \(write --timezone"):
        zone_of_table(said)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"id": None}, "a row of the table 'job' has no id"),
        ({"active": "yes"}, "row 7: active is 'yes', and not a number"),
        ({"start_anchor": "noon"}, "row 7: start_anchor is 'noon', and not a time of day"),
    ],
)
def test_a_value_that_no_such_table_holds_is_refused(said: dict[str, Any], sentence: str):
    with pytest.raises(Invalid) as caught:
        row(**said)
    assert (caught.value.text, caught.value.code) == (sentence, "bad_job_table")


def test_a_table_without_its_columns_is_refused():
    check_columns([*COLUMNS, "last_start", "more"])
    with pytest.raises(Invalid, match="has no column id, frequency"):
        check_columns([name for name in COLUMNS if name not in {"id", "frequency"}])
