"""What a node sends alerts with, put together from its settings."""

import os
from collections.abc import Callable
from pathlib import Path

from cronherd.alerts.base import Channel
from cronherd.alerts.http import Web
from cronherd.alerts.mail import MailChannel, Relay
from cronherd.alerts.net import network_list
from cronherd.alerts.ping import PingChannel
from cronherd.alerts.webhook import WebhookChannel
from cronherd.config.alerts import Alerting
from cronherd.domain.instant import SECOND_US
from cronherd.engine.clock import Clock
from cronherd.engine.mailroom import Mailroom
from cronherd.engine.postman import Posting
from cronherd.engine.secrets import Reveal
from cronherd.store.postbox import Outbox


def mailroom_of(
    settings: Alerting,
    outbox: Outbox,
    clock: Clock,
    new_id: Callable[[], str],
    chance: Callable[[], float],
    reveal: Reveal,
) -> Mailroom:
    """The postmen of a node: one for webhooks, one for pings, and with a relay one for mail."""
    posting = Posting(
        outbox=outbox,
        channels=channels_of(settings),
        digest_us=settings.digest_us,
        heartbeat=settings.heartbeat,
        heartbeat_us=settings.heartbeat_every_us,
    )
    return Mailroom(posting, clock, new_id=new_id, chance=chance, reveal=reveal)


def channels_of(settings: Alerting) -> tuple[Channel, ...]:
    """All that this node can send with."""
    timeout_s = settings.timeout_us / SECOND_US
    web = Web(timeout_s=timeout_s, allowed=network_list(settings.allow_private))
    relay = relay_of(settings)
    mail: tuple[Channel, ...] = () if relay is None else (MailChannel(relay),)
    return (*mail, WebhookChannel(web), PingChannel(web))


def relay_of(settings: Alerting) -> Relay | None:
    """The relay of this node; None when it has none."""
    if not settings.relay_host:
        return None
    file = settings.relay_password_file
    return Relay(
        host=settings.relay_host,
        port=settings.relay_port,
        sender=settings.sender,
        tls=settings.relay_tls,
        user=settings.relay_user,
        password=lambda: "" if file is None else _first_line(file),
        domain=settings.domain,
        own_name=os.uname().nodename,
        timeout_s=settings.timeout_us / SECOND_US,
    )


def _first_line(file: Path) -> str:
    """Read anew each time, so that a changed password counts at once. Raises OSError."""
    return (file.read_text("utf-8").splitlines() or [""])[0]
