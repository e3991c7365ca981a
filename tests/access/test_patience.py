"""How long a request may take to come: its head, its body; and what nobody cuts off."""

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPResponse
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


Shorten = Callable[..., None]


@pytest.fixture
def shorten(monkeypatch: pytest.MonkeyPatch) -> Shorten:
    """To be called when all has come that must not be late, however busy this host is."""

    def shorten(*names: str, to_s: float = SHORT_S) -> None:
        for name in names:
            monkeypatch.setattr(patience, name, to_s)

    return shorten


def drip(line: socket.socket, head: bytes = b"", piece: bytes = b"x") -> float:
    """Send pieces after the head until something comes back; for how many seconds in all."""
    began = time.monotonic()
    line.sendall(head)
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


def test_a_first_head_that_drips_is_refused(shorten: Shorten, site: Site):
    shorten("HEAD_S", to_s=1.0)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        drip(line, HEAD + b"X-Slow: ")
        check_refused(line, "head")


@pytest.mark.parametrize("before", [HEAD + b"\r\n", LOGIN + b"Content-Length: 2\r\n\r\na="])
def test_a_later_head_that_drips_is_refused(shorten: Shorten, line: socket.socket, before: bytes):
    line.sendall(before)
    answer_of(line)
    shorten("HEAD_S", to_s=1.0)
    line.sendall(before)  # what comes after its answer is the first that has so little time
    answer_of(line)
    drip(line, HEAD + b"X-Slow: ")
    answer = check_refused(line, "head")
    assert answer.headers["connection"] == "close"
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    check_closed(line)


def test_who_was_refused_and_sent_the_rest_has_a_line_for_so_long_only(
    shorten: Shorten, line: socket.socket
):
    line.sendall(JOBS + b"Content-Length: 9\r\n\r\n")
    assert answer_of(line)[0].status == 401
    shorten("HEAD_S")
    line.sendall(b"x" * 9)
    assert line.recv(1) == b""


# ------------------------------------------------------------------ bodies


def told(site: Site, role: Role = Role.ADMIN) -> bytes:
    """The header of somebody who may."""
    return b"Authorization: " + site.token("robot", role).encode() + b"\r\n"


@pytest.mark.parametrize("length", [b"Content-Length: 900", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_refused(
    shorten: Shorten, site: Site, line: socket.socket, length: bytes
):
    shorten("BODY_S", "DRAIN_S")
    piece = b"1\r\n \r\n" if b"chunked" in length else b" "
    assert drip(line, JOBS + told(site) + length + b"\r\n\r\n", piece) > SHORT_S
    check_refused(line, "body")
    check_closed(line)
    assert site.service.list_jobs()["items"] == []


def test_a_form_that_drips_is_refused_with_a_page(
    shorten: Shorten, site: Site, line: socket.socket
):
    site.account("ann")
    cookies = "; ".join(f"{name}={value}" for name, value in site.inside("ann").cookies.items())
    head = LOGIN.replace(b"/login", b"/prefs/theme") + f"Cookie: {cookies}\r\n".encode()
    shorten("BODY_S")
    drip(line, head + b"Content-Length: 900\r\n\r\n")
    answer, content = answer_of(line)
    assert (answer.status, answer.headers["content-type"]) == (408, "text/html; charset=utf-8")
    assert b"did not come in time" in content


def test_by_the_socket_of_the_host_a_body_has_no_more_time(
    shorten: Shorten, tmp_path_factory: pytest.TempPathFactory
):
    shorten("BODY_S")
    path = tmp_path_factory.mktemp("s") / "s"
    served = ApiServer(build_app(StandIn(), who=Always(LOCAL)), path)
    served.start()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as line:
        line.settimeout(LONG_S)
        connect_to(line, path)
        drip(line, JOBS + b"Content-Length: 900\r\n\r\n")
        check_refused(line, "body")
    served.stop()


def test_a_body_that_comes_fast_enough_may_take_longer(
    monkeypatch: pytest.MonkeyPatch, shorten: Shorten, site: Site, line: socket.socket
):
    shorten("BODY_S")
    monkeypatch.setattr(patience, "BODY_RATE", 100)  # a piece brings ten seconds
    piece = b" " * 1_000
    body = json.dumps({"name": "a", "command": "true"}).encode()
    length = b"Content-Length: %d\r\n\r\n" % (30 * len(piece) + len(body))
    began = time.monotonic()
    line.sendall(JOBS + told(site) + length + piece)
    for _ in range(29):
        assert not select.select([line], [], [], PAUSE_S)[0]
        line.sendall(piece)
    assert time.monotonic() - began > 2 * SHORT_S
    line.sendall(body)
    assert answer_of(line)[0].status == 201


# ------------------------------------------------------------------ what has all the time


@pytest.mark.parametrize("body", [b"", b"Content-Length: 100000\r\n"])
def test_a_live_view_goes_on(
    monkeypatch: pytest.MonkeyPatch, shorten: Shorten, site: Site, body: bytes
):
    """Also that of whoever said that a body would come: its answer is under way."""
    monkeypatch.setattr(stream_file, "BEAT_S", PAUSE_S)
    monkeypatch.setattr(stream_file, "BEATS", 10_000)
    target = b"GET /api/v1/stream?topic=events HTTP/1.1\r\nHost: localhost\r\n"
    asked = target + told(site) + body + b"\r\n"
    shorten("BODY_S")
    shorten("HEAD_S", to_s=1.0)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        line.sendall(asked)
        answer = HTTPResponse(line)
        answer.begin()
        assert answer.status == 200
        began = time.monotonic()
        while time.monotonic() - began < 1.3:
            if body:
                line.sendall(b"x")
            assert answer.readline()


def test_an_answer_may_take_longer_than_its_request(
    monkeypatch: pytest.MonkeyPatch, shorten: Shorten, site: Site, line: socket.socket
):
    def slow(*_: object, **__: object) -> dict[str, bool]:
        threading.Event().wait(3 * SHORT_S)
        return {"slow": True}

    monkeypatch.setattr(site.service, "preview_job", slow)
    shorten("BODY_S")
    head = JOBS.replace(b"/jobs", b"/preview") + told(site)
    line.sendall(head + b'Content-Length: 18\r\n\r\n{"definition": {}}')
    assert json.loads(answer_of(line)[1]) == {"slow": True}


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

    async def work() -> None:
        await patience.InTime(app)({"type": "http"}, receive, send)

    # In a thread of its own: a browser in this process leaves its loop in the main one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()
    return told


def test_who_waits_for_the_end_of_a_line_waits_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch):
    assert heard(monkeypatch, [end, late], answers=False) == ["http.request", "http.disconnect"]


def test_an_answer_that_began_meanwhile_ends_the_count(monkeypatch: pytest.MonkeyPatch):
    assert heard(monkeypatch, [nothing, late], answers=True) == ["http.disconnect"]
    with pytest.raises(Invalid):
        heard(monkeypatch, [nothing, late], answers=False)
