"""Pruner: forgets what is past its retention, a little at a time."""

from cronherd.store.base import Store

# Rows in one transaction: few enough that firing never waits for it.
BATCH = 500
PAUSE_S = 0.2
REST_S = 600.0


class Pruner:
    """One tick: one bounded batch."""

    def __init__(self, store: Store, ledger_age_us: int) -> None:
        self._store = store
        self._ledger_age_us = ledger_age_us

    def tick(self) -> float:
        """Seconds to the next batch: soon while there is more."""
        dropped = self._store.prune(self._ledger_age_us, BATCH)
        return PAUSE_S if dropped.runs == BATCH else REST_S
