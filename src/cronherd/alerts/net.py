"""Connections to addresses that were looked at: what a name says twice is not asked for twice.

A URL in a job is a way for whoever may write jobs to make a node talk. So only public addresses
are called, unless the node's settings allow others, and the connection goes to the very address
that was looked at.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from cronherd.alerts.base import SendFailed

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Found = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family, and where to connect to as the socket takes it."""

_NAT64 = IPv6Network("64:ff9b::/96")
# Inner by their purpose, though the address tables of older Pythons call them global.
_NOT_PUBLIC = (IPv4Network("192.88.99.0/24"), IPv6Network("fec0::/10"), IPv6Network("3fff::/20"))
_TRIED_MOST = 4


def refusal(text: str, allowed: Sequence[Network]) -> str:
    """Why an address is not called; empty when it may be."""
    address = ip_address(text.split("%", maxsplit=1)[0])
    for inner in _inner(address):
        if any(inner.version == network.version and inner in network for network in allowed):
            continue
        special = any(inner.version == each.version and inner in each for each in _NOT_PUBLIC)
        if special or not inner.is_global or inner.is_multicast or inner.is_reserved:
            return f"{inner} is not a public address"
    return ""


def _inner(address: Address) -> list[Address]:
    """The address and those that hide in it: a gateway would send on to them."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    found: list[Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found += address.teredo
    return found


def resolve(host: str, port: int, timeout_s: float) -> list[Found]:
    """Where a name leads. Raises SendFailed; the system's resolver has no limit of its own."""
    found: list[Found] = []
    failed: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed.append(error)
        else:
            found.extend(dict.fromkeys((row[0], row[4]) for row in rows))

    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(timeout_s)
    if asking.is_alive():
        raise SendFailed(f"the name {host} was not resolved within {timeout_s:g} s")
    if failed or not found:
        why = failed[0] if failed else "it has no address"
        raise SendFailed(f"the name {host} cannot be resolved: {why}")
    return found


def connect(
    host: str, port: int, timeout_s: float, allowed: Sequence[Network] | None
) -> socket.socket:
    """A connection to an address of this host that was looked at; `allowed` None: to any.

    Raises SendFailed, for good when the host has an address that is not to be called: a name that
    says now this and now that is refused whatever it says first.
    """
    found = resolve(host, port, timeout_s)
    if allowed is not None:
        for _, place in found:
            if why := refusal(str(place[0]), allowed):
                hint = "the node's alerts.allow_private could allow it"
                raise SendFailed(f"{host} is not called: {why}; {hint}", final=True)
    failure: OSError | None = None
    for family, place in found[:_TRIED_MOST]:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(timeout_s)
        try:
            made.connect(place)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise SendFailed(f"no connection to {host} port {port}: {failure}", everybody=True)


@contextmanager
def bounded(made: socket.socket, seconds: float) -> Iterator[None]:
    """Shut the connection when the block takes longer: a slow answer is as bad as none.

    By a descriptor of its own, since TLS takes the connection's away.
    """
    watched = made.dup()

    def shut() -> None:
        try:
            watched.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        watched.close()


def network_list(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks of their usual spelling, such as 10.0.0.0/8. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)
