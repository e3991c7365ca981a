"""Lines for the syslog of this host, as its daemon reads them from a socket."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

SOCKET = Path("/dev/log")
_PRIORITY = 1 << 3 | 6
_LINE_BYTES = 1_024


class Syslog:
    """Facility user, priority info. A host without a daemon is told so once, and loses lines."""

    def __init__(self, path: Path, name: str, say: Callable[[str], None]) -> None:
        self._path = path
        self._name = name
        self._say = say
        self._told = False

    def note(self, text: str, now_us: int) -> None:
        """One line; it never waits."""
        at = time.strftime("%b %e %H:%M:%S", time.localtime(now_us // 1_000_000))
        line = "".join(char if char.isprintable() else "?" for char in text)
        packet = f"<{_PRIORITY}>{at} {self._name}[{os.getpid()}]: {line}".encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
                way.sendto(packet[:_LINE_BYTES], str(self._path))
        except OSError as error:
            if not self._told:
                self._say(f"{self._path}: {error.strerror}: nothing is written to the syslog")
            self._told = True
        else:
            self._told = False
