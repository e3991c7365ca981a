"""Recording: what supervisors tell becomes rows, WHERE token = mine."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.run import Outcome, RunState, require_transition
from cronherd.store import permits
from cronherd.store.base import Chunk, Ending, Recorded, Start
from cronherd.store.database import Database, Row, Values, fetch, many, marks
from cronherd.store.endings import end_unstarted
from cronherd.store.events import EventRows
from cronherd.store.jobs import hold

LIVE = """
SELECT id, token, state, short, job_id, dedup, slot_us, cause, version, created_us, attempt, epoch,
fence, node_id, excl_key, cancel, (SELECT j.enabled FROM job j WHERE j.id = run.job_id),
(SELECT j.deleted_us FROM job j WHERE j.id = run.job_id) FROM run WHERE id IN ({}) ORDER BY id
"""
PAST = "SELECT run_id, token FROM attempt WHERE run_id IN ({})"
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
AND EXISTS (SELECT 1 FROM job WHERE id = ?3 AND enabled = 1 AND deleted_us IS NULL
AND (job.version = ?4 OR spec LIKE '%"after%'))
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
        told: dict[bytes, set[str]] = {}
        reports: list[Start | Chunk | Ending] = [*starts, *chunks, *endings]
        for report in reports:
            told.setdefault(to_stored(report.run_id), set()).add(report.token)
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
        self, connection: Connection, told: Mapping[bytes, set[str]], answer: Recorded
    ) -> dict[bytes, Row]:
        """Live rows that still carry a token told; the rest was stored before, or is stale."""
        sql = LIVE.format(marks(len(told))) + self._db.dialect.for_update
        rows = {row[0]: row for row in fetch(connection, sql, list(told))}
        live = {run_id: row for run_id, row in rows.items() if row[1] in told[run_id]}
        others = {run_id for run_id in told if told[run_id] != {_token(live, run_id)}}
        if others:
            past = fetch(connection, PAST.format(marks(len(others))), sorted(others))
            known = {(run_id, token) for run_id, token in past}
            known |= {(run_id, row[1]) for run_id, row in live.items()}
            for run_id in sorted(others):
                if any((run_id, token) not in known for token in told[run_id]):
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
            if piece.token == _token(live, run_id):
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
        ended = {(ending.run_id, ending.token) for ending in endings}
        rows: list[Values] = []
        for start in starts:
            run_id = to_stored(start.run_id)
            report = (start.run_id, start.token)
            if report not in ended and start.token == _token(live, run_id):
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
        told = {
            run_id: ending
            for ending in endings
            if ending.token == _token(live, run_id := to_stored(ending.run_id))
        }
        mine = [(ending, live[run_id]) for run_id, ending in told.items()]
        if not mine:
            return
        given_back = [row[0] for ending, row in mine if ending.verdict.void]
        tried = [(ending, row) for ending, row in mine if not ending.verdict.void]
        final = [(e, row) for e, row in tried if e.verdict.retry_us is None or _unwanted(row)]
        gone = [row[0] for _, row in final]
        ended = set(gone)
        back = [(ending, row) for ending, row in mine if row[0] not in ended]
        again = [(e.verdict.retry_us, row[0]) for e, row in back if not e.verdict.void]
        insert = self._db.dialect.insert_ignore
        many(connection, GIVE_BACK, [(run_id,) for run_id in given_back])
        many(connection, insert + ADD_ATTEMPT, [_attempt(*pair) for pair in tried])
        many(connection, RETRY, again)
        self._keep_back(connection, [row for _, row in back])
        many(connection, ADD_HISTORY, [_history(*pair) for pair in final])
        keys = {row[14] for _, row in final if row[14]}
        if keys:
            permits.free(connection, gone)
        many(connection, DROP_RUN, [(run_id,) for run_id in gone])
        self._rearm(connection, final)
        answer.ready = bool(given_back)
        answer.freed = _waited_for(connection, sorted(keys))

    def _keep_back(self, connection: Connection, rows: Sequence[Row]) -> None:
        """What was cancelled, deleted or disabled meanwhile does not start once more."""
        now_us = self._db.dialect.now_us(connection)
        unwanted = [row[0] for row in rows if _unwanted(row)]
        text = "cancelled before it started"
        end_unstarted(connection, unwanted, Outcome.CANCELLED, text, now_us)
        disabled = [row[0] for row in rows if not row[16] and row[6] is not None]
        hold(connection, [run_id for run_id in disabled if run_id not in unwanted])

    def _rearm(self, connection: Connection, final: Sequence[tuple[Ending, Row]]) -> None:
        """The next slot of an `after` job counts from this end."""
        now_us = self._db.dialect.now_us(connection)
        rows = [
            (ending.next_slot_us, now_us, row[4], row[8])
            for ending, row in final
            if ending.next_slot_us is not None
        ]
        many(connection, REARM, rows)


def _token(live: Mapping[bytes, Row], run_id: bytes) -> str | None:
    """The token of the claim that owns this run, None when nobody who told something does."""
    return str(live[run_id][1]) if run_id in live else None


def _unwanted(row: Row) -> bool:
    """Whether somebody cancelled this run or deleted its job."""
    return bool(row[15]) or row[17] is not None


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
