"""Signals: what asks an agent to end, and what is to become of its runs then."""

import os
import signal
import threading

RELOAD = signal.SIGUSR1


class Signals:
    """Wishes to end, counted; waiting for the next one.

    A person at the terminal (Ctrl-C, or its end) waits for what runs. A service manager (TERM)
    and `agent reload` (USR1) leave it to the supervisor, and somebody comes back for it; but
    as the first process of a container we take everything with us.
    """

    def __init__(self) -> None:
        self.count = 0
        self.leaves = False
        self.comes_back = False
        self._came = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, RELOAD):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: object) -> None:
        del frame
        self.comes_back = self.comes_back or number == RELOAD
        service = number == signal.SIGTERM and os.getpid() != 1
        self.leaves = self.leaves or service or number == RELOAD
        self.stop()

    def stop(self) -> None:
        """As if a signal had come."""
        self.count += 1
        self._came.set()

    def wait(self, seconds: float | None = None) -> bool:
        """True when a signal came."""
        came = self._came.wait(seconds)
        self._came.clear()
        return came
