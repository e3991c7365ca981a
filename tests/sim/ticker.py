"""SimTicker: the engine's Ticker without its thread. Each tick is an event of the hub.

Most ticks run to their end at one instant. A few, drawn by the seed, run in a fiber, so that a
verb in their middle can take its time while the rest of the world goes on.
"""

from typing import Any

from cronherd.engine.clock import Clock
from cronherd.engine.loop import Tick, Ticker
from tests.sim.clock import HostClock
from tests.sim.hub import Crashed, Fiber

# The finisher gathers reports for as long before it stores them.
GATHER_US = 10_000


class SimTicker(Ticker):
    """Takes the place of engine.loop.Ticker in engine.agent while a simulation runs."""

    def __init__(self, name: str, tick: Tick, clock: Clock, *more: Any) -> None:
        super().__init__(name, tick, clock, *more)
        assert isinstance(clock, HostClock)
        assert clock.host is not None
        self.host = clock.host
        self._due = 0
        self._over = False
        self._started = self._busy = False
        self._parked_since: int | None = None
        self._period_us = 0
        self.part = _part_of(tick)
        self.version = -1
        self._fiber: Fiber | None = None
        self._life = self.host.life
        self._gather_us = GATHER_US if name == "finisher" else 0

    def start(self) -> None:
        self._started = True
        self.host.tickers.append(self)
        self._plan(0)

    def wake(self) -> None:
        super().wake()
        if self._started and not self._busy:
            self._go_on()
            self._plan(self._gather_us)

    def stop(self) -> None:
        self._go_on()
        super().stop()

    def join(self, timeout_s: float) -> bool:
        hub = self.host.hub
        until_us = hub.now_us + round(timeout_s * 1_000_000)
        while self._busy and hub.fiber is not None and hub.fiber is not self._fiber:
            if hub.now_us >= until_us:
                break
            hub.sleep(50_000)
        if not self._busy:
            self._over = True
        return not self._busy

    def unpark(self) -> None:
        """Something changed: go on at the instant at which the next idle look would have come."""
        if self._parked_since is not None:
            passed_us = self.host.hub.now_us - self._parked_since
            self._go_on()
            self._plan(-passed_us % self._period_us)

    # ------------------------------------------------------------------ inside

    def _go_on(self) -> None:
        """Parked no more: what the ticks up to now would have left behind."""
        if self._parked_since is None:
            return
        skipped = (self.host.hub.now_us - self._parked_since) // self._period_us
        at_us = self._parked_since + skipped * self._period_us
        self._parked_since = None
        self.host.looked_meanwhile(self, at_us if skipped else None)

    def _plan(self, delay_us: int) -> None:
        self._due += 1
        due = self._due
        self.host.hub.after(delay_us, lambda: self._fire(due))

    def _fire(self, due: int) -> None:
        """One tick, unless it was planned anew or its life is over."""
        host = self.host
        if due != self._due or self._over or self._life is not host.life or self._busy:
            return
        if host.thaw_us > host.hub.now_us:
            host.hub.at(host.thaw_us, lambda: self._fire(due))
            return
        if self._stopping.is_set():
            self._over = True
            return
        self._go_on()
        self._busy = True
        self.version = host.world.version
        self._woken.clear()
        if host.random.random() < host.world.slowness:
            self._fiber = host.spawn(self._once)
        else:
            self._once()

    def _once(self) -> None:
        try:
            sleep_s = self.tick()
        except Crashed:
            self._over, self._busy = True, False
            if self.host.hub.fiber is not None:
                raise
            return
        self._busy, self._fiber = False, None
        self.host.clock.ahead_us = 0
        if self._life is not self.host.life:
            self._over = True
        elif self._woken.is_set() or self._stopping.is_set():
            self._plan(self._gather_us)
        else:
            self._rest(round(sleep_s * 1_000_000))

    def _rest(self, sleep_us: int) -> None:
        """Sleep, or be parked until something changes when each look would find nothing."""
        if self.name == "finisher" and sleep_us == 0:
            # Its sleep is its wait for reports: the host wakes it when there are any.
            if self.host.has_news:
                self._plan(GATHER_US)
            return
        wait_us = self.host.idle_us(self, sleep_us)
        if wait_us > sleep_us > 0:
            self.host.parked(self, sleep_us)
            self._parked_since, self._period_us = self.host.hub.now_us, sleep_us
            whole_us = wait_us // sleep_us * sleep_us
            self._plan(max(sleep_us, whole_us - sleep_us))
        else:
            self._plan(max(1_000, sleep_us) if sleep_us else 0)


def _part_of(tick: Tick) -> Any:
    """Whose tick it is: the engine wraps it once."""
    for cell in getattr(tick, "__closure__", None) or ():
        owner = getattr(cell.cell_contents, "__self__", None)
        if owner is not None and cell.cell_contents.__name__ == "tick":
            return owner
    return None
