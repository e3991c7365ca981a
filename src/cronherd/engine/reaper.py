"""Reaper: settles what an earlier life of this node left behind, by proof.

The supervisor replays what its predecessor wrote down: ends, and starts without an end, whose
processes the guardian has killed. A claim that it never heard of was never started: it is given
back, unless the host was restarted meanwhile and the record may be lost with it.
"""

from collections.abc import Iterable

from cronherd.domain.judge import VOID, lost_exit
from cronherd.domain.run import Exit
from cronherd.engine.clock import Clock
from cronherd.engine.finisher import Finisher
from cronherd.engine.live import LiveRuns
from cronherd.store.base import Claim, Store
from cronherd.supervisor.base import Supervisor


class Reaper:
    """Run once at the beginning of a life, before anything is claimed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        live: LiveRuns,
        supervisor: Supervisor,
        finisher: Finisher,
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._supervisor = supervisor
        self._finisher = finisher

    def settle(self, node_id: str, *, same_boot: bool) -> int:
        """End or give back every run this node still holds; how many there were."""
        held = self._store.held_by(node_id)
        self._live.add(held)
        while self._finisher.position < self._supervisor.replay_until:
            self._finisher.tick()
        rest = self._unheard(held)
        for claim in rest:
            self._finisher.end(claim, self._ending(claim, same_boot=same_boot))
        while self._live.all():
            self._finisher.tick()
        return len(held)

    def _unheard(self, held: Iterable[Claim]) -> list[Claim]:
        """Claims of which the predecessor never wrote anything down."""
        return [claim for claim in held if self._live.get(claim.run_id, claim.attempt) is not None]

    def _ending(self, claim: Claim, *, same_boot: bool) -> Exit:
        now_us = self._clock.now_us()
        if same_boot and claim.started_us is None:
            return Exit(started_us=None, ended_us=now_us, error=VOID, error_text="never started")
        return lost_exit(claim.started_us, now_us, "the host was restarted while it ran")
