"""Real nodes on real servers: what an operator does with them, by the commands an operator has."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.engine.host import Host, wait_until
from tests.servers.databases import SESSIONS
from tests.servers.handles import PrivateServer

KINDS = ("postgresql", "mariadb")
JOBS = """
jobs:
  - name: often
    command: 'true'
    schedule: every 1s
    overlap: allow
"""


class Fleet:
    """Nodes of one database, each with a state directory of its own; the first asks for people."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self.hosts: list[Host] = []

    def host(self, name: str, more: str = "") -> Host:
        folder = self._folder / name
        folder.mkdir()
        host = Host(folder)
        host.write_config(f"database: {self._url}\nnode: {{name: {name}}}\n{more}")
        self.hosts.append(host)
        return host

    def agent(self, host: Host) -> None:
        with host.log.open("ab") as log:
            host.process = host.begin(log, "agent")

    def ask(self, *words: str) -> Any:
        told = self.hosts[0].say(*words, "-o", "json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    def nodes(self) -> dict[str, str]:
        return {node["name"]: node["state"] for node in self.ask("node", "list")["items"]}

    def close(self) -> None:
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.process.send_signal(signal.SIGCONT)
            host.clear_away()


@pytest.fixture
def fleet_on(tmp_path: Path) -> Iterator[Callable[[str], Fleet]]:
    with ExitStack() as stack:

        def make(url: str) -> Fleet:
            fleet = Fleet(tmp_path, url)
            stack.callback(fleet.close)
            return fleet

        yield make


@pytest.fixture(params=KINDS)
def fleet(
    request: pytest.FixtureRequest,
    fleet_on: Callable[[str], Fleet],
    empty_database: Callable[[str], str],
) -> Fleet:
    made = fleet_on(empty_database(request.param))
    first = made.host("one", JOBS)
    assert first.say("db", "upgrade").returncode == 0
    assert first.say("apply", "--yes").returncode == 0
    return made


def test_two_nodes_share_the_work_and_a_drained_one_takes_none(fleet: Fleet) -> None:
    for host in (fleet.hosts[0], fleet.host("two")):
        fleet.agent(host)
    wait_until(lambda: fleet.nodes() == {"one": "alive", "two": "alive"}, "two nodes")
    wait_until(
        lambda: {run["node"] for run in fleet.ask("run", "list")["items"]} >= {"one", "two"},
        "both took runs",
    )
    told = fleet.hosts[0].say("node", "drain", "two")
    assert told.returncode == 0, told.stderr
    wait_until(lambda: "was drained" in fleet.hosts[1].log.read_text(), "two heard of it")
    newest = fleet.ask("run", "list")["items"][0]["id"]

    def later() -> list[str]:
        runs = fleet.ask("run", "list")["items"]
        ids = [run["id"] for run in runs]
        return [run["node"] for run in runs[: ids.index(newest)] if run["node"]]

    wait_until(lambda: len(later()) >= 3, "three runs after the drain")
    assert set(later()) == {"one"}


def test_a_copied_state_directory_is_refused(fleet: Fleet) -> None:
    first = fleet.hosts[0]
    fleet.agent(first)
    wait_until(lambda: fleet.nodes() == {"one": "alive"}, "one node")
    copy = fleet.host("two")
    copy.state.mkdir()
    shutil.copy(first.state / "node_id", copy.state)
    fleet.agent(copy)
    assert copy.process is not None
    assert copy.process.wait(40) == 1
    assert "alive elsewhere with the id of this state directory" in copy.log.read_text()
    assert fleet.nodes() == {"one": "alive"}


def test_a_dead_node_is_removed_only_when_somebody_swears(fleet: Fleet) -> None:
    second = fleet.host("two")
    fleet.agent(second)
    wait_until(lambda: fleet.nodes() == {"two": "alive"}, "two is alive")
    spec = second.state.parent / "job.yaml"
    spec.write_text("jobs: [{name: long, command: sleep 300}]\n")
    assert second.say("apply", "-f", str(spec), "--yes").returncode == 0
    assert second.say("job", "run", "long").returncode == 0

    def running() -> bool:
        return bool(fleet.ask("run", "list", "--state", "running")["items"])

    wait_until(running, "long runs")
    told = fleet.hosts[0].say("node", "remove", "two")
    assert told.returncode != 0
    assert "alive" in told.stderr
    second.kill()
    wait_until(lambda: fleet.nodes()["two"].startswith("silent"), "two is silent")
    told = fleet.hosts[0].say("node", "remove", "two")
    assert "--confirm-dead" in told.stderr
    assert fleet.hosts[0].say("node", "remove", "two", "--confirm-dead").returncode == 0
    assert fleet.nodes() == {}
    (run,) = [run for run in fleet.ask("run", "list")["items"] if run["job"] == "long"]
    assert run["outcome"] == "lost"


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_waits_for_a_database_that_is_late(
    kind: str, fleet_on: Callable[[str], Fleet], own_server: Callable[[str], PrivateServer]
) -> None:
    server = own_server(kind)
    session = SESSIONS[kind](server.url)
    session.create("late")
    session.close()
    fleet = fleet_on(urlsplit(server.url)._replace(path="/late").geturl())
    first = fleet.host("one", JOBS)
    assert first.say("db", "upgrade").returncode == 0
    server.stop()
    fleet.agent(first)
    wait_until(lambda: "trying again" in first.log.read_text(), "it says that it waits")
    server.restart()
    wait_until(lambda: "agent of node one is up" in first.log.read_text(), "it went on")
