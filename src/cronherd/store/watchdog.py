"""A deadline for each call to a server, kept on this side.

A server that was stopped still acknowledges packets, so neither keepalives nor its own time-outs
end a call. Whoever waits longer than the deadline gets its socket shut under it.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from cronherd.domain.instant import SECOND_US

CALL_DEADLINE_US = 5 * SECOND_US
# How often calls are looked at: a call is cut this much late at the most.
_LOOK_S = 0.5


class Watched(Protocol):
    """A connection whose calls are limited; `until_us` (boot time) is None between calls."""

    until_us: int | None

    def cut(self) -> None:
        """Make the present call end with an error, from another thread."""
        ...


class Watchdog:
    """One thread that looks at all connections of a process's database."""

    def __init__(self, boot_us: Callable[[], int]) -> None:
        self.boot_us = boot_us
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, connection: Watched) -> None:
        """From now on, until it is gone."""
        with self._lock:
            self._watched.add(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def deadline_us(self) -> int:
        """When a call that begins now must have ended."""
        return self.boot_us() + CALL_DEADLINE_US

    def close(self) -> None:
        """Watch no more."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            now_us = self.boot_us()
            with self._lock:
                watched = list(self._watched)
            for connection in watched:
                until_us = connection.until_us
                if until_us is not None and until_us < now_us:
                    connection.cut()


def shut(descriptor: int) -> None:
    """Shut a socket both ways without closing it: its owner still holds the number."""
    with suppress(OSError):
        copy = socket.socket(fileno=os.dup(descriptor))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
