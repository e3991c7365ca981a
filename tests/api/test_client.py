"""What Client says when there is no cronherd, or something else, at the other end."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cronherd.client import Client
from cronherd.domain.errors import (
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
)

Speak = Callable[[bytes], str]


@pytest.fixture
def speak() -> Iterator[Speak]:
    """A server on TCP that answers one request with these bytes; gives its URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        heard = threading.Event()

        def answer(content: bytes) -> None:
            with suppress(OSError):  # a client that was refused a token never asks
                line, _ = listener.accept()
                with line:
                    line.recv(65_536)
                    line.sendall(content)
                    heard.wait(0 if content else 20)

        def speak(content: bytes) -> str:
            threading.Thread(target=answer, args=[content], daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield speak
        heard.set()


def http(status: str, content: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def test_it_says_how_to_start_a_cronherd_that_is_not_there(folder: Path):
    with pytest.raises(Unavailable, match="no cronherd answers at") as caught:
        Client.over_socket(folder / "none").health()
    assert (caught.value.code, caught.value.hint) == ("no_answer", "start it with 'cronherd up'")


def test_it_says_so_when_only_the_socket_is_left(folder: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.bind(str(folder / "s"))
    with pytest.raises(Unavailable, match="refused") as caught:
        next(Client.over_socket(folder / "s").follow_output("a"))
    assert caught.value.code == "no_answer"


def test_it_gives_up_after_its_time(speak: Speak):
    client = Client.over_url(speak(b""), None, timeout_s=0.05)
    with pytest.raises(Unavailable, match=r"no answer from .* within 0\.05 s") as caught:
        client.health()
    assert caught.value.code == "no_answer"


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        http("200 OK", b"<html>", "text/html"),
        http("200 OK", b"[]"),
        http("200 OK", b"\xff"),
        http("200 OK", b"[" * 100_000),
        http("404 Not Found", b"<html>", "text/html"),
        http("404 Not Found", b"{}"),
        http("302 Found", b""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_it_does_not_believe_what_is_not_cronherd(speak: Speak, content: bytes):
    with pytest.raises(Unavailable) as caught:
        Client.over_url(speak(content), None).health()
    assert caught.value.code == "no_answer"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 No", Refused),
        ("403 No", Refused),
        ("408 No", Unavailable),
        ("429 No", Unavailable),
        ("502 No", Unavailable),
        ("500 No", CronherdError),
    ],
)
def test_it_maps_statuses_that_the_fleet_does_not_make(
    speak: Speak, status: str, kind: type[CronherdError]
):
    content = http(status, b'{"code": "c", "detail": "a sentence", "hint": null}')
    with pytest.raises(CronherdError, match=r"^a sentence$") as caught:
        Client.over_url(speak(content), None).health()
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.hint) == ("c", "")


def test_it_says_that_a_stream_broke_off(speak: Speak):
    content = http("200 OK", b'\n{"seq": 0}\n')
    pieces = Client.over_url(speak(content), None).follow_output("a")
    assert next(pieces) == {"seq": 0}
    with pytest.raises(Unavailable, match="broke off"):
        next(pieces)


def test_it_shows_its_token_and_keeps_the_base_of_a_url():
    heard: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            line, _ = listener.accept()
            with line:
                heard.append(line.recv(65_536))
                line.sendall(http("200 OK", b'{"status": "ok"}'))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/cron/"
        assert Client.over_url(url, "s3cret").health() == {"status": "ok"}
        thread.join(5)
    assert heard[0].startswith(b"GET /cron/api/v1/health HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in heard[0]


@pytest.mark.parametrize("token", ["a\r\nX: y", "a\nb", "日本"])
def test_it_sends_no_token_that_would_be_another_header(speak: Speak, token: str):
    with pytest.raises(Invalid) as caught:
        Client.over_url(speak(b"x"), token).health()
    assert caught.value.code == "bad_token"


@pytest.mark.parametrize(
    "url",
    ["", "host", "host:2766", "ftp://host", "http://", "https://:80", "http://h:x", "http://h:0",
     "http://h:99999", "http://a:b@h", "http://h/a b", "http://h/\n", "http://[::1", "http://hö"],
)  # fmt: skip
def test_it_refuses_what_is_no_address(url: str):
    with pytest.raises(Invalid) as caught:
        Client.over_url(url, None)
    assert caught.value.code == "bad_url"


def test_it_verifies_certificates():
    client = Client.over_url("https://localhost:1", None)
    connection = client._connection(timeout=1.0)
    context = connection._context  # type: ignore[attr-defined]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_it_refuses_what_json_cannot_hold(client: Client):
    for value in (float("nan"), {1, 2}, b"x"):
        with pytest.raises(Invalid) as caught:
            client.create_job({"name": value}, "me")
        assert caught.value.code == "bad_json"


def test_it_refuses_names_that_are_not_text(client: Client):
    for ask in (client.show_job, lambda name: client.list_runs(job=name)):
        with pytest.raises(Invalid, match="not UTF-8"):
            ask("caf\udce9")
    with pytest.raises(Invalid):
        client.create_job({"name": "caf\udce9"}, "me")


def test_it_tells_that_nothing_is_there_before_it_asks(client: Client):
    with pytest.raises(NotFound):
        client.show_run("a/b")
    with pytest.raises(InvalidInput):
        client.create_job(None, "me")
