"""Ways to a server: a Unix socket, or the address in a URL."""

import http.client
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from cronherd.domain.errors import Invalid

SOCKET_PATH_BYTES = 107  # sun_path without its closing NUL


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        connect_to(self.sock, self._path)


def connect_to(line: socket.socket, path: Path) -> None:
    """Connect to a Unix socket, through its open folder when the path is too long for one."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        line.connect(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        line.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def address_of(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of a URL. Raises Invalid."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    plain = url.isascii() and url.isprintable() and " " not in url
    known = parts.scheme in {"http", "https"} and parts.username is None
    if not (known and host and port != 0 and plain):
        sentence = "this is not the address of a cronherd"
        raise Invalid(sentence, code="bad_url", hint="https://HOST:PORT")
    return parts.scheme, host, port, parts.path.rstrip("/")
