"""A lock in Memcached: `add` takes it, `cas` renews and releases it.

The weakest kind. Memcached may drop any entry when it runs out of memory, and forgets all when it
is restarted; then two can hold the lock until the first one renews. It is never shared and has no
fence, since a counter would be dropped as well.
"""

import json
import os
from typing import Any

from cronherd.domain.errors import Invalid, Unavailable
from cronherd.domain.lock import EXPIRY_US, MEMCACHED_EXPIRY_US, check_expiry
from cronherd.locks.base import Clock, Hold, Holder, await_turn, nobody_holds, owner_name
from cronherd.locks.link import Link, Links, Refused, Server

_AT_ONCE = -1
_ANSWERS = {b"STORED", b"NOT_STORED", b"EXISTS", b"NOT_FOUND", b"DELETED", b"VALUE", b"END"}


class MemcachedHeld:
    shared = False
    fence = None

    def __init__(self, lock: "MemcachedLock", token: str) -> None:
        self._lock = lock
        self._token = token

    def renew(self) -> bool:
        return self._lock.replace(self._token, None, _seconds(self._lock.expiry_us))

    def release(self, *, gap_us: int = 0) -> bool:
        # One conditional write: whoever looks sees the hold, or the gap, or nothing.
        return self._lock.replace(self._token, b"{}", _seconds(gap_us) if gap_us else _AT_ONCE)


class MemcachedLock:
    """Of a lock `x` the server has one entry, `cronherd:lock:x`."""

    def __init__(
        self, server: Server, key: str, clock: Clock, *, expiry_us: int = EXPIRY_US
    ) -> None:
        check_expiry(expiry_us, MEMCACHED_EXPIRY_US)
        self.name = key
        self.expiry_us = expiry_us
        self._clock = clock
        self._key = f"cronherd:lock:{key}"
        self._links = Links(server, key, _greet)

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> MemcachedHeld | None:
        if shared:
            raise Invalid(
                "a lock in Memcached cannot be shared",
                code="no_shared_lock",
                hint="use a file or Redis",
            )
        token = os.urandom(16).hex()

        def attempt() -> MemcachedHeld | None:
            value = json.dumps(
                {"token": token, "who": owner_name(), "since_us": self._clock.now_us()}
            ).encode()
            expiry = _seconds(self.expiry_us)
            if self._put("add", value, expiry):
                return MemcachedHeld(self, token)
            # The first answer may have been lost: then it is ours already.
            ours = self._read()[0].get("token") == token
            return MemcachedHeld(self, token) if ours else None

        try:
            return await_turn(attempt, self._clock, wait_us)
        except BaseException:
            self._undo(token)
            raise

    def holder(self) -> Holder | None:
        """By the clocks of both hosts: Memcached does not tell since when."""
        told, _ = self._read()
        if "who" not in told:
            return None
        now_us = self._clock.now_us()
        held_us = max(0, now_us - told.get("since_us", now_us))
        return Holder(who=told["who"], held_us=held_us)

    def holds(self) -> list[Hold]:
        """By the clocks of both hosts; it expires so long after its last renewal, at the latest."""
        holder = self.holder()
        if holder is None:
            return []
        return [
            Hold(who=holder.who, shared=False, held_us=holder.held_us, left_us=None, fence=None)
        ]

    def clear(self, actor: str) -> list[Hold]:
        del actor
        holds = self.holds()
        if not self._delete():
            raise nobody_holds(self.name)
        return holds

    def _delete(self) -> bool:
        def delete(link: Link) -> bool:
            link.send(f"delete {self._key}\r\n".encode())
            return _line(link) == b"DELETED"

        return self._links.ask(delete)

    def close(self) -> None:
        self._links.close()

    def replace(self, token: str, value: bytes | None, expire_s: int) -> bool:
        """Put `value` where our hold is, None for the same again; False where it is not ours."""
        told, unique = self._read()
        if told.get("token") != token:
            return False
        new = json.dumps(told).encode() if value is None else value
        return self._put("cas", new, expire_s, unique)

    def _put(self, verb: str, value: bytes, expire_s: int, *unique: int) -> bool:
        words = (self._key, 0, expire_s, len(value), *unique)
        asked = f"{verb} {' '.join(map(str, words))}\r\n".encode() + value + b"\r\n"

        def put(link: Link) -> bool:
            link.send(asked)
            return _line(link) == b"STORED"

        return self._links.ask(put)

    def _read(self) -> tuple[dict[str, Any], int]:
        """What is stored, and the number of its last change."""

        def get(link: Link) -> tuple[dict[str, Any], int]:
            link.send(f"gets {self._key}\r\n".encode())
            line = _line(link)
            if line == b"END":
                return {}, 0
            _, _, _, size, unique = line.split()
            value = link.block(int(size))
            link.line()
            return _told(value), int(unique)

        return self._links.ask(get)

    def _undo(self, token: str) -> None:
        try:
            self.replace(token, b"{}", _AT_ONCE)
        except Unavailable:
            return  # it expires


def _greet(_link: Link) -> None:
    """Memcached asks for no name."""


def _line(link: Link) -> bytes:
    """The first line of an answer that is none of its errors."""
    line = link.line()
    if line.partition(b" ")[0] not in _ANSWERS:
        raise Refused(line.decode("utf-8", "replace"))
    return line


def _told(value: bytes) -> dict[str, Any]:
    """What a holder wrote; what another program put under our key holds the lock, too."""
    try:
        told = json.loads(value)
    except ValueError:
        told = None
    if told == {}:  # on its way out
        return {}
    kinds = {"token": str, "who": str, "since_us": int}
    if isinstance(told, dict) and all(isinstance(told.get(key), kinds[key]) for key in kinds):
        return told
    return {"who": "another program"}


def _seconds(micros: int) -> int:
    """Whole seconds and one more: Memcached counts by its own tick and would end it early."""
    return -(-micros // 1_000_000) + 1
