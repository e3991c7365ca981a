"""Heartbeat: renews the lease, on a thread of its own that nothing else can delay."""

from collections.abc import Callable

from cronherd.domain.node import Node
from cronherd.domain.policy import HEARTBEAT_US, LEASE_US
from cronherd.store.base import Store


class Heartbeat:
    """One tick: one renewal. A renewal that finds no row means that we were judged."""

    def __init__(self, store: Store, node: Node, *, judged: Callable[[], None]) -> None:
        self._store = store
        self._node = node
        self._judged = judged

    def tick(self) -> float:
        """Seconds to the next beat."""
        if not self._store.renew(self._node.id, self._node.incarnation, LEASE_US):
            self._judged()
        return HEARTBEAT_US / 1_000_000
