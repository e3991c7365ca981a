"""The settings of time in a definition: what is said around a schedule."""

from typing import Any

import pytest

from cronherd.definition.jobs import job_schema, read_job
from cronherd.domain.errors import InvalidInput
from cronherd.domain.instant import format_instant, parse_instant
from cronherd.domain.job import Job, build_job
from cronherd.domain.policy import Overlap

NOW_US = parse_instant("2026-12-01")


def job(**settings: Any) -> Job:
    raw = {"name": "nightly", "command": "true", "schedule": "0 3 * * *", **settings}
    return read_job(raw, timezone="Europe/Berlin", now_us=NOW_US)


def refused(**settings: Any) -> tuple[str, str, str]:
    with pytest.raises(InvalidInput) as caught:
        job(**settings)
    (error,) = caught.value.errors
    return error.where, error.code, str(error)


def next_of(found: Job, now: str) -> str | None:
    assert found.schedule is not None
    return format_instant(found.schedule.next_after(parse_instant(now)))


@pytest.mark.parametrize(
    ("setting", "said", "kept"),
    [
        ("window", " 1:00-4:00", "01:00-04:00"),
        ("window", ["mon-fri 1:00-4:00", "Sat,Sun"], ["Mon-Fri 01:00-04:00", "Sat,Sun"]),
        ("window", ["1:00-4:00", "01:00-04:00"], "01:00-04:00"),
        ("excluding", "Sat - Sun", "Sat,Sun"),
        ("excluding", {"holidays": "de"}, "holidays DE"),
        ("excluding", ["sat", {"dates": ["2026-12-24"]}], ["Sat", {"dates": ["2026-12-24"]}]),
        ("start", " 2027-01-01  09:00", "2027-01-01 09:00"),
        ("end", "2027-01-01T09:00:00+01:00", "2027-01-01T09:00:00+01:00"),
        ("dst_gap", "skip", "skip"),
        ("dst_gap", "after", "after"),
        ("dst_fold", "both", "both"),
        ("jitter", "600s", "10m"),
        ("max_runs", 3, 3),
        ("schedule", {"every": "1h", "phase": "5m"}, "every 1h phase 5m"),
        ("schedule", {"cron": "0 0 3 * * *", "seconds": "first"},
         {"cron": "0 0 3 * * *", "seconds": "first"}),
        ("schedule", {"at": ["2027-01-01", "2027-02-01"]}, ["at 2027-01-01", "at 2027-02-01"]),
        ("schedule", ["@Reboot", "@daily"], ["@reboot", "@daily"]),
    ],
)  # fmt: skip
def test_each_setting_has_one_spelling_and_is_read_again_alike(
    setting: str, said: object, kept: object
):
    found = job(**{setting: said})
    assert found.spec[setting] == kept
    again = read_job(dict(found.spec), timezone="UTC", now_us=NOW_US)
    assert again == found
    assert build_job(found.spec) == found


def test_what_is_said_reaches_the_schedule():
    at_weekends = job(excluding=["Mon-Fri", {"holidays": "DE"}], start="2026-12-25", dst_gap="skip")
    assert next_of(at_weekends, "2026-12-01") == "2026-12-27T02:00:00Z"  # Saturday is a holiday
    spring = job(schedule="30 2 * * *", dst_gap="skip")
    assert next_of(spring, "2027-03-27 12:00") == "2027-03-29T00:30:00Z"
    autumn = job(schedule="30 2 * * *", dst_fold="both")
    assert next_of(autumn, "2027-10-31 00:30") == "2027-10-31T01:30:00Z"


def test_the_places_that_a_job_draws_are_its_own():
    first, second = (job(name=name, schedule="H H * * *") for name in ("first", "second"))
    assert next_of(first, "2027-01-01") != next_of(second, "2027-01-01")
    renamed = job(name="First", schedule="H H * * *")
    assert next_of(renamed, "2027-01-01") == next_of(first, "2027-01-01")


def test_fields_for_others_to_use():
    found = job(jitter="10m", max_runs=3)
    assert (found.jitter_us, found.max_runs) == (600_000_000, 3)
    assert not found.at_boot
    assert job(schedule="@reboot").at_boot
    assert job(schedule=["@reboot", "@daily"]).at_boot


@pytest.mark.parametrize(
    ("settings", "where", "code"),
    [
        ({"window": "9-17"}, "window", "bad_window"),
        ({"window": ["01:00-04:00", "9-17"]}, "window.1", "bad_window"),
        ({"window": []}, "window", "bad_window"),
        ({"window": 5}, "window", "invalid"),
        ({"excluding": "sometimes"}, "excluding", "bad_exclusion"),
        ({"excluding": ["Sat", "sometimes"]}, "excluding.1", "bad_exclusion"),
        ({"excluding": {"holidays": "Germany"}}, "excluding", "unknown_holidays"),
        ({"excluding": {"dates": [5]}}, "excluding", "invalid"),
        ({"excluding": []}, "excluding", "bad_exclusion"),
        ({"excluding": 5}, "excluding", "invalid"),
        ({"start": "tomorrow"}, "start", "bad_instant"),
        ({"end": 5}, "end", "invalid"),
        ({"start": "2027-01-02", "end": "2027-01-01"}, "schedule", "bad_end"),
        ({"end": "2026-01-01"}, "schedule", "never_fires"),
        ({"dst_gap": "before"}, "dst_gap", "invalid"),
        ({"dst_fold": "second"}, "dst_fold", "invalid"),
        ({"jitter": "2d"}, "jitter", "bad_jitter"),
        ({"jitter": "x"}, "jitter", "bad_duration"),
        ({"jitter": "10m", "schedule": "*/10 * * * *"}, "schedule", "bad_jitter"),
        ({"jitter": "1s", "schedule": "after 5m"}, "schedule", "bad_jitter"),
        ({"max_runs": 0}, "max_runs", "invalid"),
        ({"schedule": "after 5m", "window": "01:00-02:00"}, "schedule", "bad_schedule"),
        ({"schedule": {"at": [5]}}, "schedule", "invalid"),
        ({"schedule": "oncalendar *-02-30"}, "schedule", "never_fires"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_stands(settings: dict[str, Any], where: str, code: str):
    assert refused(**settings)[:2] == (where, code)


def test_a_jitter_is_measured_by_what_is_left_of_the_schedule():
    job(schedule="*/10 * * * *", excluding={"cron": "1-59 * * * *"}, jitter="30m")


def test_a_chain_still_has_what_does_not_belong_to_instants():
    found = job(schedule="after 5m", max_runs=3, dst_gap="skip", overlap=Overlap.SKIP.value)
    assert found.chained


def test_the_published_schema_knows_them():
    settings = job_schema()["properties"]
    wanted = {"window", "excluding", "start", "end", "dst_gap", "dst_fold", "jitter", "max_runs"}
    assert wanted <= settings.keys()
    assert "oncalendar" in str(settings["schedule"])
