"""Recording: what supervisors tell becomes rows, WHERE token = mine."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.pool import read_uses
from cronherd.domain.run import Outcome, RunState, require_transition
from cronherd.domain.telling import STORED_LENGTH, Advance
from cronherd.store import permits
from cronherd.store.announcing import announce_ends, announce_starts
from cronherd.store.base import Chunk, Ending, Recorded, Start
from cronherd.store.chains import chained, rearm_after
from cronherd.store.corrections import CorrectionRows
from cronherd.store.database import Connection, Database, Row, Values, fetch, many, one, plain
from cronherd.store.definitions import JobCache
from cronherd.store.duerows import hold, lock_due
from cronherd.store.endings import drop, end_unstarted
from cronherd.store.endrows import attempt_row, history_row
from cronherd.store.events import EventRows, last_of
from cronherd.store.failures import at_stake, count, lasts_of
from cronherd.store.jobs import restamp
from cronherd.store.trouble import note_ends

LIVE = """
SELECT id, token, state, short, job_id, dedup, slot_us, cause, version, created_us, attempt, epoch,
fence, node_id, excl_key, cancel, params, pools, forced FROM run /*by primary*/ WHERE id IN ?
ORDER BY id /*lock*/
"""
PAST = "SELECT run_id, token FROM attempt WHERE run_id IN ?"
# Read after the locks: whoever edited, disabled, paused or deleted a job held its runs' rows too.
WISHES = """
SELECT j.id, j.enabled, j.deleted_us, d.paused_until_us, j.version, j.name FROM job j
JOIN job_due d ON d.job_id = j.id WHERE j.id IN ?
"""
STARTED = """
UPDATE run SET state = 'running', started_us = ?, progress = NULL WHERE id = ? AND token = ?
"""
ADVANCED = "UPDATE run SET progress = ? WHERE id = ? AND token = ? AND state = 'running'"
ADD_OUTPUT = """
INSERT INTO output (run_id, attempt, stream, seq, at_us, dropped, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?) /*unless there*/
"""
ADD_ATTEMPT = """
INSERT INTO attempt (run_id, n, node_id, token, started_us, ended_us, exit_code, "signal",
killed_by, error, error_text, cpu_us, peak_rss_bytes, dropped, read_bytes, written_bytes, pid, how,
leaked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) /*unless there*/
"""
ADD_HISTORY = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
started_us, ended_us, attempt, fence, token, node_id, exit_code, "signal", error_text, dropped,
params, forced) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
RETRY = """
UPDATE run SET state = 'delayed', ready_us = now_us() + ?, attempt = attempt + 1, token = NULL,
node_id = NULL, started_us = NULL, cancel = FALSE WHERE id = ?
"""
GIVE_BACK = """
UPDATE run SET state = 'ready', token = NULL, node_id = NULL, started_us = NULL WHERE id IN ?
"""
WAITED_FOR = "SELECT DISTINCT wait_key FROM run WHERE wait_key IN ?"


class RecordRows:
    """Starts, output and ends of attempts."""

    def __init__(
        self, db: Database, cache: JobCache, events: EventRows, corrections: CorrectionRows
    ) -> None:
        self._db = db
        self._cache = cache
        self._events = events
        self._corrections = corrections

    def record(
        self,
        starts: Sequence[Start],
        chunks: Sequence[Chunk],
        endings: Sequence[Ending],
        advances: Sequence[Advance] = (),
    ) -> Recorded:
        told: dict[bytes, set[str]] = {}
        reports: list[Start | Chunk | Ending | Advance] = [*starts, *chunks, *endings, *advances]
        for report in reports:
            told.setdefault(to_stored(report.run_id), set()).add(report.token)
        answer = Recorded()
        if not told:
            return answer
        with self._db.write() as connection:
            live = self.lock(connection, told, endings)
            past = self._past(connection, told, live, answer)
            self._add_output(connection, chunks, live, past)
            self._add_starts(connection, starts, endings, live, answer)
            _advance(connection, advances, endings, live)
            self.end(connection, endings, live, answer)
        late = [e for e in endings if (to_stored(e.run_id), e.token) in past]
        if late:
            self._corrections.correct(late)
        return answer

    def lock(
        self, connection: Connection, told: Mapping[bytes, set[str]], endings: Sequence[Ending]
    ) -> dict[bytes, Row]:
        """The live rows of these runs that carry one of the tokens told, locked.

        Lock order: due rows that an ending changes first, then runs, and with them the others of
        a job that an ending may pause.
        """
        lock_dues(connection, endings)
        others = at_stake(connection, self._cache, lasts_of(endings))
        rows = fetch(connection, LIVE, (sorted({*told, *others}),))
        return {row[0]: row for row in rows if row[1] in told.get(row[0], ())}

    def _past(
        self,
        connection: Connection,
        told: Mapping[bytes, set[str]],
        live: Mapping[bytes, Row],
        answer: Recorded,
    ) -> set[tuple[bytes, str]]:
        """Ended attempts of those told that were stored before.

        What is neither live nor past is stale: somebody else owns the run by now.
        """
        others = {run_id for run_id in told if told[run_id] != {_token(live, run_id)}}
        past: set[tuple[bytes, str]] = set()
        if others:
            past = {tuple(row) for row in fetch(connection, PAST, (sorted(others),))}
            known = past | {(run_id, row[1]) for run_id, row in live.items()}
            for run_id in sorted(others):
                if any((run_id, token) not in known for token in told[run_id]):
                    self._note_stale(connection, from_stored(run_id), answer)
        return past

    def _note_stale(self, connection: Connection, run_id: str, answer: Recorded) -> None:
        answer.stale.append(run_id)
        self._events.add(connection, EventKind.STALE_REPORT, run_id, "finisher")

    def _add_output(
        self,
        connection: Connection,
        chunks: Sequence[Chunk],
        live: Mapping[bytes, Row],
        past: AbstractSet[tuple[bytes, str]],
    ) -> None:
        """A piece that is there already was sent again after a lost answer.

        The attempt may have ended without its last words: they still belong to it.
        """
        rows: list[Values] = []
        for piece in chunks:
            run_id = to_stored(piece.run_id)
            if piece.token == _token(live, run_id) or (run_id, piece.token) in past:
                where = (run_id, piece.attempt, piece.stream, piece.seq)
                rows.append((*where, piece.at_us, piece.dropped, piece.chunk))
        many(connection, ADD_OUTPUT, rows)

    def _add_starts(
        self,
        connection: Connection,
        starts: Sequence[Start],
        endings: Sequence[Ending],
        live: Mapping[bytes, Row],
        answer: Recorded,
    ) -> None:
        """A run that ends in the same batch need not be marked as running first."""
        ended = {(ending.run_id, ending.token) for ending in endings}
        rows: list[Values] = []
        told: list[tuple[Start, Row]] = []
        for start in starts:
            run_id = to_stored(start.run_id)
            report = (start.run_id, start.token)
            if report not in ended and start.token == _token(live, run_id):
                if live[run_id][2] != RunState.RUNNING:
                    require_transition(RunState(live[run_id][2]), RunState.RUNNING)
                rows.append((start.at_us, run_id, start.token))
                if start.announced:
                    told.append((start, live[run_id]))
        many(connection, STARTED, rows)
        if told:
            now_us = self._db.dialect.now_us(connection)
            answer.posted = announce_starts(connection, self._cache, told, now_us) > 0

    def end(
        self,
        connection: Connection,
        endings: Sequence[Ending],
        live: Mapping[bytes, Row],
        answer: Recorded,
    ) -> None:
        """Attempts that ended, by their rows under lock: to history, or back for the next try."""
        told = {
            run_id: ending
            for ending in endings
            if ending.token == _token(live, run_id := to_stored(ending.run_id))
        }
        mine = [(ending, live[run_id]) for run_id, ending in told.items()]
        if not mine:
            return
        wishes = _wishes(connection, [row for ending, row in mine if not _final(ending)])
        ended = [(e, row) for e, row in mine if _final(e) or _unwanted(row, wishes)]
        tried = [(e, row) for e, row in ended if not e.verdict.void]
        unused = [row for e, row in ended if e.verdict.void]
        back = [(e, row) for e, row in mine if not _final(e) and not _unwanted(row, wishes)]
        many(
            connection, ADD_ATTEMPT, [attempt_row(e, row) for e, row in mine if not e.verdict.void]
        )
        many(connection, ADD_HISTORY, [history_row(*pair) for pair in tried])
        gone = [row for _, row in tried]
        self._free(connection, tried)
        drop(connection, [row[0] for row in gone])
        note_ends(connection, [(row[4], e.verdict.outcome) for e, row in tried])
        self._end_unused(connection, unused)
        held = self._send_back(connection, back, wishes)
        self._rearm(connection, ended)
        self._count(connection, tried)
        if told_of := [(e, row) for e, row in tried if e.announced]:
            now_us = self._db.dialect.now_us(connection)
            answer.posted |= announce_ends(connection, self._cache, told_of, now_us) > 0
        answer.ready = any(e.verdict.void for e, _ in mine)
        own = {row[14] for row in (*gone, *unused, *held) if row[14]}
        answer.freed = [
            *_waited_for(connection, sorted(own)),
            *_pools([*gone, *unused, *held], back),
        ]

    def _free(self, connection: Connection, tried: Sequence[tuple[Ending, Row]]) -> None:
        """What ended gives back what it held; its place may stay empty for a while."""
        resting = [(e.rest_us, row[0]) for e, row in tried if e.rest_us and row[14]]
        rest_of = {run_id for _, run_id in resting}
        ended = [row[0] for _, row in tried if (row[14] or row[17]) and row[0] not in rest_of]
        permits.free(connection, ended)
        if resting:
            now_us = self._db.dialect.now_us(connection)
            permits.rest(connection, [(now_us + rest_us, run_id) for rest_us, run_id in resting])

    def _end_unused(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Void claims of what was cancelled or deleted meanwhile: they do not start once more."""
        if rows:
            now_us = self._db.dialect.now_us(connection)
            text = "cancelled before it started"
            end_unstarted(connection, [row[0] for row in rows], Outcome.CANCELLED, text, now_us)

    def _send_back(
        self,
        connection: Connection,
        back: Sequence[tuple[Ending, Row]],
        wishes: Mapping[bytes, "_Wish"],
    ) -> list[Row]:
        """What starts once more does so as its job is now; what is held instead, since it stops."""
        if not back:
            return []
        given_back = [row[0] for ending, row in back if ending.verdict.void]
        waits = [(e.verdict.wait_us or 0, row[0]) for e, row in back if not e.verdict.void]
        if given_back:
            one(connection, GIVE_BACK, (given_back,))
        many(connection, RETRY, waits)
        # Until its next try it keeps its job's own permit, and nothing that others wait for.
        tried = [row[0] for ending, row in back if not ending.verdict.void and row[17]]
        permits.free_pools(connection, tried)
        rows = [row for _, row in back]
        self._restamp(connection, rows, wishes)
        now_us = self._db.dialect.now_us(connection)
        held = [row for row in rows if _kept_back(connection, row, wishes[row[4]], now_us)]
        hold(connection, [row[0] for row in held])
        return held

    def _restamp(
        self, connection: Connection, rows: Sequence[Row], wishes: Mapping[bytes, "_Wish"]
    ) -> None:
        """An edit was acknowledged while these were started: nothing starts by the old words."""
        old: dict[tuple[bytes, int], list[bytes]] = {}
        for row in rows:
            version = wishes[row[4]].version
            if row[8] != version:
                old.setdefault((row[4], version), []).append(row[0])
        for pair, job in self._cache.get(connection, old).items():
            restamp(connection, pair[0], old[pair], job, pair[1])

    def _count(self, connection: Connection, tried: Sequence[tuple[Ending, Row]]) -> None:
        """Last words of jobs that pause after too many failures."""
        if lasts := lasts_of(e for e, _ in tried):
            now_us = self._db.dialect.now_us(connection)
            count(connection, self._cache, self._events, lasts, now_us)

    def _rearm(self, connection: Connection, ended: Sequence[tuple[Ending, Row]]) -> None:
        """The next slot of an `after` job counts from this end, by the database's clock."""
        chains = [row[4] for e, row in ended if e.rearms or (row[6] is not None and not _final(e))]
        if chains:
            now_us = self._db.dialect.now_us(connection)
            rearm_after(connection, self._cache, sorted(set(chains)), now_us)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What people want of a job at the moment."""

    enabled: bool
    deleted: bool
    paused_until_us: int
    version: int
    name: str

    def stops(self, now_us: int) -> bool:
        """Whether nothing of it is to start."""
        return not self.enabled or self.paused_until_us > now_us


def _advance(
    connection: Connection,
    advances: Sequence[Advance],
    endings: Sequence[Ending],
    live: Mapping[bytes, Row],
) -> None:
    """How far running tasks are: one row each, and none for a run that ends in this batch."""
    ended = {(ending.run_id, ending.token) for ending in endings}
    last = {(told.run_id, told.token): told.stored for told in advances}
    rows: list[Values] = [
        (plain(stored, STORED_LENGTH), run_id, token)
        for (shown, token), stored in last.items()
        if (shown, token) not in ended and token == _token(live, run_id := to_stored(shown))
    ]
    many(connection, ADVANCED, rows)


def lock_dues(connection: Connection, endings: Sequence[Ending]) -> None:
    """An ending that re-arms its job, or may pause it, takes the due row before the run.

    So does one that would go on: it ends when somebody cancelled it or deleted its job.
    """
    perhaps = chained(connection, [to_stored(e.run_id) for e in endings if not _final(e)])
    changed = [to_stored(e.job_id) for e in endings if e.rearms or e.watched]
    lock_due(connection, [*changed, *perhaps])


def _wishes(connection: Connection, rows: Sequence[Row]) -> dict[bytes, _Wish]:
    if not rows:
        return {}
    found = fetch(connection, WISHES, (sorted({row[4] for row in rows}),))
    return {row[0]: _Wish(bool(row[1]), row[2] is not None, row[3] or 0, *row[4:]) for row in found}


def _kept_back(connection: Connection, row: Row, wish: _Wish, now_us: int) -> bool:
    """Whether what goes back is held, since its job stops.

    What a person asked for goes on, unless the job was paused after that: then it waits, as it
    would have if it had not been claimed. Asked for on a paused job, it is to run all the same.
    """
    if row[6] is not None:
        return wish.stops(now_us)
    if wish.paused_until_us <= now_us:
        return False
    told = last_of(connection, wish.name, [EventKind.JOB_PAUSED])
    return told is None or row[9] < told.at_us


def _final(ending: Ending) -> bool:
    """Whether this end is the run's end, if nobody cancelled it."""
    return not ending.verdict.void and ending.verdict.wait_us is None


def _token(live: Mapping[bytes, Row], run_id: bytes) -> str | None:
    """The token of the claim that owns this run, None when nobody who told something does."""
    return str(live[run_id][1]) if run_id in live else None


def _unwanted(row: Row, wishes: Mapping[bytes, _Wish]) -> bool:
    """Whether somebody cancelled this run or deleted its job."""
    return bool(row[15]) or wishes[row[4]].deleted


def _pools(ended: Sequence[Row], back: Sequence[tuple[Ending, Row]]) -> list[str]:
    """The pools that got something back; whether somebody waits there is asked once, later."""
    tried = [row for ending, row in back if not ending.verdict.void]
    return sorted({use.key for row in (*ended, *tried) for use in read_uses(row[17])})


def _waited_for(connection: Connection, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    return [row[0] for row in fetch(connection, WAITED_FOR, (list(keys),))]
