"""Recording: what supervisors tell becomes rows, WHERE token = mine."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.run import RunState, require_transition
from cronherd.store import permits
from cronherd.store.base import Chunk, Ending, Recorded, Start
from cronherd.store.database import Database, Row, Values, fetch, many, marks
from cronherd.store.events import EventRows

LIVE = """
SELECT id, token, state, short, job_id, dedup, slot_us, cause, version, created_us, attempt, epoch,
fence, node_id, excl_key FROM run WHERE id IN ({}) ORDER BY id
"""
PAST = "SELECT id, token FROM run_history WHERE id IN ({})"
LOCK_DUE = "SELECT job_id FROM job_due WHERE job_id IN ({}) ORDER BY job_id"
STARTED = "UPDATE run SET state = 'running', started_us = ? WHERE id = ? AND token = ?"
ADD_OUTPUT = """
 INTO output (run_id, attempt, stream, seq, at_us, dropped, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
ADD_ATTEMPT = """
 INTO attempt (run_id, n, node_id, token, started_us, ended_us, exit_code, signal, killed_by,
error, error_text, cpu_us, peak_rss_bytes, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_HISTORY = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
started_us, ended_us, attempt, fence, token, node_id, exit_code, signal, error_text, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
DROP_RUN = "DELETE FROM run WHERE id = ?"
RETRY = """
UPDATE run SET state = 'delayed', ready_us = ?, attempt = attempt + 1, token = NULL,
node_id = NULL, started_us = NULL, cancel = 0 WHERE id = ?
"""
GIVE_BACK = """
UPDATE run SET state = 'ready', token = NULL, node_id = NULL, started_us = NULL WHERE id = ?
"""
REARM = """
UPDATE job_due SET slot_us = max(?1, last_slot_us + 1), next_us = max(?1, last_slot_us + 1, ?2)
WHERE job_id = ?3 AND next_us IS NULL
AND EXISTS (SELECT 1 FROM job WHERE id = ?3 AND enabled = 1 AND deleted_us IS NULL)
"""
WAITED_FOR = "SELECT DISTINCT wait_key FROM run WHERE wait_key IN ({})"

ERROR_LENGTH = 400


class RecordRows:
    """Starts, output and ends of attempts."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def record(
        self, starts: Sequence[Start], chunks: Sequence[Chunk], endings: Sequence[Ending]
    ) -> Recorded:
        told = {to_stored(start.run_id): start.token for start in starts}
        told |= {to_stored(piece.run_id): piece.token for piece in chunks}
        told |= {to_stored(ending.run_id): ending.token for ending in endings}
        answer = Recorded()
        if not told:
            return answer
        with self._db.write() as connection:
            self._lock_chained(connection, endings)
            live = self._mine(connection, told, answer)
            self._add_output(connection, chunks, live)
            self._add_starts(connection, starts, endings, live)
            self._end(connection, endings, live, answer)
        return answer

    def _lock_chained(self, connection: Connection, endings: Sequence[Ending]) -> None:
        """Lock order: an ending that re-arms its job takes the due row before the run."""
        ids = sorted({to_stored(e.job_id) for e in endings if e.next_slot_us is not None})
        if ids and self._db.dialect.for_update:
            fetch(connection, LOCK_DUE.format(marks(len(ids))) + self._db.dialect.for_update, ids)

    def _mine(
        self, connection: Connection, told: Mapping[bytes, str], answer: Recorded
    ) -> dict[bytes, Row]:
        """Live rows that still carry the token told; the rest was stored before, or is stale."""
        sql = LIVE.format(marks(len(told))) + self._db.dialect.for_update
        rows = {row[0]: row for row in fetch(connection, sql, list(told))}
        live = {run_id: row for run_id, row in rows.items() if row[1] == told[run_id]}
        others = [run_id for run_id in told if run_id not in live]
        if others:
            past = fetch(connection, PAST.format(marks(len(others))), others)
            stored = {run_id for run_id, token in past if token == told[run_id]}
            for run_id in others:
                if run_id not in stored:
                    self._note_stale(connection, from_stored(run_id), answer)
        return live

    def _note_stale(self, connection: Connection, run_id: str, answer: Recorded) -> None:
        answer.stale.append(run_id)
        self._events.add(connection, EventKind.STALE_REPORT, run_id, "finisher")

    def _add_output(
        self, connection: Connection, chunks: Sequence[Chunk], live: Mapping[bytes, Row]
    ) -> None:
        """A piece that is there already was sent again after a lost answer."""
        rows: list[Values] = []
        for piece in chunks:
            run_id = to_stored(piece.run_id)
            if run_id in live:
                where = (run_id, piece.attempt, piece.stream, piece.seq)
                rows.append((*where, piece.at_us, piece.dropped, piece.chunk))
        many(connection, self._db.dialect.insert_ignore + ADD_OUTPUT, rows)

    def _add_starts(
        self,
        connection: Connection,
        starts: Sequence[Start],
        endings: Sequence[Ending],
        live: Mapping[bytes, Row],
    ) -> None:
        """A run that ends in the same batch need not be marked as running first."""
        ended = {ending.run_id for ending in endings}
        rows: list[Values] = []
        for start in starts:
            run_id = to_stored(start.run_id)
            if start.run_id not in ended and run_id in live:
                if live[run_id][2] != RunState.RUNNING:
                    require_transition(RunState(live[run_id][2]), RunState.RUNNING)
                rows.append((start.at_us, run_id, start.token))
        many(connection, STARTED, rows)

    def _end(
        self,
        connection: Connection,
        endings: Sequence[Ending],
        live: Mapping[bytes, Row],
        answer: Recorded,
    ) -> None:
        mine = [
            (ending, live[to_stored(ending.run_id)])
            for ending in endings
            if to_stored(ending.run_id) in live
        ]
        if not mine:
            return
        given_back = [row[0] for ending, row in mine if ending.verdict.void]
        tried = [(ending, row) for ending, row in mine if not ending.verdict.void]
        final = [(ending, row) for ending, row in tried if ending.verdict.retry_us is None]
        again = [(e.verdict.retry_us, row[0]) for e, row in tried if e.verdict.retry_us is not None]
        insert = self._db.dialect.insert_ignore
        many(connection, GIVE_BACK, [(run_id,) for run_id in given_back])
        many(connection, insert + ADD_ATTEMPT, [_attempt(*pair) for pair in tried])
        many(connection, RETRY, again)
        many(connection, ADD_HISTORY, [_history(*pair) for pair in final])
        gone = [row[0] for _, row in final]
        keys = {row[14] for _, row in final if row[14]}
        if keys:
            permits.free(connection, gone)
        many(connection, DROP_RUN, [(run_id,) for run_id in gone])
        self._rearm(connection, [ending for ending, _ in final])
        answer.ready = bool(given_back)
        answer.freed = _waited_for(connection, sorted(keys))

    def _rearm(self, connection: Connection, endings: Sequence[Ending]) -> None:
        """The next slot of an `after` job counts from this end."""
        now_us = self._db.dialect.now_us(connection)
        rows = [
            (ending.next_slot_us, now_us, to_stored(ending.job_id))
            for ending in endings
            if ending.next_slot_us is not None
        ]
        many(connection, REARM, rows)


def _waited_for(connection: Connection, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    return [row[0] for row in fetch(connection, WAITED_FOR.format(marks(len(keys))), keys)]


def _attempt(ending: Ending, row: Row) -> tuple[object, ...]:
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
        seen.error_text[:ERROR_LENGTH],
        seen.cpu_us,
        seen.peak_rss_bytes,
        seen.dropped,
    )


def _history(ending: Ending, row: Row) -> tuple[object, ...]:
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
        fence | epoch,
        token,
        node_id,
        seen.exit_code,
        seen.signal,
        seen.error_text[:ERROR_LENGTH],
        seen.dropped,
    )
