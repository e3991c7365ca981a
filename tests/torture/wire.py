"""Finds COMMIT in what a client says to PostgreSQL or MySQL, byte by byte as it comes.

A reader is fed the client's bytes and answers how many of them end with a COMMIT: the proxy sends
those on and then swallows the answer.
"""

import re
from typing import Protocol

_COMMIT = re.compile(rb"(^|;)\s*commit(\s+work|\s+transaction)?\s*;?\s*\0?$", re.IGNORECASE)


class Reader(Protocol):
    def feed(self, piece: bytes) -> bool:
        """True when a COMMIT was completed within this piece."""
        ...


def commits(statement: bytes) -> bool:
    """Whether this statement text ends with a COMMIT."""
    return _COMMIT.search(statement) is not None


class PostgresReader:
    """Frontend messages: a type byte, a length, a body; the first message has no type.

    A COMMIT comes as a simple query, or is parsed, perhaps under a name, and executed later.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._greeted = False
        self._named: dict[bytes, bool] = {}
        self._bound: dict[bytes, bool] = {}

    def feed(self, piece: bytes) -> bool:
        self._buffer += piece
        found = False
        while (message := self._message()) is not None:
            found = self._is_commit(*message) or found
        return found

    def _message(self) -> tuple[bytes, bytes] | None:
        head = 1 if self._greeted else 0
        if len(self._buffer) < head + 4:
            return None
        length = int.from_bytes(self._buffer[head : head + 4], "big")
        if len(self._buffer) < head + length:
            return None
        kind, body = self._buffer[:head], self._buffer[head + 4 : head + length]
        self._buffer = self._buffer[head + length :]
        # An SSLRequest, GSSENCRequest or CancelRequest is 8 or 16 bytes; a startup packet follows.
        if not self._greeted and not body.startswith((b"\x04\xd2\x16",)):
            self._greeted = True
        return kind, body

    def _is_commit(self, kind: bytes, body: bytes) -> bool:
        if kind == b"Q":
            return commits(body)
        if kind == b"P":
            name, statement = body.split(b"\0", 2)[:2]
            self._named[name] = commits(statement)
        elif kind == b"B":
            portal, name = body.split(b"\0", 2)[:2]
            self._bound[portal] = self._named.get(name, False)
        elif kind == b"E":
            return self._bound.get(body.split(b"\0", 1)[0], False)
        return False


class MysqlReader:
    """Client packets: three bytes of length, one of sequence, a body; COM_QUERY begins with 3.

    The packets of the greeting have a sequence above 0 and so are no commands.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, piece: bytes) -> bool:
        self._buffer += piece
        found = False
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:3], "little")
            if len(self._buffer) < 4 + length:
                break
            sequence, body = self._buffer[3], self._buffer[4 : 4 + length]
            self._buffer = self._buffer[4 + length :]
            found = found or (sequence == 0 and body[:1] == b"\x03" and commits(body[1:]))
        return found


def reader_for(kind: str) -> Reader:
    return PostgresReader() if kind == "postgresql" else MysqlReader()
