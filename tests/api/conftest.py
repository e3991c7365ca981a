"""One place says what the API serves: here the real Service can take the stand-in's place."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi import FastAPI

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client, connect_to
from cronherd.domain.access import LOCAL
from tests.api.always import Always
from tests.api.stand_in import StandIn
from tests.engine.conftest import closed_rigs

__all__ = ["closed_rigs"]  # autouse: for those of here that a Rig serves


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: pytest's own may be longer than a socket's may be."""
    with TemporaryDirectory(prefix="cronherd-") as name:
        yield Path(name)


@pytest.fixture
def service() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def _standing() -> Iterator[tuple[FastAPI, Path]]:
    """One server for all tests that only ask: to start and to stop one takes longer than they."""
    app = build_app(StandIn(), who=Always(LOCAL))
    with TemporaryDirectory(prefix="cronherd-") as name:
        path = Path(name) / "run" / "api.sock"
        served = ApiServer(app, path)
        served.start()
        yield app, path
        served.stop()


@pytest.fixture
def socket_path(_standing: tuple[FastAPI, Path]) -> Path:
    return _standing[1]


@pytest.fixture
def server(_standing: tuple[FastAPI, Path], service: StandIn) -> None:
    """From now on it answers for this service."""
    _standing[0].state.fleet = service


@pytest.fixture
def client(server: None, socket_path: Path) -> Client:
    return Client.over_socket(socket_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came over the line."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.content)


Send = Callable[..., Reply]


def send_raw(
    path: Path,
    method: str,
    target: str,
    body: bytes | None = None,
    content_type: str | None = "application/json",
    **headers: str,
) -> Reply:
    """One request with nothing made right: what a hostile or careless program may send."""
    with (
        closing(http.client.HTTPConnection("localhost")) as connection,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection.sock,
    ):
        connection.sock.settimeout(20)
        connect_to(connection.sock, path)
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and content_type is not None:
            told["Content-Type"] = content_type
        connection.request(method, target, body, told)
        answer = connection.getresponse()
        return Reply(status=answer.status, headers=answer.headers, content=answer.read())


@pytest.fixture
def send(server: None, socket_path: Path) -> Send:
    def send(method: str, target: str, *rest: Any, **more: Any) -> Reply:
        return send_raw(socket_path, method, "/api/v1" + target, *rest, **more)

    return send
