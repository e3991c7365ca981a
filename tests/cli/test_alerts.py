"""`cronherd alerts`: what the outbox holds, for people and for programs."""

import json

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet


def alert(state: str, **more: object) -> dict[str, object]:
    return {
        "id": "a1b2c3d4",
        "channel": "mail",
        "target": "ops@example.com",
        "event": "failure",
        "job": "nightly",
        "run": "30c547ff",
        "state": state,
        "tries": 2,
        "error": "",
        "created_at": "2026-11-21T09:00:00Z",
        "next_at": None,
        "done_at": None,
        **more,
    }


def test_it_lists_what_is_told_to_whom_and_why_it_waits(cronherd: Shell, fleet: FakeFleet):
    fleet.alerts = [alert("sent"), alert("failed", error="no connection to mail.example.com")]
    said = cronherd("alerts", "list", "-o", "wide")
    assert said.code == 0
    _, sent, failed = said.out.splitlines()
    assert "ops@example.com  failure nightly  sent" in sent
    assert failed.endswith("no connection to mail.example.com")
    assert "1 given up, 0 waiting: 'cronherd alerts retry'" in said.err
    assert len(cronherd("alerts", "list", "--state", "sent").out.splitlines()) == 2
    assert json.loads(cronherd("alerts", "ls", "-o", "json").out)["counts"]["failed"] == 1
    assert cronherd("alerts", "list", "-o", "name").out.split() == ["a1b2c3d4"] * 2


def test_an_empty_outbox_is_said_to_be_empty(cronherd: Shell):
    assert "nothing was sent, and nothing waits" in cronherd("alerts", "list").err


def test_a_test_goes_through_the_outbox(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("alerts", "test", "mail", "boss@example.com")
    assert (said.code, fleet.calls) == (0, ["test mail boss@example.com"])
    assert "'cronherd alerts list' tells how it went" in said.err
    assert cronherd("alerts", "test", "pigeon", "x").code == 2


def test_a_retry_says_how_many(cronherd: Shell, fleet: FakeFleet):
    fleet.alerts = [alert("failed")]
    assert cronherd("alerts", "retry").err == "1 message will be sent again\n"
    assert json.loads(cronherd("alerts", "retry", "-o", "json").out)["retried"] == 1
