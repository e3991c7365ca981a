"""Pings: a GET that says by its URL how it went, as healthchecks and its like read it."""

from cronherd.alerts.base import Message
from cronherd.alerts.http import Web
from cronherd.domain.alert import ChannelName


class PingChannel:
    """Implements Channel."""

    name = ChannelName.PING

    def __init__(self, web: Web) -> None:
        self._web = web

    def send(self, message: Message) -> None:
        url = str(message.parts[0].payload["url"])
        self._web.request("GET", url, {"Idempotency-Key": message.id})
