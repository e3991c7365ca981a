"""Promoter: the sweep. Whatever was missed by those who free, is found here within a second."""

from collections.abc import Callable

from cronherd.store.base import Look, Store

# The sweep while something waits, and the one that looks for chains nobody re-armed.
SWEEP_S = 1.0
IDLE_S = 30.0


class Promoter:
    """One tick: delayed runs whose time has come, missed deadlines, waiters of every key."""

    def __init__(self, store: Store, *, ready: Callable[[], None]) -> None:
        self._store = store
        self._ready = ready
        self._waiting = True

    def looked(self, look: Look) -> bool:
        """Take note of a look; True when the sweep should not sleep on."""
        before, self._waiting = self._waiting, look.waiting
        return look.waiting and not before

    def tick(self) -> float:
        """Seconds to the next sweep."""
        keys = self._store.sweep()
        promoted = self._store.promote(keys)
        if promoted or self._waiting:
            self._ready()
        return SWEEP_S if self._waiting else IDLE_S
