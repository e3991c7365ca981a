"""Where job servers are: `host`, `host:port`, `[2001:db8::1]:4730`."""

from collections.abc import Sequence
from dataclasses import dataclass

from cronherd.domain.errors import Invalid

PORT = 4730
_HOST_LENGTH = 253
MOST_SERVERS = 100


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A job server; as text it can be read again."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_server(text: str) -> Server:
    """Raises Invalid."""
    host, colon, port = text.strip(), "", ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in {"", ":"}:
            raise _bad(text)
    elif host.count(":") == 1:
        host, colon, port = host.partition(":")
    if colon and not port:
        raise _bad(text)
    return server_of(host, port or PORT)


def server_of(host: object, port: object = PORT) -> Server:
    """From a host and a port, which may be a text. Raises Invalid."""
    if not isinstance(host, str) or not host or len(host) > _HOST_LENGTH:
        raise _bad(host)
    if not host.isprintable() or any(char in host for char in " /@[]"):
        raise _bad(host)
    number = int(port) if isinstance(port, str) and port.isascii() and port.isdigit() else port
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 1 << 16:
        raise Invalid(
            f"'{str(port)[:40]}' is not a port", code="bad_gearman_server", hint="write 4730"
        )
    return Server(host, number)


def read_servers(texts: Sequence[str]) -> tuple[Server, ...]:
    """Each once, in order. Raises Invalid."""
    return tuple(dict.fromkeys(read_server(text) for text in texts))


def _bad(text: object) -> Invalid:
    return Invalid(
        f"'{str(text)[:60]}' does not name a job server",
        code="bad_gearman_server",
        hint="write host or host:4730",
    )
