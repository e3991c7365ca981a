"""Host: one machine with its clocks, its spool, a supervisor and an agent that come and go.

The agent is the engine's own `Life` with all its tickers; only their threads are replaced.
"""

import random
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from cronherd.domain.node import Node
from cronherd.domain.silence import Watch
from cronherd.engine.accounts import Account
from cronherd.engine.agent import Life
from cronherd.engine.parts import Parts
from cronherd.supervisor.base import SupervisorGone
from tests.sim.clock import HostClock
from tests.sim.evidence import Deed, Evidence
from tests.sim.hub import SECOND_US, Crashed, Fiber, Hub
from tests.sim.idle import Idle
from tests.sim.link import Link
from tests.sim.nurse import Nurse
from tests.sim.rhythm import Rhythm
from tests.sim.spool import Spool
from tests.sim.ticker import SimTicker

if TYPE_CHECKING:
    from tests.sim.world import World


class Host:
    """A machine. Implements link.Caller and hub.Home."""

    def __init__(self, world: "World", name: str, capacity: int) -> None:
        self.world = world
        self.hub: Hub = world.hub
        self.random: random.Random = world.random
        self.evidence: Evidence = world.evidence
        self.name = name
        # Wall clocks are wrong by seconds or by hours; BOOTTIME drifts by some parts per million.
        wrong_us = self.random.choice([0, 2, -30, 3600, -7200]) * SECOND_US
        self.clock = HostClock(world.hub, wrong_us, self.random.randrange(-100, 101))
        self.clock.host = self
        self.spool = Spool()
        self.nurse: Nurse | None = None
        self.life: Life | object | None = None
        self.tickers: list[SimTicker] = []
        self.thaw_us = 0
        self.nurse_thaw_us = 0
        self.up = False
        self.spawn_trouble = 0.0
        self._hint = False
        self._fibers: list[Fiber] = []
        self._begun: Life | None = None
        self._lives = 0
        self._first = True
        self.node = Node(
            id=world.new_id(),
            name=name,
            incarnation="",
            boot_id=world.new_id(),
            capacity=capacity,
            home=name,
        )
        self.link = Link(world.model, world.weather, self, world.hub)

    # ------------------------------------------------------------------ the agent

    def switch_on(self) -> None:
        """Start the agent, if it is down."""
        if not self.up:
            self.up = self._first = True
            self.spawn(self._begin)

    def _begin(self) -> None:
        """One life after the other, as engine.agent.Agent does it."""
        if not self.up:
            return
        if self._begun is not None:
            self._begun.leave()
        token = object()
        self.life, self.tickers = token, []
        try:
            life = Life(self._parts(), lost=lambda: self._lost(token))
            self._begun = life
            life.begin()
            self.world.note(f"{self.name} has begun {life._node.incarnation}")
        except Crashed:
            raise
        except Exception as error:  # noqa: BLE001 - as in Agent._keep: whatever it was, once more
            self.world.note(f"{self.name} could not begin: {error!r}")
            if self._first:
                self.die()  # `cronherd agent` says why and exits; systemd starts it again
                return
            self.hub.sleep(SECOND_US)
            self._lost(token)
            return
        self._first = False

    def _parts(self) -> Parts:
        parts: dict[str, Any] = {
            "store": self.link,
            "beats": self.link,
            "clock": self.clock,
            "launch": self._launch,
            "node": self.node,
            "account": Account(user="me", home="/"),
            "ledger_age_us": 10**18,
            "new_id": self.world.new_id,
            "chance": self.random.random,
            "owned": lambda: True,
            "halt": lambda: None,
        }
        known = {each.name for each in fields(Parts)}
        return Parts(**{name: part for name, part in parts.items() if name in known})

    def _launch(self) -> Nurse:
        """The one that lives is taken over; one that is stopped says nothing."""
        if self.nurse is not None and self.nurse.living:
            if self.nurse_thaw_us > self.hub.now_us:
                raise SupervisorGone("the supervisor says nothing")
            self.nurse.greet()
            return self.nurse
        self._lives += 1
        self.nurse = Nurse(self, f"{self.name}-{self._lives}")
        return self.nurse

    def _lost(self, token: object) -> None:
        """Its supervisor is gone, or it was judged: a new life begins."""
        if self.life is token and self.up:
            self.world.unpark()
            self.life = None
            self.spawn(self._begin)

    def spawn(self, body: Callable[[], None]) -> Fiber:
        """A fiber of the agent: it dies with it."""
        self._fibers = [fiber for fiber in self._fibers if not fiber.done]
        fiber = self.hub.spawn(body, self)
        self._fibers.append(fiber)
        return fiber

    def stop(self) -> None:
        """SIGTERM: drain nothing, end what runs, release the lease."""
        life = self._begun
        if self.up and life is not None and self.life is not None:
            self.spawn(lambda: self._end(life))

    def _end(self, life: Life) -> None:
        try:
            life.end()
        except Crashed:
            raise
        except Exception as error:  # noqa: BLE001 - the process exits whatever it was
            self.world.note(f"{self.name} ended with {error!r}")
        self.die()

    # ------------------------------------------------------------------ what happens to it

    def die(self) -> None:
        """kill -9 the agent: its supervisor goes on."""
        if not self.up:
            return
        self.world.unpark()
        self.up, self.life, self._begun = False, None, None
        for fiber in list(self._fibers):
            fiber.kill()
        self._fibers.clear()
        if self.nurse is not None:
            self.nurse.close()
        self.world.note(f"{self.name}: agent dead")
        self.world.revive(self)

    def lose_nurse(self) -> None:
        """kill -9 the supervisor."""
        if self.nurse is not None and self.nurse.living:
            self.world.note(f"{self.name}: supervisor dead")
            self.nurse.crash()

    def reboot(self) -> None:
        """The power fails: everything dies, the end of the spool may be lost with it."""
        self.world.note(f"{self.name}: reboot")
        self.lose_nurse()
        self.die()
        self.thaw_us = self.nurse_thaw_us = 0
        if self.random.random() < 0.5:
            self.spool.tear(self.hub.now_us - self.random.randrange(2 * SECOND_US))
        self.clock.reboot()
        self.node = _reborn(self.node, self.world.new_id())

    def stand_still(self, delay_us: int) -> None:
        """SIGSTOP the agent for a while."""
        self.world.unpark()
        self.thaw_us = max(self.thaw_us, self.hub.now_us + delay_us)

    def freeze(self, delay_us: int, *, whole: bool) -> None:
        """Stop the agent, or the whole machine with its commands."""
        self.world.note(f"{self.name}: frozen for {delay_us / SECOND_US:.0f} s, whole={whole}")
        self.stand_still(delay_us)
        if whole and self.nurse is not None and self.nurse_thaw_us <= self.hub.now_us:
            nurse = self.nurse
            self.nurse_thaw_us = self.hub.now_us + delay_us
            nurse.freeze(frozen=True)
            self.hub.at(self.nurse_thaw_us, lambda: self._thaw(nurse))

    def _thaw(self, nurse: Nurse) -> None:
        nurse.freeze(frozen=False)
        self.world.checks.woke()

    def hint(self) -> None:
        """A word that something may be ready: true or not, early or late, or never."""
        self._hint = True
        self._wake("heartbeat")

    # ------------------------------------------------------------------ for its parts

    def hinted(self) -> bool:
        """Whether a hint has come since the last look."""
        heard, self._hint = self._hint, False
        return heard

    @property
    def has_news(self) -> bool:
        return self.nurse is not None and self.nurse.has_news

    def news(self) -> None:
        """The supervisor has something to tell."""
        self._wake("finisher")

    def _wake(self, name: str) -> None:
        for ticker in self.tickers:
            if ticker.name == name:
                ticker.wake()

    def unpark(self, names: frozenset[str] | None = None) -> None:
        for ticker in self.tickers:
            if names is None or ticker.name in names:
                ticker.unpark()

    @property
    def busy(self) -> bool:
        """Whether something of the agent waits in its middle."""
        return any(not fiber.done for fiber in self._fibers)

    def linger(self, seconds: float) -> None:
        """Wait for reports."""
        wait_us = round(seconds * SECOND_US)
        if self.hub.fiber is None:
            self.clock.ahead_us += max(1, wait_us)
        else:
            self.hub.sleep(min(wait_us, 100_000))

    def parked(self, ticker: SimTicker, period_us: int) -> None:
        """Its ticks find nothing from now on; those of the heartbeat are counted."""
        if ticker.name == "heartbeat":
            model = self.world.model
            row = model.hosts[self.node.id]
            model.rhythms[self.node.id] = Rhythm(self, row, ticker.part, period_us)

    def looked_meanwhile(self, ticker: SimTicker, last_us: int | None) -> None:
        """What the ticks that were skipped would have left behind; the last was at `last_us`."""
        model = self.world.model
        if ticker.name == "heartbeat":
            self.world.unpark(frozenset({"watcher"}))
            model.catch_up()
            model.rhythms.pop(self.node.id, None)
        elif last_us is not None and ticker.name == "scheduler":
            ticker.part._looked_us = self.clock.boot_at(last_us)
        elif last_us is not None and ticker.name == "watcher":
            self._watched(ticker.part._watch, last_us)

    def _watched(self, watch: Watch, last_us: int) -> None:
        """The beats that a look at that instant saw, each new since the look before it."""
        model = self.world.model
        boot_us = self.clock.boot_at(last_us)
        watch._looked_us = boot_us
        for node_id, row in model.hosts.items():
            rhythm = model.rhythms.get(node_id)
            beat = row.beat if rhythm is None else rhythm.beat_at(last_us)
            if node_id in watch._seen and watch._seen[node_id][0] != beat:
                watch._seen[node_id] = beat, boot_us

    def idle_us(self, ticker: SimTicker, sleep_us: int) -> int:
        """How long looks of this ticker would find nothing, as things are."""
        world, life = self.world, self._begun
        if not world.weather.calm or life is None:
            return 0
        return Idle(world, self, life).of(ticker)

    def life_of(self, job: str) -> tuple[int, int, bool]:
        return self.world.life_of(job)

    def began(self, deed: Deed) -> None:
        self.world.checks.began(deed)


def _reborn(node: Node, boot_id: str) -> Node:
    return Node(
        id=node.id,
        name=node.name,
        incarnation="",
        boot_id=boot_id,
        capacity=node.capacity,
        home=node.home,
    )
