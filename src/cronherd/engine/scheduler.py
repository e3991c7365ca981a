"""Scheduler: turns due slots into runs, at their instant.

Truth is in the database; this only knows when to look. It sleeps until the earliest known due
instant, so that at the instant only the transaction remains.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from cronherd.domain.errors import StatementRefused
from cronherd.domain.node import Node
from cronherd.domain.planner import Due, Plan, plan
from cronherd.domain.policy import LEASE_US
from cronherd.engine.clock import Clock
from cronherd.engine.live import LiveRuns
from cronherd.store.base import Claim, FireBatch, Look, Offer, Store

log = logging.getLogger("cronherd")

# Rows in one transaction: larger ones hold locks longer than they save. The first one is small,
# so that the first runs of a burst start while the rest is still being fired.
FIRST_BATCH = 64
GROWTH = 8
BATCH = 1_000
# Rows that are due and that others hold at the moment are looked at again after this.
BUSY_S = 0.01
# How far ahead a look asks for due instants, and the longest sleep without a look.
HORIZON_US = 5_000_000
LONGEST_SLEEP_S = 1.0


class Dispatch(Protocol):
    """Takes claims that were won; `boot_us` was read before they were asked for."""

    def __call__(self, claims: list[Claim], boot_us: int) -> None: ...


class Scheduler:
    """One tick: fire what is due, then say until when nothing is."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: Node,
        live: LiveRuns,
        *,
        dispatch: Dispatch,
        looked: Callable[[Look], None],
        renew: Callable[[], None],
        new_id: Callable[[], str],
        sleep_share: Callable[[], float],
    ) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._live = live
        self._dispatch = dispatch
        self._looked = looked
        self._renew = renew
        self._new_id = new_id
        self._sleep_share = sleep_share
        self._unanswered: tuple[str, int] | None = None
        self._prepared_us = 0
        self._limit = FIRST_BATCH
        self._tried: set[tuple[str, int]] = set()
        self._due_boot_us: int | None = None
        self._looked_us = clock.boot_us()
        self._offset_us: int | None = None

    def tick(self) -> float:
        """Seconds to sleep: until the next due instant, at most about one."""
        if self._clock.boot_us() - self._looked_us > LEASE_US // 2:
            # After a suspend our lease looks run out: a firing must not take us for silent.
            self._renew()
        if self._unanswered is not None:
            self._ask_again(*self._unanswered)
        if self._due_boot_us is not None and self._clock.boot_us() >= self._due_boot_us:
            # The instant it slept for: fire first, look later.
            self._fire_all()
        look, boot_us = self._look()
        while look.next_us is not None and look.next_us <= look.now_us and not look.hold:
            if not self._fire_all():
                self._looked(look)
                return BUSY_S
            look, boot_us = self._look()
        self._looked(look)
        self._due_boot_us = None
        longest_s = LONGEST_SLEEP_S * self._sleep_share()
        if look.next_us is None or look.hold:
            return longest_s
        self._due_boot_us = boot_us + look.next_us - look.now_us
        self._prepare(look.next_us)
        spent_us = self._clock.boot_us() - boot_us
        return max(0.0, min(longest_s, (look.next_us - look.now_us - spent_us) / 1_000_000))

    def _look(self) -> tuple[Look, int]:
        """What is due next, and the boot clock of that answer."""
        look = self._store.look(self._node.id, HORIZON_US)
        boot_us = self._clock.boot_us()
        offset_us = look.now_us - boot_us
        if self._offset_us is not None and offset_us > self._offset_us + LEASE_US // 2:
            self._renew()
        self._offset_us, self._looked_us = offset_us, boot_us
        return look, boot_us

    def _fire_all(self) -> bool:
        """Batch after batch. False when nothing could be fired: others hold what is due."""
        count = fired = self._fire(self._limit)
        while count >= self._limit:
            self._limit = min(self._limit * GROWTH, BATCH)
            count = self._fire(self._limit)
            fired += count
        self._limit = FIRST_BATCH
        return fired > 0

    def _fire(self, limit: int) -> int:
        """One batch; how many due rows it took.

        What the database refuses for one row's sake is tried again in halves, down to that row.
        """
        try:
            return self._fire_batch(limit)
        except StatementRefused as error:
            log.error("a batch of up to %d slots was refused: %s", limit, error)
            if limit > 1:
                self._limit = limit // 2
                return self._fire(self._limit)
            with self._store.fire(1) as batch:
                for due in batch.due:
                    # Another row may be first by now: that one did nothing wrong.
                    if (due.job_id, due.next_us) in self._tried:
                        batch.push_ahead(due, str(error))
            return 1

    def _fire_batch(self, limit: int) -> int:
        boot_us = self._clock.boot_us()
        with self._live.reserve(limit) as room:
            offer = self._offer(room)
            self._unanswered = offer.token, boot_us
            with self._store.fire(limit) as batch:
                count = len(batch.due)
                self._tried = {(due.job_id, due.next_us) for due in batch.due}
                claims = batch.commit(self._plans(batch), offer if room else None)
            self._unanswered = None
            self._dispatch(claims, boot_us)
        if batch.lined_up:
            self._store.promote(batch.lined_up)
        return count

    def _offer(self, room: int) -> Offer:
        labels = self._node.place_labels
        return Offer(node_id=self._node.id, token=self._new_id(), labels=labels, most=room)

    def _plans(self, batch: FireBatch) -> list[Plan]:
        """A job that cannot be planned is pushed ahead, loudly; the others go on."""
        plans: list[Plan] = []
        for due in batch.due:
            found = self._plan(batch, due)
            if isinstance(found, Plan):
                plans.append(found)
            else:
                log.error("job %s was not planned: %s", due.job_id, found)
                batch.push_ahead(due, found)
        return plans

    def _plan(self, batch: FireBatch, due: Due) -> Plan | str:
        job = batch.jobs.get(due.job_id)
        if job is None:
            return batch.broken.get(due.job_id, "its definition is missing")
        try:
            targets = batch.targets(due.job_id)
            gate, fits = batch.gate(due.job_id), batch.fits(job.place)
            return plan(job, due, gate, batch.now_us, fits=fits, targets=targets)
        except Exception as error:
            log.exception("planning of '%s' failed", job.name)
            return f"{type(error).__name__}: {error}"

    def _ask_again(self, token: str, boot_us: int) -> None:
        """The answer to a COMMIT was lost: what carries the token was won, nothing else was.

        The claims count from the start of that call: the supervisor calls them void when they
        are too old, and they are given back.
        """
        claims = self._store.claimed_by(self._node.id, token)
        self._unanswered = None
        self._dispatch(claims, boot_us)

    def _prepare(self, next_us: int) -> None:
        """Compute what follows the coming slots now, while there is time."""
        if next_us <= self._prepared_us:
            return
        for job, slot_us in self._store.upcoming(next_us, BATCH):
            if job.schedule is not None and not job.chained:
                job.schedule.next_after(slot_us)
        self._prepared_us = next_us
