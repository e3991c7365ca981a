"""Connections to a server of locks, by the standard library.

`cronherd lock` is started for each command, and a client library takes 30 to 120 ms of each start.
What a lock asks is one script or three words, so the protocols are spoken here.
"""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cronherd.domain.errors import Unavailable

if TYPE_CHECKING:
    import ssl

ANSWER_S = 5.0
_LONGEST_LINE = 65_536
_TRIES = 2  # a connection may be one that a restart of the server has ended

T = TypeVar("T")


class Refused(Exception):
    """The server answered, and said no; its words are the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where it is, and who asks. `ca`, `cert` and `key` are files; "" is the host's own CAs."""

    host: str
    port: int
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


class Link:
    """One connection. Raises OSError whenever it does not work, also when an answer is late."""

    def __init__(self, server: Server) -> None:
        address = (server.host, server.port)
        self._socket = socket.create_connection(address, timeout=ANSWER_S)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.tls:
                context = _context(server)
                self._socket = context.wrap_socket(self._socket, server_hostname=server.host)
            self._answers = self._socket.makefile("rb")
        except BaseException:
            self._socket.close()
            raise

    def send(self, words: bytes) -> None:
        self._socket.sendall(words)

    def line(self) -> bytes:
        """Without its end."""
        line = self._answers.readline(_LONGEST_LINE)
        if not line.endswith(b"\r\n"):
            raise ConnectionError("it hung up" if not line else "this is no answer")
        return line[:-2]

    def block(self, size: int) -> bytes:
        """So many bytes, behind which a line ends."""
        block = self._answers.read(size + 2)
        if len(block) != size + 2:
            raise ConnectionError("it hung up")
        return block[:-2]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._answers.close()
            self._socket.close()


class Links:
    """To one server, as many as threads ask at once. `greet` is what a new one begins with."""

    def __init__(self, server: Server, lock: str, greet: Callable[[Link], None]) -> None:
        self._server = server
        self._lock = lock
        self._greet = greet
        self._idle: list[Link] = []

    def ask(self, question: Callable[[Link], T]) -> T:
        """Its answer; asked twice, so a question must bear that. Raises Unavailable."""
        fault: Exception | None = None
        for _ in range(_TRIES):
            try:
                return self._ask(question)
            except Refused as error:
                fault = error
                break
            except (OSError, ValueError) as error:  # ValueError: what answers is something else
                fault = error
                self.close()
        raise Unavailable(
            f"the server of lock '{self._lock}' cannot be asked: {fault}", code="lock_unavailable"
        )

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _ask(self, question: Callable[[Link], T]) -> T:
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._new()
        try:
            answer = question(link)
        except BaseException:
            link.close()  # the rest of its answer would be taken for the next one
            raise
        self._idle.append(link)
        return answer

    def _new(self) -> Link:
        link = Link(self._server)
        try:
            self._greet(link)
        except BaseException:
            link.close()
            raise
        return link


def _context(server: Server) -> "ssl.SSLContext":
    """Its certificate must be valid, and that of this host."""
    import ssl  # noqa: PLC0415 - 6 ms, for who asks for it

    context = ssl.create_default_context(cafile=server.ca or None)
    if server.cert:
        context.load_cert_chain(server.cert, server.key or None)
    return context
