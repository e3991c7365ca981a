"""Corrections: a run that was called lost, and whose owner comes back with the truth."""

from collections.abc import Sequence

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.run import Outcome
from cronherd.store.base import Ending
from cronherd.store.database import Database, fetch, one, plain
from cronherd.store.events import EventRows
from cronherd.store.failures import forget
from cronherd.store.trouble import note_ends

CALLED_LOST = """
SELECT id, job_id, attempt, fence, token FROM run_history
WHERE id IN ? AND outcome = 'lost' AND token IS NOT NULL
"""
LOCK_DUE = "SELECT job_id FROM job_due WHERE job_id = ? /*lock*/"
# Nothing newer was started meanwhile: the fence of a job's runs grows with each that may start.
NEWER = """
SELECT 1 FROM run WHERE job_id = ? AND fence > ? AND epoch > 0
UNION ALL
SELECT 1 FROM run_history WHERE job_id = ? AND fence > ? AND started_us IS NOT NULL LIMIT 1
"""
CORRECT = """
UPDATE run_history SET outcome = ?, started_us = ?, ended_us = ?, exit_code = ?, "signal" = ?,
error_text = ?, dropped = ? WHERE id = ? AND outcome = 'lost' AND token = ?
"""
CORRECT_ATTEMPT = """
UPDATE attempt SET started_us = ?, ended_us = ?, exit_code = ?, "signal" = ?, killed_by = ?,
error = ?, error_text = ?, cpu_us = ?, peak_rss_bytes = ?, dropped = ?, read_bytes = ?,
written_bytes = ?, pid = ?, how = ?, leaked = ?
WHERE run_id = ? AND n = ? AND token = ?
"""

ERROR_LENGTH = 400


class CorrectionRows:
    """The one change that a finished run may see."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def correct(self, endings: Sequence[Ending]) -> None:
        """The owner of a run called lost knows its true end: once, and while nothing newer ran."""
        known = {to_stored(ending.run_id): ending for ending in endings}
        with self._db.glance() as connection:
            found = fetch(connection, CALLED_LOST, (sorted(known),))
        for run_id, job_id, attempt, fence, token in found:
            ending = known[run_id]
            mine = (ending.token, ending.attempt) == (token, attempt)
            if mine and ending.verdict.outcome is not Outcome.LOST and not ending.verdict.void:
                self._correct(run_id, job_id, fence, ending)

    def _correct(self, run_id: bytes, job_id: bytes, fence: int, ending: Ending) -> None:
        seen = ending.exit
        text = plain(seen.error_text, ERROR_LENGTH)
        with self._db.write() as connection:
            fetch(connection, LOCK_DUE, (job_id,))
            if fetch(connection, NEWER, (job_id, fence, job_id, fence)):
                return
            how = (seen.started_us, seen.ended_us, seen.exit_code, seen.signal)
            outcome = ending.verdict.outcome.value
            values = (outcome, *how, text, seen.dropped, run_id, ending.token)
            if not one(connection, CORRECT, values):
                return
            if ending.verdict.outcome is Outcome.SUCCEEDED:
                forget(connection, job_id)
            note_ends(connection, [(job_id, ending.verdict.outcome)])
            spent = (seen.cpu_us, seen.peak_rss_bytes, seen.dropped, seen.read_bytes)
            left = (seen.written_bytes, seen.pid, seen.how, seen.leaked)
            what = (seen.killed_by, seen.error, text)
            one(
                connection,
                CORRECT_ATTEMPT,
                (*how, *what, *spent, *left, run_id, ending.attempt, ending.token),
            )
            shown = from_stored(run_id)
            self._events.add(connection, EventKind.RUN_CORRECTED, shown, "finisher", outcome)
