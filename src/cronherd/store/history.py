"""What people look at: jobs with their facts, single runs, attempts and output."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cronherd.domain.errors import Invalid, NotFound
from cronherd.domain.ident import (
    ID_DIGITS,
    SHORT,
    Stored,
    from_stored,
    prefix_range,
    to_stored,
)
from cronherd.domain.job import Job, build_job, name_key
from cronherd.domain.run import Attempt, Cause, Outcome, OutputPiece, Run, RunState
from cronherd.domain.standing import Standing, standing_of
from cronherd.domain.telling import read_stored
from cronherd.store.database import Connection, Database, Row, fetch
from cronherd.store.definitions import JobCache
from cronherd.store.facts import JobPlan, JobRank, JobRow
from cronherd.store.jobs import no_such_job

JOBS = """
SELECT j.id, j.version, j.enabled, j.source, j.created_us, j.updated_us, d.next_us, d.last_slot_us,
(SELECT count(*) FROM run r WHERE r.job_id = j.id),
(SELECT h.id FROM run_history h WHERE h.job_id = j.id ORDER BY h.id DESC LIMIT 1),
j.name, d.paused_until_us, d.skip_us, d.fired, j.forgotten_us, j.applied, j.drifted
FROM job j JOIN job_due d ON d.job_id = j.id WHERE {}
"""
# Not by name: many jobs have one instant, and an index knows their ids.
PLANS = """
SELECT j.id, j.version, j.name, j.enabled, d.next_us, d.last_slot_us, d.paused_until_us, d.skip_us,
d.fired
FROM job j JOIN job_due d ON d.job_id = j.id WHERE j.deleted_us IS NULL AND d.next_us IS NOT NULL
ORDER BY d.next_us, d.job_id LIMIT ?
"""
# Of runs of one state and try only the oldest slot tells whether the job is late.
LIVE_OF = """
SELECT job_id, state, attempt, min(slot_us) FROM run WHERE job_id IN ?
GROUP BY job_id, state, attempt
"""
LAST_ENDS = """
SELECT h.id, h.outcome, h.started_us, h.ended_us, n.name
FROM run_history h LEFT JOIN node n ON n.id = h.node_id WHERE h.id IN ?
"""
ALIVE = "j.deleted_us IS NULL AND "
# The ids first: in the order of ids all of history would be read for the few that begin so.
SHORT_IDS = "SELECT id FROM {} WHERE short BETWEEN ? AND ? LIMIT ?"
NAMED_ALIKE = 1_000
LIVE = """
SELECT /*in order*/ r.id, r.job_id, j.name, r.cause, r.state, NULL, r.slot_us, r.created_us,
r.started_us, NULL, r.attempt, r.fence + CASE WHEN r.epoch < 65535 THEN r.epoch ELSE 65535 END,
n.name, NULL, NULL, '', r.wait_key, r.cancel, 0, n.lease_us, r.progress, r.params, r.forced, t.name,
r.pools
FROM run r JOIN job j ON j.id = r.job_id LEFT JOIN node n ON n.id = r.node_id
LEFT JOIN node t ON t.id = r.target_id WHERE {}
ORDER BY r.id DESC LIMIT ?
"""
PAST = """
SELECT /*in order*/ h.id, h.job_id, j.name, h.cause, 'finished', h.outcome, h.slot_us, h.created_us,
h.started_us, h.ended_us, h.attempt, h.fence, n.name, h.exit_code, h."signal", h.error_text,
NULL, FALSE, h.dropped, NULL, NULL, h.params, h.forced, NULL, NULL
FROM run_history h JOIN job j ON j.id = h.job_id LEFT JOIN node n ON n.id = h.node_id WHERE {}
ORDER BY h.id DESC LIMIT ?
"""
ATTEMPTS = """
SELECT a.n, n.name, a.started_us, a.ended_us, a.exit_code, a."signal", a.killed_by, a.error,
a.error_text, a.cpu_us, a.peak_rss_bytes, a.dropped, a.read_bytes, a.written_bytes, a.pid, a.how,
a.leaked
FROM attempt a LEFT JOIN node n ON n.id = a.node_id WHERE a.run_id = ? ORDER BY a.n
"""
OUTPUT = """
SELECT attempt, seq, stream, at_us, dropped, bytes FROM output
WHERE run_id = ? AND {} AND stream < 3 AND seq > ? ORDER BY attempt, seq LIMIT ?
"""
TOLD = "SELECT bytes FROM output WHERE run_id = ? AND attempt = ? AND stream = 3 ORDER BY seq"


_Live = tuple[RunState, int, int | None]  # of runs of a job: state, attempt, their oldest slot


class HistoryRows:
    """Reading for people; nothing here locks or writes."""

    def __init__(self, db: Database, cache: JobCache) -> None:
        self._db = db
        self._cache = cache

    def find_job(self, name: str, *, deleted: bool = False) -> JobRow:
        with self._db.read() as connection:
            alive = "" if deleted else ALIVE
            rows = self._jobs(connection, f'{alive}j."key" = ?', (_key(name),))
            if not rows and len(name) == 32 and _is_hex(name):
                rows = self._jobs(connection, f"{alive}j.id = ?", (to_stored(name),))
            if not rows:
                raise no_such_job(connection, name)
            return rows[0]

    def jobs_by_key(self, keys: Sequence[str]) -> dict[str, JobRow]:
        found: dict[str, JobRow] = {}
        with self._db.read() as connection:
            for start in range(0, len(keys), 1000):
                for row in self._named(connection, keys[start : start + 1000]):
                    found[row.job.key] = row
        return found

    def next_jobs(self, limit: int, after: tuple[int, str] | None = None) -> list[JobRow]:
        where, values = "d.next_us IS NOT NULL", list[object]()
        if after is not None:
            where = "d.next_us >= ? AND (d.next_us > ? OR d.job_id > ?)"
            values = [after[0], after[0], to_stored(after[1])]
        with self._db.read() as connection:
            # As PLANS.
            order = f"{ALIVE}{where} ORDER BY d.next_us, d.job_id LIMIT ?"
            return self._jobs(connection, order, (*values, limit))

    def job_plans(self, limit: int) -> list[JobPlan]:
        with self._db.read() as connection:
            rows = fetch(connection, PLANS, (limit,))
            jobs = self._cache.get(connection, [(row[0], row[1]) for row in rows])
        return [
            JobPlan(
                from_stored(row[0]), _job_of(jobs[row[0], row[1]], row[2]), bool(row[3]), *row[4:]
            )
            for row in rows
        ]

    def _named(self, connection: Connection, keys: Sequence[str]) -> list[JobRow]:
        if not keys:
            return []
        return self._jobs(connection, f'{ALIVE}j."key" IN ?', (list(keys),))

    def _jobs(self, connection: Connection, where: str, values: Sequence[object]) -> list[JobRow]:
        now_us = self._db.dialect.now_us(connection)
        return read_jobs(connection, self._cache, now_us, where, values)

    def find_run(self, prefix: str) -> Run:
        prefix = prefix.strip().lower()
        low, high = prefix_range(prefix)
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            found, ids = list[Run](), list[Stored]()
            for sql, name, table in ((LIVE, "r", "run"), (PAST, "h", "run_history")):
                if len(prefix) == ID_DIGITS:
                    ids = [to_stored(prefix)]
                else:
                    values = (low, high, NAMED_ALIKE)
                    ids = [row[0] for row in fetch(connection, SHORT_IDS.format(table), values)]
                found += _runs(connection, sql.format(f"{name}.id IN ?"), ids, now_us)
        found = [run for run in found if run.id.startswith(prefix)]
        if not found:
            raise NotFound(
                f"there is no run '{prefix[:40]}'",
                code="no_such_run",
                hint="'cronherd run list' shows the newest",
            )
        if len(found) > 1:
            names = ", ".join(run.id[: SHORT + 4] for run in found[:5])
            raise NotFound(
                f"{len(found)} runs begin with '{prefix}'", code="ambiguous_run", hint=names
            )
        return found[0]

    def attempts(self, run_id: str) -> list[Attempt]:
        with self._db.glance() as connection:
            rows = fetch(connection, ATTEMPTS, (to_stored(run_id),))
        return [
            Attempt(
                number=row[0],
                node=row[1] or "",
                started_us=row[2],
                ended_us=row[3],
                exit_code=row[4],
                signal=row[5],
                killed_by=row[6],
                error=row[7],
                error_text=row[8],
                cpu_us=row[9],
                peak_rss_bytes=row[10],
                dropped=row[11],
                read_bytes=row[12],
                written_bytes=row[13],
                pid=row[14],
                how=row[15],
                leaked=row[16],
            )
            for row in rows
        ]

    def output(
        self, run_id: str, attempt: int | None, after_seq: int, limit: int
    ) -> list[OutputPiece]:
        which = "attempt = ?" if attempt is not None else "attempt > ?"
        values = (to_stored(run_id), attempt or 0, after_seq, limit)
        with self._db.glance() as connection:
            rows = fetch(connection, OUTPUT.format(which), values)
        return [
            OutputPiece(
                attempt=number,
                seq=seq,
                stream=stream,
                at_us=at,
                dropped=dropped,
                chunk=bytes(chunk),
            )
            for number, seq, stream, at, dropped, chunk in rows
        ]

    def told(self, run_id: str, attempt: int) -> bytes:
        with self._db.glance() as connection:
            rows = fetch(connection, TOLD, (to_stored(run_id), attempt))
        return b"".join(bytes(row[0]) for row in rows)


def read_jobs(
    connection: Connection,
    cache: JobCache,
    now_us: int,
    where: str,
    values: Sequence[object],
) -> list[JobRow]:
    """Jobs with all that a list shows of them, in a fixed number of statements."""
    rows = fetch(connection, JOBS.format(where), values)
    jobs = cache.get(connection, [(row[0], row[1]) for row in rows])
    ids = [row[9] for row in rows if row[9] is not None]
    last = {run.id: run for run in _past(connection, ids)}
    live = _live(connection, rows)
    return [_job_row(row, jobs, last, live.get(row[0], ()), now_us) for row in rows]


def read_ranks(
    connection: Connection, cache: JobCache, now_us: int, where: str, values: Sequence[object]
) -> list[JobRank]:
    """The same jobs, with what they are put in order by."""
    rows = fetch(connection, JOBS.format(where), values)
    jobs = cache.get(connection, [(row[0], row[1]) for row in rows])
    ids = [row[9] for row in rows if row[9] is not None]
    last = {row[0]: row[1:] for row in fetch(connection, LAST_ENDS, (ids,))} if ids else {}
    live = _live(connection, rows)
    ranks = []
    for row in rows:
        outcome, started_us, ended_us, node = last.get(row[9], (None, None, None, None))
        ended = Outcome(outcome) if outcome else None
        rank = JobRank(
            job=_job_of(jobs[row[0], row[1]], row[10]),
            enabled=bool(row[2]),
            source=row[3],
            next_us=row[6],
            paused_until_us=row[11],
            skip_us=row[12],
            live=row[8],
            outcome=ended,
            started_us=started_us,
            ended_us=ended_us,
            node=node,
            standing=_standing(row, live.get(row[0], ()), ended, now_us),
        )
        ranks.append(rank)
    return ranks


def _live(connection: Connection, rows: Sequence[Row]) -> dict[bytes, list[_Live]]:
    found: dict[bytes, list[_Live]] = {}
    busy = sorted(row[0] for row in rows if row[8])
    for job_id, state, attempt, slot_us in fetch(connection, LIVE_OF, (busy,)) if busy else ():
        found.setdefault(job_id, []).append((RunState(state), attempt, slot_us))
    return found


def _past(connection: Connection, ids: Sequence[bytes]) -> list[Run]:
    return _runs(connection, PAST.format("h.id IN ?"), ids, 0)


def _runs(connection: Connection, sql: str, ids: Sequence[bytes], now_us: int) -> list[Run]:
    if not ids:
        return []
    return [read_run(row, now_us) for row in fetch(connection, sql, (list(ids), len(ids)))]


def _job_row(
    row: Row,
    jobs: Mapping[tuple[bytes, int], Job | str],
    last: Mapping[str, Run],
    live: Iterable[_Live],
    now_us: int,
) -> JobRow:
    newest = last.get(from_stored(row[9])) if row[9] is not None else None
    return JobRow(
        id=from_stored(row[0]),
        job=_job_of(jobs[row[0], row[1]], row[10]),
        version=row[1],
        enabled=bool(row[2]),
        source=row[3],
        created_us=row[4],
        updated_us=row[5],
        next_us=row[6],
        last_slot_us=row[7],
        live=row[8],
        last=newest,
        standing=_standing(row, live, newest.outcome if newest else None, now_us),
        paused_until_us=row[11],
        skip_us=row[12],
        fired=row[13],
        forgotten_us=row[14],
        applied=row[15],
        drifted=bool(row[16]),
    )


def _job_of(job: Job | str, name: str) -> Job:
    if isinstance(job, str):
        # Shown, so that it can be mended: never hidden because it was not understood.
        spec = {"name": name, "command": "", "description": f"unusable definition: {job}"}
        return replace(build_job(spec), spec=spec)
    return job


def _standing(
    row: Row, live: Iterable[_Live], last: Outcome | None, now_us: int
) -> frozenset[Standing]:
    return standing_of(
        now_us=now_us,
        enabled=bool(row[2]),
        next_us=row[6],
        paused_until_us=row[11],
        live=live,
        last=last,
    )


def read_run(row: Row, now_us: int) -> Run:
    """A row as LIVE and PAST select it."""
    state = RunState(row[4])
    return Run(
        id=from_stored(row[0]),
        job_id=from_stored(row[1]),
        job_name=row[2],
        cause=Cause(row[3]),
        state=state,
        outcome=Outcome(row[5]) if row[5] else None,
        scheduled_us=row[6],
        created_us=row[7],
        started_us=row[8],
        ended_us=row[9],
        attempt=row[10],
        fence=row[11],
        node=row[12],
        exit_code=row[13],
        signal=row[14],
        error_text=row[15],
        wait_key=row[16],
        cancel=bool(row[17]),
        dropped=row[18],
        suspected=row[19] is not None and row[19] < now_us and state is RunState.RUNNING,
        progress=read_stored(row[20]) if state is RunState.RUNNING else None,
        params=json.loads(row[21]) if row[21] else {},
        forced=bool(row[22]),
        target=row[23],
        pools=row[24],
    )


def _key(name: str) -> str:
    try:
        return name_key(name.strip())
    except Invalid:
        return name.strip().lower()


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)
