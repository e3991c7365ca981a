"""Jobs: names and their keys, places, and what a spec becomes."""

import pytest

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.job import NAME_LENGTH, build_job, name_key
from cronherd.domain.place import place_matches
from cronherd.domain.policy import Catchup, CatchupMode, Delivery, Overlap, Retention, Retry


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("backup", "backup"),
        ("Nightly Backup", "nightly backup"),
        ("Übung", "übung"),
        ("U\u0308bung", "übung"),
        ("e\u0301", "é"),
        ("日本語", "日本語"),
        ("a", "a"),
        ("a" * NAME_LENGTH, "a" * NAME_LENGTH),
        ("news", "news"),
        ("...", "..."),
        ("%_'\";--", "%_'\";--"),
    ],
)
def test_names_are_equal_by_their_key(name: str, key: str):
    assert name_key(name) == key
    assert name_key(key) == key


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a\u00a0",
        "a/b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a\x7f",
        "a" * (NAME_LENGTH + 1),
        ".",
        "..",
        "new",
        "NEW",
        "a\u200bb",
        "a\u202eb",
        "a\ud800",
        "a\ue000",
        "\ufeffa",
    ],
)
def test_a_name_that_no_table_should_hold_is_refused(name: str):
    with pytest.raises(Invalid) as caught:
        name_key(name)
    assert caught.value.code == "bad_name"


@pytest.mark.parametrize(
    ("place", "labels", "fits"),
    [
        ("", {}, True),
        ("", {"disk": "ssd"}, True),
        ("disk=ssd", {"disk": "ssd", "zone": "a"}, True),
        ("disk=ssd,zone=a", {"disk": "ssd", "zone": "a"}, True),
        ("disk=ssd,zone=b", {"disk": "ssd", "zone": "a"}, False),
        ("disk=ssd", {"disk": "hdd"}, False),
        ("disk=ssd", {}, False),
        ("url=a=b", {"url": "a=b"}, True),
    ],
)
def test_a_place_is_matched_by_all_of_its_labels(place: str, labels: dict[str, str], *, fits: bool):
    assert place_matches(place, labels) is fits


def test_a_place_is_the_same_in_any_order():
    first = build_job({"name": "a", "command": "x", "run_on": {"b": "2", "a": "1"}})
    assert first.place == "a=1,b=2"
    assert build_job({"name": "a", "command": "x"}).place == ""


def test_a_spec_becomes_a_job():
    job = build_job(
        {
            "name": "Nightly",
            "command": "echo hi",
            "schedule": "30 2 * * *",
            "timezone": "Europe/Berlin",
            "overlap": "queue",
            "max_running": 3,
            "queue_max": 7,
            "catchup": "all",
            "catchup_window": "2h",
            "catchup_max": 9,
            "on_time": "5s",
            "start_deadline": "10m",
            "timeout": "1h",
            "grace": "20s",
            "retries": {"max": 4, "backoff": "1s", "factor": 3, "max_delay": "1m", "jitter": "50%"},
            "delivery": "at_least_once",
            "takeover_after": "never",
            "run_on": {"disk": "ssd"},
            "priority": -3,
            "env": {"A": 1},
            "retention": {"age": "2d", "runs": 5},
            "output_head": 10,
            "output_tail": 20,
        }
    )
    assert (job.key, job.permits, job.queue_max, job.priority) == ("nightly", 3, 7, -3)
    assert (job.overlap, job.delivery) == (Overlap.QUEUE, Delivery.AT_LEAST_ONCE)
    assert job.catchup == Catchup(mode=CatchupMode.ALL, window_us=7_200_000_000, most=9)
    assert job.retry == Retry(
        most=4, backoff_us=1_000_000, factor=3.0, max_delay_us=60_000_000, jitter=0.5
    )
    assert job.retention == Retention(age_us=172_800_000_000, runs=5)
    assert (job.on_time_us, job.start_deadline_us) == (5_000_000, 600_000_000)
    assert (job.timeout_us, job.grace_us) == (3_600_000_000, 20_000_000)
    assert job.takeover_after_us is None
    assert (job.env, job.head_bytes, job.tail_bytes) == ({"A": "1"}, 10, 20)
    assert job.argv == ("/bin/sh", "-c", "echo hi")
    assert not job.chained


def test_a_list_is_executed_as_it_is_and_a_text_by_the_shell():
    assert build_job({"name": "a", "command": ["ls", "-l", 5]}).argv == ("ls", "-l", "5")
    assert build_job({"name": "a", "command": "ls", "shell": "/bin/bash"}).argv[0] == "/bin/bash"


def test_retries_may_be_a_number():
    assert build_job({"name": "a", "command": "x", "retries": 2}).retry == Retry(most=2)


def test_allow_is_no_limit():
    assert build_job({"name": "a", "command": "x", "overlap": "allow"}).permits == 0


def test_a_chain_cannot_overlap_itself():
    spec = {"name": "a", "command": "x", "schedule": "after 5m"}
    assert build_job(spec).chained
    with pytest.raises(Invalid, match="cannot overlap"):
        build_job({**spec, "overlap": "allow"})


@pytest.mark.parametrize(
    ("more", "fence_s"),
    [
        ({}, 898),
        ({"takeover_after": "30s"}, 28),
        ({"overlap": "queue", "max_running": 5}, 898),
        ({"overlap": "allow"}, None),
        ({"overlap": "allow", "delivery": "at_least_once"}, 898),
        ({"takeover_after": "never"}, None),
        ({"takeover_after": "never", "delivery": "at_least_once"}, None),
    ],
)
def test_a_run_is_fenced_when_another_node_could_take_its_place(
    more: dict[str, object], fence_s: int | None
):
    fence_us = build_job({"name": "a", "command": "x", **more}).fence_us
    assert fence_us == (None if fence_s is None else fence_s * 1_000_000)


@pytest.mark.parametrize(
    ("grace", "least"),
    [("0s", "20s"), ("10s", "30s"), ("1h", "1h20s")],
)
def test_a_takeover_waits_for_the_lease_and_the_grace(grace: str, least: str):
    spec = {"name": "a", "command": "x", "grace": grace}
    assert build_job({**spec, "takeover_after": least}).fence_us
    assert build_job({**spec, "takeover_after": "never"}).fence_us is None
    with pytest.raises(Invalid, match=f"too short .*at least {least}, or never") as caught:
        build_job({**spec, "takeover_after": parse_duration(least) / 1e6 - 0.001})
    assert (caught.value.code, caught.value.where) == ("bad_takeover_after", "takeover_after")


def test_a_grace_longer_than_the_usual_takeover_moves_it():
    job = build_job({"name": "a", "command": "x", "grace": "20m"})
    assert job.takeover_after_us == parse_duration("20m20s")
