"""`cronherd lock NAME`: one lock for a whole fleet, in its database (rows D2.2, D2.4, D3.4)."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Record, needing_server
from tests.engine.host import Host, environment, wait_until
from tests.servers.databases import Databases
from tests.servers.handles import Servers

Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.clear_away()


@pytest.fixture
def hold(host: Host) -> Iterator[Hold]:
    """hold("report"): a command under the lock, which goes on until it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        script = "echo $LOCKRUNPID $CRONHERD_LOCK_FENCE; exec sleep 60"
        process = subprocess.Popen(
            host.command("lock", *words, "sh", "-c", script),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def lock(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.run("lock", *words)


def listed(host: Host) -> list[dict[str, Any]]:
    return list(json.loads(host.say("locks", "list", "-o", "json").stdout)["items"])


@pytest.mark.parametrize("up", [True, False])
def test_one_at_a_time_over_the_socket_and_over_the_file_d2_2(host: Host, hold: Hold, *, up: bool):
    host.up()
    if not up:
        host.stop()
    holder = hold("report")
    pid, fence = first_line(holder)
    assert pid == str(holder.pid)
    refused = lock(host, "-n", "report", "touch", str(host.evidence))
    assert (refused.returncode, host.evidence.exists()) == (1, False)
    assert "report is locked by somebody else" in refused.stderr
    assert lock(host, "-n", "other", "true").returncode == 0
    (seen,) = listed(host)
    assert (seen["name"], seen["mode"], str(seen["fence"])) == ("report", "exclusive", fence)
    assert seen["holder"] == f"{os.uname().nodename}:{holder.pid}"
    holder.terminate()
    assert holder.wait(10) == 143
    done = lock(host, "-n", "report", "sh", "-c", "exit 7")
    assert done.returncode == 7
    assert listed(host) == []


def test_shared_means_several_at_once(host: Host, hold: Hold):
    host.up()
    first_line(hold("-s", "report"))
    assert lock(host, "-n", "-s", "report", "true").returncode == 0
    assert lock(host, "-n", "report", "true").returncode == 1


def test_who_waits_gets_it_when_it_is_free(host: Host, hold: Hold):
    host.up()
    holder = hold("report")
    first_line(holder)
    waiting = hold("-w", "30s", "report")
    holder.terminate()
    assert first_line(waiting)[0] == str(waiting.pid)


def test_without_a_fleet_the_command_does_not_run(host: Host):
    done = lock(host, "report", "touch", str(host.evidence))
    assert (done.returncode, host.evidence.exists()) == (125, False)
    assert "the fleet cannot be asked for the lock 'report'" in done.stderr
    assert "cronherd up" in done.stderr


def test_a_fleet_at_a_url_that_is_away_runs_nothing(host: Host):
    host.up()
    url = "http://127.0.0.1:1"
    for words in (("--url", url, "report"), ("report",)):
        command = host.command("lock", *words, "touch", str(host.evidence))
        if words[0] != "--url":
            command[3:3] = ["--url", url]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment()
        )
        assert (done.returncode, host.evidence.exists()) == (125, False)
        assert f"no cronherd answers at {url}" in done.stderr


def test_a_hold_outlives_the_agent_d2_4(host: Host, hold: Hold):
    """Renewed twice by the next life, beyond what it would have lasted."""
    host.up()
    holder = hold("--expiry", "6s", "report")
    first_line(holder)
    host.kill()
    host.up()
    until = listed(host)[0]["until_at"]
    wait_until(lambda: listed(host)[0]["until_at"] > until, "it is not renewed")
    until = listed(host)[0]["until_at"]
    wait_until(lambda: listed(host)[0]["until_at"] > until, "it is not renewed again")
    assert holder.poll() is None
    assert lock(host, "-n", "report", "true").returncode == 1
    holder.terminate()
    assert holder.wait(10) == 143


def test_a_lock_that_was_cleared_ends_its_command_d2_7(host: Host, hold: Hold):
    host.up()
    holder = hold("--expiry", "2s", "report")
    first_line(holder)
    assert host.say("locks", "clear", "report", "--yes").returncode == 0
    assert holder.wait(20) == 125
    event = host.client.list_events(5)["items"][0]
    assert (event["kind"], event["subject"]) == ("lock_cleared", "report")
    assert event["actor"].startswith("local")
    assert str(holder.pid) in event["text"]


def test_a_holder_that_is_killed_takes_its_command_along_and_expires_d2_4(host: Host, hold: Hold):
    host.up()
    holder = hold("--expiry", "2s", "report")
    first_line(holder)
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    began = lock(host, "-w", "20s", "report", "true")
    assert began.returncode == 0


def test_each_step_is_told_d2_5(host: Host):
    host.up()
    said = lock(host, "--log", "verbose", "report", "true").stderr
    steps = ["is asked for", "is ours", "is released"]
    assert [f"cronherd: lock 'report' {step}" for step in steps] == said.splitlines()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_database_server_is_asked_directly(
    kind: str, host: Host, hold: Hold, servers: Servers, record_property: Record
):
    with needing_server(kind, record_property):
        databases = Databases(kind, servers.url(kind))
    with closing(databases):
        url = databases.lend(lambda _: None)
        host.write_config(f"database: {url.replace('mariadb:', 'mysql:')}\n")
        assert host.say("db", "upgrade").returncode == 0
        first_line(hold("report"))
        assert lock(host, "-n", "report", "true").returncode == 1
        assert lock(host, "-n", "other", "true").returncode == 0
        assert [each["name"] for each in listed(host)] == ["report"]
