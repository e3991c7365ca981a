"""Where a lock is, as people write it: a file, or the URL of a server with the lock's name."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from cronherd.domain.errors import Invalid, Unavailable
from cronherd.locks.base import EXPIRY_US, Clock, Lock
from cronherd.locks.file import FileLock

_NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,200}")
_REDIS = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}
_MEMCACHED_PORT = 11_211
_FORMS = "redis://host/name, rediss://host/name or memcached://host/name"


def open_lock(
    where: str, clock: Clock, environ: Mapping[str, str], *, expiry_us: int = EXPIRY_US
) -> Lock:
    """The lock of a path or URL; asks no server yet.

    Raises Invalid, and Unavailable when the library for the server is not installed.
    """
    if "://" not in where:
        return FileLock(where, clock)
    try:
        parts = urlsplit(where)
        port = parts.port
    except ValueError:
        raise _bad() from None
    if not parts.hostname or parts.query or parts.fragment:
        raise _bad()
    if parts.scheme in _REDIS:
        return _redis(parts, clock, environ, expiry_us)
    if parts.scheme == "memcached" and parts.username is None:
        return _memcached(parts.hostname, port, _name(parts.path[1:]), clock, expiry_us)
    raise _bad()


def _redis(parts: SplitResult, clock: Clock, environ: Mapping[str, str], expiry_us: int) -> Lock:
    try:
        from cronherd.locks.redis import RedisLock  # noqa: PLC0415 - 0.2 s, only on need
    except ImportError:
        raise _missing("redis") from None
    number, slash, rest = parts.path[1:].partition("/")
    if not slash:
        number, rest = "0", number
    if not re.fullmatch(r"\d{1,5}", number):
        raise _bad()
    place = parts.netloc
    if parts.password is None and (password := environ.get("REDISCLI_AUTH")):
        # As redis-cli has it: everybody on the host can read the arguments of a command.
        place = f"{parts.username or ''}:{quote(password, safe='')}@{place.rpartition('@')[2]}"
    url = f"{_REDIS[parts.scheme]}://{place}/{number}"
    return RedisLock(url, _name(rest), clock, expiry_us=expiry_us)


def _memcached(host: str, port: int | None, name: str, clock: Clock, expiry_us: int) -> Lock:
    try:
        from cronherd.locks.memcached import MemcachedLock  # noqa: PLC0415 - only on need
    except ImportError:
        raise _missing("memcached") from None
    return MemcachedLock(host, port or _MEMCACHED_PORT, name, clock, expiry_us=expiry_us)


def _name(text: str) -> str:
    name = unquote(text)
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


def _missing(extra: str) -> Unavailable:
    return Unavailable(
        f"locks in {extra.capitalize()} take a library that is not installed",
        code="no_lock_library",
        hint=f"pip install 'cronherd[{extra}]'",
    )
