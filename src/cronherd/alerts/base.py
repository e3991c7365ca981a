"""The contract `Channel`, and what a channel is given: one message for one receiver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cronherd.domain.alert import ChannelName


class SendFailed(Exception):
    """It did not arrive, as far as is known; the sentence says why.

    `final`: another try would end the same way. `everybody`: the way itself is closed, so nothing
    else would get through at the moment either.
    """

    def __init__(self, text: str, *, final: bool = False, everybody: bool = False) -> None:
        super().__init__(text)
        self.final = final
        self.everybody = everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one message of the outbox tells; `output`: what its run wrote, as it is kept.

    `payload` has `event`, and of a run: job, run_id, attempt, outcome, exit_code, signal, node,
    timezone, and instants in UTC microseconds (scheduled_us, started_us, ended_us).
    """

    payload: Mapping[str, Any]
    created_us: int
    output: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent at once. `id` stays the same however often it is sent."""

    id: str
    target: str
    parts: tuple[Part, ...]
    now_us: int
    secret: str = field(default="", repr=False)
    """What signs a webhook; empty: nothing does."""


class Channel(Protocol):
    """One way for messages to leave this node."""

    name: ChannelName

    def send(self, message: Message) -> None:
        """Hand it over within a bounded time. Raises SendFailed."""
        ...
