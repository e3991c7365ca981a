"""The server's socket: who may open it, what becomes of an old one, how it ends."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Conflict, Unavailable
from tests.api.always import Always
from tests.api.stand_in import StandIn


@pytest.fixture
def socket_path(folder: Path) -> Path:
    return folder / "run" / "api.sock"


@pytest.fixture
def server(service: StandIn, socket_path: Path) -> Iterator[ApiServer]:
    """One of the test's own, to be stopped."""
    served = ApiServer(build_app(service, who=Always(LOCAL)), socket_path)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def client(server: ApiServer, socket_path: Path) -> Client:
    return Client.over_socket(socket_path)


def server_at(path: Path) -> ApiServer:
    return ApiServer(build_app(StandIn(), who=Always(LOCAL)), path)


def leave_stale_socket(path: Path) -> None:
    """What a killed process leaves: a file of a socket that nobody listens to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.bind(str(path))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_open_to_its_owner_only(server: ApiServer, socket_path: Path):
    assert mode_of(socket_path) == 0o600
    assert mode_of(socket_path.parent) == 0o700


def test_it_leaves_a_folder_that_was_there_as_it_is(folder: Path):
    folder.chmod(0o755)
    server = server_at(folder / "s")
    server.start()
    server.stop()
    assert mode_of(folder) == 0o755


def test_it_answers_at_once_and_removes_its_socket(folder: Path):
    path = folder / "s"
    server = server_at(path)
    server.start()
    assert Client.over_socket(path).health()["status"] == "ok"
    server.stop()
    server.stop()
    assert not path.exists()
    with pytest.raises(Unavailable):
        Client.over_socket(path).health()


def test_it_may_stop_before_it_started(folder: Path):
    server_at(folder / "s").stop()


def test_it_replaces_the_socket_of_a_dead_process(folder: Path):
    path = folder / "s"
    leave_stale_socket(path)
    server = server_at(path)
    server.start()
    assert Client.over_socket(path).health()["status"] == "ok"
    server.stop()


def test_it_is_not_started_twice(server: ApiServer, socket_path: Path, client: Client):
    second = server_at(socket_path)
    with pytest.raises(Conflict, match="another cronherd answers at") as caught:
        second.start()
    assert caught.value.code == "already_running"
    second.stop()
    assert client.health()["status"] == "ok"


def test_it_leaves_the_socket_of_its_successor(folder: Path):
    path = folder / "s"
    first, second = server_at(path), server_at(path)
    first.start()
    path.unlink()
    second.start()
    first.stop()
    assert Client.over_socket(path).health()["status"] == "ok"
    second.stop()
    assert not path.exists()


def test_it_deletes_nothing_but_a_socket(folder: Path):
    path = folder / "s"
    path.write_text("precious")
    with pytest.raises(Conflict) as caught:
        server_at(path).start()
    assert caught.value.code == "not_a_socket"
    assert path.read_text() == "precious"


def test_it_says_where_it_cannot_listen(folder: Path):
    (folder / "file").touch()
    with pytest.raises(Unavailable, match="cannot listen at") as caught:
        server_at(folder / "file" / "s").start()
    assert caught.value.code == "not_bindable"


def test_it_listens_at_a_path_too_long_for_a_socket(folder: Path):
    path = folder / ("d" * 100) / ("e" * 100) / "api.sock"
    assert len(os.fsencode(path)) > 107
    server = server_at(path)
    server.start()
    assert Client.over_socket(path).health()["status"] == "ok"
    with pytest.raises(Conflict, match="another cronherd answers"):
        server_at(path).start()
    server.stop()
    assert not path.exists()


def test_it_cuts_whoever_is_silent_when_it_stops(server: ApiServer, socket_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(5)
        line.connect(str(socket_path))
        line.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        server.stop()
        assert line.recv(1) == b""
    assert not socket_path.exists()


def test_it_loads_the_web_only_with_the_server():
    code = "import sys, cronherd.client, cronherd.api; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"fastapi", "starlette", "uvicorn", "pydantic", "requests", "asyncio"}
