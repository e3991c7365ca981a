"""Ending runs that never started: deleted, cancelled, expired or unusable."""

from collections.abc import Sequence

from sqlalchemy import Connection

from cronherd.domain.run import Outcome
from cronherd.store import permits
from cronherd.store.database import many

TO_HISTORY = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
started_us, ended_us, attempt, fence, token, node_id, error_text, dropped)
SELECT id, short, job_id, dedup, slot_us, cause, version, ?, created_us, NULL, ?,
attempt, fence, NULL, NULL, ?, 0 FROM run WHERE id = ?
"""
DROP = "DELETE FROM run WHERE id = ?"


def end_unstarted(
    connection: Connection, run_ids: Sequence[bytes], outcome: Outcome, text: str, now_us: int
) -> None:
    """Move these live runs, whose rows are locked, to history and free what they hold."""
    permits.free(connection, run_ids)
    rows = [(outcome.value, now_us, text, run_id) for run_id in run_ids]
    many(connection, TO_HISTORY, rows)
    many(connection, DROP, [(run_id,) for run_id in run_ids])
