"""Encrypted ways: who is believed, and that a slow one is left in time as well."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronherd.alerts.base import Message, Part, SendFailed
from cronherd.alerts.http import Web
from cronherd.alerts.mail import MailChannel, Relay
from cronherd.alerts.net import network_list
from tests.alerts.sinks import HttpSink, MailSink, certificate

LOOPBACK = network_list(["127.0.0.0/8", "::1/128"])
TEST = Message(
    id="ab" * 16,
    target="a@x.org",
    parts=(Part(payload={"event": "test", "to": ["a@x.org"]}, created_us=0),),
    now_us=0,
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def known(shown: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    """This host believes the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(shown[0]))


@pytest.fixture
def web(shown: tuple[Path, ssl.SSLContext]) -> Iterator[HttpSink]:
    sink = HttpSink(shown[1])
    yield sink
    sink.close()


@pytest.fixture
def mails(shown: tuple[Path, ssl.SSLContext]) -> Iterator[MailSink]:
    sink = MailSink()
    sink.context = shown[1]
    yield sink
    sink.close()


def relay(port: int, tls: str, host: str = "localhost") -> MailChannel:
    user = "me" if tls in {"tls", "starttls"} else ""
    made = Relay(
        host=host, port=port, sender="c@x.org", tls=tls, user=user, password=lambda: "word",
        timeout_s=5.0,
    )  # fmt: skip
    return MailChannel(made)


@pytest.mark.usefixtures("known")
def test_a_server_with_a_certificate_for_its_name_is_called(web: HttpSink):
    calling = Web(timeout_s=5.0, allowed=LOOPBACK)
    calling.request("GET", f"https://localhost:{web.port}/x", {})
    assert web.paths() == ["/x"]
    with pytest.raises(SendFailed, match=r"(?i)certificate"):
        calling.request("GET", f"https://127.0.0.1:{web.port}/x", {})
    assert web.paths() == ["/x"]


def test_a_server_nobody_knows_is_told_nothing(web: HttpSink):
    with pytest.raises(SendFailed, match=r"(?i)certificate"):
        Web(timeout_s=5.0, allowed=LOOPBACK).request("GET", f"https://localhost:{web.port}/x", {})
    assert web.calls == []


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_known_relay_gets_the_password_and_the_mail(mails: MailSink, tls: str):
    mails.from_the_start = tls == "tls"
    relay(mails.port, tls).send(TEST)
    assert len(mails.mails) == 1
    assert [base64.b64decode(login.split()[1]) for login in mails.logins] == [b"\0me\0word"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_relay_nobody_knows_gets_neither(mails: MailSink, tls: str):
    mails.from_the_start = tls == "tls"
    with pytest.raises(SendFailed, match=r"(?i)certificate"):
        relay(mails.port, tls).send(TEST)
    assert (mails.mails, mails.logins) == ([], [])


def test_without_a_word_mail_is_encrypted_where_it_can_be(mails: MailSink):
    relay(mails.port, "auto", "127.0.0.1").send(TEST)
    relay(mails.port, "none", "127.0.0.1").send(TEST)
    assert len(mails.mails) == 2


@pytest.mark.usefixtures("known")
def test_an_encrypted_server_that_never_ends_its_answer_is_left_in_time(
    shown: tuple[Path, ssl.SSLContext],
):
    """Each piece of it comes in time; only the whole takes too long."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        taken, _ = listening.accept()
        try:
            with shown[1].wrap_socket(taken, server_side=True) as secured:
                while not over.wait(0.05):
                    secured.sendall(b"x")
        except OSError:
            return

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(SendFailed, match="gave no answer"):
            Web(timeout_s=0.5, allowed=LOOPBACK).request(
                "GET", f"https://localhost:{listening.getsockname()[1]}/", {}
            )
    finally:
        over.set()
        dripping.join(10)
        listening.close()
