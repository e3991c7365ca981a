"""Hub: virtual time as one heap of events, and fibers for what must stop in the middle.

Everything runs on one thread at a time. Most acts run to their end at one instant. What has to
wait in its middle (a verb that takes seconds, a node stopped between two verbs) runs in a fiber:
a thread that is awake only while the hub waits for it, so the order is the seed's alone.
"""

import heapq
import threading
from collections.abc import Callable
from typing import Protocol

SECOND_US = 1_000_000

Act = Callable[[], None]

# More events than that at one instant are a loop that never waits.
MANY = 20_000


class Spinning(AssertionError):
    """Something goes round at one instant."""


class Crashed(BaseException):
    """The process this ran in is dead: unwinds whatever it was doing. No tick may catch it."""


class Home(Protocol):
    """Where a fiber lives: it stands still while its home is frozen, and dies with it."""

    @property
    def thaw_us(self) -> int: ...


class Fiber:
    """One act that may wait in its middle."""

    def __init__(self, hub: "Hub", body: Act, home: Home | None) -> None:
        self.done = False
        self.killed = False
        self.error: BaseException | None = None
        self.home = home
        self._hub = hub
        self._body = body
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Run it until it waits or ends. Called by the hub only."""
        if self.done:
            return
        if self.home is not None and not self.killed and self.home.thaw_us > self._hub.now_us:
            self._hub.at(self.home.thaw_us, self.resume)
            return
        self._hub.fiber = self
        self._go.release()
        self._back.acquire()
        self._hub.fiber = None
        if self._ended():
            self._thread.join()
            self._hub.fibers.discard(self)
        if self.error is not None:
            raise self.error

    def _ended(self) -> bool:
        return self.done

    def kill(self) -> None:
        """Unwind it now, wherever it waits; one that is running unwinds when it next waits."""
        self.killed = True
        if self._hub.fiber is None:
            self.resume()
        elif self._hub.fiber is not self:
            self._hub.at(self._hub.now_us, self.resume)

    def wait(self) -> None:
        """Give the turn back; called inside. Raises Crashed when it was killed meanwhile."""
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Crashed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self.killed:
                self._body()
        except Crashed:
            self.killed = True
        except BaseException as error:  # noqa: BLE001 - the hub raises it where the test sees it
            self.error = error
        self.done = True
        self._back.release()


class Hub:
    """The heap. `now_us` is the true time, which nobody inside the world can read."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.fiber: Fiber | None = None
        self.fibers: set[Fiber] = set()
        self.events = 0
        self._heap: list[tuple[int, int, Act]] = []
        self._count = 0

    def at(self, when_us: int, act: Act) -> None:
        """Do this then; acts of one instant go in the order in which they were asked for."""
        self._count += 1
        heapq.heappush(self._heap, (max(when_us, self.now_us), self._count, act))

    def after(self, delay_us: int, act: Act) -> None:
        self.at(self.now_us + delay_us, act)

    def spawn(self, body: Act, home: Home | None) -> Fiber:
        """A fiber that begins at the next turn of the hub, at this very instant."""
        fiber = Fiber(self, body, home)
        self.fibers.add(fiber)
        self.at(self.now_us, fiber.resume)
        return fiber

    def sleep(self, delay_us: int) -> None:
        """Wait inside a fiber."""
        fiber = self.fiber
        assert fiber is not None, "only a fiber may wait"
        self.at(self.now_us + max(1, delay_us), fiber.resume)
        fiber.wait()

    def run(self, until_us: int) -> None:
        """All events up to then."""
        heap, still = self._heap, 0
        while heap and heap[0][0] <= until_us:
            when_us, _, act = heapq.heappop(heap)
            still = still + 1 if when_us == self.now_us else 0
            if still > MANY:
                raise Spinning(f"{MANY} events at one instant, the last one {act}")
            self.now_us = when_us
            self.events += 1
            act()
        self.now_us = until_us

    def close(self) -> None:
        """End every fiber that still waits."""
        for fiber in list(self.fibers):
            fiber.kill()
