"""How a job stands: six words, each said once here; lists filter by them and totals count them.

They are no parts of a whole: a job whose last run failed and which runs again is both.
"""

from collections.abc import Iterable
from enum import StrEnum

from cronherd.domain.instant import MINUTE_US
from cronherd.domain.run import Outcome, RunState

# Later than this is late; before it, a busy node or a slow database is no news.
OVERDUE_US = MINUTE_US
# So many finished runs of one outcome are counted; it may be more.
COUNTED = 10_000
# A run that ended like this is what somebody should look at.
BAD = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.NOT_STARTED})
STARTED = frozenset({RunState.CLAIMED, RunState.RUNNING})
# States of a first attempt that should have begun at its slot.
UNSTARTED = frozenset({RunState.WAITING, RunState.READY})


class Standing(StrEnum):
    """What a job is at this moment, for counters and filters."""

    RUNNING = "running"
    OVERDUE = "overdue"
    NOT_DUE = "not_due"
    PAUSED = "paused"
    DISABLED = "disabled"
    ERROR = "error"


STANDING_WORDS = {
    Standing.RUNNING: "a run of it has started and has not ended",
    Standing.OVERDUE: "it should have started something more than a minute ago and has not",
    Standing.NOT_DUE: "its next slot is known and lies ahead",
    Standing.PAUSED: "somebody, or too many failures, paused it",
    Standing.DISABLED: "it is switched off",
    Standing.ERROR: "the newest of its finished runs failed, timed out, was lost or not started",
}


def standing_of(
    *,
    now_us: int,
    enabled: bool,
    next_us: int | None,
    paused_until_us: int | None = None,
    live: Iterable[tuple[RunState, int, int | None]] = (),
    last: Outcome | None = None,
) -> frozenset[Standing]:
    """All that a job is. `live`: (state, attempt, slot) of each run that has not ended.

    `next_us` is when its due row is looked at next, None for a job without a next slot, and for
    one that is disabled or paused until it is resumed.
    """
    runs = list(live)
    late_us = now_us - OVERDUE_US
    waits = any(
        state in UNSTARTED and attempt == 1 and slot_us is not None and slot_us < late_us
        for state, attempt, slot_us in runs
    )
    found = {
        Standing.RUNNING: any(state in STARTED for state, _, _ in runs),
        Standing.OVERDUE: waits or (next_us is not None and next_us < late_us),
        Standing.NOT_DUE: next_us is not None and next_us >= late_us,
        Standing.PAUSED: paused_until_us is not None and paused_until_us > now_us,
        Standing.DISABLED: not enabled,
        Standing.ERROR: last in BAD,
    }
    return frozenset(word for word, holds in found.items() if holds)
