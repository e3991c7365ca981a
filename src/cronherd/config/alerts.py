"""What a node sends alerts with: the `alerts:` section, and the same as values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cronherd.definition.alerts import read_address, read_url
from cronherd.definition.faults import (
    Kind,
    Shape,
    choice,
    duration,
    read_text,
    spell,
    text,
)
from cronherd.domain.alert import host_of
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import HOUR_US, MINUTE_US, SECOND_US

TLS_MODES = ("auto", "starttls", "tls", "none")
NETWORKS_MOST = 100
SMTP_PORT, SMTPS_PORT = 25, 465
_RELAY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?", re.ASCII)
_NAMED = re.compile(r"[^<>\r\n\x00-\x1f\x7f]*<([^<>\s]+)>|([^<>\s]+)")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_STRINGS = {"type": "array", "items": {"type": "string"}}


def _read_relay(value: object) -> str:
    text = read_text(value, most=300, lines=False)
    found = _RELAY.fullmatch(text)
    if found and (found[2] is None or 0 < int(found[2]) < 1 << 16):
        return text
    raise Invalid(f"{spell(text)} is not a relay", hint="write mail.example.com, or with :587")


def _read_sender(value: object) -> str:
    text = read_text(value, most=400, lines=False)
    found = _NAMED.fullmatch(text.strip())
    if not found:
        hint = "write cron@example.com, or cronherd <cron@example.com>"
        raise Invalid(f"{spell(text)} is not a sender", hint=hint)
    address = read_address(found[1] or found[2])
    if "@" not in address:
        raise Invalid(f"{spell(address)} has no @", hint="write cron@example.com")
    return text.strip()


def _read_domain(value: object) -> str:
    text = read_text(value, most=253, lines=False)
    if _DOMAIN.fullmatch(text):
        return text
    raise Invalid(f"{spell(text)} is not a domain", hint="write example.com")


def _read_networks(value: object) -> list[str]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) > NETWORKS_MOST:
        raise Invalid("must be a list of networks", hint="write [10.0.0.0/8]")
    return [_read_network(part) for part in parts]


def _read_network(value: object) -> str:
    text = read_text(value, most=100, lines=False)
    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        raise Invalid(f"{spell(text)} is not a network: {error}", hint="10.0.0.0/8") from None


def _read_path(value: object) -> str:
    path = read_text(value, most=4_000, lines=False)
    if path.startswith("/"):
        return path
    raise Invalid("the path must be absolute", code="bad_path", hint="begin it with /")


class AlertSettings(Shape):
    """What a node sends alerts with."""

    relay: Annotated[str | None, Kind(_read_relay, {"type": "string"})] = Field(
        default=None,
        description="The mail server that takes our mail, such as mail.example.com:587; a node "
        "without one sends no mail and leaves it to the others.",
    )
    relay_tls: Annotated[str, choice(*TLS_MODES)] = Field(
        default="auto",
        description="How the way to the relay is encrypted: starttls and tls check its "
        "certificate, auto encrypts where the relay offers it, none does not.",
    )
    relay_user: Annotated[str | None, text(300, lines=False)] = Field(
        default=None, description="The name that is told to the relay; needs starttls or tls."
    )
    relay_password_file: Annotated[str | None, Kind(_read_path, {"type": "string"})] = Field(
        default=None, description="A file whose first line is the password of relay_user."
    )
    sender: Annotated[str | None, Kind(_read_sender, {"type": "string"})] = Field(
        default=None, description="Who the mail is from; cronherd@ and the host's name when absent."
    )
    domain: Annotated[str | None, Kind(_read_domain, {"type": "string"})] = Field(
        default=None,
        description="What follows the @ of a mailto that has none, such as root; else the relay "
        "is given the name as it is.",
    )
    digest: Annotated[str, duration()] = Field(
        default="0s",
        description="How long mail to the same receiver is collected into one; 0s: not at all.",
    )
    allow_private: Annotated[list[str] | None, Kind(_read_networks, _STRINGS)] = Field(
        default=None,
        description="Networks that webhooks and pings may call although they are not public, "
        "such as [10.0.0.0/8].",
    )
    timeout: Annotated[str, duration(least_us=SECOND_US)] = Field(
        default="10s", description="How long a relay or a called URL may take for one message."
    )
    heartbeat: Annotated[str | None, Kind(read_url, {"type": "string"})] = Field(
        default=None, description="A URL that is called again and again while the fleet lives."
    )
    heartbeat_every: Annotated[str, duration(least_us=10 * SECOND_US)] = Field(
        default="1m", description="How often the heartbeat is sent, by exactly one node each time."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """The same as values; no `relay_host`: this node sends no mail."""

    relay_host: str = ""
    relay_port: int = SMTP_PORT
    relay_tls: str = "auto"
    relay_user: str = ""
    relay_password_file: Path | None = None
    sender: str = ""
    domain: str = ""
    digest_us: int = 0
    allow_private: tuple[str, ...] = ()
    timeout_us: int = 10 * SECOND_US
    heartbeat: str = field(default="", repr=False)
    heartbeat_every_us: int = MINUTE_US

    def describe(self) -> dict[str, object]:
        """Each setting as it stands; of a URL only the host, its path may be a secret."""
        relay = f"{self.relay_host}:{self.relay_port}" if self.relay_host else None
        return {
            "alerts.relay": relay,
            "alerts.relay_tls": self.relay_tls,
            "alerts.relay_user": self.relay_user or None,
            "alerts.relay_password_file": str(self.relay_password_file or "") or None,
            "alerts.sender": self.sender or None,
            "alerts.domain": self.domain or None,
            "alerts.digest": format_duration(self.digest_us),
            "alerts.allow_private": list(self.allow_private),
            "alerts.timeout": format_duration(self.timeout_us),
            "alerts.heartbeat": host_of(self.heartbeat) if self.heartbeat else None,
            "alerts.heartbeat_every": format_duration(self.heartbeat_every_us),
        }


def check_alerts(said: Mapping[str, Any]) -> list[Invalid]:
    """What single settings cannot know."""
    faults: list[Invalid] = []
    tls = said.get("relay_tls", "auto")
    if said.get("relay_user") and tls not in {"starttls", "tls"}:
        text = "a password is not sent unless the relay is known by its certificate"
        hint = "set relay_tls: starttls, or tls"
        faults.append(Invalid(text, hint=hint, where="alerts.relay_user"))
    if bool(said.get("relay_user")) != bool(said.get("relay_password_file")):
        text = "relay_user and relay_password_file belong together"
        faults.append(Invalid(text, where="alerts.relay_user"))
    if parse_duration(said.get("digest", "0s")) > 12 * HOUR_US:
        text = "mail is collected for 12h at the most"
        faults.append(Invalid(text, code="bad_duration", where="alerts.digest"))
    return faults


def build_alerting(said: Mapping[str, Any], host_name: str) -> Alerting:
    """The values of a checked section."""
    tls = said.get("relay_tls", "auto")
    host, port = "", SMTPS_PORT if tls == "tls" else SMTP_PORT
    if relay := said.get("relay"):
        found = _RELAY.fullmatch(relay)
        assert found
        host = found[1].strip("[]")
        port = int(found[2] or port)
    file = said.get("relay_password_file")
    return Alerting(
        relay_host=host,
        relay_port=port,
        relay_tls=tls,
        relay_user=said.get("relay_user") or "",
        relay_password_file=Path(file) if file else None,
        sender=said.get("sender") or f"cronherd@{host_name}",
        domain=said.get("domain") or "",
        digest_us=parse_duration(said.get("digest", "0s")),
        allow_private=tuple(said.get("allow_private") or ()),
        timeout_us=parse_duration(said.get("timeout", "10s")),
        heartbeat=said.get("heartbeat") or "",
        heartbeat_every_us=parse_duration(said.get("heartbeat_every", "1m")),
    )
