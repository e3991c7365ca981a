"""Gearman's job servers: `host`, `host:port`, `[2001:db8::1]:4730`; and a job that goes there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cronherd.domain.errors import Invalid

PORT = 4730
_HOST_LENGTH = 253
MOST_SERVERS = 100
FUNCTION_BYTES = 512
UNIQUE_BYTES = 64
"""What gearmand keeps of a name and of a unique id."""
PRIORITIES = ("high", "normal", "low")


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A job server; as text it can be read again."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


LOCAL = Server("127.0.0.1")
"""Where everybody looks who was told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GearmanUse:
    """What a job hands in at a job server instead of running a command."""

    function: str
    payload: str = ""
    servers: tuple[Server, ...] = (LOCAL,)
    priority: str = "normal"


def read_gearman(said: Mapping[str, Any]) -> GearmanUse:
    """From the words of a checked definition."""
    servers = said.get("servers") or ()
    return GearmanUse(
        function=said["function"],
        payload=said.get("payload", ""),
        servers=read_servers([servers] if isinstance(servers, str) else servers) or (LOCAL,),
        priority=said.get("priority", "normal"),
    )


def check_function(name: str) -> str:
    """The name itself. Raises Invalid for one that no server keeps as it is."""
    if not name or len(name.encode(errors="replace")) > FUNCTION_BYTES:
        raise Invalid(f"a function's name has 1 to {FUNCTION_BYTES} bytes", code="bad_gearman_name")
    if not name.isprintable():
        raise Invalid("a function's name has no control characters", code="bad_gearman_name")
    return name


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
