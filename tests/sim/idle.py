"""Idle: for how long the ticks of one node would find nothing, as things are. Nothing is guessed.

Whatever ends such a time early calls World.unpark: a change of what looks see, a fault, a step.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cronherd.domain.policy import HEARTBEAT_US
from cronherd.domain.run import RunState
from cronherd.engine.agent import Life
from tests.sim.hub import SECOND_US

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.ticker import SimTicker
    from tests.sim.world import World

LONG_US = 3600 * SECOND_US
UNCLAIMED_US = 30 * SECOND_US


@dataclass(slots=True)
class Idle:
    """Asked by a ticker that is about to sleep, in calm weather."""

    world: "World"
    host: "Host"
    life: Life

    def of(self, ticker: "SimTicker") -> int:
        ask = {
            "worker": self._worker,
            "scheduler": self._scheduler,
            "promoter": self._promoter,
            "heartbeat": self._heartbeat,
            "watcher": self._watcher,
            "strays": self._strays,
        }.get(ticker.name)
        return 0 if ask is None else ask(ticker)

    @property
    def _settled(self) -> bool:
        return self.world.weather.settled and not self.host.busy

    def _may_claim(self) -> bool:
        """Whether something is ready and there is room."""
        return self.world.sight.ready and self.life._live.free() > 0

    def _worker(self, ticker: "SimTicker") -> int:
        if self.life._worker._unanswered is not None or self._may_claim():
            return 0
        return LONG_US

    def _scheduler(self, ticker: "SimTicker") -> int:
        """Until something is due: looks before that see the same, and tell it nobody anew."""
        world, sight = self.world, self.world.sight
        same = self.life._promoter._waiting == sight.waiting
        mine = any(node_id == self.host.node.id for _, _, node_id in sight.cancels)
        if self.life._scheduler._unanswered or not same or mine or self._may_claim():
            return 0
        if world.model.holding:
            return LONG_US
        world.parked_us = next_us = world.next_us()
        return next_us - world.db_us()

    def _promoter(self, ticker: "SimTicker") -> int:
        """Its last sweep changed nothing; so will the next, until some instant has come."""
        world = self.world
        if ticker.version != world.version or self._may_claim():
            return 0
        now_us, until_us = world.db_us(), world.db_us() + LONG_US
        for row in world.model.live.values():
            if row.state is RunState.DELAYED:
                until_us = min(until_us, row.ready_us)
            first = row.attempt == 1 and row.state in {RunState.WAITING, RunState.READY}
            if row.deadline_us is not None and first:
                until_us = min(until_us, row.deadline_us + 1)
            if row.state is RunState.READY and row.place:
                until_us = min(until_us, row.ready_us + UNCLAIMED_US + 1)
            if row.state is RunState.HELD:
                paused_us = world.model.lines[row.job_id].paused_until_us
                if paused_us is not None and paused_us > now_us:
                    until_us = min(until_us, paused_us)
        return until_us - now_us

    def _heartbeat(self, ticker: "SimTicker") -> int:
        row = self.world.model.hosts.get(self.host.node.id)
        ours = row is not None and row.incarnation == self.life._node.incarnation
        heard = self.life._live.drained == (row is not None and row.drained)
        quiet = self._settled and ours and heard and not self.world.model.holding
        held = self.host.nurse is None or self.host.nurse.held
        # It has beaten at this very instant: a rhythm begins with a beat.
        beaten = ticker.part._due_us == self.host.clock.boot_us() + HEARTBEAT_US
        return LONG_US if quiet and not held and beaten else 0

    def _strays(self, ticker: "SimTicker") -> int:
        return LONG_US if self._settled and not ticker.part._suspects else 0

    def _watcher(self, ticker: "SimTicker") -> int:
        """While nobody who holds runs is silent; a rhythm never ends without a word."""
        model = self.world.model
        if not self._settled or model.holding:
            return 0
        down = {host.node.id for host in self.world.hosts if not host.up}
        now_us = self.world.db_us()
        beating = all(
            node_id in model.rhythms or (node_id in down and row.lease_us <= now_us)
            for node_id, row in model.hosts.items()
        )
        silent = any(node.live for node in model.peers(self.host.node.id).nodes)
        return LONG_US if beating and not silent else 0
