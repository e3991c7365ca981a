"""One HTTP request to a URL of a job: no redirect is followed, and little is read."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from cronherd import __version__
from cronherd.alerts.base import SendFailed
from cronherd.alerts.net import Network, bounded, connect

ANSWER_BYTES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """What this node may call, and for how long."""

    timeout_s: float
    allowed: tuple[Network, ...] = ()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> None:
        """Raises SendFailed unless the answer is a 2xx."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        plain = connect(host, port, self.timeout_s, self.allowed)
        try:
            with bounded(plain, self.timeout_s):
                made = _secured(plain, host) if secure else plain
                with made:
                    status = self._ask(made, method, url, headers, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = str(error) or type(error).__name__
            raise SendFailed(f"{host} port {port} gave no answer: {why}") from None
        finally:
            plain.close()
        if 300 <= status < 400:
            raise SendFailed(f"{host} answered {status}: redirects are not followed")
        if not 200 <= status < 300:
            raise SendFailed(f"{host} answered {status}")

    def _ask(
        self,
        made: socket.socket,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> int:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(parts.hostname or "", timeout=self.timeout_s)
        connection.sock = made
        said = {"Host": parts.netloc, "User-Agent": f"cronherd/{__version__}", **headers}
        with closing(connection):
            return self._exchange(connection, method, path, said, body)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        said: Mapping[str, str],
        body: bytes | None,
    ) -> int:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**said, "Connection": "close"}.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        with answer:
            answer.read(ANSWER_BYTES)
        return answer.status


def _secured(plain: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
