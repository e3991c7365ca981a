"""The text protocol of job servers: lines that a person could type."""

import socket
from dataclasses import dataclass

from cronherd.domain.errors import Unavailable
from cronherd.domain.jobserver import Server

PATIENCE_S = 5.0
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatus:
    """What a server has of one function: `queued` counts those that run too."""

    function: str
    queued: int
    running: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One connection to a server: clients are listed too, without functions."""

    address: str
    name: str
    functions: tuple[str, ...]


class Admin:
    """One connection. Raises Unavailable."""

    def __init__(self, server: Server, patience_s: float = PATIENCE_S) -> None:
        self.server = server
        try:
            self._socket = socket.create_connection((server.host, server.port), patience_s)
        except OSError as error:
            raise self._gone(error) from None
        self._lines = self._socket.makefile("rb")

    def status(self) -> list[FunctionStatus]:
        rows = [line.rsplit("\t", 3) for line in self._list("status")]
        try:
            return [
                FunctionStatus(function=name, queued=int(q), running=int(r), workers=int(w))
                for name, q, r, w in rows
            ]
        except ValueError:
            raise self._odd() from None

    def workers(self) -> list[WorkerStatus]:
        found = []
        for line in self._list("workers"):
            head, _, functions = line.partition(" :")
            parts = head.split(" ", 2)
            if len(parts) != 3:
                raise self._odd()
            names = tuple(functions.split())
            found.append(WorkerStatus(address=parts[1], name=parts[2], functions=names))
        return found

    def version(self) -> str:
        return self._ask("version").removeprefix("OK ").strip()

    def cancel(self, handle: str) -> bool:
        """Take a job out of the queue; False when none of that handle waits there."""
        return self._ask(f"cancel job {handle}").startswith("OK")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, words: str) -> str:
        try:
            self._socket.sendall(f"{words}\n".encode())
            line = self._lines.readline(_MOST_BYTES)
        except OSError as error:
            raise self._gone(error) from None
        if not line.endswith(b"\n"):
            raise self._odd()
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _list(self, words: str) -> list[str]:
        """Lines up to the one with a dot."""
        line, found, room = self._ask(words), [], _MOST_BYTES
        while line != ".":
            found.append(line)
            try:
                piece = self._lines.readline(room)
            except OSError as error:
                raise self._gone(error) from None
            room -= len(piece)
            if not piece.endswith(b"\n"):
                raise self._odd()
            line = piece.decode("utf-8", "replace").rstrip("\r\n")
        return found

    def _gone(self, error: OSError) -> Unavailable:
        why = error.strerror or str(error)
        return Unavailable(f"the job server {self.server} does not answer: {why}")

    def _odd(self) -> Unavailable:
        return Unavailable(f"what {self.server} answered is not Gearman: is this its port?")
