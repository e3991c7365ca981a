"""`cronherd job versions` and `job rollback`."""

import json

import pytest

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

OLD = {"name": "backup", "command": "true"}
NEW = {"name": "backup", "command": "false", "timeout": 60}


@pytest.fixture(autouse=True)
def kept(cronherd: Shell, fleet: FakeFleet) -> None:
    cronherd("job", "create", "backup", "-c", "true")
    changes = [
        {"key": "command", "old": "true", "new": "false"},
        {"key": "timeout", "old": None, "new": 60},
    ]
    made = {"by": "ann", "at": "2026-11-20T08:00:00Z"}
    fleet.versions = [
        {**made, "number": 3, "present": True, "definition": NEW, "changes": changes},
        {**made, "number": 1, "present": False, "definition": OLD, "changes": None},
    ]


def test_versions_are_listed_with_what_changed(cronherd: Shell):
    first, second, third = cronherd("job", "versions", "backup").out.splitlines()
    assert first.split() == ["VERSION", "SINCE", "BY", "CHANGED"]
    assert "ann" in second
    assert second.endswith("command: true -> false; timeout: none -> 60")
    assert third.endswith("made")
    assert cronherd("job", "versions", "backup", "-o", "name").out == "3\n1\n"


def test_one_version_is_shown_whole(cronherd: Shell):
    assert cronherd("job", "versions", "backup", "1").out == "name: backup\ncommand: 'true'\n"
    document = json.loads(cronherd("job", "versions", "backup", "3", "-o", "json").out)
    assert document["definition"] == NEW


def test_a_version_that_is_not_kept_is_named(cronherd: Shell):
    said = cronherd("job", "versions", "backup", "2")
    assert said.code != 0
    assert "'backup' has no version 2" in said.err


def test_a_job_goes_back(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("job", "rollback", "backup", "--to", "1")
    assert said.err == "'backup' is as in version 1 again, saved as version 9\n"
    assert fleet.calls[-1].startswith("rollback to 1 from 1 by ")
