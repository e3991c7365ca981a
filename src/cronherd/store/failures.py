"""Failures in a row, for jobs that pause after so many of them.

Counted with a run's last word, under the lock of its job's due row, and only where a job asks for
it: the others pay nothing. The failure that is one too many pauses the job in its own transaction.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import Job
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Outcome
from cronherd.store.announcing import announce_pause
from cronherd.store.base import Ending
from cronherd.store.database import Connection, fetch, one
from cronherd.store.definitions import JobCache
from cronherd.store.duerows import pause, read_row
from cronherd.store.events import EventRows

# As it is now, and not as it was when the run was claimed: the due row is ours.
WATCHED = """
SELECT id, version, failures FROM job
WHERE id IN ? AND deleted_us IS NULL AND spec LIKE '%"pause_after_failures"%'
"""
COUNT = "UPDATE job SET failures = ? WHERE id = ?"
FORGET = "UPDATE job SET failures = 0 WHERE id = ? AND failures > 0"
LIVE_OF = "SELECT id FROM run WHERE job_id IN ?"
LOCK_RUNS = "SELECT id FROM run /*by primary*/ WHERE id IN ? ORDER BY id /*lock*/"

FAILURES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.NOT_STARTED})
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Last:
    """A run's last word."""

    job_id: bytes
    run_id: bytes
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Watched:
    job: Job
    failures: int


def at_stake(connection: Connection, cache: JobCache, lasts: Sequence[Last]) -> list[bytes]:
    """The live runs of jobs, whose due rows are ours, that these words may pause.

    To be locked with the others in one statement, before any of them: runs are locked by id.
    """
    more = Counter(last.job_id for last in lasts if last.outcome in FAILURES)
    jobs = _watched(connection, cache, more)
    near = [
        job_id
        for job_id, known in jobs.items()
        if known.failures + more[job_id] >= known.job.pause_after_failures
    ]
    return [row[0] for row in fetch(connection, LIVE_OF, (near,))] if near else []


def lock_runs_of(connection: Connection, cache: JobCache, lasts: Sequence[Last]) -> None:
    """Hold all runs that a pause may hold back."""
    if ids := at_stake(connection, cache, lasts):
        fetch(connection, LOCK_RUNS, (sorted(ids),))


def count(
    connection: Connection, cache: JobCache, events: EventRows, lasts: Sequence[Last], now_us: int
) -> None:
    """Add these words to what was counted, in their order; pause the jobs that failed too often."""
    for job_id, known in _watched(connection, cache, {last.job_id for last in lasts}).items():
        failures, fatal = known.failures, None
        for last in lasts:
            if last.job_id != job_id:
                continue
            if last.outcome is Outcome.SUCCEEDED:
                failures = 0
            elif last.outcome in FAILURES:
                failures += 1
                if fatal is None and failures >= known.job.pause_after_failures:
                    fatal = (failures, last)
        if failures != known.failures:
            one(connection, COUNT, (failures, job_id))
        if fatal is not None:
            _pause(connection, events, known.job, *fatal, now_us)


def forget(connection: Connection, job_id: bytes) -> None:
    """Counting begins again."""
    one(connection, FORGET, (job_id,))


def lasts_of(endings: Iterable[Ending]) -> list[Last]:
    """Those of these ends that count somewhere."""
    return [
        Last(to_stored(ending.job_id), to_stored(ending.run_id), ending.verdict.outcome)
        for ending in endings
        if ending.watched and not ending.verdict.void
    ]


def _watched(
    connection: Connection, cache: JobCache, job_ids: Collection[bytes]
) -> dict[bytes, _Watched]:
    if not job_ids:
        return {}
    rows = fetch(connection, WATCHED, (sorted(job_ids),))
    jobs = cache.get(connection, [(row[0], row[1]) for row in rows])
    known = ((row[0], jobs[row[0], row[1]], row[2]) for row in rows)
    return {
        job_id: _Watched(job, failures)
        for job_id, job, failures in known
        if isinstance(job, Job) and job.pause_after_failures
    }


def _pause(
    connection: Connection, events: EventRows, job: Job, failures: int, last: Last, now_us: int
) -> None:
    row = read_row(connection, last.job_id)
    if row is None or (row.paused_us is not None and row.paused_us >= FOREVER_US):
        return
    pause(connection, row, job, FOREVER_US, now_us)
    how = f"run {from_stored(last.run_id)[:_SHORT]} ended as {last.outcome.value}"
    times = "1 run failed" if failures == 1 else f"{failures} runs in a row failed"
    text = f"until resumed: {times}, the last one, {how}"
    events.add(connection, EventKind.JOB_PAUSED, job.name, "finisher", text)
    announce_pause(connection, job, last.job_id, last.run_id, text, now_us)
