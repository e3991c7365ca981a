"""Ending runs that never started: deleted, cancelled, expired or unusable."""

from collections.abc import Sequence

from cronherd.domain.admission import Admission
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.planner import Skip
from cronherd.domain.run import Outcome, Reason
from cronherd.store import permits
from cronherd.store.announcing import announce_unstarted
from cronherd.store.database import Connection, fetch, one, parts
from cronherd.store.events import add_skips
from cronherd.store.trouble import note_moved

# The fence as the last claim of it had shown it.
TO_HISTORY = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
started_us, ended_us, attempt, fence, token, node_id, error_text, dropped, params, forced)
SELECT id, short, job_id, dedup, slot_us, cause, version, ?, created_us, NULL, ?,
attempt, fence + CASE WHEN epoch < 65535 THEN epoch ELSE 65535 END, NULL, target_id, ?, 0,
params, forced FROM run WHERE id IN ?
"""
DROP = "DELETE FROM run WHERE id IN ?"
CANCEL = "UPDATE run SET cancel = TRUE WHERE id IN ?"
STATES = """
SELECT id, job_id, slot_us, state, attempt, target_id FROM run /*by primary*/
WHERE id IN ? ORDER BY id /*lock*/
"""


def end_unstarted(
    connection: Connection, run_ids: Sequence[bytes], outcome: Outcome, text: str, now_us: int
) -> None:
    """Move these live runs, whose rows are locked, to history and free what they hold."""
    for some in parts(run_ids):
        permits.free(connection, some)
        announce_unstarted(connection, some, outcome, text, now_us)
        one(connection, TO_HISTORY, (outcome.value, now_us, text, some))
        drop(connection, some)
        note_moved(connection, some, outcome)


def drop(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """These rows are told elsewhere by now."""
    if run_ids:
        one(connection, DROP, (list(run_ids),))


def ask_to_end(connection: Connection, run_ids: Sequence[bytes]) -> None:
    """Their nodes learn it with the next look."""
    if run_ids:
        one(connection, CANCEL, (list(run_ids),))


def make_room(connection: Connection, admissions: Sequence[Admission], now_us: int) -> None:
    """Replace: older waiters end, holders are asked to end, those that never started do so here.

    A waiter's slot becomes a ledger row; one that somebody asked for, or that ran before and
    waited for its next try, stays in history.
    """
    waiters = {to_stored(run_id) for answer in admissions for run_id in answer.replaces}
    holders = {to_stored(run_id) for answer in admissions for run_id in answer.cancels}
    ids = sorted(waiters | holders)
    if not ids:
        return
    rows = fetch(connection, STATES, (ids,))
    started = [row[0] for row in rows if row[3] in {"claimed", "running"}]
    parked = [row for row in rows if row[0] in waiters and row[3] == "waiting"]
    slots = [row for row in parked if row[2] is not None and row[4] == 1]
    gone = {row[0] for row in slots}
    ended = [row[0] for row in rows if row[0] not in gone and row[0] not in started]
    ask_to_end(connection, [run_id for run_id in started if run_id in holders])
    end_unstarted(connection, ended, Outcome.CANCELLED, "replaced by a newer run", now_us)
    drop(connection, sorted(gone))
    add_skips(connection, [(row[1], _replaced(row[2], row[5])) for row in slots], now_us)


def _replaced(slot_us: int, target: bytes | None) -> Skip:
    """Of a job on all nodes each node has its own account of the slot."""
    node_id = None if target is None else from_stored(target)
    return Skip(from_us=slot_us, to_us=slot_us, count=1, reason=Reason.REPLACED, node_id=node_id)
