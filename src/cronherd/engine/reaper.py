"""Reaper: settles what an earlier life of this node left behind, by proof.

The supervisor says what still runs: that goes on under this life. It replays what was written down
and not yet stored: ends, and starts without an end of a predecessor, whose processes the guardian
has killed. A claim that it never heard of was never started: it is given back, unless the host was
restarted meanwhile and the record may be lost with it.
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
        """End or give back what does not run any more; how many runs those are."""
        held = self._store.held_by(node_id)
        self._live.add(held)
        while self._finisher.position < self._supervisor.replay_until:
            self._finisher.tick()
        rest = self._unheard(held)
        for claim in rest:
            self._finisher.end(claim, self._ending(claim, same_boot=same_boot))
        while self._open(rest):
            self._finisher.tick()
        self._end_others(held)
        return sum(_key(claim) not in self._supervisor.live for claim in held)

    def _unheard(self, held: Iterable[Claim]) -> list[Claim]:
        """Claims that do not run, and of which nothing was ever written down."""
        running = self._supervisor.live
        return [claim for claim in self._open(held) if _key(claim) not in running]

    def _open(self, claims: Iterable[Claim]) -> list[Claim]:
        return [claim for claim in claims if self._live.get(claim.run_id, claim.attempt) is claim]

    def _end_others(self, held: Iterable[Claim]) -> None:
        """What runs here and is not ours any more was taken over while no agent lived."""
        for run_id, attempt, _ in self._supervisor.live - {_key(claim) for claim in held}:
            self._supervisor.cancel(run_id, attempt)

    def _ending(self, claim: Claim, *, same_boot: bool) -> Exit:
        now_us = self._clock.now_us()
        if same_boot and claim.started_us is None:
            return Exit(started_us=None, ended_us=now_us, error=VOID, error_text="never started")
        return lost_exit(claim.started_us, now_us, "the host was restarted while it ran")


def _key(claim: Claim) -> tuple[str, int, str]:
    return claim.run_id, claim.attempt, claim.token
