"""Rhythm: the beats of a node while nothing else happens, counted when somebody wants to know.

An exact fast-forward: each beat has its instant, and lease, count and fence are at any moment what
the beats up to then have made them. Whatever may disturb a beat ends the rhythm before it acts.
"""

from typing import TYPE_CHECKING

from cronherd.domain.policy import HEARTBEAT_US, LEASE_US

if TYPE_CHECKING:
    from cronherd.engine.heartbeat import Heartbeat
    from tests.sim.host import Host
    from tests.sim.rows import NodeRow


class Rhythm:
    """Regular beats of one host, from a true one on."""

    def __init__(
        self, host: "Host", row: "NodeRow", heartbeat: "Heartbeat", period_us: int
    ) -> None:
        self._host = host
        self._row = row
        self._heartbeat = heartbeat
        self._since_us = host.hub.now_us
        self._period_us = period_us
        self._first = row.beat
        self._done = 0

    def beat_at(self, true_us: int) -> int:
        """The count as it was then."""
        return self._first + max(0, true_us - self._since_us) // self._period_us

    def catch_up(self) -> None:
        """What the beats until now have changed."""
        host = self._host
        count = (host.hub.now_us - self._since_us) // self._period_us
        if count == self._done:
            return
        self._done = count
        at_us = self._since_us + count * self._period_us
        self._row.beat = self._first + count
        self._row.lease_us = at_us + host.world.db_ahead_us + LEASE_US
        boot_us = host.clock.boot_at(at_us)
        self._heartbeat._due_us = boot_us + HEARTBEAT_US
        if host.nurse is not None:
            host.nurse.renewed_meanwhile(boot_us)
