"""How it is read who is told, and what a node sends with."""

from pathlib import Path
from typing import Any

import pytest

from cronherd.config.load import Config, load_config
from cronherd.definition.jobs import read_defaults, read_job
from cronherd.domain.alert import AlertEvent, MailWhen, Ping, Webhook
from cronherd.domain.errors import InvalidInput
from cronherd.domain.instant import MINUTE_US, SECOND_US
from cronherd.domain.job import Job

URL = "https://hooks.example.com/x"


def job(**more: Any) -> Job:
    return read_job({"name": "n", "command": "true", **more}, timezone="UTC")


def refused(**more: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        job(**more)
    return "; ".join(f"{error.where}: {error.text}" for error in caught.value.errors)


# ------------------------------------------------------------------ of a job


def test_a_job_that_names_nobody_tells_nobody():
    assert job().alerts is None
    assert job(mailto="").alerts is None
    assert job(mailto=" , ", mail="always").alerts is None


def test_mailto_is_mailed_on_output_unless_it_says_otherwise():
    plain = job(mailto="a@x.org, root b@x.org,a@x.org").alerts
    assert plain is not None
    assert (plain.mailto, plain.mail) == (("a@x.org", "root", "b@x.org"), MailWhen.ON_OUTPUT)
    failing = job(mailto="a@x.org", mail="on_failure")
    assert failing.alerts is not None
    assert failing.alerts.mail is MailWhen.ON_FAILURE
    assert failing.spec["mail"] == "on_failure"
    assert "mail" not in job(mailto="a@x.org", mail="on_output").spec


def test_mailto_is_kept_as_it_was_written():
    assert job(mailto=" a@x.org,  b@x.org ").spec["mailto"] == " a@x.org,  b@x.org "


@pytest.mark.parametrize(
    "mailto",
    [
        "a@x.org\r\nBcc: b@x.org", "<a@x.org>", "a@b@c", "@x.org", "-oQ/tmp", "a;b", "ä@x.org",
        '"a b"@x.org', "a@x.org\x00", "x" * 400 + "@x.org", ",".join(f"u{n}" for n in range(51)),
    ],
)  # fmt: skip
def test_what_no_mail_server_should_see_is_refused(mailto: str):
    assert refused(mailto=mailto).startswith("mailto")


def test_a_webhook_is_a_url_or_more():
    for said in (URL, {"url": URL}, {"url": URL, "on": ["failure", "success"]}):
        built = job(webhook=said)
        assert built.spec["webhook"] == URL
        assert built.alerts is not None
        assert built.alerts.webhook == Webhook(url=URL)
    more = job(webhook={"url": URL, "on": ["failure", "start"], "secret": "key"})
    assert more.spec["webhook"] == {"url": URL, "on": ["start", "failure"], "secret": "key"}
    assert more.alerts is not None
    assert more.alerts.webhook == Webhook(
        url=URL, on=(AlertEvent.START, AlertEvent.FAILURE), secret="key"
    )
    assert more.alerts.starts


@pytest.mark.parametrize(
    ("webhook", "fault"),
    [
        ("ftp://x.org/a", "webhook: 'ftp://x.org/a' is not an http URL"),
        ("http:///a", "webhook: 'http:///a' is not an http URL"),
        ("http://x.org:0/a", "is not an http URL"),
        ("http://x.org:99999/a", "is not a URL"),
        ("http://u:p@x.org/a", "webhook: a URL here has no user and password"),
        ("http://x.org/a b", "no blanks and only ASCII"),
        ("http://x.org/\r\nX: y", "must be one line"),
        ("http://ä.org/", "no blanks and only ASCII"),
        ("http://x.org/#a", "has no #"),
        ("http://x.org/" + "a" * 2_000, "is longer than"),
        ({"on": ["start"]}, "webhook.url: is missing"),
        ({"url": URL, "on": ["end"]}, "webhook.on.0: must be one of start, success, failure"),
        ({"url": URL, "on": []}, "webhook.on: names no event"),
        ({"url": URL, "secret": "a b"}, "webhook.secret"),
        ({"url": URL, "key": "x"}, "webhook.key: unknown setting"),
        (7, "webhook: must be text"),
    ],
)
def test_a_webhook_that_cannot_be_called_is_refused(webhook: object, fault: str):
    assert fault in refused(webhook=webhook)


def test_a_ping_says_by_its_url_how_it_went():
    built = job(ping="https://x.org/uuid?a=1").alerts
    assert built is not None
    assert built.ping is not None
    urls = [
        built.ping.url(AlertEvent.START),
        built.ping.url(AlertEvent.SUCCESS, 0),
        built.ping.url(AlertEvent.FAILURE, 3),
        built.ping.url(AlertEvent.FAILURE, None),
        built.ping.url(AlertEvent.FAILURE, 0),
    ]
    assert urls == [
        "https://x.org/uuid/start?a=1",
        "https://x.org/uuid?a=1",
        "https://x.org/uuid/3?a=1",
        "https://x.org/uuid/fail?a=1",
        "https://x.org/uuid/fail?a=1",
    ]
    single = job(ping={"fail": URL}).alerts
    assert single is not None
    assert single.ping == Ping(fail=URL)
    assert not single.starts
    assert "ping: names no URL" in refused(ping={})


def test_defaults_may_say_who_is_told():
    defaults = read_defaults({"mailto": "a@x.org", "mail": "on_failure", "ping": URL})
    raw = {"name": "n", "command": "true"}
    built = read_job(raw, timezone="UTC", defaults=defaults)
    assert built.alerts is not None
    assert built.alerts.mail is MailWhen.ON_FAILURE
    quiet = read_job({**raw, "mailto": ""}, timezone="UTC", defaults=defaults)
    assert quiet.alerts is not None
    assert quiet.alerts.mailto == ()


# ------------------------------------------------------------------ of a node


def load(folder: Path, text: str, **environ: str) -> Config:
    (folder / "cronherd.yaml").write_text(text)
    return load_config(config=None, environ=environ, overrides={}, cwd=folder, home=None)


def faults(folder: Path, text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(folder, text)
    return "; ".join(f"{error.where}: {error.text}" for error in caught.value.errors)


def test_without_a_section_a_node_sends_no_mail_and_calls_nobody_inside(tmp_path: Path):
    found = load(tmp_path, "{}").alerts
    assert (found.relay_host, found.allow_private, found.heartbeat) == ("", (), "")
    assert found.sender.startswith("cronherd@")


def test_it_reads_what_a_node_sends_with(tmp_path: Path):
    config = load(
        tmp_path,
        "alerts:\n  relay: mail.example.com:587\n  relay_tls: starttls\n  relay_user: me\n"
        "  relay_password_file: /etc/pw\n  sender: cron <c@x.org>\n  domain: x.org\n  digest: 10m\n"
        "  allow_private: [10.0.0.0/8, 'fc00::/7']\n  timeout: 3s\n"
        "  heartbeat: https://x.org/very-secret\n  heartbeat_every: 2m\n",
    )
    found = config.alerts
    assert (found.relay_host, found.relay_port) == ("mail.example.com", 587)
    assert (found.digest_us, found.timeout_us) == (10 * MINUTE_US, 3 * SECOND_US)
    assert found.allow_private == ("10.0.0.0/8", "fc00::/7")
    assert found.heartbeat_every_us == 2 * MINUTE_US
    shown = config.describe()
    assert shown["alerts.relay"].value == "mail.example.com:587"
    assert "cronherd.yaml:2" in shown["alerts.relay"].origin
    assert shown["alerts.heartbeat"].value == "https://x.org"
    assert "very-secret" not in repr(config.alerts)


@pytest.mark.parametrize(
    ("relay", "tls", "host", "port"),
    [
        ("mail", "auto", "mail", 25),
        ("mail", "tls", "mail", 465),
        ("'[::1]:2525'", "none", "::1", 2525),
        ("10.0.0.1", "auto", "10.0.0.1", 25),
    ],
)
def test_a_relay_has_the_port_of_its_kind(
    tmp_path: Path, relay: str, tls: str, host: str, port: int
):
    found = load(tmp_path, f"alerts: {{relay: {relay}, relay_tls: {tls}}}").alerts
    assert (found.relay_host, found.relay_port) == (host, port)


def test_the_environment_may_say_it(tmp_path: Path):
    found = load(
        tmp_path,
        "{}",
        CRONHERD_ALERTS__RELAY="mail:26",
        CRONHERD_ALERTS__ALLOW_PRIVATE="[10.0.0.0/8]",
        CRONHERD_ALERTS__DIGEST="5m",
    ).alerts
    assert (found.relay_host, found.relay_port, found.digest_us) == ("mail", 26, 5 * MINUTE_US)
    assert found.allow_private == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("{relay: 'a b'}", "alerts.relay: 'a b' is not a relay"),
        ("{relay: 'http://mail'}", "is not a relay"),
        ("{relay: 'mail:0'}", "is not a relay"),
        ("{sender: nobody}", "alerts.sender: 'nobody' has no @"),
        ("{sender: 'a <b@c> d'}", "is not a sender"),
        ("{allow_private: [10.0.0.1/8]}", "is not a network"),
        ("{allow_private: 7}", "must be a list of networks"),
        ("{relay_user: me, relay_password_file: /p}", "a password is not sent unless"),
        ("{relay_user: me, relay_tls: tls}", "belong together"),
        ("{digest: 13h}", "mail is collected for 12h at the most"),
        ("{heartbeat: 'ftp://x'}", "is not an http URL"),
        ("{heartbeat_every: 1s}", "must be at least 10s"),
        ("{relais: mail}", "unknown setting"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(tmp_path: Path, section: str, fault: str):
    said = faults(tmp_path, f"alerts: {section}")
    assert fault in said
    assert "cronherd.yaml:1" in said
