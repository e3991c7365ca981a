"""Heartbeat: renews the lease, on a thread of its own that nothing else can delay."""

import logging
from collections.abc import Callable

from cronherd.domain.node import Node
from cronherd.domain.policy import HEARTBEAT_US, LEASE_US
from cronherd.store.base import Store

# Once the agent was told to end there is nothing left to renew.
OVER_S = 3600.0

log = logging.getLogger("cronherd")


class Heartbeat:
    """One tick: one renewal. A renewal that finds no row means that we were judged.

    Also looks whether the state directory is still this agent's: whoever removes it may start
    another agent in its place, and then no slot may fire here any more.
    """

    def __init__(
        self,
        store: Store,
        node: Node,
        *,
        judged: Callable[[], None],
        owned: Callable[[], bool],
        halt: Callable[[], None],
    ) -> None:
        self._store = store
        self._node = node
        self._judged = judged
        self._owned = owned
        self._halt = halt

    def tick(self) -> float:
        """Seconds to the next beat."""
        if not self._owned():
            log.error("the state directory was removed or replaced: this agent ends")
            self._halt()
            return OVER_S
        if not self._store.renew(self._node.id, self._node.incarnation, LEASE_US):
            self._judged()
        return HEARTBEAT_US / 1_000_000
