"""How long a request may take to come: its head, its body; and what nobody cuts off."""

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from cronherd.api import patience
from cronherd.api import stream as stream_file
from cronherd.api.app import build_app
from cronherd.api.line import HEADERS
from cronherd.api.server import ApiServer
from cronherd.client import connect_to
from cronherd.domain.access import LOCAL, Role
from cronherd.domain.errors import Invalid
from tests.access.conftest import Site
from tests.api.always import Always
from tests.api.stand_in import StandIn

SHORT_S = 0.2
LONG_S = 15.0
PAUSE_S = 0.02
HEAD = b"GET /login HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
JOBS = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def line(site: Site) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as made:
        yield made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_S", SHORT_S)
    monkeypatch.setattr(patience, "BODY_S", SHORT_S)
    monkeypatch.setattr(patience, "DRAIN_S", SHORT_S)


def drip(line: socket.socket, piece: bytes = b"x") -> float:
    """Send it again and again until something comes back; for how many seconds."""
    began = time.monotonic()
    while time.monotonic() - began < LONG_S:
        line.sendall(piece)
        if select.select([line], [], [], PAUSE_S)[0]:
            return time.monotonic() - began
    raise AssertionError(f"nobody minded for {LONG_S} s")


def answer_of(line: socket.socket) -> tuple[HTTPResponse, bytes]:
    answer = HTTPResponse(line)
    answer.begin()
    return answer, answer.read()


def check_refused(line: socket.socket, what: str) -> HTTPResponse:
    """It was answered that this came too slowly, as everything is answered."""
    answer, content = answer_of(line)
    document: Any = json.loads(content)
    assert (answer.status, answer.headers["content-type"]) == (408, "application/problem+json")
    assert (document["status"], document["code"]) == (408, "too_slow")
    assert f"the {what} of the request" in document["detail"]
    return answer


def check_closed(line: socket.socket) -> None:
    """Also for whoever goes on to send."""
    with suppress(ConnectionError):
        drip(line)
        assert line.recv(1) == b""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("before", [b"", HEAD + b"\r\n", LOGIN + b"Content-Length: 2\r\n\r\na="])
def test_a_head_that_drips_is_refused_whichever_of_its_line_it_is(
    line: socket.socket, before: bytes
):
    if before:
        line.sendall(before)
        answer_of(line)
    line.sendall(HEAD + b"X-Slow: ")
    assert SHORT_S / 2 < drip(line) < LONG_S
    answer = check_refused(line, "head")
    assert answer.headers["connection"] == "close"
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    check_closed(line)


@pytest.mark.usefixtures("hasty")
def test_who_was_refused_and_sent_the_rest_has_a_line_for_so_long_only(line: socket.socket):
    line.sendall(JOBS + b"Content-Length: 9\r\n\r\n")
    assert answer_of(line)[0].status == 401
    line.sendall(b"x" * 9)
    assert line.recv(1) == b""


# ------------------------------------------------------------------ bodies


def told(site: Site, role: Role = Role.ADMIN) -> bytes:
    """The header of somebody who may."""
    return b"Authorization: " + site.token("robot", role).encode() + b"\r\n"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("length", [b"Content-Length: 900", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_refused(site: Site, line: socket.socket, length: bytes):
    line.sendall(JOBS + told(site) + length + b"\r\n\r\n")
    assert SHORT_S / 2 < drip(line, b"1\r\n \r\n" if b"chunked" in length else b" ") < LONG_S
    check_refused(line, "body")
    check_closed(line)
    assert site.service.list_jobs()["items"] == []


@pytest.mark.usefixtures("hasty")
def test_a_form_that_drips_is_refused_with_a_page(site: Site, line: socket.socket):
    site.account("ann")
    cookies = "; ".join(f"{name}={value}" for name, value in site.inside("ann").cookies.items())
    head = LOGIN.replace(b"/login", b"/prefs/theme") + f"Cookie: {cookies}\r\n".encode()
    line.sendall(head + b"Content-Length: 900\r\n\r\n")
    drip(line)
    answer, content = answer_of(line)
    assert (answer.status, answer.headers["content-type"]) == (408, "text/html; charset=utf-8")
    assert b"did not come in time" in content


@pytest.mark.usefixtures("hasty")
def test_by_the_socket_of_the_host_a_body_has_no_more_time(
    tmp_path_factory: pytest.TempPathFactory,
):
    path = tmp_path_factory.mktemp("s") / "s"
    served = ApiServer(build_app(StandIn(), who=Always(LOCAL)), path)
    served.start()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as line:
        line.settimeout(LONG_S)
        connect_to(line, path)
        line.sendall(JOBS + b"Content-Length: 900\r\n\r\n")
        drip(line)
        check_refused(line, "body")
    served.stop()


@pytest.mark.usefixtures("hasty")
def test_a_body_that_comes_fast_enough_may_take_longer(
    monkeypatch: pytest.MonkeyPatch, site: Site, line: socket.socket
):
    """Each piece brings as much time as ten of them take."""
    monkeypatch.setattr(patience, "BODY_RATE", 5_000)
    body = json.dumps({"name": "a", "command": "true"}).encode()
    padded = body + b" " * (30_000 - len(body))
    line.sendall(JOBS + told(site) + b"Content-Length: 30000\r\n\r\n")
    began = time.monotonic()
    for place in range(0, len(padded), 1_000):
        assert not select.select([line], [], [], PAUSE_S)[0]
        line.sendall(padded[place : place + 1_000])
    assert time.monotonic() - began > 2 * SHORT_S
    assert answer_of(line)[0].status == 201


# ------------------------------------------------------------------ what has all the time


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("body", [b"", b"Content-Length: 100000\r\n"])
def test_a_live_view_goes_on(
    monkeypatch: pytest.MonkeyPatch, site: Site, line: socket.socket, body: bytes
):
    """Also that of whoever said that a body would come: its answer is under way."""
    monkeypatch.setattr(stream_file, "BEAT_S", PAUSE_S)
    target = b"GET /api/v1/stream?topic=events HTTP/1.1\r\nHost: localhost\r\n"
    line.sendall(target + told(site) + body + b"\r\n")
    answer = HTTPResponse(line)
    answer.begin()
    assert answer.status == 200
    began = time.monotonic()
    while time.monotonic() - began < 4 * SHORT_S:
        if body:
            line.sendall(b"x")
        assert answer.readline()


@pytest.mark.usefixtures("hasty")
def test_an_answer_may_take_longer_than_its_request(monkeypatch: pytest.MonkeyPatch, site: Site):
    def slow(*_: object, **__: object) -> dict[str, bool]:
        threading.Event().wait(4 * SHORT_S)
        return {"slow": True}

    mark = {"Authorization": site.token("robot", Role.ADMIN), "Content-Type": "application/json"}
    for word, method, target, body in (
        ("status", "GET", "/api/v1/status", None),
        ("preview_job", "POST", "/api/v1/preview", b'{"definition": {}}'),
    ):
        monkeypatch.setattr(site.service, word, slow)
        with closing(HTTPConnection("127.0.0.1", site.port, timeout=LONG_S)) as asked:
            asked.request(method, target, body, mark)
            assert json.loads(asked.getresponse().read()) == {"slow": True}


async def nothing() -> Message:
    """What comes of a body that stopped."""
    await asyncio.Event().wait()
    return {}


async def end() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def late() -> Message:
    await asyncio.sleep(4 * patience.BODY_S)
    return {"type": "http.disconnect"}


def heard(monkeypatch: pytest.MonkeyPatch, coming: list[Receive], *, answers: bool) -> list[str]:
    """What an app hears that waits as often as something comes to it, and answers before or not."""
    monkeypatch.setattr(patience, "BODY_S", 0.02)
    told: list[str] = []

    async def receive() -> Message:
        return await coming.pop(0)()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            while coming:
                told.append((await receive())["type"])

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(0)  # so it waits already
        if answers:
            await send({"type": "http.response.start"})
        await listening

    async def send(_: Message) -> None:
        pass

    asyncio.run(patience.InTime(app)({"type": "http"}, receive, send))
    return told


def test_who_waits_for_the_end_of_a_line_waits_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch):
    assert heard(monkeypatch, [end, late], answers=False) == ["http.request", "http.disconnect"]


def test_an_answer_that_began_meanwhile_ends_the_count(monkeypatch: pytest.MonkeyPatch):
    assert heard(monkeypatch, [nothing, late], answers=True) == ["http.disconnect"]
    with pytest.raises(Invalid):
        heard(monkeypatch, [nothing, late], answers=False)
