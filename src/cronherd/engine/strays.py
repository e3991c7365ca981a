"""Strays: claims of this node that the database knows of and nobody here does.

An answer that was lost is asked for again at once. But its COMMIT may still have been on its way,
and taken effect after that: then a claim stands that no supervisor was ever told of. It was not
started, so it is given back.
"""

import logging

from cronherd.domain.judge import VOID
from cronherd.domain.run import Exit
from cronherd.engine.clock import Clock
from cronherd.engine.finisher import Finisher
from cronherd.engine.live import LiveRuns
from cronherd.store.base import Claim, Store

log = logging.getLogger("cronherd")

# Longer than a server keeps a transaction whose node says nothing, and than any call of ours.
PERIOD_S = 15.0


class Strays:
    """One tick: what was a stray at the last look and still is one is given back."""

    def __init__(
        self, store: Store, clock: Clock, live: LiveRuns, finisher: Finisher, node_id: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._finisher = finisher
        self._node_id = node_id
        self._suspects: set[tuple[str, str]] = set()

    def tick(self) -> float:
        """Seconds to the next look."""
        held = self._store.held_by(self._node_id)
        strays = [claim for claim in held if self._is_stray(claim)]
        for claim in strays:
            if (claim.run_id, claim.token) in self._suspects:
                log.warning("run %s was claimed without an answer: it is given back", claim.run_id)
                self._finisher.end(claim, self._never_started())
        self._suspects = {(claim.run_id, claim.token) for claim in strays}
        return PERIOD_S

    def _is_stray(self, claim: Claim) -> bool:
        """Neither here nor on its way to the record; whatever has started is told of already."""
        if claim.started_us is not None or self._finisher.knows(claim.run_id, claim.attempt):
            return False
        mine = self._live.get(claim.run_id, claim.attempt)
        return mine is None or mine.token != claim.token

    def _never_started(self) -> Exit:
        now_us = self._clock.now_us()
        text = "the answer to its claim was lost"
        return Exit(started_us=None, ended_us=now_us, error=VOID, error_text=text)
