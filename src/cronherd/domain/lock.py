"""Locks for what is outside cronherd: their names, how long they last, what a job says of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid

NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,120}")
"""Of a lock of the fleet: no slash, which makes a word a file."""
URL_NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,200}")
URL_FORMS = "redis://host/name, rediss://host/name or memcached://host/name"
KINDS = {
    "redis": ("redis", False),
    "valkey": ("redis", False),
    "rediss": ("redis", True),
    "valkeys": ("redis", True),
    "memcached": ("memcached", False),
}
"""By the scheme of a URL: the kind of server, and whether the connection is encrypted."""
TLS_FILES = {"ssl_ca": "ca", "ssl_cert": "cert", "ssl_key": "key"}
FORMS = ("name", "file", "url")
"""How a job names its lock."""
TOKEN = re.compile(r"[A-Za-z0-9]{16,32}")
HOLDER_LENGTH = 200
EXPIRY_US = 3_600_000_000
"""How long a lock that nobody renews is held, unless somebody says otherwise: an hour."""
SHORTEST_EXPIRY_US = 1_000_000
LONGEST_EXPIRY_US = 365 * 86_400_000_000
MEMCACHED_EXPIRY_US = 29 * 86_400_000_000
"""From 30 days on Memcached takes the number for an instant."""

ORDER = "CRONHERD_LOCK"
"""The variable in which the holder of a run's lock gets its order."""
WAY = "CRONHERD_LOCK_FLEET"
"""The variable with a file that only the run may read: how the fleet is reached from there."""

# Why a command under a lock was not executed, and the one that was ended for it.
LOCKED = "locked"
UNAVAILABLE = "lock_unavailable"
LOST = "lock_lost"


class LogLevel(StrEnum):
    """What a lock says of itself: nothing, what looks abandoned, or each step."""

    NONE = "none"
    ABANDONED = "abandoned"
    VERBOSE = "verbose"


class Away(StrEnum):
    """What a run does while its lock cannot be asked for. It never runs without it."""

    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockUse:
    """The lock that a job runs under; `where` is a name of the fleet, a file or a URL.

    `wait_us` 0 does not wait.
    """

    where: str
    wait_us: int = 0
    expiry_us: int = EXPIRY_US
    shared: bool = False
    away: Away = Away.WAIT
    log: LogLevel = LogLevel.NONE

    @property
    def of_fleet(self) -> bool:
        return is_fleet_name(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLock:
    """What the URL of a lock says; `files` are the files of its TLS, by ca, cert and key."""

    kind: str
    secure: bool
    host: str
    port: int | None
    username: str
    password: str | None
    database: str
    name: str
    files: Mapping[str, str]


def read_lock(said: str | Mapping[str, Any]) -> LockUse:
    """The lock of a job's spec, which definition/locks.py has checked."""
    if isinstance(said, str):
        return LockUse(where=said)
    (where,) = (said[form] for form in FORMS if form in said)
    plain = LockUse(where=where)
    return LockUse(
        where=where,
        wait_us=parse_duration(said["wait"]) if "wait" in said else plain.wait_us,
        expiry_us=parse_duration(said["expires"]) if "expires" in said else plain.expiry_us,
        shared=said.get("shared", plain.shared),
        away=Away(said.get("unavailable", plain.away)),
        log=LogLevel(said.get("log", plain.log)),
    )


def read_url(url: str) -> ServerLock:
    """Raises Invalid for what is no URL of a lock, without repeating it: it may hold a password."""
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - 3 ms that a file does not need

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url() from None
    kind, secure = KINDS.get(parts.scheme, ("", False))
    database, slash, name = parts.path[1:].partition("/")
    if not slash:
        database, name = "0", database
    name = unquote(name)
    if not parts.hostname or parts.fragment or not kind:
        raise _bad_url()
    if not re.fullmatch(r"\d{1,5}", database):
        raise _bad_url()
    if kind == "memcached" and (parts.username is not None or slash):
        raise _bad_url()
    if not URL_NAME.fullmatch(name):
        raise Invalid(
            "the name of a lock has 1 to 200 letters, digits and . _ : @ + -",
            code="bad_lock_name",
            hint=f"write {URL_FORMS}",
        )
    return ServerLock(
        kind=kind,
        secure=secure,
        host=parts.hostname,
        port=port,
        username=unquote(parts.username or ""),
        password=None if parts.password is None else unquote(parts.password),
        database=database,
        name=name,
        files=_files(parts.query, secure=secure),
    )


def _files(query: str, *, secure: bool) -> dict[str, str]:
    """Of ?ssl_ca=, ssl_cert= and ssl_key=, which only TLS takes."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - as above

    try:
        said = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise _bad_url() from None
    if any(name not in TLS_FILES or not path for name, path in said) or (said and not secure):
        raise _bad_url()
    return {TLS_FILES[name]: path for name, path in said}


def _bad_url() -> Invalid:
    text = "this is not the address of a lock"
    return Invalid(text, code="bad_lock_url", hint=f"write {URL_FORMS}")


def is_fleet_name(where: str) -> bool:
    """A word without a slash is a lock of the fleet; `./word` is a file."""
    return "/" not in where


def check_name(name: str) -> str:
    """The name itself. Raises Invalid for what cannot be the name of a lock of the fleet."""
    if not NAME.fullmatch(name):
        raise Invalid(
            f"'{name[:60]}' cannot be the name of a lock",
            code="bad_lock_name",
            hint="1 to 120 letters, digits and . _ : @ + -; a file has a slash, as ./name",
        )
    return name


def check_expiry(expiry_us: int, most_us: int = LONGEST_EXPIRY_US) -> None:
    """Raise Invalid for an expiry that would be none."""
    if not SHORTEST_EXPIRY_US <= expiry_us <= most_us:
        days = most_us // 86_400_000_000
        raise Invalid(
            f"a lock must expire after a second to {days} days",
            code="bad_expiry",
            hint="what lasts longer is renewed while it lives",
        )
