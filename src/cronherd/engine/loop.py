"""Ticker: one thread, one tick, one place that waits. An error never ends a loop."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from cronherd.domain.errors import CronherdError
from cronherd.engine.clock import Clock
from cronherd.supervisor.base import SupervisorGone

log = logging.getLogger("cronherd")

# After an error a loop waits before it tries again, twice as long each time.
FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 2.0


class Tick(Protocol):
    """What a loop does: act once, then say how many seconds it may sleep."""

    def __call__(self) -> float: ...


class Ticker:
    """Calls `tick` again and again until it is stopped; `wake` cuts a sleep short."""

    def __init__(
        self, name: str, tick: Tick, clock: Clock, chance: Callable[[], float] = lambda: 1.0
    ) -> None:
        self.name = name
        self._chance = chance
        self._tick = tick
        self._clock = clock
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._backoff_s = 0.0
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do now."""
        self._woken.set()

    def stop(self) -> None:
        """Ask it to end after the present tick."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; False when it has not ended by then."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            sleep_s = self.tick()
            if sleep_s > 0 and not self._stopping.is_set():
                self._clock.wait(self._woken, sleep_s)

    def tick(self) -> float:
        """One tick; on an error the sentence goes to the log and the loop backs off."""
        try:
            sleep_s = self._tick()
        except CronherdError as error:
            if str(error) != self._trouble:  # once: it is tried again and again
                log.error("%s: %s", self.name, error)
            return self._back_off(str(error))
        except Exception as error:
            log.exception("%s failed", self.name)
            return self._back_off(repr(error))
        if self._trouble:
            log.info("%s: works again", self.name)
        self._backoff_s, self._trouble = 0.0, ""
        return sleep_s

    def _back_off(self, trouble: str) -> float:
        self._trouble = trouble
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
        # Not all at once: a database that comes back is not met by every loop of every node.
        return self._backoff_s * (0.5 + 0.5 * self._chance())


def unless_gone(tick: Tick, lost: Callable[[], None]) -> Tick:
    """A tick that meets a dead supervisor ends the life instead of backing off for ever."""

    def guarded() -> float:
        try:
            return tick()
        except SupervisorGone:
            lost()
            return 1.0

    return guarded
