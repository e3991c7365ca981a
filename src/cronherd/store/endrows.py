"""What a run that ended becomes: the rows of its attempt and of its history."""

from cronherd.store.base import Ending
from cronherd.store.claims import shown_fence
from cronherd.store.corrections import ERROR_LENGTH
from cronherd.store.database import Row, plain


def attempt_row(ending: Ending, row: Row) -> tuple[object, ...]:
    """The columns of ADD_ATTEMPT, from a live row under its lock."""
    seen = ending.exit
    return (
        row[0],
        row[10],
        row[13],
        ending.token,
        seen.started_us,
        seen.ended_us,
        seen.exit_code,
        seen.signal,
        seen.killed_by,
        seen.error,
        plain(seen.error_text, ERROR_LENGTH),
        seen.cpu_us,
        seen.peak_rss_bytes,
        seen.dropped,
        seen.read_bytes,
        seen.written_bytes,
        seen.pid,
        seen.how,
        seen.leaked,
    )


def history_row(ending: Ending, row: Row) -> tuple[object, ...]:
    """The columns of ADD_HISTORY."""
    run_id, token, _, short, job_id, dedup, slot_us, cause, version, created_us = row[:10]
    attempt, epoch, fence, node_id = row[10:14]
    seen = ending.exit
    return (
        run_id,
        short,
        job_id,
        dedup,
        slot_us,
        cause,
        version,
        ending.verdict.outcome.value,
        created_us,
        seen.started_us,
        seen.ended_us,
        attempt,
        shown_fence(fence, epoch),
        token,
        node_id,
        seen.exit_code,
        seen.signal,
        plain(seen.error_text, ERROR_LENGTH),
        seen.dropped,
        row[16],
        row[18],
    )
