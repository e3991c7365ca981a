"""A lock in Redis or Valkey. Each step is one script, so nobody comes in between.

Of a lock `x` the server has `cronherd:lock:{x}`, who holds it alone, with its expiry;
`…:readers`, who shares it, each with the instant of its expiry; `…:fence`, the last fence. The
server's clock is the only one that counts.
"""

import os
from typing import Any

from cronherd.domain.errors import Unavailable
from cronherd.domain.lock import EXPIRY_US, check_expiry
from cronherd.locks.base import Clock, Hold, Holder, await_turn, nobody_holds, owner_name
from cronherd.locks.link import Link, Links, Refused, Server

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
"""
# A fence is at least the server's clock: so it grows also after the server was emptied.
_ACQUIRE = f"""{_NOW}
local token, expiry, shared, who = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local owner = redis.call('HGET', KEYS[1], 'token')
if owner == token then return redis.call('HGET', KEYS[1], 'fence') end
if owner then return false end
if shared == '1' then
  redis.call('ZADD', KEYS[2], now + expiry * 1000, token)
  if redis.call('PTTL', KEYS[2]) < tonumber(expiry) then
    redis.call('PEXPIRE', KEYS[2], expiry)
  end
  return '0'
end
if redis.call('ZCARD', KEYS[2]) > 0 then return false end
local fence = math.max(now, tonumber(redis.call('GET', KEYS[3]) or 0) + 1)
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[3], fence)
redis.call('HSET', KEYS[1], 'token', token, 'fence', fence, 'who', who,
  'since', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], expiry)
return fence
"""
_RENEW = f"""{_NOW}
local token, expiry = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[1], 'token') == token then
  return redis.call('PEXPIRE', KEYS[1], expiry)
end
local until_us = redis.call('ZSCORE', KEYS[2], token)
if not until_us or tonumber(until_us) <= now then return 0 end
redis.call('ZADD', KEYS[2], now + expiry * 1000, token)
if redis.call('PTTL', KEYS[2]) < tonumber(expiry) then
  redis.call('PEXPIRE', KEYS[2], expiry)
end
return 1
"""
_RELEASE = f"""{_NOW}
local token, gap = ARGV[1], tonumber(ARGV[2])
if redis.call('HGET', KEYS[1], 'token') == token then
  if gap > 0 then
    redis.call('HSET', KEYS[1], 'token', '', 'who', '')
    return redis.call('PEXPIRE', KEYS[1], gap)
  end
  return redis.call('DEL', KEYS[1])
end
local until_us = redis.call('ZSCORE', KEYS[2], token)
redis.call('ZREM', KEYS[2], token)
if until_us and tonumber(until_us) > now then return 1 end
return 0
"""
_HOLDER = f"""{_NOW}
local who = redis.call('HGET', KEYS[1], 'who')
if not who or who == '' then return false end
return {{who, string.format('%.0f', now - redis.call('HGET', KEYS[1], 'since'))}}
"""
_HOLDS = f"""{_NOW}
local found = {{}}
local who = redis.call('HMGET', KEYS[1], 'who', 'since', 'fence')
if who[1] and who[1] ~= '' then
  found[1] = {{who[1], string.format('%.0f', now - who[2]), redis.call('PTTL', KEYS[1]), who[3]}}
end
local readers = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', now), '+inf',
  'WITHSCORES')
for n = 2, #readers, 2 do
  found[#found + 1] = {{'', '', math.floor((readers[n] - now) / 1000), ''}}
end
return found
"""
_CLEAR = "return redis.call('DEL', KEYS[1], KEYS[2])"


class RedisHeld:
    def __init__(self, lock: "RedisLock", token: str, fence: int) -> None:
        self._lock = lock
        self._token = token
        self.shared = fence == 0
        self.fence = fence or None

    def renew(self) -> bool:
        answer = self._lock.ask(_RENEW, self._token, _milliseconds(self._lock.expiry_us))
        return bool(answer == 1)

    def release(self, *, gap_us: int = 0) -> bool:
        return bool(self._lock.ask(_RELEASE, self._token, _milliseconds(gap_us)) == 1)


class RedisLock:
    """In the database of this number, on a server."""

    def __init__(
        self, server: Server, number: int, key: str, clock: Clock, *, expiry_us: int = EXPIRY_US
    ) -> None:
        check_expiry(expiry_us)
        self.name = key
        self.expiry_us = expiry_us
        self._clock = clock
        top = f"cronherd:lock:{{{key}}}"
        self._keys = [top, f"{top}:readers", f"{top}:fence"]
        self._server = server
        self._number = number
        self._links = Links(server, key, self._greet)

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> RedisHeld | None:
        token, expiry, who = os.urandom(16).hex(), _milliseconds(self.expiry_us), owner_name()

        def attempt() -> RedisHeld | None:
            fence = self.ask(_ACQUIRE, token, expiry, int(shared), who)
            return None if fence is None else RedisHeld(self, token, int(fence))

        try:
            return await_turn(attempt, self._clock, wait_us)
        except BaseException:
            self._undo(token)
            raise

    def holder(self) -> Holder | None:
        found = self.ask(_HOLDER)
        return Holder(who=found[0], held_us=int(found[1])) if found else None

    def holds(self) -> list[Hold]:
        """Who shares it is not on record, only that somebody does."""
        return [
            Hold(
                who=who or None,
                shared=not who,
                held_us=int(held) if held else None,
                left_us=int(left) * 1_000,
                fence=int(fence) if fence else None,
            )
            for who, held, left, fence in self.ask(_HOLDS)
        ]

    def clear(self, actor: str) -> list[Hold]:
        del actor
        holds = self.holds()
        if not self.ask(_CLEAR):
            raise nobody_holds(self.name)
        return holds

    def close(self) -> None:
        self._links.close()

    def ask(self, script: str, *words: str | int) -> Any:
        """The answer of a script: str, int, None, or a list of them. Raises Unavailable.

        A script that ran already says the same again: acquiring knows its own token.
        """
        asked = ("EVAL", script, len(self._keys), *self._keys, *words)
        return self._links.ask(lambda link: say(link, *asked))

    def _greet(self, link: Link) -> None:
        who = self._server
        if who.password:
            say(link, "AUTH", *([who.username] if who.username else []), who.password)
        if self._number:
            say(link, "SELECT", self._number)

    def _undo(self, token: str) -> None:
        """The answer may have been lost on its way, or we were ended before it was read."""
        try:
            self.ask(_RELEASE, token, 0)
        except Unavailable:
            return  # it expires


def say(link: Link, *words: str | int) -> Any:
    """A command of Redis, and its answer. Raises OSError, ValueError, Refused."""
    parts = [str(word).encode() for word in words]
    told = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    link.send(b"*%d\r\n%s" % (len(parts), told))
    return _answer(link)


def _answer(link: Link) -> Any:
    line = link.line()
    kind, rest = line[:1], line[1:]
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        raise Refused(rest.decode("utf-8", "replace"))
    if kind not in {b":", b"$", b"*"}:
        raise Refused("it is no Redis")
    number = int(rest)
    if kind == b":":
        return number
    if kind == b"$":
        return None if number < 0 else link.block(number).decode()
    return None if number < 0 else [_answer(link) for _ in range(number)]


def _milliseconds(micros: int) -> int:
    return -(-micros // 1_000)
