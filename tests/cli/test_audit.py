"""`cronherd audit`: what it prints, and the exit code that a monitor goes by."""

import json

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

BACKUP = (
    "job",
    "create",
    "backup",
    "-s",
    "30 2 * * *",
    "-c",
    "true",
    "--timezone",
    "Europe/Berlin",
)
REPORT = ("job", "create", "report", "-s", "every 1h", "-c", "true")


def test_a_sound_account_is_told_and_exits_with_0(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    cronherd(*REPORT)
    said = cronherd("audit")
    assert said.code == 0
    assert said.out.splitlines()[1].split() == ["backup", "10", "5", "3", "overlap", "0"]
    assert said.err == "2 jobs, 20 slots: 0 unexplained\n"
    assert fleet.calls == ["audit None None None None"]


def test_a_hole_is_named_in_the_zone_of_the_job_and_exits_with_1(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    cronherd(*REPORT)
    fleet.holes.add("backup")
    said = cronherd("audit", "backup", "report", "--from", "2026-11-01")
    assert said.code == 1
    assert said.err == (
        "'backup': 2 slots without an outcome: 2026-11-21 02:30:00 CET, 2026-11-22 02:30:00 CET\n"
        "2 jobs, 20 slots: 2 unexplained\n"
    )
    assert fleet.calls == ["audit backup 2026-11-01 None None", "audit report 2026-11-01 None None"]
    assert cronherd("audit", "-o", "name").out == "backup\n"
    assert json.loads(cronherd("audit", "-o", "json").out)["items"][0]["sound"] is False


def test_where_an_account_begins_later_than_asked_is_told(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.kept_since = "2026-11-15T00:00:00Z"
    said = cronherd("audit", "--from", "2026-11-01")
    assert said.code == 0
    assert said.err == (
        "accounts that begin later than asked for: 'backup' from 2026-11-15 01:00:00 CET\n"
        "1 job, 10 slots: 0 unexplained\n"
    )
    assert "begin later" not in cronherd("audit").err


def test_an_unknown_job_is_a_sentence(cronherd: Shell):
    assert cronherd("audit", "nope").code == 1
