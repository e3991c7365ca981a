"""A deadline for each call to a server, kept on this side.

A server that was stopped still acknowledges packets, so neither keepalives nor its own time-outs
end a call. Whoever waits longer than the deadline gets its socket shut under it. A process that is
told to end gives up sooner, all at once.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from cronherd.domain.errors import Unavailable
from cronherd.domain.instant import SECOND_US

CALL_DEADLINE_US = 5 * SECOND_US
# How often calls are looked at: a call is cut this much late at the most.
_LOOK_S = 0.5
# How often somebody who waits for a connection looks whether it is still wanted.
_JOIN_S = 0.1

D = TypeVar("D")


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
        self._over = False
        self._woken = threading.Event()
        self._given_up_us: int | None = None
        self._thread: threading.Thread | None = None

    def watch(self, connection: Watched) -> None:
        """From now on, until it is gone."""
        with self._lock:
            self._watched.add(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def deadline_us(self) -> int:
        """When a call that begins now must have ended. Raises Unavailable when all is given up."""
        now_us = self.boot_us()
        given_up_us = self._given_up_us
        if given_up_us is not None and given_up_us <= now_us:
            text = "the database does not answer: it is not waited for any more"
            raise Unavailable(text, code="database_lost")
        return now_us + CALL_DEADLINE_US

    def give_up(self, after_s: float | None) -> None:
        """So many seconds from now each call ends and each other is refused; None: not so.

        To whoever called, it is an outage as any other.
        """
        self._given_up_us = None
        if after_s is not None:
            self._given_up_us = self.boot_us() + round(after_s * SECOND_US)
            self._woken.set()

    def attempt(self, connect: Callable[[], D]) -> D:
        """What `connect` returns or raises, on a thread of its own: no driver can be interrupted.

        When all is given up meanwhile it is left behind, and what comes of it is closed.
        """
        self.deadline_us()
        attempt = _Attempt(connect)
        attempt.start()
        try:
            while attempt.is_alive():
                self.deadline_us()
                attempt.join(_JOIN_S)
        except Unavailable:
            attempt.abandon()
            raise
        made: D = attempt.result()
        return made

    def close(self) -> None:
        """Watch no more."""
        self._over = True
        self._woken.set()

    def _run(self) -> None:
        while not self._over:
            self._woken.wait(self._pause_s())
            self._woken.clear()
            now_us = self.boot_us()
            given_up_us = self._given_up_us
            all_of_them = given_up_us is not None and given_up_us <= now_us
            with self._lock:
                watched = list(self._watched)
            for connection in watched:
                until_us = connection.until_us
                if until_us is not None and (all_of_them or until_us < now_us):
                    connection.cut()

    def _pause_s(self) -> float:
        """Until the next look: on time for giving up."""
        if self._given_up_us is None:
            return _LOOK_S
        left_us = self._given_up_us - self.boot_us()
        return min(_LOOK_S, left_us / SECOND_US) if left_us > 0 else _LOOK_S


class _Attempt(threading.Thread):
    """One attempt to connect, on a thread that may be left behind."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        super().__init__(name="connect", daemon=True)
        self._connect = connect
        self._made: Any = None
        self._error: Exception | None = None
        self._unwanted = False
        self._handing = threading.Lock()

    def run(self) -> None:
        """Raises nothing: `result` does."""
        try:
            made = self._connect()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises
            self._error = error
            return
        with self._handing:
            self._made = made
            if self._unwanted:
                made.close()

    def abandon(self) -> None:
        """Nobody waits for it any more: whoever comes second closes what was made."""
        with self._handing:
            self._unwanted = True
            if self._made is not None:
                self._made.close()

    def result(self) -> Any:
        """Once it is not alive any more."""
        if self._error is not None:
            raise self._error
        return self._made


def shut(descriptor: int) -> None:
    """Shut a socket both ways without closing it: its owner still holds the number."""
    with suppress(OSError):
        copy = socket.socket(fileno=os.dup(descriptor))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
