"""Runs that a job server delivers to workers: the first delivery of an attempt wins, once.

A row per attempt, inserted under the lock of its run. The lock orders deliveries and the end of
the run, the primary key turns a mistake into an abort.
"""

from cronherd.domain.ident import to_stored
from cronherd.domain.receipt import SILENT_US, Delivered, Receipt
from cronherd.domain.run import RunState
from cronherd.store.database import Connection, Database, Row, fetch, one, plain

WORKER_LENGTH = 120

RUN = "SELECT attempt, state, cancel FROM run WHERE id = ? /*lock*/"
LIVE = "SELECT attempt, state, cancel FROM run WHERE id = ?"
PAST = "SELECT 1 FROM run_history WHERE id = ?"
TAKEN = "SELECT token, code, seen_us FROM gearman_delivery WHERE run_id = ? AND attempt = ?"
ADD = """
INSERT INTO gearman_delivery (run_id, attempt, token, worker, taken_us, seen_us, code)
VALUES (?, ?, ?, ?, ?, ?, NULL)
"""
SEEN = """
UPDATE gearman_delivery SET seen_us = ?, code = coalesce(code, ?)
WHERE run_id = ? AND attempt = ? AND token = ?
"""
DROP_DELIVERIES = "DELETE FROM gearman_delivery WHERE seen_us < ?"

_STARTED = {RunState.CLAIMED.value, RunState.RUNNING.value}


class DeliveryRows:
    """Who runs what a job server delivered."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def deliver(self, run_id: str, attempt: int, token: str, worker: str) -> Delivered:
        """Take an attempt for the worker that holds `token`; the same token wins again."""
        stored = to_stored(run_id)
        with self._db.write() as connection:
            runs = fetch(connection, RUN, (stored,))
            taken = fetch(connection, TAKEN, (stored, attempt))
            if taken and taken[0][1] is not None:
                return Delivered(Receipt.ENDED, taken[0][1])
            if not runs or not _wanted(runs[0], attempt):
                return Delivered(self._gone(connection, stored, known=bool(runs)))
            now_us = self._db.dialect.now_us(connection)
            if not taken:
                named = plain(worker, WORKER_LENGTH)
                one(connection, ADD, (stored, attempt, token, named, now_us, now_us))
                return Delivered(Receipt.WON)
            if taken[0][0] == token:
                return Delivered(Receipt.WON)
            silent = now_us - taken[0][2] > SILENT_US
            return Delivered(Receipt.SILENT if silent else Receipt.TAKEN)

    def delivered(self, run_id: str, attempt: int, token: str, code: int | None) -> bool:
        """Say that the worker with `token` lives, or how its command ended.

        False: nobody wants this attempt any more; it was cancelled, or has ended for the fleet.
        """
        stored = to_stored(run_id)
        with self._db.write() as connection:
            runs = fetch(connection, LIVE, (stored,))
            now_us = self._db.dialect.now_us(connection)
            one(connection, SEEN, (now_us, code, stored, attempt, token))
            return bool(runs) and _wanted(runs[0], attempt)

    def _gone(self, connection: Connection, stored: bytes, *, known: bool) -> Receipt:
        if known or fetch(connection, PAST, (stored,)):
            return Receipt.OVER
        return Receipt.UNKNOWN


def _wanted(run: Row, attempt: int) -> bool:
    """Whether this attempt is what the fleet waits for; its start may not be recorded yet."""
    now, state, cancel = run
    return bool(now == attempt and state in _STARTED and not cancel)
