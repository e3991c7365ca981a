"""Alerts on real nodes, with a real SMTP server and a real HTTP server at the other end."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.alerts.sinks import HttpSink, MailSink, free_port
from tests.engine.host import Host, wait_until


@pytest.fixture
def mails() -> Iterator[MailSink]:
    sink = MailSink()
    yield sink
    sink.close()


@pytest.fixture
def web() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.close()


def start(host: Host, relay_port: int, *more: str) -> None:
    lines = [
        "node: {name: one}",
        "alerts:",
        f"  relay: 127.0.0.1:{relay_port}",
        "  sender: cronherd <cron@example.com>",
        "  allow_private: [127.0.0.0/8]",
        "  timeout: 5s",
        *(f"  {line}" for line in more),
    ]
    host.config.write_text("\n".join(lines) + "\n")
    host.up()


def run(host: Host, name: str, command: str, **more: Any) -> dict[str, Any]:
    host.client.create_job({"name": name, "command": command, "cwd": "/", **more}, "local")
    return run_again(host, name)


def run_again(host: Host, name: str) -> dict[str, Any]:
    run_id = host.client.run_job(name, "local")["run"]["id"]
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def test_a_job_with_mailto_sends_its_output_as_one_mail(host: Host, mails: MailSink) -> None:
    start(host, mails.port)
    told = run(
        host,
        "Nächtliche Sicherung",
        "echo grüße; echo to stderr >&2; exit 3",
        mailto="ops@example.com",
        timezone="Europe/Berlin",
    )
    wait_until(lambda: len(mails.mails) == 1, "no mail came")
    mail = mails.mails[0]
    letter = mail.letter
    assert (mail.sender, mail.receivers) == ("cron@example.com", ["ops@example.com"])
    assert letter["From"] == "cronherd <cron@example.com>"
    assert letter["To"] == "ops@example.com"
    assert letter["Subject"] == "[cronherd] Nächtliche Sicherung failed (exit code 3) on one"
    assert parsedate_to_datetime(letter["Date"]).tzinfo is not None
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", letter["Message-ID"])
    assert letter.get_content_type() == "text/plain"
    text = mail.text
    assert "grüße\n" in text
    assert "to stderr" in text
    assert re.search(r"^Exit code: 3$", text, re.MULTILINE)
    assert re.search(r"^Ended: +\d{4}-.+ CES?T \(\+0[12]00, Europe/Berlin\)$", text, re.MULTILINE)
    assert told["id"] in text


def test_silence_is_not_mailed_and_on_failure_only_failures_are(
    host: Host, mails: MailSink
) -> None:
    start(host, mails.port)
    run(host, "silent", "true", mailto="a@example.com")
    run(host, "talkative", "echo fine", mailto="b@example.com", mail="on_failure")
    run(host, "failing", "exit 4", mailto="c@example.com", mail="on_failure")
    run(host, "always", "true", mailto="d@example.com", mail="always")
    wait_until(lambda: len(mails.mails) == 2, "two mails were to come")
    assert [mail.receivers for mail in mails.mails] == [["c@example.com"], ["d@example.com"]]
    counts = host.client.list_alerts()["counts"]
    wait_until(lambda: host.client.list_alerts()["counts"]["sent"] == 2, str(counts))
    assert len(host.client.list_alerts()["items"]) == 2


def test_a_relay_that_is_down_delays_mail_and_stops_nothing(host: Host) -> None:
    port = free_port()
    start(host, port)
    told = [run(host, f"job-{n}", "echo hello", mailto="ops@example.com") for n in range(3)]
    assert {each["outcome"] for each in told} == {"succeeded"}
    wait_until(lambda: _errors(host) == 3, "nothing was tried")
    (error,) = {item["error"] for item in host.client.list_alerts()["items"]}
    assert "no connection to 127.0.0.1" in error
    said = host.say("alerts", "list", "-o", "wide")
    assert (said.returncode, said.stdout.count("no connection to 127.0.0.1")) == (0, 3)
    assert run(host, "after", "true")["outcome"] == "succeeded"
    host.kill()  # what waits is in the database, not in the memory of an agent
    sink = MailSink(port)
    try:
        host.up()
        assert "3 messages will be sent again" in host.say("alerts", "retry").stderr
        wait_until(lambda: len(sink.mails) == 3, "the mails never came")
        wait_until(lambda: host.client.list_alerts()["counts"]["sent"] == 3, "they are not done")
        assert host.say("alerts", "retry").stderr.startswith("0 messages")
        assert host.say("alerts", "test", "mail", "boss@example.com").returncode == 0
        wait_until(lambda: len(sink.mails) == 4, "the test never came")
    finally:
        sink.close()
    subjects = sorted(mail.letter["Subject"] for mail in sink.mails)
    runs = [f"[cronherd] job-{n} succeeded on one" for n in range(3)]
    assert subjects == ["[cronherd] a test: mail arrives", *runs]
    assert len({mail.letter["Message-ID"] for mail in sink.mails}) == 4


def _errors(host: Host) -> int:
    return sum(bool(item["error"]) for item in host.client.list_alerts()["items"])


def test_a_digest_collects_what_one_receiver_gets(host: Host, mails: MailSink) -> None:
    start(host, mails.port, "digest: 2s")
    for n in range(3):
        run(host, f"job-{n}", f"echo this is {n}", mailto="ops@example.com")
    wait_until(lambda: host.client.list_alerts()["counts"]["sent"] == 3, "nothing was sent")
    texts = "".join(mail.text for mail in mails.mails)
    assert all(texts.count(f"this is {n}\n") == 1 for n in range(3))
    assert len(mails.mails) < 3


def test_pings_tell_start_success_and_failure_in_order(host: Host, web: HttpSink) -> None:
    start(host, free_port())
    run(host, "good", "true", ping=web.url("/good"))
    run(host, "bad", "exit 7", ping=web.url("/bad"))
    single = {"start": web.url("/s"), "success": web.url("/ok"), "fail": web.url("/no")}
    run(host, "killed", "kill -9 $$", ping=single)
    wait_until(lambda: len(web.calls) == 6, "six pings were to come")
    paths = web.paths()
    for expected in (["/good/start", "/good"], ["/bad/start", "/bad/7"], ["/s", "/no"]):
        assert [path for path in paths if path in expected] == expected


def test_a_webhook_is_signed_with_a_secret_of_the_fleet(host: Host, web: HttpSink) -> None:
    start(host, free_port())
    host.say("secret", "set", "hook", stdin="correct-horse")
    hook = {"url": web.url("/hook"), "on": ["start", "success", "failure"], "secret": "hook"}
    told = run(host, "nightly", "exit 2", webhook=hook)
    wait_until(lambda: len(web.calls) == 2, "two calls were to come")
    for call in web.calls:
        signed = call.headers["Cronherd-Timestamp"].encode() + b"." + call.body
        proof = hmac.new(b"correct-horse", signed, hashlib.sha256).hexdigest()
        assert call.headers["Cronherd-Signature"] == f"v1={proof}"
    first, last = (json.loads(call.body) for call in web.calls)
    assert (first["event"], last["event"]) == ("start", "failure")
    assert (last["run"]["id"], last["run"]["exit_code"]) == (told["id"], 2)
    assert len({call.headers["Idempotency-Key"] for call in web.calls}) == 2


def test_a_url_that_leads_inside_is_refused_unless_the_node_allows_it(
    host: Host, web: HttpSink
) -> None:
    host.config.write_text("node: {name: one}\n")
    host.up()
    run(host, "curious", "true", ping=web.url("/inside"))
    wait_until(lambda: host.client.list_alerts()["counts"]["failed"] == 2, "it was not refused")
    items = host.client.list_alerts(state="failed")["items"]
    assert all("127.0.0.1 is not a public address" in item["error"] for item in items)
    assert {item["target"] for item in items} == {"http://127.0.0.1"}
    assert web.calls == []
    events = [event["kind"] for event in host.client.status()["events"]]
    assert "alert_failed" in events


def test_a_node_without_a_relay_leaves_mail_to_the_others(host: Host, mails: MailSink) -> None:
    host.config.write_text("node: {name: one}\n")
    host.up()
    run(host, "job", "echo hello", mailto="ops@example.com")
    (item,) = host.client.list_alerts()["items"]
    assert (item["state"], item["tries"]) == ("waiting", 0)
    host.stop()
    host._lives = host.log.read_text().count(" is up, ")
    start(host, mails.port)
    wait_until(lambda: len(mails.mails) == 1, "the mail never came")


def test_the_fleet_says_that_it_lives(host: Host, web: HttpSink) -> None:
    start(host, free_port(), f"heartbeat: {web.url('/alive')}", "heartbeat_every: 10s")
    wait_until(lambda: "/alive" in web.paths(), "no heartbeat came")
    assert run(host, "job", "true")["outcome"] == "succeeded"
