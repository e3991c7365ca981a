"""What lies between a port and the app: whose address it is, which host was asked, what is said.

A request that came this way carries its `Arrival`; one that came by the Unix socket carries LOCAL.
The app lets nobody in who carries neither.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cronherd.api.problem import Problem
from cronherd.domain.errors import CronherdError, Invalid, Refused

Network = IPv4Network | IPv6Network
LOCAL = "local"
KEY = "cronherd.arrival"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: a form would be sent with `Origin: null` then.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",  # unless the route says otherwise, as for files of the pages
}

# Where TLS ends here. It counts for all ports of the host's name, so it is forgotten after a week.
TLS_HEADERS: Mapping[str, str] = {"Strict-Transport-Security": "max-age=604800"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The rules of the ports of one process.

    `secure`: TLS ends here. `proxied`: a proxy stands before it, which brings TLS. `hosts`: names
    people reach it by; without any a port that only this host reaches answers to its own names.
    """

    secure: bool = False
    proxied: bool = False
    hosts: tuple[str, ...] = ()
    user_header: str = ""
    proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How one request came: the address it counts for, whether cookies may only travel by TLS."""

    address: str
    secure: bool
    hosts: tuple[str, ...]
    user: str | None = None


class Locally:
    """For the Unix socket, which only its owner can open."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, KEY: LOCAL}, receive, send)


class Port:
    """For a port, whoever can reach it."""

    def __init__(self, app: ASGIApp, line: Line) -> None:
        self._app = app
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        careful = _careful(send, secure=self._line.secure)
        try:
            arrival = self.arrival(scope)
        except CronherdError as error:
            await Problem(error)(scope, receive, careful)
            return
        await self._app({**scope, KEY: arrival}, receive, careful)

    def arrival(self, scope: Scope) -> Arrival:
        """Raises Invalid for a host that is not ours, Refused for a name from no trusted proxy."""
        line = self._line
        peer = _address(scope["client"][0] if scope.get("client") else "")
        trusted = any(peer in network for network in line.proxies) if peer else False
        self._check_host(scope)
        user = _one(scope, line.user_header) if line.user_header else None
        if user is not None and not trusted:
            raise Refused(
                f"{peer} may not say who somebody is",
                code="untrusted_proxy",
                hint="web.trusted_proxies names who may send the header of web.trusted_header",
            )
        address = _forwarded(scope, peer, line.proxies) if trusted else peer
        return Arrival(
            address=_counted(address),
            secure=line.secure or line.proxied,
            hosts=line.hosts,
            user=user or None,
        )

    def _check_host(self, scope: Scope) -> None:
        """Against names that an attacker lets point here (DNS rebinding)."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        asked = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        name = bare_host(asked)
        if self._line.hosts:
            known: Sequence[str] = self._line.hosts
        elif self._line.proxied or not _is_loopback(scope):
            known = (name,) if name else ()
        else:
            known = LOOPBACK_NAMES
        if name not in known:
            raise Invalid(
                f"this cronherd is not called '{asked[:80]!a}'"[:140],
                code="bad_host",
                hint="ask by an address of it, or name it in web.hosts",
            )


def arrival_of(request: Request) -> Arrival:
    """How a request came through a port. Raises Refused for one that came by none."""
    arrival = request.scope.get(KEY)
    if isinstance(arrival, Arrival):
        return arrival
    raise Refused("this way into cronherd is not known", code="not_allowed")


def bare_host(host: str) -> str:
    """A Host header without its port, in lower case; '' for what is none."""
    host = host.strip().lower()
    if host.startswith("["):
        name, _, port = host.partition("]")
        name, port = f"{name}]", port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    plain = name.isascii() and name.isprintable() and "/" not in name and "@" not in name
    return name.removesuffix(".") if plain and (not port or port.isdecimal()) else ""


def _is_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    address = _address(server[0]) if server else None
    return address is None or address.is_loopback


def _one(scope: Scope, header: str) -> str | None:
    """A header that stands once; two of them are a trick. Raises Refused."""
    wanted = header.lower().encode("latin-1", "replace")
    found = [value for name, value in scope["headers"] if name == wanted]
    if len(found) > 1:
        raise Refused(f"the header {header} stands more than once", code="untrusted_proxy")
    return found[0].decode("latin-1").strip() if found else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _forwarded(
    scope: Scope, peer: IPv4Address | IPv6Address | None, proxies: Sequence[Network]
) -> IPv4Address | IPv6Address | None:
    """The last address in X-Forwarded-For that is no proxy of ours: those before it may be lies."""
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for text in reversed(b",".join(lines).decode("latin-1").split(",")):
        found = _address(text.strip())
        if found is None:
            return peer
        if not any(found in network for network in proxies):
            return found
    return peer


def _counted(address: IPv4Address | IPv6Address | None) -> str:
    """What failures are counted for: whoever has one IPv6 address has 2^64 of them."""
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(IPv6Network((address, 64), strict=False))
    return str(address) if address else "unknown"


def _careful(send: Send, *, secure: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = message.get("headers", ())
            message = {**message, "headers": careful_headers(told, secure=secure)}
        await send(message)

    return sending


def careful_headers(
    told: Iterable[tuple[bytes, bytes]], *, secure: bool
) -> list[tuple[bytes, bytes]]:
    """What is told, and what binds the browser besides; `secure`: TLS ends here."""
    headers = list(told)
    there = {name.lower() for name, _ in headers}
    ours = {**HEADERS, **TLS_HEADERS} if secure else HEADERS
    return headers + [
        (name.lower().encode(), value.encode())
        for name, value in ours.items()
        if name.lower().encode() not in there
    ]
