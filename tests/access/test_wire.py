"""Requests that are no HTTP, or too much of it: each is ended, and nobody else waits for it."""

import os
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.access.conftest import Site, raw

HEAD = b"GET /login HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
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
