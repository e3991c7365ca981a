"""Passwords as argon2id hashes, by the settings of the library, those of RFC 9106.

Each check takes 64 MiB and a fifth of a second, so only a few are made at once, and not many
wait: each that waits holds a thread, which other requests need.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cronherd.domain.errors import Refused

AT_ONCE = 2
IN_LINE = 16


class Passwords:
    """Hashes them, and tells whether one fits."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = BoundedSemaphore(AT_ONCE)
        self._line = BoundedSemaphore(IN_LINE)

    def hash(self, password: str) -> str:
        with self._turn():
            return self._hasher.hash(password)

    def fits(self, hashed: str | None, password: str) -> bool:
        """None, for a name that nobody has, takes as long and fits nothing."""
        with self._turn():
            try:
                self._hasher.verify(self._nobody if hashed is None else hashed, password)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def is_stale(self, hashed: str) -> bool:
        """Whether it was made by other settings than today's."""
        return self._hasher.check_needs_rehash(hashed)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Raises Refused when too many wait."""
        if not self._line.acquire(blocking=False):
            sentence = "too many people log in at this moment"
            raise Refused(sentence, code="too_many_attempts", hint="try again", wait_s=1)
        try:
            with self._room:
                yield
        finally:
            self._line.release()

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("nobody has this password")
