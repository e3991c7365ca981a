"""Heartbeat: renews the lease, on a thread and a connection that nothing else can delay."""

import logging
from collections.abc import Callable

from cronherd.domain.instant import SECOND_US
from cronherd.domain.policy import HEARTBEAT_US, LEASE_US
from cronherd.engine.clock import Clock
from cronherd.store.base import Beats, Renewal

# Once the agent was told to end there is nothing left to renew.
OVER_S = 3600.0
# How long one wait for a hint takes: whoever stops this thread waits as long.
HINT_S = 0.25

log = logging.getLogger("cronherd")


class Heartbeat:
    """One tick: one renewal, and waiting for hints until the next is due.

    Also looks whether the state directory is still this agent's: whoever removes it may start
    another agent in its place, and then no slot may fire here any more.
    """

    def __init__(
        self,
        beats: Beats,
        clock: Clock,
        life: Callable[[], tuple[str, str, bool]],
        *,
        renewed: Callable[[Renewal, int], None],
        judged: Callable[[], None],
        hinted: Callable[[], None],
        owned: Callable[[], bool],
        halt: Callable[[], None],
    ) -> None:
        self._beats = beats
        self._clock = clock
        self._life = life
        self._renewed = renewed
        self._judged = judged
        self._hinted = hinted
        self._owned = owned
        self._halt = halt
        self._due_us = clock.boot_us()

    def tick(self) -> float:
        """Seconds to sleep; none where waiting for hints is the sleep."""
        if self._clock.boot_us() >= self._due_us:
            if not self._owned():
                log.error("the state directory was removed or replaced: this agent ends")
                self._halt()
                return OVER_S
            self._beat()
        left_s = max(0.0, (self._due_us - self._clock.boot_us()) / SECOND_US)
        heard = self._beats.wait_hint(min(left_s, HINT_S))
        if heard is None:
            return left_s
        if heard:
            self._hinted()
        return 0.0

    def _beat(self) -> None:
        """A renewal that finds no row means that we were judged: others may act for us."""
        boot_us = self._clock.boot_us()  # before the call: what the others saw is never older
        node_id, incarnation, unfenced = self._life()
        renewal = self._beats.renew(node_id, incarnation, LEASE_US, unfenced=unfenced)
        if renewal.ours:
            self._renewed(renewal, boot_us)
        else:
            self._judged()
        self._due_us = boot_us + HEARTBEAT_US
