"""Alerts: who is told what of a job, in the words of its definition. Pure.

A draft is one message for one receiver. Its key says what it tells of, so it is written once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from cronherd.domain.run import Outcome, Reason

RECIPIENTS = 50
URL_BYTES = 2_000
KEY_LENGTH = 128


class MailWhen(StrEnum):
    """Which runs of a job with `mailto` are mailed."""

    ALWAYS = "always"
    ON_OUTPUT = "on_output"
    ON_FAILURE = "on_failure"


class AlertEvent(StrEnum):
    """What a message tells."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    MISSED = "missed"
    PAUSED = "paused"
    NO_NODE = "no_node"
    TEST = "test"
    HEARTBEAT = "heartbeat"


class ChannelName(StrEnum):
    """How a message travels."""

    MAIL = "mail"
    WEBHOOK = "webhook"
    PING = "ping"


class PostState(StrEnum):
    """Where a message of the outbox is."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


WEBHOOK_EVENTS = (AlertEvent.START, AlertEvent.SUCCESS, AlertEvent.FAILURE)
WEBHOOK_DEFAULT = (AlertEvent.SUCCESS, AlertEvent.FAILURE)
# Slots that nobody wanted to be left out. What a person or the schedule said is no news.
MISSED = frozenset(
    {
        Reason.OVERLAP,
        Reason.QUEUE_FULL,
        Reason.PREVIOUS_UNKNOWN,
        Reason.NO_NODE,
        Reason.DEADLINE,
        Reason.CATCHUP_NONE,
        Reason.CATCHUP_WINDOW,
        Reason.CATCHUP_MAX,
        Reason.BAD_DEFINITION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL that is told of these events; `secret` names what signs it."""

    url: str
    on: tuple[AlertEvent, ...] = WEBHOOK_DEFAULT
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Whom to call at a start, a success and a failure; empty: nobody.

    With `base` the failure's URL ends with the exit code, as healthchecks knows it.
    """

    start: str = ""
    success: str = ""
    fail: str = ""
    base: str = ""

    def url(self, event: AlertEvent, exit_code: int | None = None) -> str:
        """The URL for an event; empty when nobody is called."""
        if not self.base:
            urls = {AlertEvent.START: self.start, AlertEvent.SUCCESS: self.success}
            return urls.get(event, self.fail)
        if event is AlertEvent.SUCCESS:
            return self.base
        if event is AlertEvent.START:
            return _below(self.base, "start")
        return _below(self.base, str(exit_code) if exit_code else "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Who is told of a job's runs."""

    mailto: tuple[str, ...] = ()
    mail: MailWhen = MailWhen.ON_OUTPUT
    webhook: Webhook | None = None
    ping: Ping | None = None

    @property
    def starts(self) -> bool:
        """Whether somebody wants to know that a run has started."""
        hook = self.webhook is not None and AlertEvent.START in self.webhook.on
        return hook or (self.ping is not None and bool(self.ping.url(AlertEvent.START)))

    @property
    def asks_output(self) -> bool:
        """Whether it depends on a run's output."""
        return bool(self.mailto) and self.mail is MailWhen.ON_OUTPUT

    @property
    def warns(self) -> bool:
        """Whether slots that did not run, and a pause after failures, are mailed."""
        return bool(self.mailto) and self.mail is not MailWhen.ON_OUTPUT

    def mails(self, outcome: Outcome, *, spoke: bool) -> bool:
        """Whether a run's end is mailed; `spoke`: it wrote something."""
        if not self.mailto:
            return False
        if self.mail is MailWhen.ON_OUTPUT:
            return spoke
        return self.mail is MailWhen.ALWAYS or outcome is not Outcome.SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message for one receiver, as it is written down.

    Of those of a run with a `turn` the smaller goes first on its channel; 0: it waits for none.
    """

    key: str
    channel: ChannelName
    target: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    turn: int = 0


def recipients_of(mailto: str) -> tuple[str, ...]:
    """The addresses of a MAILTO, each once."""
    return tuple(dict.fromkeys(mailto.replace(",", " ").split()))


def host_of(url: str) -> str:
    """Scheme and host of a URL: its path is often a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def read_alerts(spec: Mapping[str, Any]) -> Alerts | None:
    """What the words of a validated definition say; None when nobody is told."""
    mailto = recipients_of(spec.get("mailto") or "")
    webhook, ping = _webhook(spec.get("webhook")), _ping(spec.get("ping"))
    if not mailto and webhook is None and ping is None:
        return None
    when = MailWhen(spec.get("mail") or MailWhen.ON_OUTPUT)
    return Alerts(mailto=mailto, mail=when, webhook=webhook, ping=ping)


def _webhook(said: object) -> Webhook | None:
    if not said:
        return None
    if isinstance(said, str):
        return Webhook(url=said)
    assert isinstance(said, Mapping)
    on = tuple(AlertEvent(word) for word in said.get("on") or WEBHOOK_DEFAULT)
    return Webhook(url=str(said["url"]), on=on, secret=str(said.get("secret") or ""))


def _ping(said: object) -> Ping | None:
    if not said:
        return None
    if isinstance(said, str):
        return Ping(base=said)
    assert isinstance(said, Mapping)
    return Ping(**{str(key): str(url) for key, url in said.items() if url})


def event_of(outcome: Outcome) -> AlertEvent:
    """Every end but success is a failure: whoever cancels a backup has none."""
    return AlertEvent.SUCCESS if outcome is Outcome.SUCCEEDED else AlertEvent.FAILURE


def drafts_of_start(alerts: Alerts, facts: Mapping[str, Any]) -> list[Draft]:
    """Who is told that an attempt has started; `facts`: see `drafts_of_end`."""
    return _calls(alerts, AlertEvent.START, facts)


def drafts_of_end(
    alerts: Alerts, outcome: Outcome, facts: Mapping[str, Any], *, spoke: bool
) -> list[Draft]:
    """Who is told that a run has ended.

    `facts` has at least job, run_id and attempt; they become the payload of each message.
    """
    if outcome is Outcome.SKIPPED:  # nothing was to be done, so nothing succeeded or failed
        return []
    event = event_of(outcome)
    drafts = _calls(alerts, event, facts)
    if alerts.mails(outcome, spoke=spoke):
        drafts += _mails(alerts, event, f"{facts['run_id']}:{facts['attempt']}", facts)
    return drafts


def drafts_of_range(alerts: Alerts, facts: Mapping[str, Any]) -> list[Draft]:
    """Who is told of slots that did not run; `facts` has job_id, from_us and reason."""
    if not alerts.warns or Reason(facts["reason"]) not in MISSED:
        return []
    what = f"{facts['job_id']}:{facts['from_us']}:{facts['reason']}"
    return _mails(alerts, AlertEvent.MISSED, what, facts)


def drafts_of_pause(alerts: Alerts, facts: Mapping[str, Any]) -> list[Draft]:
    """Who is told that a job paused itself; `facts` has run_id."""
    return _mails(alerts, AlertEvent.PAUSED, facts["run_id"], facts) if alerts.warns else []


def drafts_of_no_node(alerts: Alerts, facts: Mapping[str, Any]) -> list[Draft]:
    """Who is told that a run waits, since no node fits its job; `facts` has run_id and text."""
    return _mails(alerts, AlertEvent.NO_NODE, facts["run_id"], facts) if alerts.warns else []


def draft_of_test(channel: ChannelName, target: str, mark: str) -> Draft:
    """A message that only tells that messages arrive; `mark` makes it one of its own."""
    payload: dict[str, Any] = {"event": AlertEvent.TEST.value, "job": ""}
    if channel is ChannelName.MAIL:
        payload["to"] = [target]
    else:
        payload["url"] = target
    return Draft(key=f"test:{mark}", channel=channel, target=target, payload=payload)


def draft_of_heartbeat(url: str, every_us: int, period: int) -> Draft:
    """The word of a period: whichever node is first writes it, once for the whole fleet."""
    payload = {"event": AlertEvent.HEARTBEAT.value, "job": "", "url": url}
    key = f"heartbeat:{every_us}:{period}"
    return Draft(key=key, channel=ChannelName.PING, target=url, payload=payload)


def _mails(alerts: Alerts, event: AlertEvent, what: str, facts: Mapping[str, Any]) -> list[Draft]:
    """One each: whom a relay refuses keeps nobody else from getting theirs."""
    payload = {**facts, "event": event.value, "to": list(alerts.mailto)}
    return [
        Draft(
            key=f"{what}:mail:{event.value}:{place}",
            channel=ChannelName.MAIL,
            target=address,
            payload=payload,
            run_id=facts.get("run_id"),
        )
        for place, address in enumerate(alerts.mailto)
    ]


def _calls(alerts: Alerts, event: AlertEvent, facts: Mapping[str, Any]) -> list[Draft]:
    found: list[Draft] = []
    hook, ping = alerts.webhook, alerts.ping
    if hook is not None and event in hook.on:
        more = {"url": hook.url, "secret": hook.secret}
        found.append(_call(ChannelName.WEBHOOK, event, more, facts))
    if ping is not None and (url := ping.url(event, facts.get("exit_code"))):
        found.append(_call(ChannelName.PING, event, {"url": url}, facts))
    return found


def _call(
    channel: ChannelName, event: AlertEvent, more: Mapping[str, str], facts: Mapping[str, Any]
) -> Draft:
    run_id, attempt = facts["run_id"], facts["attempt"]
    return Draft(
        key=f"{run_id}:{attempt}:{channel.value}:{event.value}",
        channel=channel,
        target=more["url"],
        payload={**facts, **more, "event": event.value},
        run_id=run_id,
        turn=2 * attempt + (event is not AlertEvent.START),
    )


def _below(url: str, word: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{word}"))
