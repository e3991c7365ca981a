"""Ports: bound before anything is promised, and refused where they would be open to all."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from cronherd.api.line import Line
from cronherd.config.web import Web
from cronherd.domain.errors import Conflict, Refused, Unavailable

BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Spot:
    """One address to bind."""

    family: socket.AddressFamily
    address: tuple[str, int]
    said: str

    @property
    def loopback(self) -> bool:
        return ip_address(self.address[0].partition("%")[0]).is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What is bound, by which rules it is served, and where people find it."""

    sockets: Sequence[socket.socket]
    line: Line
    tls: ssl.SSLContext | None
    address: str


def open_ports(web: Web, *, has_accounts: bool) -> Ports:
    """Bind all of them or none. Raises Refused, Conflict (in use) or Unavailable."""
    spots = [spot for said in web.listen for spot in _spots(said)]
    refuse_unsafe(spots, web, has_accounts=has_accounts)
    tls = _tls(web)
    with ExitStack() as bound:
        sockets = []
        for spot in spots:
            port = _bind(spot, needed=web.asked or spot is spots[0])
            if port is not None:
                sockets.append(bound.enter_context(port))
        bound.pop_all()
    return Ports(sockets=sockets, line=line_of(web), tls=tls, address=address_of(web, sockets))


def refuse_unsafe(spots: Sequence[Spot], web: Web, *, has_accounts: bool) -> None:
    """Beyond this host nothing is served that anybody could use, or that anybody could read."""
    beyond = [spot.said for spot in spots if not spot.loopback]
    if not beyond:
        return
    if not has_accounts:
        raise Refused(
            f"{beyond[0]} can be reached from elsewhere, and there is no account yet",
            code="unsafe_listen",
            hint="make one first: cronherd user add NAME --role admin",
        )
    if web.tls_cert is None and not web.behind_proxy:
        raise Refused(
            f"{beyond[0]} can be reached from elsewhere, and passwords would travel in the clear",
            code="unsafe_listen",
            hint="set web.tls_cert and web.tls_key, or --behind-proxy where a proxy brings TLS",
        )


def line_of(web: Web) -> Line:
    """The rules for what comes through these ports."""
    return Line(
        secure=web.tls_cert is not None,
        proxied=web.behind_proxy,
        hosts=web.hosts,
        user_header=web.trusted_header,
        proxies=tuple(ip_network(one) for one in web.trusted_proxies),
    )


def address_of(web: Web, sockets: Sequence[socket.socket]) -> str:
    """What a link begins with."""
    if web.url or not sockets:
        return web.url
    host, port = sockets[0].getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_unspecified:
        host = web.hosts[0] if web.hosts else socket.gethostname()
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if web.tls_cert else 'http'}://{shown}:{port}"


def _spots(said: str) -> list[Spot]:
    host, _, port = said.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise Unavailable(
            f"cannot listen at {said}: {error.strerror or error}", code="not_bindable"
        ) from None
    return [Spot(family, (str(place[0]), int(place[1])), said) for family, _, _, _, place in found]


def _bind(spot: Spot, *, needed: bool) -> socket.socket | None:
    """None: this host has no such address, and it was only tried beside another."""
    port = socket.socket(spot.family, socket.SOCK_STREAM)
    try:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # asyncio does so only for a socket that was made with the number of its protocol. Without
        # it the end of each answer waits 40 ms for the browser's word about its beginning.
        port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if spot.family == socket.AF_INET6:
            port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        port.bind(spot.address)
        port.listen(BACKLOG)
        port.setblocking(False)  # noqa: FBT003 - a name of the library
    except OSError as error:
        port.close()
        _refuse_unbound(spot, error, needed=needed)
        return None
    return port


def _refuse_unbound(spot: Spot, error: OSError, *, needed: bool) -> None:
    import errno  # noqa: PLC0415 - only on the way to an error

    if not needed and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return
    if error.errno == errno.EADDRINUSE:
        raise Conflict(
            f"another program listens at {spot.said}",
            code="port_in_use",
            hint="stop it, or choose another port with --listen HOST:PORT",
        ) from None
    raise Unavailable(
        f"cannot listen at {spot.said}: {error.strerror or error}",
        code="not_bindable",
        hint="choose another address with --listen HOST:PORT",
    ) from None


def _tls(web: Web) -> ssl.SSLContext | None:
    if web.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(web.tls_cert, web.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise Unavailable(
            f"cannot use {web.tls_cert} with {web.tls_key}: {reason}",
            code="bad_certificate",
            hint="both are PEM files, readable by this user, and belong together",
        ) from None
    return context
