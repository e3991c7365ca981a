"""Requests that are no HTTP, or too much of it: each is ended, and nobody else waits for it."""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from cronherd.api import patience, server
from cronherd.api.app import build_app
from cronherd.client import connect_to
from cronherd.domain.access import LOCAL
from tests.access.conftest import Site, raw
from tests.api.always import Always
from tests.api.stand_in import StandIn

HEAD = b"GET /login HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
JOBS = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        POST + FORM + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\na=bc",
        POST + FORM + b"Content-Length: 4, 40\r\n\r\na=bc",
        POST + FORM + b"Content-Length: +4\r\n\r\na=bc",
        POST + FORM + b"Content-Length: -4\r\n\r\na=bc",
        POST + FORM + b"Content-Length: 0x4\r\n\r\na=bc",
        POST + FORM + b"Content-Length: 99999999999999999999999\r\n\r\na=bc",
        POST + FORM + b"Transfer-Encoding: xchunked\r\n\r\n4\r\na=bc\r\n0\r\n\r\n",
        POST + FORM + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        POST + FORM + b"Transfer-Encoding: chunked\r\n\r\nzz\r\na=bc\r\n0\r\n\r\n",
        POST + FORM + b"Transfer-Encoding: chunked\r\n\r\n-4\r\na=bc\r\n0\r\n\r\n",
        HEAD + b"X-Y : z\r\n\r\n",
        HEAD + b"X-Y: a\x00b\r\n\r\n",
        HEAD + b" folded: x\r\n\r\n",
        HEAD + b"X: " + b"x" * 600_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X%d: y\r\n" % number for number in range(60_000)) + b"\r\n",
        b"GET /" + b"x" * 600_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /login\r\nHost: localhost\r\n\r\n",
        b"G\xc3\x8bT /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /lo\x01gin HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 3,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /login HTTP/1.1\nHost: localhost\nHost: evil\n\n",
    ],
)
def test_what_is_no_request_is_refused_and_ends_its_line(site: Site, request_: bytes):
    second = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        answer = raw(site.port, request_ + second)
    except ConnectionResetError:
        answer = b""  # it was closed while more was being sent
    if answer:
        assert answer.split(b" ")[1][:1] == b"4", answer[:300]
    assert answer.count(b"HTTP/1.") <= 1
    assert site.browser().get("/login").status == 200


def test_both_lengths_are_one_request_and_never_two(site: Site):
    """The chunks count, as RFC 9112 says, and the line ends: what follows is nobody's request."""
    both = b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    second = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(site.port, POST + FORM + both + second)
    assert answer.split(b" ")[1][:1] == b"4"
    assert answer.count(b"HTTP/1.") == 1


def memory() -> int:
    """Of this process, in which the server is as well."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_body_that_never_ends_is_not_kept(site: Site):
    """Chunks without an end: refused as too large, and what still comes is dropped."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        line.sendall(POST + FORM + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20)
        assert line.recv(12) == b"HTTP/1.1 413"
        before = memory()
        with suppress(ConnectionError):  # it may close the line as well
            for _ in range(1_000):  # 64 MiB
                line.sendall(chunk)
        assert memory() - before < 24 << 20
    assert site.browser().get("/login").status == 200


@pytest.fixture(params=["port", "socket"])
def line(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[socket.socket]:
    """A connection to the port, or to the Unix socket: both are the same server's."""
    if request.param == "port":
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as made:
            yield made
        return
    path = tmp_path_factory.mktemp("s") / "s"
    served = server.ApiServer(build_app(StandIn(), who=Always(LOCAL)), path)
    served.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(20)
        connect_to(made, path)
        yield made
    served.stop()


def refused(line: socket.socket) -> None:
    """A body that is larger than any may be; its request is answered while it goes on."""
    line.sendall(JOBS + b"Content-Length: 900000000\r\n\r\n")
    assert line.recv(10) == b"HTTP/1.1 4"


def goes_on(line: socket.socket, wait_s: float) -> bool:
    """Whether nobody has ended it in that time; all that was said had been read."""
    return not select.select([line], [], [], wait_s)[0]


def test_a_body_that_goes_on_after_the_answer_is_cut_by_its_amount(
    monkeypatch: pytest.MonkeyPatch, line: socket.socket
):
    monkeypatch.setattr(patience, "DRAIN_BYTES", 4 << 20)
    refused(line)
    sent = 0
    with suppress(ConnectionError):
        while sent < 64 << 20:
            line.sendall(b"x" * 0x10000)
            sent += 0x10000
    assert 3 << 20 < sent < 48 << 20  # what the kernel holds in between is not counted there


def test_a_body_that_goes_on_after_the_answer_is_cut_in_time(
    monkeypatch: pytest.MonkeyPatch, line: socket.socket
):
    monkeypatch.setattr(patience, "DRAIN_S", 0.3)
    refused(line)
    began = time.monotonic()
    with suppress(ConnectionError):
        while time.monotonic() - began < 10:
            line.sendall(b"x")
            if not goes_on(line, 0.02) and not line.recv(65536):
                break
    assert 0.2 < time.monotonic() - began < 9


def test_who_sends_all_before_it_reads_goes_on_with_its_line(
    monkeypatch: pytest.MonkeyPatch, site: Site
):
    """Refused, but done: its connection is as good as any, then and after the time of others."""
    monkeypatch.setattr(patience, "DRAIN_BYTES", 4 << 20)
    monkeypatch.setattr(patience, "DRAIN_S", 0.3)
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=20)) as line:
        for _ in range(2):
            line.request("POST", "/api/v1/jobs", b"x" * 3_000_000)
            answer = line.getresponse()
            assert (answer.status, bool(answer.read())) == (401, True)
            assert goes_on(line.sock, 0.5)
        line.request("GET", "/login")
        assert line.getresponse().status == 200


def test_who_is_slow_keeps_nobody_waiting(site: Site):
    site.account("ann")
    with ExitStack() as lines:
        for number in range(100):
            line = socket.create_connection(("127.0.0.1", site.port), timeout=20)
            lines.enter_context(line)
            if number % 3 == 0:
                line.sendall(HEAD + b"X: ")  # a head that comes a byte at a time
            elif number % 3 == 1:
                line.sendall(POST + FORM + b"Content-Length: 1000\r\n\r\nname=")
            else:  # an answer that nobody reads
                line.sendall((HEAD + b"\r\n") * 20)
        began = time.monotonic()
        browser = site.inside("ann")
        assert browser.get("/api/v1/me").status == 200
        assert browser.get("/").status == 200
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "name",
    [
        "../app.css", "..%2f..%2fassets.py", "%2e%2e/%2e%2e/app.py", "....//app.py", "/etc/passwd",
        "%2fetc%2fpasswd", "vendor/../../app.py", "vendor/", "", ".", "app.css%00.py", "app.css/",
        "app.css::$DATA", "..\\app.py", "file:///etc/passwd", "APP.CSS", "app.css;x", "app%252ecss",
        "__init__.py", "x" * 5_000,
    ],
)  # fmt: skip
def test_no_spelling_of_a_static_file_reaches_another(site: Site, name: str):
    for mark in ("x", "..", "%2e%2e"):
        line = f"GET /static/{mark}/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        answer = raw(site.port, line)
        assert answer.split(b" ")[1] in {b"400", b"404", b"303"}, (mark, answer[:200])
        for trace in (b"root:", b"import ", b"def "):
            assert trace not in answer


@pytest.mark.parametrize("page", ["/jobs", "/runs", "/nodes"])
@pytest.mark.parametrize(
    "name",
    ["..%2fsettings", "%2e%2e", "..;/settings/people", ".%00", "%ff%fe", "%2f%2fevil", "x/y/z"],
)
def test_no_spelling_of_a_page_gets_around_the_door(site: Site, page: str, name: str):
    line = f"GET {page}/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    answer = raw(site.port, line)
    assert answer.split(b" ")[1] in {b"303", b"400", b"401", b"404", b"405", b"422"}, answer[:300]
    if answer.split(b" ")[1] == b"303":
        place = next(one for one in answer.split(b"\r\n") if one.lower().startswith(b"location:"))
        assert place.split(b": ")[1].startswith(b"/login?")
