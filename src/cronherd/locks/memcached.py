"""A lock in Memcached: `add` takes it, `cas` renews and releases it.

The weakest kind. Memcached may drop any entry when it runs out of memory, and forgets all when it
is restarted; then two can hold the lock until the first one renews. It is never shared and has no
fence, since a counter would be dropped as well.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError

from cronherd.domain.errors import Invalid, Unavailable
from cronherd.locks.base import EXPIRY_US, Clock, Holder, await_turn, check_expiry, owner_name

ANSWER_S = 5.0
LONGEST_EXPIRY_US = 29 * 86_400_000_000
"""From 30 days on Memcached takes the number for an instant."""

_AT_ONCE = -1
_TRIES = 2  # a connection may be one that a restart of the server has ended
T = TypeVar("T")


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
        self, host: str, port: int, key: str, clock: Clock, *, expiry_us: int = EXPIRY_US
    ) -> None:
        check_expiry(expiry_us, LONGEST_EXPIRY_US)
        self.name = key
        self.expiry_us = expiry_us
        self._clock = clock
        self._key = f"cronherd:lock:{key}"
        self._client = Client(
            (host, port),
            connect_timeout=ANSWER_S,
            timeout=ANSWER_S,
            no_delay=True,
            default_noreply=False,
        )

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> MemcachedHeld | None:
        if shared:
            raise Invalid(
                "a lock in Memcached cannot be shared",
                code="no_shared_lock",
                hint="use a file or Redis",
            )
        token = secrets.token_hex(16)

        def attempt() -> MemcachedHeld | None:
            value = json.dumps(
                {"token": token, "who": owner_name(), "since_us": self._clock.now_us()}
            ).encode()
            expiry = _seconds(self.expiry_us)
            if self._ask(lambda: self._client.add(self._key, value, expire=expiry)):
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
        held_us = max(0, self._clock.now_us() - int(told["since_us"]))
        return Holder(who=told["who"], held_us=held_us)

    def close(self) -> None:
        self._client.close()

    def replace(self, token: str, value: bytes | None, expire_s: int) -> bool:
        """Put `value` where our hold is, None for the same again; False where it is not ours."""
        told, unique = self._read()
        if told.get("token") != token:
            return False
        new = json.dumps(told).encode() if value is None else value
        return bool(self._ask(lambda: self._client.cas(self._key, new, unique, expire=expire_s)))

    def _read(self) -> tuple[dict[str, Any], bytes]:
        value, unique = self._ask(lambda: self._client.gets(self._key))
        return (json.loads(value) if value else {}), unique or b"0"

    def _ask(self, question: Callable[[], T]) -> T:
        fault: Exception | None = None
        for _ in range(_TRIES):
            try:
                return question()
            except (OSError, MemcacheError) as error:
                fault = error
                self._client.close()
        raise Unavailable(
            f"the server of lock '{self.name}' cannot be asked: {fault}", code="lock_unavailable"
        )

    def _undo(self, token: str) -> None:
        try:
            self.replace(token, b"{}", _AT_ONCE)
        except Unavailable:
            return  # it expires


def _seconds(micros: int) -> int:
    """Whole seconds and one more: Memcached counts by its own tick and would end it early."""
    return -(-micros // 1_000_000) + 1
