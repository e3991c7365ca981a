"""How long a server waits for the other end: for a head, a body, and for what nobody reads.

Whoever only drips would hold a connection that others need for as long as they like.
"""

import asyncio
from http import HTTPStatus

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from cronherd.api.line import careful_headers
from cronherd.api.problem import Problem
from cronherd.domain.errors import Invalid

HEAD_S = 20.0  # for each head, from when it is waited for
# For a body while it is waited for, and a second more for each so many bytes that came: one rate
# for forms of a kilobyte and for 20,000 jobs, which a line of 128 kbit/s still brings.
BODY_S = 30.0
BODY_RATE = 16 << 10
# Of a body that nobody reads, as its request is refused: so much is let pass, and for so long, for
# whoever sends all before it reads the answer. What goes on after that is cut.
DRAIN_BYTES = 64 << 20
DRAIN_S = 10.0


class InTime:
    """Around an app: where a body does not come in time the app hears so, and refuses it.

    Nothing is measured once the app has begun to answer: a live view goes on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        one = _Waiting(receive, send)
        await self._app(scope, one.receive, one.send)


class _Waiting:
    """One request. What counts is the time that the app waits, not what it takes in between."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._left_s = BODY_S
        self._whole = False
        self._answered = False  # at least in part

    async def receive(self) -> Message:
        """Raises Invalid when the time is up."""
        if self._has_time():
            return await self._receive()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left_s):
                message = await self._receive()
        except TimeoutError:
            if self._has_time():  # since its answer began meanwhile
                return await self._receive()
            raise Invalid(
                "the body of the request did not come in time",
                code="too_slow",
                hint=f"it has {BODY_S:g} s, and one more for each {BODY_RATE >> 10} KiB that came",
            ) from None
        self._left_s += len(message.get("body", b"")) / BODY_RATE - (loop.time() - began)
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self._answered = True
        await self._send(message)

    def _has_time(self) -> bool:
        return self._whole or self._answered


class Bounded(H11Protocol):
    """Ends a connection whose body goes on when its request was answered long ago."""

    _drained = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._drained = 0
        if self._drains():
            self.loop.call_later(DRAIN_S, self._cut, self.cycle)

    def handle_events(self) -> None:
        """Of what has just come."""
        if self._drains():
            self._drained += len(self.conn.trailing_data[0])
            if self._drained > DRAIN_BYTES:
                self.transport.abort()
                return
        super().handle_events()

    def _drains(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # whatever its type says
        answered = cycle is not None and cycle.response_complete
        return answered and self.conn.their_state is h11.SEND_BODY

    def _cut(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self._drains():
            self.transport.abort()


class Hasty(Bounded):
    """Ends a connection that does not get a head done; uvicorn itself would wait for ever.

    What it has for the time between two requests ends with the first byte that comes.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def _watch(self) -> None:
        """The time runs while a head is waited for, and begins anew only with the next one."""
        waits = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if waits and self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._refuse)
        elif not waits and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self) -> None:
        """Whoever has said nothing gets no answer: a browser may have opened it for later."""
        self._timer = None
        if self.transport.is_closing():  # and what was answered before is still being read
            return
        if self.conn.trailing_data[0]:
            sentence = f"the head of the request did not come within {HEAD_S:g} s"
            self._answer(Problem(Invalid(sentence, code="too_slow")))
        self.transport.close()

    def _answer(self, problem: Problem) -> None:
        told = careful_headers(problem.raw_headers, secure=self.scheme == "https")
        headers = [*told, (b"connection", b"close")]
        status = HTTPStatus(problem.status_code)
        for part in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=bytes(problem.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(part) or b"")
