"""Worker: claims runs for the free capacity and hands them to the supervisor."""

import logging
from collections.abc import Callable, Sequence

from cronherd.domain.errors import CronherdError, Invalid, Unavailable
from cronherd.domain.judge import VOID
from cronherd.domain.node import Node
from cronherd.domain.run import Exit
from cronherd.engine.accounts import Account
from cronherd.engine.clock import Clock
from cronherd.engine.live import LiveRuns
from cronherd.engine.order import start_of
from cronherd.engine.secrets import Opened, Reveal, names_of, no_secrets
from cronherd.store.base import Claim, Store
from cronherd.supervisor.base import Start, Supervisor

log = logging.getLogger("cronherd")

# Claims in one transaction.
BATCH = 200
# A node that can take nothing looks again after this.
POLL_S = 1.0
# Whoever looks for due slots sees ready runs too and wakes the worker; this is the net below.
IDLE_S = 30.0
# While more is ready than fits, places are filled a few at a time, for the price of one claim.
FILL_S = 0.02
FILL_SHARE = 2
# The spool holds what the database has not taken yet; beyond this nothing new is claimed.
SPOOL_LIMIT = 1 << 30


class Worker:
    """One tick: claim what fits, start it. Also cancels what people asked to cancel."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: Node,
        live: LiveRuns,
        supervisor: Supervisor,
        account: Account,
        *,
        new_id: Callable[[], str],
        not_started: Callable[[Claim, Exit], None],
        reveal: Reveal = no_secrets,
    ) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._live = live
        self._supervisor = supervisor
        self._account = account
        self._new_id = new_id
        self._not_started = not_started
        self._reveal = reveal
        self._unanswered: tuple[str, int] | None = None
        self._crowded = False

    def tick(self) -> float:
        """Seconds until the next look; 0 when there may be more to claim at once."""
        boot_us = self._clock.boot_us()
        if self._unanswered is not None:
            token, asked_us = self._unanswered
            claims = self._store.claimed_by(self._node.id, token)
            self._unanswered = None
            self.dispatch(claims, asked_us)
        with self._live.reserve(BATCH) as room:
            if room == 0 or self._spool_is_full():
                return POLL_S
            token = self._new_id()
            self._unanswered = token, boot_us
            claims = self._store.claim(self._node, token, room, self._live.capped())
            self._unanswered = None
            self.dispatch(claims, boot_us)
        self._crowded = len(claims) == room
        if len(claims) == BATCH:
            return 0.0
        return FILL_S if self._crowded else IDLE_S

    def wants_more(self) -> bool:
        """Whether freed places are worth a claim at once.

        While more is ready than fits, a few places are gathered first.
        """
        return not self._crowded or self._live.free() * FILL_SHARE >= self._live.capacity

    def dispatch(self, claims: Sequence[Claim], boot_us: int) -> None:
        """Start these; what this host cannot start ends with the reason.

        What needs secrets is started after the rest, which then does not wait for their opening.
        """
        if not claims:
            return
        self._live.add(claims)
        plain = [claim for claim in claims if not claim.job.secrets]
        self._order(plain, boot_us, {})
        if len(plain) < len(claims):
            secret = [claim for claim in claims if claim.job.secrets]
            self._order(secret, boot_us, self._open(secret))

    def _open(self, claims: Sequence[Claim]) -> Opened:
        """The secrets of these, by one question; they live no longer than this batch."""
        names = names_of(claims)
        try:
            return self._reveal(names)
        except CronherdError as error:
            return dict.fromkeys(names, error)

    def _order(self, claims: Sequence[Claim], boot_us: int, opened: Opened) -> None:
        starts: list[Start] = []
        for claim in claims:
            try:
                starts.append(start_of(claim, self._node.name, self._account, boot_us, opened))
            except Unavailable as error:  # the database, at this instant: the claim is given back
                self._not_started(claim, self._refusal(error, VOID))
            except CronherdError as error:
                self._not_started(claim, self._refusal(error))
        if starts:
            self._start(claims, starts)

    def _start(self, claims: Sequence[Claim], starts: Sequence[Start]) -> None:
        """One order for all; if one of them is more than any supervisor takes, each alone."""
        try:
            self._supervisor.start(starts)
        except ValueError as error:
            if len(starts) > 1:
                for start in starts:
                    self._start(claims, [start])
                return
            claim = next(claim for claim in claims if claim.run_id == starts[0].run_id)
            self._not_started(claim, self._refusal(Invalid(str(error), code="too_long")))

    def cancel(self, wanted: Sequence[tuple[str, int]]) -> None:
        """Tell the supervisor, at each look again: the order may be on its way behind a cancel."""
        for run_id, attempt in wanted:
            self._supervisor.cancel(run_id, attempt)

    def cancel_all(self) -> None:
        """A second signal: whatever runs is to end."""
        for claim in self._live.all():
            self._supervisor.cancel(claim.run_id, claim.attempt)

    def _refusal(self, error: CronherdError, code: str = "") -> Exit:
        return Exit(
            started_us=None,
            ended_us=self._clock.now_us(),
            error=code or error.code,
            error_text=str(error),
        )

    def _spool_is_full(self) -> bool:
        size = self._supervisor.spool_bytes()
        if size > SPOOL_LIMIT:
            log.error("the spool holds %d MiB that the database has not taken", size >> 20)
        return size > SPOOL_LIMIT
