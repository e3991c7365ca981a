"""Ports: what may be opened, what is said when it cannot be, TLS, and how they end."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cronherd.api import patience
from cronherd.api.ports import open_ports
from cronherd.config.web import Web
from cronherd.domain.errors import Conflict, CronherdError, Refused, Unavailable
from cronherd.engine.clock import SystemClock
from tests.access.conftest import LOCALLY, MakeSite

BEYOND = ("0.0.0.0:0",)


def opened(web: Web, *, has_accounts: bool) -> str:
    """'' when it was opened, else the code of the refusal."""
    try:
        ports = open_ports(web, has_accounts=has_accounts)
    except CronherdError as error:
        return error.code if error.hint else "no hint"
    for port in ports.sockets:
        port.close()
    return ""


def test_an_answer_waits_for_no_word_of_the_browser_about_its_beginning():
    ports = open_ports(Web(listen=("127.0.0.1:0",)), has_accounts=False)
    (port,) = ports.sockets
    port.settimeout(5)
    with closing(port), closing(socket.create_connection(port.getsockname())):
        line, _ = port.accept()
        with closing(line):
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that trusts itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


@pytest.mark.parametrize("listen", [BEYOND, ("[::]:0",), ("127.0.0.1:0", "0.0.0.0:0")])
def test_beyond_this_host_nothing_listens_without_accounts_and_tls(
    listen: tuple[str, ...], files: tuple[Path, Path]
):
    web = Web(listen=listen, asked=True)
    tls = replace(web, tls_cert=files[0], tls_key=files[1])
    proxied = replace(web, behind_proxy=True)
    for has_accounts in (False, True):
        assert opened(web, has_accounts=has_accounts) == "unsafe_listen"
    for safe in (tls, proxied):
        assert opened(safe, has_accounts=False) == "unsafe_listen"
        assert opened(safe, has_accounts=True) == ""


@pytest.mark.parametrize("said", ["127.0.0.1:0", "[::1]:0", "localhost:0", "127.7.7.7:0"])
def test_on_this_host_it_may_listen_before_there_is_an_account(said: str):
    assert opened(Web(listen=(said,), asked=True), has_accounts=False) == ""


def test_a_refusal_says_what_to_do():
    with pytest.raises(Refused) as caught:
        open_ports(Web(listen=BEYOND, asked=True), has_accounts=False)
    assert "cronherd user add" in caught.value.hint
    with pytest.raises(Refused) as caught:
        open_ports(Web(listen=BEYOND, asked=True), has_accounts=True)
    assert "web.tls_cert" in caught.value.hint


@pytest.fixture
def taken() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_a_port_that_is_taken_is_named_and_nothing_stays_open(taken: str):
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(Conflict) as caught:
        open_ports(Web(listen=(free, taken), asked=True), has_accounts=False)
    assert (caught.value.code, taken in caught.value.text) == ("port_in_use", True)
    assert opened(Web(listen=(free,), asked=True), has_accounts=False) == ""


@pytest.mark.parametrize("said", ["no-such-host.invalid:80", "192.0.2.1:0"])
def test_an_address_that_is_not_ours_is_an_error(said: str):
    web = Web(listen=(said,), asked=True, behind_proxy=True)
    with pytest.raises(Unavailable) as caught:
        open_ports(web, has_accounts=True)
    assert caught.value.code == "not_bindable"


def test_a_certificate_that_cannot_be_used_is_an_error(files: tuple[Path, Path], tmp_path: Path):
    cert, key = files
    (tmp_path / "x").write_text("no certificate")
    for pair in ((tmp_path / "x", key), (cert, tmp_path / "x"), (tmp_path / "none", key)):
        web = replace(LOCALLY, tls_cert=pair[0], tls_key=pair[1])
        assert opened(web, has_accounts=False) == "bad_certificate"


def test_by_tls_cookies_travel_by_tls_only(make_site: MakeSite, files: tuple[Path, Path]):
    import http.client  # noqa: PLC0415 - beside the one use of it
    from urllib.parse import urlencode  # noqa: PLC0415

    site = make_site(replace(LOCALLY, tls_cert=files[0], tls_key=files[1]))
    site.account("ann")
    assert site.ports.address == f"https://127.0.0.1:{site.port}"
    trusting = ssl.create_default_context(cafile=files[0])
    with closing(
        http.client.HTTPSConnection("127.0.0.1", site.port, timeout=20, context=trusting)
    ) as line:
        body = urlencode({"name": "ann", "password": "correct horse battery"})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        line.request("POST", "/login", body, kind)
        told = line.getresponse().headers
    cookie = told["set-cookie"]
    assert told["strict-transport-security"] == "max-age=604800"
    with closing(
        http.client.HTTPSConnection("127.0.0.1", site.port, timeout=20, context=trusting)
    ) as line:
        line.request("GET", "/healthz", headers={"Host": "rebound.example.com"})
        answer = line.getresponse()
    assert (answer.status, answer.headers["strict-transport-security"]) == (421, "max-age=604800")
    assert cookie.startswith("__Host-cronherd_session=")
    assert "; secure" in cookie.lower()


def test_behind_a_proxy_cookies_travel_by_tls_only_and_a_plain_one_is_not_taken(
    make_site: MakeSite,
):
    site = make_site(replace(LOCALLY, behind_proxy=True))
    site.account("ann")
    browser = site.browser()
    cookie = browser.login("ann", Host="cron.example.com").headers["set-cookie"]
    assert cookie.startswith("__Host-cronherd_session=")
    assert "; secure" in cookie.lower()
    me = browser.get("/api/v1/me")
    assert (me.status, me.headers["strict-transport-security"]) == (200, None)  # the proxy's to say
    mark = {"X_CSRF_Token": site.csrf(browser), "Host": "cron.example.com"}
    for form in ("/prefs/theme", "/prefs/zone"):
        reply = browser.form(form, {"theme": "dark", "zone": "UTC"}, **mark)
        assert reply.status == 303, reply.content
        for line in reply.headers.get_all("set-cookie") or [""]:
            assert "; secure" in line.lower()
            assert "; httponly" in line.lower()
            assert "; samesite=lax" in line.lower()
    planted = browser.cookies["__Host-cronherd_session"]  # as a neighbour without TLS could set it
    told = f"cronherd_session={planted}"
    assert site.browser().get("/api/v1/me", Cookie=told).status == 401


def test_a_connection_that_says_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, make_site: MakeSite
):
    monkeypatch.setattr(patience, "HEAD_S", 0.05)
    site = make_site()
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        assert line.recv(1) == b""


def test_a_tls_handshake_has_the_time_of_a_head(
    monkeypatch: pytest.MonkeyPatch, make_site: MakeSite, files: tuple[Path, Path]
):
    monkeypatch.setattr(patience, "HEAD_S", 0.05)
    site = make_site(replace(LOCALLY, tls_cert=files[0], tls_key=files[1]))
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=20) as line,
        suppress(ConnectionResetError),
    ):
        assert line.recv(1) == b""


def test_a_stop_waits_for_nobody(make_site: MakeSite):
    site = make_site(replace(LOCALLY, hosts=("localhost",)))  # a server of its own
    clock, port = SystemClock(), site.port
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        line.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        began_us = clock.boot_us()
        site.stop()
        assert clock.boot_us() - began_us < 2_000_000
        assert line.recv(4096)[:1] in {b"", b"H"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)
