"""Passwords as argon2id hashes, by the settings of the library, those of RFC 9106.

Each check takes 64 MiB and some ten milliseconds, so only a few are made at once.
"""

from functools import cached_property
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2


class Passwords:
    """Hashes them, and tells whether one fits."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        with self._room:
            return self._hasher.hash(password)

    def fits(self, hashed: str | None, password: str) -> bool:
        """None, for a name that nobody has, takes as long and fits nothing."""
        with self._room:
            try:
                self._hasher.verify(self._nobody if hashed is None else hashed, password)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def is_stale(self, hashed: str) -> bool:
        """Whether it was made by other settings than today's."""
        return self._hasher.check_needs_rehash(hashed)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("nobody has this password")
