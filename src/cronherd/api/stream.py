"""How a live view is sent: as server-sent events, or as JSON documents, one a line."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cronherd.api.hub import Hub
from cronherd.api.problem import dump
from cronherd.api.seat import Message, Seat

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
BEAT_S = 15.0  # so that proxies keep the line, and a reader who left is noticed
BEATS = 40  # then it begins again: whoever may no longer look learns it then
SLOW_S = 30.0  # a reader who takes nothing for so long has left

_PLACE = re.compile(r"([0-9a-f]{8})\.(\d{1,15})(?:\.(\d{1,9})\.(-1|\d{1,9}))?", re.ASCII)

# The bytes of a message, and whether it is the last.
Spell = Callable[[Message], tuple[bytes, bool]]


class Stream(Response):
    """The answer that goes on until the view leaves, the hub ends it, or time is up."""

    def __init__(
        self, hub: Hub, seat: Seat, spell: Spell, media_type: str, *, first: Iterable[Message] = ()
    ) -> None:
        self._hub = hub
        self._seat = seat
        self._spell = spell
        self._beat = b":\n\n" if media_type == EVENTS else b"\n"
        self._first = first
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(None, 200, headers, media_type)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._head(send)
            await self._body(send, gone)
        except TimeoutError:  # it takes nothing: its line is cut
            return
        finally:
            self._hub.leave(self._seat)
            gone.cancel()

    async def _head(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _write(send, self._beat)
        for message in self._first:
            await _write(send, self._spell(message)[0])

    async def _body(self, send: Send, gone: "asyncio.Future[None]") -> None:
        beats = 0
        while not gone.done() and beats < BEATS:
            messages, ended = self._seat.take()
            for message in messages:
                content, last = self._spell(message)
                await _write(send, content)
                ended = ended or last
            if ended:
                break
            if not await self._news(gone):
                beats += 1
                await _write(send, self._beat)
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _news(self, gone: "asyncio.Future[None]") -> bool:
        ready = asyncio.ensure_future(self._seat.ready.wait())
        try:
            either: set[asyncio.Future[Any]] = {ready, gone}
            await asyncio.wait(either, timeout=BEAT_S, return_when="FIRST_COMPLETED")
            return ready.done() or gone.done()
        finally:
            ready.cancel()


async def _write(send: Send, content: bytes) -> None:
    async with asyncio.timeout(SLOW_S):
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def _gone(receive: Receive) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


# ------------------------------------------------------------------ server-sent events


def spell_event(hub: Hub, seat: Seat) -> Spell:
    """Messages as events, whose ids say where to go on: life, number, and place in the output."""
    newest = seat.seen
    place = (seat.watched.attempt, seat.watched.after) if seat.watched else None

    def spell(message: Message) -> tuple[bytes, bool]:
        nonlocal newest, place
        newest = max(newest, message.number)
        place = message.place or place
        shown = f"{hub.life}.{newest}" + (f".{place[0]}.{place[1]}" if place else "")
        head = (
            f"id: {shown}\nevent: {message.kind}\n"
            if message.kind != "problem"
            else (f"event: {message.kind}\n")
        )
        return head.encode() + b"data: " + message.content + b"\n\n", message.kind == "reload"

    return spell


def place_of(hub: Hub, last_id: str | None) -> tuple[int | None, tuple[int, int]]:
    """What a Last-Event-ID says: a number of this life, or None, and a place in the output."""
    found = _PLACE.fullmatch(last_id or "")
    if found is None:
        return None, (1, -1)
    number = int(found[2]) if found[1] == hub.life else None
    place = (max(int(found[3]), 1), int(found[4])) if found[3] else (1, -1)
    return number, place


# ------------------------------------------------------------------ lines


def spell_lines(message: Message) -> tuple[bytes, bool]:
    """The output of a run: a piece a line, at last the run; or the problem it broke off with."""
    if message.kind == "output":
        return b"".join(_lines(message.content)), False
    if message.kind in {"end", "problem"}:
        return message.content + b"\n", True
    return b"", False


def _lines(content: bytes) -> Iterator[bytes]:
    for piece in json.loads(content)["items"]:
        yield dump(piece) + b"\n"
