# ruff: noqa: PTH101, PTH103, PTH108 -- pathlib would cost this process 5 ms of its birth
"""The supervisor's socket: who may come in, and one connection of somebody who did."""

import os
import socket
from contextlib import suppress
from struct import Struct

from cronherd.supervisor.wire import Frame, Reader, WireError

_PEER = Struct("3i")
RECEIVE_BYTES = 1 << 18
ROOM_BYTES = 4 << 20
"""Bytes waiting for a slow agent; beyond it they stay in the spool."""
BACKLOG = 16


class Door:
    """A listening Unix socket, 0600, in a directory of 0700."""

    def __init__(self, path: str) -> None:
        """Listen at `path`, of any length. The caller holds the lock: a file there is stale."""
        folder, name = os.path.split(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with reach(folder) as short:
            with suppress(FileNotFoundError):
                os.unlink(f"{short}/{name}")
            self._socket.bind(f"{short}/{name}")
            os.chmod(f"{short}/{name}", 0o600)
        self._socket.listen(BACKLOG)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> "Connection | None":
        """Somebody of our own user, or root; None when there is nobody (any more)."""
        try:
            peer, _ = self._socket.accept()
        except OSError:
            return None  # Gone again, or no descriptor left: the next turn tries again.
        if owner(peer) not in (os.geteuid(), 0):
            peer.close()
            return None
        return Connection(peer)

    def close(self) -> None:
        """Stop listening and remove the socket's file."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)


class Connection:
    """Frames in both directions over one socket, without ever waiting."""

    __slots__ = ("_out", "_reader", "_socket", "fd", "heard")

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)  # noqa: FBT003 (its only form)
        self._socket = peer
        self.fd = peer.fileno()
        self._reader = Reader()
        self._out = bytearray()
        self.heard = 0
        """Bytes received."""

    def receive(self) -> list[Frame] | None:
        """The frames that came; None when the other side is gone. Raises WireError."""
        try:
            received = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        self.heard += len(received)
        return self._reader.feed(received) if received else None

    def send(self, frame: bytes) -> None:
        """Send now what the socket takes, and the rest with `push`."""
        if not self._out:
            frame = frame[self._write(frame) :]
        self._out += frame

    def push(self) -> None:
        """Send more of what waits."""
        del self._out[: self._write(self._out)]

    def has_room(self) -> bool:
        """The other side keeps up."""
        return len(self._out) < ROOM_BYTES

    def is_waiting(self) -> bool:
        """Something could not be sent yet."""
        return bool(self._out)

    def close(self) -> None:
        self._socket.close()

    def _write(self, waiting: bytes | bytearray) -> int:
        try:
            return self._socket.send(waiting)
        except BlockingIOError:
            return 0
        except OSError:
            return len(waiting)  # The other side is gone; the reading end of the loop sees it.


class reach:  # noqa: N801 (used as a function)
    """A short name for a folder: socket addresses hold 107 bytes, /proc/self/fd/7 does not care."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        self._descriptor = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *ignored: object) -> None:
        os.close(self._descriptor)


def owner(peer: socket.socket) -> int:
    """The user on the other side, by the kernel's word."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    user: int = _PEER.unpack(credentials)[1]
    return user


__all__ = ["Connection", "Door", "WireError", "owner", "reach"]
