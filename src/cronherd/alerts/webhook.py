"""Webhooks: a POST of one JSON document, signed when the job names a secret."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cronherd.alerts.base import Message, Part
from cronherd.alerts.http import Web
from cronherd.domain.alert import ChannelName
from cronherd.domain.instant import SECOND_US, format_instant

API_VERSION = 1
_PLAIN = ("run_id", "attempt", "cause", "outcome", "exit_code", "signal", "node", "error_text")
_INSTANTS = ("scheduled", "created", "started", "ended")


class WebhookChannel:
    """Implements Channel."""

    name = ChannelName.WEBHOOK

    def __init__(self, web: Web) -> None:
        self._web = web

    def send(self, message: Message) -> None:
        part = message.parts[0]
        body = json.dumps(document_of(message.id, part)).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            "Cronherd-Event": str(part.payload["event"]),
        }
        if message.secret:
            headers |= signature(message.secret, message.now_us // SECOND_US, body)
        self._web.request("POST", str(part.payload["url"]), headers, body)


def signature(secret: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers that prove who sent it and when: HMAC-SHA256 over `<seconds>.<body>`."""
    signed = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Cronherd-Timestamp": str(at_s), "Cronherd-Signature": f"v1={signed}"}


def document_of(message_id: str, part: Part) -> dict[str, Any]:
    """What a webhook is told, in the words of the API."""
    payload = part.payload
    document: dict[str, Any] = {
        "api_version": API_VERSION,
        "id": message_id,
        "event": payload["event"],
        "job": payload.get("job", ""),
        "at": format_instant(part.created_us),
    }
    if "run_id" in payload:
        document["run"] = _run(payload)
    return document


def _run(payload: Mapping[str, Any]) -> dict[str, Any]:
    run = {("id" if name == "run_id" else name): payload.get(name) for name in _PLAIN}
    instants = {f"{name}_at": format_instant(payload.get(f"{name}_us")) for name in _INSTANTS}
    return run | instants
