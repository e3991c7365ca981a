"""Alerts of two nodes on one server: whoever sends a message, it is sent once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.instant import parse_instant
from tests.alerts.sinks import HttpSink, MailSink
from tests.engine.host import wait_until
from tests.engine.test_fleet import KINDS, Fleet

PERIOD_US = 10_000_000
SETTINGS = """
alerts:
  relay: 127.0.0.1:{mail}
  sender: cron@example.com
  allow_private: [127.0.0.0/8]
  heartbeat: http://127.0.0.1:{web}/alive
  heartbeat_every: 10s
jobs:
  - name: often
    command: 'echo hello'
    schedule: every 1s
    overlap: allow
    mailto: ops@example.com
"""


@pytest.fixture
def sinks() -> Iterator[tuple[MailSink, HttpSink]]:
    with closing(MailSink()) as mails, closing(HttpSink()) as web:
        yield mails, web


@pytest.mark.parametrize("kind", KINDS)
def test_two_nodes_send_each_mail_and_each_heartbeat_once(
    kind: str,
    tmp_path: Path,
    empty_database: Callable[[str], str],
    sinks: tuple[MailSink, HttpSink],
) -> None:
    mails, web = sinks
    fleet = Fleet(tmp_path, empty_database(kind))
    with closing(fleet):
        settings = SETTINGS.format(mail=mails.port, web=web.port)
        first = fleet.host("one", settings)
        assert first.say("db", "upgrade").returncode == 0
        assert first.say("apply", "--yes").returncode == 0
        for host in (first, fleet.host("two", settings)):
            fleet.agent(host)
        wait_until(lambda: {"one", "two"} <= senders(mails), "both nodes ran what was mailed")
        wait_until(lambda: web.calls != [], "no heartbeat came")
        fleet.ask("job", "disable", "often")
        wait_until(lambda: all(run["outcome"] for run in runs_of(fleet)), "some still run")
        wait_until(lambda: fleet.ask("alerts", "list")["counts"]["waiting"] == 0, "some still wait")
        told = fleet.ask("alerts", "list", "--limit", "1000")["items"]
        runs = runs_of(fleet)
    sent = sorted(str(mail.letter["X-Cronherd-Run"]) for mail in mails.mails)
    assert sent == sorted(run["id"] for run in runs)
    beats = [alert for alert in told if alert["event"] == "heartbeat"]
    periods = [parse_instant(beat["created_at"]) // PERIOD_US for beat in beats]
    assert len(periods) == len(set(periods)) > 0
    keys = [call.headers["Idempotency-Key"] for call in web.calls]
    assert len(keys) == len(set(keys))
    assert {beat["id"] for beat in beats} <= set(keys)


def runs_of(fleet: Fleet) -> list[Any]:
    return list(fleet.ask("run", "list", "--limit", "1000")["items"])


def senders(mails: MailSink) -> set[str]:
    """The nodes whose runs were mailed."""
    return {str(mail.letter["Subject"]).rpartition(" ")[2] for mail in mails.mails}
