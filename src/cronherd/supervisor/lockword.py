"""What the holder of a run's lock says on its pipe; it is born as the run, and starts the command.

    ran                 the command was executed
    ended               it has ended, and the holder ends as it did
    refused CODE TEXT   it was never executed
    lost TEXT           it ran, and was ended because the lock was lost

So an exit code is always the command's: the holder's own reasons are words, not codes. The command
does not get the pipe.
"""

import os

CODES = frozenset({"locked", "lock_unavailable", "not_found", "not_executable", "spawn_failed"})
LOST = "lock_lost"
AWAY = "lock_unavailable"

_KEPT_BYTES = 4_096
_TEXT_LENGTH = 400
_DIED = "what takes the lock was killed before the command was executed"


class LockWord:
    """Our end of the pipe; everything is read without waiting."""

    __slots__ = ("_descriptor", "_said")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._said = b""

    def is_over(self) -> bool:
        """The holder said how it ends: nothing of the run goes on without its lock."""
        self._read()
        return any(line.startswith((b"ended", b"refused ", b"lost ")) for line in self._lines())

    def close(self) -> None:
        """Read what is there, for the last time."""
        self._read()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def verdict(self) -> tuple[str, str]:
        """A machine code and a sentence; both empty when the end is the command's own."""
        for line in self._lines():
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "lost":
                return LOST, rest[:_TEXT_LENGTH]
            code, _, text = rest.partition(" ")
            if word == "refused" and code in CODES:
                return code, text[:_TEXT_LENGTH]
        return ("", "") if b"ran" in self._lines() else (AWAY, _DIED)

    def _lines(self) -> list[bytes]:
        return self._said.split(b"\n")

    def _read(self) -> None:
        while self._descriptor >= 0 and len(self._said) < _KEPT_BYTES:
            try:
                part = os.read(self._descriptor, _KEPT_BYTES)
            except BlockingIOError:
                return
            if not part:
                return
            self._said += part
