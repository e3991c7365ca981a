"""Watcher: ends the runs of nodes that are silent, by proof or when their time is up.

Who is silent is not dead. Its runs stay suspected, and end in one of these ways only: it comes
back with the truth; a run's own time limit has passed on its host, which its supervisor enforces
without a database; a person says so; or `takeover_after` has passed, which concerns only runs that
its supervisor has fenced before.
"""

import logging
from collections.abc import Callable

from cronherd.domain.duration import format_duration
from cronherd.domain.instant import SECOND_US
from cronherd.domain.job import Job
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.policy import CLAIM_TO_EXEC_US, HEARTBEAT_US, LEASE_US
from cronherd.domain.silence import Silent, Watch
from cronherd.engine.clock import Clock
from cronherd.store.base import Claim, Ending, Store

# Two clocks may run apart by one part in so many; over a day that is more than any fixed margin.
CLOCK_SHARE = 1_000

log = logging.getLogger("cronherd")

# What a kill may take beyond its grace before its time limit proves that a run is gone.
LIMIT_MARGIN_US = 30 * SECOND_US


class Watcher:
    """One tick: one look at the others."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node_id: str,
        *,
        chance: Callable[[], float],
        freed: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._node_id = node_id
        self._chance = chance
        self._freed = freed
        self._watch = Watch()

    def tick(self) -> float:
        """Seconds to the next look."""
        boot_us = self._clock.boot_us()
        peers = self._store.peers(self._node_id)
        if peers.hold:
            self._watch.forget()
            return HEARTBEAT_US / SECOND_US
        known: list[tuple[str, str]] = []
        answered_us = self._clock.boot_us()
        for silent in self._watch.observe(peers.nodes, peers.now_us, boot_us, answered_us):
            if silent.node.live:
                known += self._look_at(silent, peers.now_us, boot_us)
        self._watch.keep(known)
        return HEARTBEAT_US / SECOND_US

    def _look_at(self, silent: Silent, now_us: int, boot_us: int) -> list[tuple[str, str]]:
        """End what is over; the claims that were seen."""
        claims = self._store.held_by(silent.node.id)
        fenced = not silent.node.unfenced  # else only its own word, a limit or a person ends them
        overdue = [claim for claim in claims if fenced and _overdue(claim.job, silent.for_us)]
        stopped = [
            claim
            for claim in claims
            if claim not in overdue and self._past_its_limit(claim, boot_us)
        ]
        limit = "its node is silent, and its time limit has passed"
        taken = [self._lost(claim, now_us, _taken_over(silent)) for claim in overdue]
        taken += [self._lost(claim, now_us, limit) for claim in stopped]
        if taken:
            self._end(silent, taken, judged=bool(overdue))
        return [(claim.run_id, claim.token) for claim in claims]

    def _end(self, silent: Silent, endings: list[Ending], *, judged: bool) -> None:
        answer = self._store.take_over(silent.node, endings, judged=judged)
        if answer is None:  # it was heard just now
            return
        runs = f"{len(endings)} run{'s' * (len(endings) != 1)}"
        log.warning("node %s is silent: %s of it ended here", silent.node.name, runs)
        if answer.freed:
            self._store.promote(answer.freed)
        self._freed()

    def _past_its_limit(self, claim: Claim, boot_us: int) -> bool:
        """Whether its supervisor, if it lives, has killed it by now."""
        known_us = self._watch.known_for(claim.run_id, claim.token, boot_us)
        job = claim.job
        if job.timeout_us is None:
            return False
        return known_us > CLAIM_TO_EXEC_US + job.timeout_us + job.grace_us + LIMIT_MARGIN_US

    def _lost(self, claim: Claim, now_us: int, text: str) -> Ending:
        seen = lost_exit(claim.started_us, now_us, text)
        return claim.ended(seen, judge(claim.job, claim.attempt, seen, self._chance()))


def _overdue(job: Job, silent_us: int) -> bool:
    """Whether a silent node has lost its right to this run: it was fenced before."""
    if job.fence_us is None or job.takeover_after_us is None:
        return False
    longest_us = max(job.takeover_after_us, LEASE_US)
    return silent_us >= longest_us + longest_us // CLOCK_SHARE


def _taken_over(silent: Silent) -> str:
    seconds_us = silent.for_us // SECOND_US * SECOND_US
    return f"its node was silent for {format_duration(seconds_us)} and was taken over"
