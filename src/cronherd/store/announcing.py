"""What runs and slots become messages for, in the transaction in which they become facts.

Only for jobs that ask for it: the others pay nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cronherd.domain.alert import (
    MISSED,
    Alerts,
    Draft,
    drafts_of_end,
    drafts_of_no_node,
    drafts_of_pause,
    drafts_of_range,
    drafts_of_start,
)
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import Job
from cronherd.domain.planner import Skip
from cronherd.domain.run import Outcome
from cronherd.store import outbox
from cronherd.store.base import Ending, Start
from cronherd.store.database import Connection, Row, fetch
from cronherd.store.definitions import JobCache, read_definition

SPOKE = "SELECT DISTINCT run_id FROM output WHERE run_id IN ? AND stream IN (1, 2)"
NODES = "SELECT id, name FROM node WHERE id IN ?"
# Few definitions say such a word at all; what they mean, the definition tells.
UNSTARTED = """
SELECT r.id, r.slot_us, r.cause, r.created_us, r.attempt, r.job_id, j.spec FROM run r
JOIN job j ON j.id = r.job_id WHERE r.id IN ? AND j.deleted_us IS NULL AND
(j.spec LIKE '%"mailto"%' OR j.spec LIKE '%"webhook"%' OR j.spec LIKE '%"ping"%')
"""


def announce_starts(
    connection: Connection,
    cache: JobCache,
    started: Sequence[tuple[Start, Row]],
    now_us: int,
) -> int:
    """Attempts that have started, with their live rows under lock (LIVE of recording.py)."""
    jobs = _jobs(connection, cache, (row for _, row in started))
    names = _names(connection, (row for _, row in started))
    drafts: list[Draft] = []
    for start, row in started:
        job = jobs.get((row[4], row[8]))
        if job is not None and job.alerts is not None:
            facts = {**_facts(job, row, names), "started_us": start.at_us}
            drafts += drafts_of_start(job.alerts, facts)
    return outbox.add(connection, drafts, now_us)


def announce_ends(
    connection: Connection,
    cache: JobCache,
    ended: Sequence[tuple[Ending, Row]],
    now_us: int,
) -> int:
    """Runs that have ended, with their live rows; a start that was never told goes before."""
    jobs = _jobs(connection, cache, (row for _, row in ended))
    names = _names(connection, (row for _, row in ended))
    asked = [row[0] for _, row in ended if _asks_output(jobs.get((row[4], row[8])))]
    spoke = {row[0] for row in fetch(connection, SPOKE, (asked,))} if asked else set()
    drafts: list[Draft] = []
    for ending, row in ended:
        job = jobs.get((row[4], row[8]))
        if job is None or job.alerts is None:
            continue
        seen, outcome = ending.exit, ending.verdict.outcome
        facts = {**_facts(job, row, names), "started_us": seen.started_us}
        if seen.started_us is not None and job.alerts.starts:
            drafts += drafts_of_start(job.alerts, facts)
        facts |= {
            "outcome": outcome.value,
            "ended_us": seen.ended_us,
            "exit_code": seen.exit_code,
            "signal": seen.signal,
            "killed_by": seen.killed_by,
            "error_text": seen.error_text,
        }
        drafts += drafts_of_end(job.alerts, outcome, facts, spoke=row[0] in spoke)
    return outbox.add(connection, drafts, now_us)


def announce_unstarted(
    connection: Connection, run_ids: Sequence[bytes], outcome: Outcome, text: str, now_us: int
) -> None:
    """Runs that end without a start; what somebody cancelled before is no news."""
    if outcome is not Outcome.NOT_STARTED:
        return
    drafts: list[Draft] = []
    for run_id, slot_us, cause, created_us, attempt, job_id, spec in fetch(
        connection, UNSTARTED, (list(run_ids),)
    ):
        job = read_definition(spec)
        if isinstance(job, Job) and job.alerts is not None:
            facts = {
                **_about(job, job_id),
                "run_id": from_stored(run_id),
                "attempt": attempt,
                "cause": cause,
                "scheduled_us": slot_us,
                "created_us": created_us,
                "ended_us": now_us,
                "outcome": outcome.value,
                "error_text": text,
            }
            drafts += drafts_of_end(job.alerts, outcome, facts, spoke=False)
    if drafts:
        outbox.add(connection, drafts, now_us)


def announce_skips(
    connection: Connection, skipped: Iterable[tuple[bytes, Job, Skip]], now_us: int
) -> None:
    """Slots that nobody wanted to be left out: one message for each row of the ledger."""
    drafts: list[Draft] = []
    for job_id, job, skip in skipped:
        if job.alerts is not None and skip.reason in MISSED:
            facts = {
                **_about(job, job_id),
                "from_us": skip.from_us,
                "to_us": skip.to_us,
                "count": skip.count,
                "reason": skip.reason.value,
            }
            drafts += drafts_of_range(job.alerts, facts)
    if drafts:
        outbox.add(connection, drafts, now_us)


def announce_pause(
    connection: Connection, job: Job, job_id: bytes, run_id: bytes, text: str, now_us: int
) -> None:
    """A job that paused itself, and the run that was one failure too many."""
    if job.alerts is not None:
        facts = {**_about(job, job_id), "run_id": from_stored(run_id), "text": text}
        outbox.add(connection, drafts_of_pause(job.alerts, facts), now_us)


def announce_no_node(
    connection: Connection, waiting: Iterable[tuple[str, Job, str, str]], now_us: int
) -> None:
    """(job id, job, run id, text): runs that wait since no live node fits."""
    drafts: list[Draft] = []
    for job_id, job, run_id, text in waiting:
        if job.alerts is not None:
            facts = {**_about(job, to_stored(job_id)), "run_id": run_id, "text": text}
            drafts += drafts_of_no_node(job.alerts, facts)
    if drafts:
        outbox.add(connection, drafts, now_us)


def _asks_output(job: Job | None) -> bool:
    alerts: Alerts | None = None if job is None else job.alerts
    return alerts is not None and alerts.asks_output


def _jobs(
    connection: Connection, cache: JobCache, rows: Iterable[Row]
) -> dict[tuple[bytes, int], Job]:
    """Their definitions as they ran; one that cannot be read tells nobody anything."""
    found = cache.get(connection, {(row[4], row[8]) for row in rows})
    return {pair: job for pair, job in found.items() if isinstance(job, Job)}


def _names(connection: Connection, rows: Iterable[Row]) -> dict[bytes, str]:
    nodes = sorted({row[13] for row in rows if row[13] is not None})
    return {row[0]: row[1] for row in fetch(connection, NODES, (nodes,))} if nodes else {}


def _about(job: Job, job_id: bytes) -> dict[str, Any]:
    return {"job": job.name, "job_id": from_stored(job_id), "timezone": job.timezone}


def _facts(job: Job, row: Row, names: Mapping[bytes, str]) -> dict[str, Any]:
    return {
        **_about(job, row[4]),
        "run_id": from_stored(row[0]),
        "attempt": row[10],
        "cause": row[7],
        "scheduled_us": row[6],
        "created_us": row[9],
        "node": names.get(row[13], ""),
    }
