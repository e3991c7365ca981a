"""The order in which a fleet is looked for."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from cronherd.cli.main import ROOMS
from cronherd.domain.errors import Conflict
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, FakeHost


class Answer(BaseHTTPRequestHandler):
    """Says for every question that there is one job named after the path it came by."""

    def do_GET(self) -> None:
        items = [{"name": f"by-socket{self.path}"}]
        body = json.dumps({"api_version": "v1", "items": items, "next": None}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""

    def address_string(self) -> str:
        return "here"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[None]:
    """Somebody who answers on the socket of the state directory."""
    (tmp_path / "state" / "run").mkdir(parents=True)
    path = str(tmp_path / "state" / "run" / "api.sock")
    with socketserver.ThreadingUnixStreamServer(path, Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("agent")
def test_the_socket_is_asked_before_the_database_is_opened(cronherd: Shell, fleet: FakeFleet):
    host = FakeHost(fleet)
    said = cronherd("job", "list", "-o", "name", host=host)
    assert said.out == "by-socket/api/v1/jobs?limit=500\n"
    assert host.calls == []


@pytest.mark.usefixtures("agent")
def test_a_database_beside_a_running_agent_is_said_to_be_passed_over(cronherd: Shell):
    said = cronherd("job", "list", "-o", "name", "--database", "sqlite:///other.db")
    assert said.out.startswith("by-socket")
    assert (
        said.err == "cronherd: a cronherd that runs already is asked; --database is for its start\n"
    )


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mariadb"])
def test_a_server_beside_a_running_agent_is_not_called_a_file(cronherd: Shell, scheme: str):
    said = cronherd("job", "list", "-o", "name", "--database", f"{scheme}://cron:pw@db/cronherd")
    assert said.out.startswith("by-socket")
    assert "the agent of this host is asked, whatever its database" in said.err
    assert "name another --state" in said.err
    assert "pw" not in said.err


@pytest.mark.usefixtures("agent")
def test_it_is_said_by_commands_that_need_no_fleet_too(cronherd: Shell):
    said = cronherd("next", "@daily", "-n", "1", "--database", "sqlite:///other.db")
    assert said.err.count("--database is for its start") == 1


def test_a_database_is_said_to_be_passed_over_where_an_agent_holds_it(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    """The agent's socket appears while the file is being opened."""

    class Held(FakeHost):
        def open_fleet(self, config: object, place: object) -> None:  # type: ignore[override]
            (tmp_path / "state" / "run").mkdir(parents=True)
            path = str(tmp_path / "state" / "run" / "api.sock")
            self.server = socketserver.ThreadingUnixStreamServer(path, Answer)
            self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
            self.thread.start()
            raise Conflict("an agent has this database open")

    host = Held(fleet)
    said = cronherd("job", "list", "-o", "name", "--database", "sqlite:///a.db", host=host)
    host.server.shutdown()
    host.thread.join()
    host.server.server_close()
    assert said.out.startswith("by-socket")
    assert "--database is for its start" in said.err


@pytest.mark.usefixtures("agent")
def test_a_url_comes_before_everything(cronherd: Shell, environ: dict[str, str]):
    environ["CRONHERD_URL"] = "http://127.0.0.1:1"
    said = cronherd("job", "list", "-o", "name")
    assert said.code == 1
    assert "no cronherd answers at http://127.0.0.1:1" in said.err
    said = cronherd("job", "list", "--database", "sqlite:///a.db")
    assert said.err.startswith("cronherd: the cronherd at the URL is asked; --database is passed")


def test_without_an_agent_the_database_is_opened(cronherd: Shell, fleet: FakeFleet):
    host = FakeHost(fleet)
    cronherd("job", "list", host=host)
    assert host.calls == ["open"]


def test_a_database_that_an_agent_holds_is_said_where_nobody_answers(
    cronherd: Shell, fleet: FakeFleet
):
    class Held(FakeHost):
        def open_fleet(self, config: object, place: object) -> None:  # type: ignore[override]
            raise Conflict("an agent has this database open", hint="ask it")

    said = cronherd("job", "list", host=Held(fleet))
    assert (said.code, said.err) == (1, "cronherd: an agent has this database open\n  ask it\n")


@pytest.mark.parametrize("place", ["before", "after"])
def test_options_of_every_command_stand_before_and_after_it(cronherd: Shell, place: str):
    words = ("node", "list")
    shared = ("-o", "name", "--utc")
    said = cronherd(*shared, *words) if place == "before" else cronherd(*words, *shared)
    assert said.out == "web-1\n"


@pytest.mark.parametrize("room", ROOMS)
def test_every_command_has_help(cronherd: Shell, room: str):
    said = cronherd(room, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Usage: cronherd ")
