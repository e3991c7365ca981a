"""Random keys of sessions, tokens and links: 256 bits each, kept as their SHA-256 and shown once.

A digest is looked up by the index of the database, whose time tells something of the digest and
nothing of the key; what is found is compared once more in constant time.
"""

import hmac
from functools import cached_property
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.access.passwords import Passwords

PREFIX = "chd_"  # so that scanners of repositories and logs know one when they see it
BITS = 256


def new_key() -> str:
    """A key nobody can guess: 47 characters that need no quotes anywhere."""
    return PREFIX + token_urlsafe(BITS // 8)


def digest_of(key: str) -> bytes:
    """What is kept of it."""
    return sha256(key.encode("utf-8", "replace")).digest()


def csrf_of(key: str) -> str:
    """What a page of this session has to send along; it tells nothing of the key."""
    return hmac.new(key.encode("utf-8", "replace"), b"csrf", sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """In a time that does not tell where they differ; any text, ASCII or not."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class Keys:
    """All of it as the service asks for it; what hashes passwords loads when one is there."""

    new = staticmethod(new_key)
    digest = staticmethod(digest_of)
    csrf = staticmethod(csrf_of)
    same = staticmethod(same)

    def hash(self, password: str) -> str:
        return self._passwords.hash(password)

    def fits(self, hashed: str | None, password: str) -> bool:
        return self._passwords.fits(hashed, password)

    def is_stale(self, hashed: str) -> bool:
        return self._passwords.is_stale(hashed)

    @cached_property
    def _passwords(self) -> "Passwords":
        from cronherd.access.passwords import Passwords  # noqa: PLC0415 - for most commands never

        return Passwords()
