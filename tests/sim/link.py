"""Link: the store as one node reaches it, through weather.

A request may be lost, or its answer after it took effect; both may be slow; the process may die
or stand still right before or right after. Whoever calls sees `Unavailable`, as with a driver.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from cronherd.domain.errors import Unavailable
from cronherd.domain.planner import Plan
from cronherd.store.base import Claim, FireBatch, Offer
from tests.sim.hub import Crashed, Hub
from tests.sim.model import Model
from tests.sim.weather import Weather


class Caller(Protocol):
    """Whose link it is: it can die or stand still in the middle of a verb."""

    def die(self) -> None: ...

    def stand_still(self, delay_us: int) -> None: ...

    def hinted(self) -> bool: ...


class Link:
    """Every verb of the model behind weather; built on first use, since most are alike."""

    def __init__(self, model: Model, weather: Weather, caller: Caller, hub: Hub) -> None:
        self._model = model
        self._weather = weather
        self._caller = caller
        self._hub = hub

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        effect = getattr(self._model, verb)

        def ask(*words: Any, **more: Any) -> Any:
            if self._weather.calm:
                return effect(*words, **more)
            return self.through(lambda: effect(*words, **more))

        self.__dict__[verb] = ask
        return ask

    def through(self, effect: Callable[[], Any]) -> Any:
        """One exchange with the database."""
        fate = self._weather.draw()
        if fate in {"refused", "request lost"}:
            self._wait(self._weather.slow_us() if fate == "request lost" else 1_000)
            raise Unavailable("the database cannot be reached", code="database_failed")
        if fate == "dies before":
            self._die()
        if fate == "hang":
            self._caller.stand_still(self._weather.hang_us())
            self._wait(1)
        if fate == "slow request":
            self._wait(self._weather.slow_us())
        answer = effect()
        if fate == "dies after":
            self._die()
        if fate in {"answer lost", "slow answer"}:
            self._wait(self._weather.slow_us())
        if fate == "answer lost":
            raise Unavailable("the connection was lost", code="connection_lost")
        return answer

    def wait_hint(self, timeout_s: float) -> bool | None:
        """A hint that has come; else none will, and the caller sleeps without."""
        return True if self._caller.hinted() else None

    @contextmanager
    def fire(self, limit: int) -> Iterator[FireBatch]:
        if self._weather.calm:
            with self._model.fire(limit) as batch:
                yield batch
            return
        with self.through(lambda: self._model.fire(limit)) as batch:
            yield LinkedBatch(batch, self)

    def _die(self) -> None:
        self._caller.die()
        raise Crashed

    def _wait(self, delay_us: int) -> None:
        """Only a tick in a fiber can; for the others the verb takes no time."""
        if self._hub.fiber is not None:
            self._hub.sleep(delay_us)


class LinkedBatch:
    """A batch whose commit goes through the weather too."""

    def __init__(self, batch: FireBatch, link: Link) -> None:
        self._batch = batch
        self._link = link
        self.now_us, self.due = batch.now_us, batch.due
        self.lined_up: Sequence[str] = ()
        self.jobs, self.broken = batch.jobs, batch.broken
        self.gate, self.fits, self.push_ahead = batch.gate, batch.fits, batch.push_ahead
        self.targets = batch.targets

    def commit(self, plans: Sequence[Plan], offer: Offer | None) -> list[Claim]:
        claims: list[Claim] = self._link.through(lambda: self._batch.commit(plans, offer))
        return claims
