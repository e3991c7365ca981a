"""Where a lock is, as people write it: a file, or the URL of a server with the lock's name."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cronherd.domain.errors import Invalid
from cronherd.locks.base import EXPIRY_US, Clock, Lock
from cronherd.locks.file import FileLock

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,200}")
_REDIS = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
"""Whether it is spoken to by TLS."""
_TLS = {"ssl_ca": "ca", "ssl_cert": "cert", "ssl_key": "key"}
_REDIS_PORT, _MEMCACHED_PORT = 6_379, 11_211
_FORMS = "redis://host/name, rediss://host/name or memcached://host/name"


def open_lock(
    where: str, clock: Clock, environ: Mapping[str, str], *, expiry_us: int = EXPIRY_US
) -> Lock:
    """The lock of a path or URL; asks no server yet. Raises Invalid."""
    if "://" not in where:
        return FileLock(where, clock)
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - 3 ms that a file does not need

    try:
        parts = urlsplit(where)
        port = parts.port
    except ValueError:
        raise _bad() from None
    if not parts.hostname or parts.fragment:
        raise _bad()
    if parts.scheme in _REDIS:
        return _redis(parts, port or _REDIS_PORT, clock, environ, expiry_us)
    if parts.scheme == "memcached" and parts.username is None and not parts.query:
        from cronherd.locks.link import Server  # noqa: PLC0415 - as below
        from cronherd.locks.memcached import MemcachedLock  # noqa: PLC0415

        server = Server(host=parts.hostname, port=port or _MEMCACHED_PORT)
        return MemcachedLock(server, _name(unquote(parts.path[1:])), clock, expiry_us=expiry_us)
    raise _bad()


def _redis(
    parts: "SplitResult", port: int, clock: Clock, environ: Mapping[str, str], expiry_us: int
) -> Lock:
    from urllib.parse import unquote  # noqa: PLC0415 - as above

    from cronherd.locks.link import Server  # noqa: PLC0415 - 3 ms of a start, only on need
    from cronherd.locks.redis import RedisLock  # noqa: PLC0415

    number, slash, rest = parts.path[1:].partition("/")
    if not slash:
        number, rest = "0", number
    if not re.fullmatch(r"\d{1,5}", number):
        raise _bad()
    # As redis-cli has it: everybody on the host can read the arguments of a command.
    given = environ.get("REDISCLI_AUTH", "")
    tls = _REDIS[parts.scheme]
    server = Server(
        host=parts.hostname or "",
        port=port,
        tls=tls,
        username=unquote(parts.username or ""),
        password=given if parts.password is None else unquote(parts.password),
        **_files(parts.query, tls=tls),
    )
    return RedisLock(server, int(number), _name(unquote(rest)), clock, expiry_us=expiry_us)


def _files(query: str, *, tls: bool) -> dict[str, str]:
    """Of ?ssl_ca=, ssl_cert= and ssl_key=, which only TLS takes."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - as above

    try:
        said = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise _bad() from None
    if any(name not in _TLS or not path for name, path in said) or (said and not tls):
        raise _bad()
    return {_TLS[name]: path for name, path in said}


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid(
            "the name of a lock has 1 to 200 letters, digits and . _ : @ + -",
            code="bad_lock_name",
            hint=f"write {_FORMS}",
        )
    return name


def _bad() -> Invalid:
    """Without what was given: it may hold a password."""
    return Invalid("this is not the address of a lock", code="bad_lock_url", hint=f"write {_FORMS}")
