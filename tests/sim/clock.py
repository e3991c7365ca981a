"""Clocks of one host: a wall clock that lies and steps, and BOOTTIME that only drifts a little."""

import threading
from typing import TYPE_CHECKING

from tests.sim.hub import Hub

if TYPE_CHECKING:
    from tests.sim.host import Host


class HostClock:
    """engine.clock.Clock over the hub's true time.

    `ahead_us` is how far the tick that runs at this instant has moved on by itself: an act that
    does not sit in a fiber cannot wait, so a short wait of its own only moves its clock.
    """

    def __init__(self, hub: Hub, offset_us: int, drift_ppm: int) -> None:
        self.hub = hub
        self.offset_us = offset_us
        self.drift_ppm = drift_ppm
        self.ahead_us = 0
        self.host: Host | None = None
        self._booted_us = hub.now_us
        self._before_us = 60_000_000

    def reboot(self) -> None:
        """BOOTTIME begins anew."""
        self._booted_us, self._before_us = self.hub.now_us, 20_000_000

    def now_us(self) -> int:
        return self.hub.now_us + self.ahead_us + self.offset_us

    def boot_us(self) -> int:
        passed_us = self.hub.now_us + self.ahead_us - self._booted_us
        return self._before_us + passed_us + passed_us * self.drift_ppm // 1_000_000

    def boot_at(self, true_us: int) -> int:
        """BOOTTIME as it was, or will be."""
        passed_us = true_us - self._booted_us
        return self._before_us + passed_us + passed_us * self.drift_ppm // 1_000_000

    def true_of(self, boot_us: int) -> int:
        """The true instant at which BOOTTIME will have reached this."""
        passed_us = boot_us - self._before_us
        return self._booted_us + passed_us - passed_us * self.drift_ppm // 1_000_000 + 1

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Look at the event now and then; without a fiber, only let the clock of the tick go on."""
        left_us = round(seconds * 1_000_000)
        while not event.is_set() and left_us > 0:
            step_us = min(left_us, 500_000)
            left_us -= step_us
            if self.hub.fiber is None:
                self.ahead_us += step_us
            else:
                self.hub.sleep(step_us)
        return event.is_set()
