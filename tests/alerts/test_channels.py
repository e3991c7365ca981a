"""Channels against real servers: what they say, whom they refuse, and how long they wait."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.header import decode_header, make_header
from typing import Any

import pytest

from cronherd.alerts.base import Message, Part, SendFailed
from cronherd.alerts.http import Web
from cronherd.alerts.letter import OUTPUT_MOST, body_of, plain_text, subject_of
from cronherd.alerts.mail import MailChannel, Relay
from cronherd.alerts.net import network_list, refusal
from cronherd.alerts.ping import PingChannel
from cronherd.alerts.webhook import WebhookChannel
from tests.access.hostile import STRINGS
from tests.alerts.sinks import Answer, HttpSink, MailSink, free_port

LOOPBACK = network_list(["127.0.0.0/8"])
WEB = Web(timeout_s=5.0, allowed=LOOPBACK)
NOW_US = 1_800_000_000_000_000
RUN_ID = "30c547ff" + "0" * 24


@pytest.fixture
def web() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.close()


@pytest.fixture
def mails() -> Iterator[MailSink]:
    sink = MailSink()
    yield sink
    sink.close()


def part(**more: Any) -> Part:
    output = more.pop("output", "")
    payload = {
        "event": "failure", "job": "nightly", "run_id": RUN_ID, "attempt": 1, "cause": "schedule",
        "outcome": "failed", "exit_code": 3, "signal": None, "node": "one",
        "timezone": "Europe/Berlin",
        "scheduled_us": NOW_US, "created_us": NOW_US, "started_us": NOW_US,
        "ended_us": NOW_US + 1_500_000, "error_text": "", "to": ["a@x.org"],
    }  # fmt: skip
    return Part(payload=payload | more, created_us=NOW_US, output=output)


def message(*parts: Part, target: str = "a@x.org", secret: str = "") -> Message:
    return Message(id="ab" * 16, target=target, parts=parts, now_us=NOW_US, secret=secret)


def relay(port: int, **more: Any) -> Relay:
    return Relay(host="127.0.0.1", port=port, sender="cronherd <cron@x.org>", timeout_s=5.0, **more)


# ------------------------------------------------------------------ whom is called


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "fec0::1", "3fff::1", "192.88.99.1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str):
    assert "is not a public address" in refusal(address, ())


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "64:ff9b::909:909"])
def test_what_is_public_is_called(address: str):
    assert refusal(address, ()) == ""


def test_networks_are_allowed_one_by_one():
    allowed = network_list(["10.0.0.0/8", "fc00::/7"])
    assert refusal("10.1.2.3", allowed) == refusal("fc00::1", allowed) == ""
    assert refusal("::ffff:10.1.2.3", allowed) == ""
    assert refusal("192.168.0.1", allowed)
    assert refusal("127.0.0.1", allowed)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_a_url_that_leads_inside_is_refused_for_good_and_never_called(web: HttpSink, host: str):
    closed = Web(timeout_s=5.0)
    url = f"http://{host}:{web.port}/x"
    with pytest.raises(SendFailed, match="is not a public address") as caught:
        closed.request("GET", url, {})
    assert caught.value.final
    assert web.calls == []


def test_a_name_that_has_an_inner_address_too_is_refused(
    web: HttpSink, monkeypatch: pytest.MonkeyPatch
):
    rows = [(2, 1, 6, "", (address, web.port)) for address in ("9.9.9.9", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    with pytest.raises(SendFailed, match=r"127\.0\.0\.1 is not a public address"):
        Web(timeout_s=5.0).request("GET", "http://two-faced.example/", {})


def test_a_name_is_asked_for_once_and_the_address_that_was_looked_at_is_called(
    web: HttpSink, monkeypatch: pytest.MonkeyPatch
):
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    WEB.request("GET", f"http://rebinding.example:{web.port}/x", {})
    assert asked == ["rebinding.example"]
    (call,) = web.calls
    assert call.headers["Host"] == f"rebinding.example:{web.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(web: HttpSink, status: int):
    web.answers = [Answer(status, {"Location": web.url("/inside")})]
    with pytest.raises(SendFailed, match=f"answered {status}: redirects are not followed"):
        WEB.request("GET", web.url("/outside"), {})
    assert web.paths() == ["/outside"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_any_answer_but_success_is_a_failure_that_may_pass(web: HttpSink, status: int):
    web.answers = [Answer(status)]
    with pytest.raises(SendFailed, match=f"answered {status}") as caught:
        WEB.request("GET", web.url(), {})
    assert not caught.value.final


def test_where_nobody_listens_is_a_sentence():
    with pytest.raises(SendFailed, match=r"no connection to 127.0.0.1 port \d+"):
        WEB.request("GET", f"http://127.0.0.1:{free_port()}/", {})


class Mute:
    """Takes a connection and says one byte from time to time, for ever."""

    def __init__(self, drip: bytes) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self._drip, self._over = drip, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        taken, _ = self.socket.accept()
        with taken:
            try:
                while not self._over.wait(0.05):
                    taken.sendall(self._drip)
            except OSError:
                return

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self.socket.close()


@pytest.fixture(params=[b"", b"x"])
def mute(request: pytest.FixtureRequest) -> Iterator[Mute]:
    made = Mute(request.param)
    yield made
    made.close()


def test_a_server_that_never_ends_its_answer_is_left_in_time(mute: Mute):
    with pytest.raises(SendFailed, match="gave no answer"):
        replace(WEB, timeout_s=0.5).request("GET", f"http://127.0.0.1:{mute.port}/", {})


def test_a_relay_that_never_greets_is_left_in_time(mute: Mute):
    slow = replace(relay(mute.port), timeout_s=0.3)
    with pytest.raises(SendFailed, match=r"^the relay ") as caught:
        MailChannel(slow).send(message(part()))
    assert caught.value.everybody


# ------------------------------------------------------------------ pings and webhooks


def test_a_ping_is_a_get_with_an_id(web: HttpSink):
    PingChannel(WEB).send(message(part(url=web.url("/uuid/3?rid=1"))))
    (call,) = web.calls
    assert (call.method, call.path, call.body) == ("GET", "/uuid/3?rid=1", b"")
    assert call.headers["Idempotency-Key"] == "ab" * 16
    assert call.headers["User-Agent"].startswith("cronherd/")


def test_a_webhook_posts_a_signed_document(web: HttpSink):
    WebhookChannel(WEB).send(message(part(url=web.url("/hook")), secret="s3cret"))
    (call,) = web.calls
    stamp = call.headers["Cronherd-Timestamp"]
    proof = hmac.new(b"s3cret", stamp.encode() + b"." + call.body, hashlib.sha256).hexdigest()
    assert stamp == str(NOW_US // 1_000_000)
    assert call.headers["Cronherd-Signature"] == f"v1={proof}"
    assert (call.method, call.path) == ("POST", "/hook")
    assert call.headers["Content-Type"] == "application/json"
    document = json.loads(call.body)
    assert (document["event"], document["job"], document["id"]) == ("failure", "nightly", "ab" * 16)
    assert document["run"]["exit_code"] == 3
    assert document["run"]["id"] == RUN_ID
    assert document["run"]["ended_at"] == "2027-01-15T08:00:01.500000Z"


def test_a_webhook_without_a_secret_is_not_signed(web: HttpSink):
    WebhookChannel(WEB).send(message(part(url=web.url("/hook"))))
    assert "Cronherd-Signature" not in web.calls[0].headers


# ------------------------------------------------------------------ mail


def test_a_mail_says_what_happened(mails: MailSink):
    MailChannel(relay(mails.port)).send(message(part(output="dump failed\n")))
    (mail,) = mails.mails
    letter = mail.letter
    assert (mail.sender, mail.receivers) == ("cron@x.org", ["a@x.org"])
    assert letter["Message-ID"] == f"<{'ab' * 16}@x.org>"
    assert letter["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Subject"] == "[cronherd] nightly failed (exit code 3) on one"
    assert "Scheduled: 2027-01-15 09:00:00 CET (+0100, Europe/Berlin)" in mail.text
    assert "Took:      1s500ms" in mail.text or "Took:      1.5s" in mail.text
    assert "\ndump failed\n" in mail.text


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nBcc: evil@x.org", "a\nSubject: other", "a\x0bb\x0cc", "a\u2028Bcc: b", "a\x85b",
        "Nächtliche Sicherung \N{SNOWMAN}", "x" * 5_000,
    ],
)  # fmt: skip
def test_no_name_of_a_job_adds_a_header(mails: MailSink, name: str):
    MailChannel(relay(mails.port)).send(message(part(job=name)))
    (mail,) = mails.mails
    head = mail.raw.partition(b"\r\n\r\n")[0]
    names = {line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"}
    assert names == {
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"X-Cronherd-Run",
        b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version",
    }  # fmt: skip
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) < 200
    subject = str(make_header(decode_header(mail.letter["Subject"])))
    assert subject.startswith("[cronherd] " + name[:1])
    assert len(subject) <= 151


def test_a_subject_is_one_line():
    assert subject_of([part(job="a\r\nb\u2028c\td")]) == (
        "[cronherd] a  b c d failed (exit code 3) on one"
    )


def test_output_is_text_whatever_a_command_wrote(mails: MailSink):
    evil = "\x1b[31mred\x1b[0m \x1b]0;title\x07 a\rb\x00 .\n.\n..\nQUIT\n" + "y" * 3_000
    MailChannel(relay(mails.port)).send(message(part(output=evil)))
    (mail,) = mails.mails
    assert "red  a\nb\N{REPLACEMENT CHARACTER} .\n.\n..\nQUIT\n" + "y" * 3_000 in mail.text
    assert b"\x1b" not in mail.raw
    assert max(len(line) for line in mail.raw.split(b"\n")) < 200


def test_of_much_output_the_ends_are_mailed():
    text = "a" * OUTPUT_MOST + "b" * OUTPUT_MOST
    body = body_of([part(output=text)])
    assert len(body) < OUTPUT_MOST + 2_000
    half = OUTPUT_MOST // 2
    assert f"{'a' * half}\n[… {OUTPUT_MOST} characters are left out here …]\n{'b' * half}" in body
    assert plain_text("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize("where", ["job", "node", "error_text", "output"])
def test_no_hostile_string_leaves_its_place_in_a_mail(mails: MailSink, where: str):
    parts = [part(**{where: text}) for text in STRINGS]
    for each in [*([one] for one in parts), parts]:  # by itself, and all of them in a digest
        MailChannel(relay(mails.port)).send(message(*each))
    plain = 10 - 1  # a digest names no run
    for mail in mails.mails:
        head = mail.raw.partition(b"\r\n\r\n")[0]
        lines = [line for line in head.split(b"\r\n") if line[:1] not in b" \t"]
        assert len(lines) in {plain, plain + 1}
        assert mail.receivers == ["a@x.org"]
        assert mail.letter["Subject"].isprintable()
        controls = {char for char in mail.text if char < " " or "\x7f" <= char <= "\x9f"}
        assert controls <= {"\n", "\t"}, controls
    assert len(mails.mails) == len(STRINGS) + 1


def test_a_digest_tells_each_of_them(mails: MailSink):
    ok = part(job="other", outcome="succeeded", event="success", exit_code=0, output="fine")
    missed = part(
        event="missed", outcome=None, from_us=NOW_US, to_us=NOW_US, count=4, reason="catchup_none"
    )
    MailChannel(relay(mails.port)).send(message(part(output="bad"), ok, missed))
    (mail,) = mails.mails
    assert mail.letter["Subject"] == "[cronherd] 3 messages: 1 failed, 1 missed, 1 succeeded"
    for words in ("bad", "fine", "missed 4 slots", "other succeeded on one"):
        assert words in mail.text


def test_a_local_name_gets_the_domain_of_the_settings(mails: MailSink):
    told = message(part(to=["root", "a@x.org"]), target="root")
    MailChannel(relay(mails.port, domain="x.org")).send(told)
    MailChannel(relay(mails.port)).send(told)
    assert [mail.receivers for mail in mails.mails] == [["root@x.org"], ["root"]]
    assert mails.mails[0].letter["To"] == "root@x.org, a@x.org"


def test_a_refused_receiver_is_a_failure_of_this_one_only(mails: MailSink):
    mails.answer = lambda receiver: "550 no such user" if receiver == "a@x.org" else None
    channel = MailChannel(relay(mails.port))
    with pytest.raises(SendFailed, match=r"the relay refused a@x\.org: 550 no such user") as caught:
        channel.send(message(part()))
    assert not caught.value.everybody
    channel.send(message(part(), target="b@x.org"))
    assert [mail.receivers for mail in mails.mails] == [["b@x.org"]]


def test_a_relay_that_is_down_is_told_as_a_closed_way():
    with pytest.raises(SendFailed, match=r"no connection to 127\.0\.0\.1") as caught:
        MailChannel(relay(free_port())).send(message(part()))
    assert caught.value.everybody
    with pytest.raises(SendFailed, match="no connection"):
        MailChannel(relay(free_port())).ask()


def test_a_relay_that_must_be_encrypted_and_is_not_gets_nothing(mails: MailSink):
    with pytest.raises(SendFailed, match="STARTTLS"):
        MailChannel(relay(mails.port, tls="starttls")).send(message(part()))
    with pytest.raises(SendFailed):
        MailChannel(relay(mails.port, tls="tls")).send(message(part()))
    assert mails.mails == []


def test_doctor_is_told_that_a_relay_answers(mails: MailSink):
    assert MailChannel(relay(mails.port)).ask() == f"127.0.0.1 port {mails.port} answers"
    assert mails.mails == []


def test_half_a_character_stops_no_mail(mails: MailSink):
    odd = part(job="a\udcffb", error_text="no such\nfile \udcff", output="\udcff")
    MailChannel(relay(mails.port)).send(message(odd))
    (mail,) = mails.mails
    assert mail.letter["Subject"].startswith("[cronherd] a?b failed")
    assert "Reason:    no such file ?" in mail.text
