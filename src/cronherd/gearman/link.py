"""A connection to one job server that comes back: made again, with growing waits, when lost.

Nothing here waits. Whoever has a link polls `descriptor` for `events`, calls `turn` when it is
ready or when `due_us` has come, and sends by `send`, which is passed on at the end of a turn.
"""

import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from cronherd.domain.drawn import drawn
from cronherd.domain.jobserver import Server
from cronherd.gearman.packet import Broken, Decoder, Kind, Packet, encode

SHORTEST_US = 100_000
LONGEST_US = 30_000_000
"""Between two attempts to connect: at first, and at last."""
CONNECT_US = 10_000_000
SILENT_US = 60_000_000
"""So long nothing was heard: ask whether anybody is there."""
ANSWER_US = 30_000_000
_PIECE = 1 << 18
_MOST_WAITING = 256 << 20
_PING = encode(Kind.ECHO_REQ, b"cronherd")

Addresses = list[tuple[int, tuple[object, ...]]]


class Clock(Protocol):
    """The host's boot clock, in microseconds."""

    def boot_us(self) -> int: ...


class Link:
    """States: resting until `due_us`, resolving, connecting, up."""

    def __init__(self, server: Server, clock: Clock, say: Callable[[str], None]) -> None:
        self.server = server
        self.up = False
        self.life = 0
        """Counts connections: what was said in an earlier one is of no use in this one."""
        self.due_us: int | None = clock.boot_us()
        self._clock = clock
        self._say = say
        self._socket: socket.socket | None = None
        self._resolver: _Resolver | None = None
        self._decoder = Decoder()
        self._out = bytearray()
        self._failures = 0
        self._told = False
        self._heard_us = 0
        self._asked = False

    @property
    def descriptor(self) -> int:
        """-1 while there is nothing to wait for but time."""
        if self._resolver is not None:
            return self._resolver.descriptor
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def events(self) -> int:
        if self._resolver is not None:
            return select.POLLIN
        if not self.up:
            return select.POLLOUT
        return select.POLLIN | (select.POLLOUT if self._out else 0)

    @property
    def failed(self) -> bool:
        """It was tried, and since then nothing was heard."""
        return self._failures > 0

    @property
    def backlog(self) -> int:
        """Bytes that the server has not taken yet."""
        return len(self._out)

    def send(self, packet: bytes) -> None:
        """Passed on with the next `flush`; forgotten when the connection is lost."""
        self._out += packet

    def turn(self) -> list[Packet]:
        """Do what can be done now: what was heard. `life` grows when a connection was made."""
        now_us = self._clock.boot_us()
        try:
            if self._resolver is not None:
                self._resolved(self._resolver, now_us)
            elif self._socket is None:
                self._begin(now_us)
            elif not self.up:
                self._connected(self._socket, now_us)
            else:
                return self._hear(self._socket, now_us)
        except OSError as error:
            self.lose(error.strerror or str(error))
        except Broken as error:
            self.lose(error.text)
        return []

    def flush(self) -> None:
        """Send what there is to send, as far as it goes."""
        if not self.up or self._socket is None or not self._out:
            return
        try:
            while self._out:
                del self._out[: self._socket.send(self._out[:_PIECE])]
        except BlockingIOError:
            if len(self._out) > _MOST_WAITING:
                self.lose("it takes nothing any more")
        except OSError as error:
            self.lose(error.strerror or str(error))

    def lose(self, why: str, rest_us: int = 0) -> None:
        """Close, and connect again later: after `rest_us`, or what failing so often asks for."""
        self._drop()
        self._failures += 1
        wait_us = rest_us or _wait_us(str(self.server), self._failures)
        self.due_us = self._clock.boot_us() + wait_us
        if why and not self._told:
            self._told = True
            self._say(f"the job server {self.server} is lost: {why}; it is tried again")

    def close(self) -> None:
        """For good; what can be sent at once still is."""
        self.flush()
        self._drop()
        self.due_us = None

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._resolver is not None:
            self._resolver.leave()
        self._socket, self._resolver = None, None
        self.up, self._asked = False, False
        self._out.clear()

    def _begin(self, now_us: int) -> None:
        if self.due_us is None or now_us < self.due_us:
            return
        addresses = _numeric(self.server)
        if addresses is None:
            self._resolver = _Resolver(self.server)
            self.due_us = now_us + CONNECT_US
        else:
            self._connect(addresses, now_us)

    def _resolved(self, resolver: "_Resolver", now_us: int) -> None:
        if not resolver.done:
            if self.due_us is not None and now_us >= self.due_us:
                self.lose("its name is not resolved")
            return
        resolver.leave()
        self._resolver = None
        if not resolver.addresses:
            raise OSError(errno.EADDRNOTAVAIL, f"its name is not resolved: {resolver.why}")
        self._connect(resolver.addresses, now_us)

    def _connect(self, addresses: Addresses, now_us: int) -> None:
        """A host with several addresses is tried at one after the other."""
        family, address = addresses[self._failures % len(addresses)]
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.due_us = now_us + CONNECT_US
        code = self._socket.connect_ex(address)
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, os.strerror(code))

    def _connected(self, connection: socket.socket, now_us: int) -> None:
        look = select.poll()
        look.register(connection, select.POLLOUT)
        if not look.poll(0):
            if self.due_us is not None and now_us >= self.due_us:
                self.lose("it does not answer")
            return
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._decoder = Decoder()
        self._out.clear()
        self.up, self._asked = True, False
        self.life += 1
        self._heard_us = now_us
        self.due_us = now_us + SILENT_US
        if self._told:
            self._told = False
            self._say(f"the job server {self.server} is back")

    def _hear(self, connection: socket.socket, now_us: int) -> list[Packet]:
        found: list[Packet] = []
        with suppress(BlockingIOError):
            piece = connection.recv(_PIECE)
            if not piece:
                raise OSError(errno.ECONNRESET, "it closed the connection")
            found = self._decoder.feed(piece)
            self._heard_us, self._asked, self._failures = now_us, False, 0
        self._look_after(now_us)
        return [packet for packet in found if packet.kind != Kind.ECHO_RES]

    def _look_after(self, now_us: int) -> None:
        silent_us = now_us - self._heard_us
        if silent_us >= SILENT_US + ANSWER_US:
            self.lose("it says nothing any more")
            return
        if silent_us >= SILENT_US and not self._asked:
            self._asked = True
            self.send(_PING)
        self.due_us = self._heard_us + SILENT_US + (ANSWER_US if self._asked else 0)


def _wait_us(words: str, failures: int) -> int:
    """Twice as long each time, and never for all of them the same."""
    longest_us = min(LONGEST_US, SHORTEST_US << min(failures - 1, 20))
    return longest_us - drawn(f"{words} {os.getpid()} {failures}", longest_us // 4 + 1)


def _numeric(server: Server) -> Addresses | None:
    """The address itself; None for a name that must be asked for."""
    try:
        return _look_up(server, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None


def _look_up(server: Server, flags: int = 0) -> Addresses:
    found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


class _Resolver:
    """A name is looked up by a thread of its own: a name server that hangs holds up nobody else."""

    def __init__(self, server: Server) -> None:
        self.addresses: Addresses = []
        self.why = ""
        self.done = False
        self.descriptor, self._theirs = os.pipe2(os.O_CLOEXEC)
        threading.Thread(target=self._look_up, args=(server,), daemon=True).start()

    def leave(self) -> None:
        """Its thread may live on; it closes its own end."""
        os.close(self.descriptor)

    def _look_up(self, server: Server) -> None:
        try:
            self.addresses = _look_up(server)
        except OSError as error:
            self.why = error.strerror or str(error)
        except UnicodeError as error:
            self.why = str(error)
        self.done = True
        os.close(self._theirs)
