"""What ran lately: the last runs of several jobs, how runs ended, and where they lie in time."""

from collections.abc import Sequence

from cronherd.domain.ident import Stored, first_id, from_stored, to_stored
from cronherd.domain.run import Outcome, RunState
from cronherd.store.database import Database, Row, fetch
from cronherd.store.facts import Ended, RunSpan
from cronherd.store.terms import Terms

# A limited search per job within one statement: a window function would read all of their runs.
LAST = """
SELECT * FROM (SELECT h.job_id, h.id, h.outcome, h.created_us, h.started_us, h.ended_us
FROM run_history h WHERE h.job_id = ? ORDER BY h.id DESC LIMIT ?) r{}
"""
# Where a step begins is what its runs have in common; `?` is its length.
SINCE = """
SELECT created_us - created_us % ?, outcome, count(*), min(created_us) FROM (
SELECT created_us, outcome FROM run_history WHERE id >= ? ORDER BY id DESC LIMIT ?) r GROUP BY 1, 2
"""
LIVE_SPANS = """
SELECT /*in order*/ r.id, j.name, r.state, NULL, r.created_us, r.started_us, NULL, n.name,
n.lease_us
FROM run r JOIN job j ON j.id = r.job_id LEFT JOIN node n ON n.id = r.node_id
WHERE {} ORDER BY r.id DESC LIMIT ?
"""
PAST_SPANS = """
SELECT /*in order*/ h.id, j.name, 'finished', h.outcome, h.created_us, h.started_us, h.ended_us,
n.name, NULL
FROM run_history h JOIN job j ON j.id = h.job_id LEFT JOIN node n ON n.id = h.node_id
WHERE {} ORDER BY h.id DESC LIMIT ?
"""
JOBS_AT_ONCE = 50  # SQLite takes 500 selects in one statement


class RecentRows:
    """Reading for people; nothing here locks or writes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def last_ended(self, job_ids: Sequence[str], count: int) -> list[Ended]:
        found: list[Ended] = []
        with self._db.read() as connection:
            for begin in range(0, len(job_ids), JOBS_AT_ONCE):
                part = job_ids[begin : begin + JOBS_AT_ONCE]
                sql = " UNION ALL ".join(LAST.format(place) for place in range(len(part)))
                values = [value for job_id in part for value in (to_stored(job_id), count)]
                found += [_ended(row) for row in fetch(connection, sql, values)]
        return found

    def ended_since(
        self, from_us: int, step_us: int, limit: int
    ) -> tuple[list[tuple[int, Outcome, int]], int | None]:
        first = to_stored(first_id(from_us))
        with self._db.glance() as connection:
            rows = fetch(connection, SINCE, (step_us, first, limit))
        counts = [(int(row[0]), Outcome(row[1]), int(row[2])) for row in rows]
        whole = sum(count for _, _, count in counts) < limit
        return counts, None if whole else min(int(row[3]) for row in rows)

    def run_spans(
        self, job_id: str | None, before_us: int, limit: int, *, running: bool = False
    ) -> list[RunSpan]:
        before = to_stored(first_id(before_us))
        with self._db.read() as connection:
            terms = _made(job_id, "r", before)
            if running:
                terms.add(f"r.state = '{RunState.RUNNING.value}'")
            rows = [*fetch(connection, LIVE_SPANS.format(terms), (*terms.values, limit))]
            if not running:
                terms = _made(job_id, "h", before)
                if len(rows) == limit:  # older ones would be cut off again
                    terms.add("h.id > ?", rows[-1][0])
                rows += fetch(connection, PAST_SPANS.format(terms), (*terms.values, limit))
                rows.sort(key=lambda row: bytes(row[0]), reverse=True)
        return [_span(row) for row in rows[:limit]]


def _made(job_id: str | None, table: str, before: Stored) -> Terms:
    terms = Terms()
    if job_id is not None:
        terms.add(f"{table}.job_id = ?", to_stored(job_id))
    terms.add(f"{table}.id < ?", before)
    return terms


def _span(row: Row) -> RunSpan:
    run_id, job, state, outcome, *rest = row
    return RunSpan(
        from_stored(run_id), job, RunState(state), Outcome(outcome) if outcome else None, *rest
    )


def _ended(row: Sequence[object]) -> Ended:
    job_id, run_id, outcome, created_us, started_us, ended_us = row
    return Ended(
        job_id=from_stored(job_id),  # type: ignore[arg-type]
        run_id=from_stored(run_id),  # type: ignore[arg-type]
        outcome=Outcome(str(outcome)),
        created_us=created_us,  # type: ignore[arg-type]
        started_us=started_us,  # type: ignore[arg-type]
        ended_us=ended_us,  # type: ignore[arg-type]
    )
