"""Jobs for people, a page at a time and by what is looked for, and how many stand how.

Few jobs that are known by their ids are read at once. Else jobs are walked through in the order of
their names, so many at a time: a page may hold fewer than asked for, and say where to go on.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cronherd.domain.job import Job
from cronherd.domain.run import Outcome
from cronherd.domain.search import JobSearch, has_words
from cronherd.domain.standing import COUNTED, OVERDUE_US, STARTED, UNSTARTED, Standing
from cronherd.store import textsearch
from cronherd.store.database import Connection, Database, fetch
from cronherd.store.definitions import JobCache
from cronherd.store.facts import JobRank, JobRow
from cronherd.store.history import ALIVE, read_jobs, read_ranks
from cronherd.store.jobtexts import texts_of
from cronherd.store.terms import Terms, has_tag
from cronherd.store.textsearch import add_untold_words, add_words, find_jobs

JOB_WINDOW = 10_000
NEAR = 1_000  # names in which a page of a common word is full
SMALL = 100  # rows of a page that a common word may fill from there
# What an index knows in the order of names: to walk along it costs less than to look at all words.
WALKED = frozenset({Standing.DISABLED, Standing.ERROR})
# Also of those that were deleted: an index alone knows the names.
JOB_EDGE = 'SELECT j."key" FROM job j WHERE j."key" > ? ORDER BY j."key" LIMIT 1 OFFSET ?'
NAMES = "SELECT j.name FROM job j JOIN job_due d ON d.job_id = j.id WHERE {}"
MATCHING = """
SELECT count(*) FROM (
SELECT 1 FROM job j JOIN job_due d ON d.job_id = j.id WHERE {} LIMIT ?) a
"""
# To count a million is a scan of all of them.
ENDED = """
SELECT 'runs_{0}', count(*) FROM (SELECT id FROM run_history WHERE outcome = '{0}' LIMIT {1}) a
"""
ALL_ENDED = "UNION ALL ".join(ENDED.format(each.value, COUNTED) for each in sorted(Outcome))
# What has begun has a node, and few of those that wait have one.
_BEGUN = "node_id IS NOT NULL AND state IN ({})".format(
    ", ".join(f"'{state.value}'" for state in sorted(STARTED))
)
_LATE = "state IN ({}) AND attempt = 1 AND slot_us < ?".format(
    ", ".join(f"'{state.value}'" for state in sorted(UNSTARTED))
)
# What is late: a due row that nobody has decided, or a first attempt that has not begun.
OVERDUE = f"""
SELECT job_id FROM job_due WHERE next_us < ? UNION SELECT job_id FROM run WHERE {_LATE}
"""
BEGUN = f"SELECT DISTINCT job_id FROM run WHERE {_BEGUN}"
# The same of one job, for when there are many.
BEGUN_ONE = f"EXISTS (SELECT 1 FROM run WHERE run.job_id = j.id AND {_BEGUN})"
OVERDUE_ONE = f"(d.next_us < ? OR EXISTS (SELECT 1 FROM run WHERE run.job_id = j.id AND {_LATE}))"
# Nothing deleted has a next slot, is paused or enabled: that is taken away with it.
PAUSED = "SELECT job_id FROM job_due WHERE paused_until_us > ?"
NOT_DUE = "SELECT job_id FROM job_due WHERE next_us >= ?"
STANDINGS = f"""
SELECT 'running', count(*) FROM ({BEGUN}) a
UNION ALL SELECT 'overdue', count(*) FROM ({OVERDUE}) b
UNION ALL SELECT 'not_due', count(*) FROM job_due WHERE next_us >= ?
UNION ALL SELECT 'paused', count(*) FROM job_due WHERE paused_until_us > ?
UNION ALL SELECT 'disabled', count(*) FROM job WHERE deleted_us IS NULL AND enabled = FALSE
UNION ALL SELECT 'error', count(*) FROM job WHERE failing = TRUE AND deleted_us IS NULL
UNION ALL SELECT 'jobs', count(*) FROM job WHERE enabled = TRUE
UNION ALL SELECT 'runs_' || state, count(*) FROM run GROUP BY state
"""


class Chosen(NamedTuple):
    """The conditions of a page, and the key of the last job that was looked at, if not of all."""

    terms: Terms
    edge: str | None
    few: int | None = None  # there are no more, when that is known


class JobPages:
    """Reading of pages; nothing here locks or writes."""

    def __init__(self, db: Database, cache: JobCache) -> None:
        self._db = db
        self._cache = cache

    def jobs(self, after: str | None = None, limit: int = 500) -> list[JobRow]:
        return self.job_page(JobSearch(), after, limit)[0]

    def job_page(
        self, search: JobSearch, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            if search.words and limit <= SMALL and _is_alone(search):
                terms = _other_terms(search, _stand_terms(None, now_us))
                add_words(terms, search)
                near = Chosen(terms, _edge(connection, after, NEAR))
                rows = self._read(connection, near, now_us, after, limit)
                if len(rows) == limit or near.edge is None:
                    return _fitting(rows, search), _following(rows, near, limit)
            chosen = _choose(connection, search, now_us, after, limit)
            if chosen is None:
                return [], None
            rows = self._read(connection, chosen, now_us, after, limit)
            return _fitting(rows, search), _following(rows, chosen, limit)

    def _read(
        self, connection: Connection, chosen: Chosen, now_us: int, after: str | None, limit: int
    ) -> list[JobRow]:
        terms = Terms([*chosen.terms.texts], [*chosen.terms.values])
        terms.add('j."key" > ?', after or "")
        if chosen.edge is not None:
            terms.add('j."key" <= ?', chosen.edge)
        # A number and no value: it is planned before values are known, for few rows then.
        where = f'{ALIVE}{terms} ORDER BY j."key" LIMIT {limit:d}'
        return read_jobs(connection, self._cache, now_us, where, terms.values)

    def job_names(self, standing: Standing, limit: int) -> list[str]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            chosen = _choose(connection, JobSearch(standing=standing), now_us, None, limit)
            if chosen is None:
                return []
            where = f'{ALIVE}{chosen.terms} ORDER BY j."key" LIMIT {limit:d}'
            return [row[0] for row in fetch(connection, NAMES.format(where), chosen.terms.values)]

    def job_ranks(self, search: JobSearch, most: int) -> list[JobRank] | None:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            chosen = _choose(connection, search, now_us, None, most)
            if chosen is None:
                return []
            if chosen.edge is not None:
                return None
            where, values = f"{ALIVE}{chosen.terms}", chosen.terms.values
            if chosen.few is None or chosen.few > most:  # to count is less than to read
                counted = fetch(connection, MATCHING.format(where), (*values, most + 1))
                if counted[0][0] > most:
                    return None
            ranks = read_ranks(connection, self._cache, now_us, where, values)
            return [rank for rank in ranks if _fits(rank.job, search)]

    def ended_counts(self) -> Mapping[str, int]:
        with self._db.glance() as connection:
            found = fetch(connection, ALL_ENDED)
        return {name: number for name, number in found if number}

    def standings(self) -> Mapping[str, int]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            late_us = now_us - OVERDUE_US
            found = fetch(connection, STANDINGS, (late_us, late_us, late_us, now_us))
        numbers: dict[str, int] = dict(tuple(row) for row in found)
        numbers["jobs"] += numbers["disabled"]
        return numbers


def _choose(
    connection: Connection, search: JobSearch, now_us: int, after: str | None, limit: int
) -> Chosen | None:
    """What a page is read by; None when it is known already that no job fulfils it."""
    few = _few(connection, search.standing, now_us)
    if few is not None:
        terms = _other_terms(search, Terms(["j.id IN ?"], [few]))
        add_words(terms, search)
        return Chosen(terms, None, len(few)) if few else None
    terms = _other_terms(search, _stand_terms(search.standing, now_us))
    alone = _is_alone(search)
    most = max(2 * limit, SMALL) if alone else textsearch.FEW
    walks_few = search.drift or search.standing in WALKED
    found = None if walks_few else find_jobs(connection, search, after, most)
    if found is not None and (alone or found.edge is None):
        terms.add("j.id IN ?", found.ids)
        add_untold_words(terms, search)
        return Chosen(terms, found.edge, len(found.ids)) if found.ids else None
    add_words(terms, search)
    walks = search.words or search.tag is not None or search.source is not None
    return Chosen(terms, _edge(connection, after, JOB_WINDOW) if walks else None)


def _few(connection: Connection, standing: Standing | None, now_us: int) -> list[bytes] | None:
    """The jobs that stand so where an index knows them; None: it does not, or they are many."""
    late_us = now_us - OVERDUE_US
    known: dict[Standing | None, tuple[str, tuple[int, ...]]] = {
        Standing.RUNNING: (BEGUN, ()),
        Standing.OVERDUE: (OVERDUE, (late_us, late_us)),
        Standing.NOT_DUE: (NOT_DUE, (late_us,)),
        Standing.PAUSED: (PAUSED, (now_us,)),
    }
    if standing not in known:
        return None
    sql, values = known[standing]
    rows = fetch(connection, f"{sql} LIMIT ?", (*values, textsearch.FEW + 1))
    return sorted(row[0] for row in rows) if len(rows) <= textsearch.FEW else None


def _edge(connection: Connection, after: str | None, count: int) -> str | None:
    """The key of the job so many names further; None: there are not so many."""
    rows = fetch(connection, JOB_EDGE, (after or "", count - 1))
    return str(rows[0][0]) if rows else None


def _is_alone(search: JobSearch) -> bool:
    """Whether words and a tag are all that is asked for."""
    return (search.standing, search.source, search.drift) == (None, None, None)


def _other_terms(search: JobSearch, terms: Terms) -> Terms:
    if search.source is not None:
        terms.add("j.source = ?", search.source)
    if search.drift is not None:
        terms.add(f"j.drifted = {'TRUE' if search.drift else 'FALSE'}")
    return terms


def _stand_terms(standing: Standing | None, now_us: int) -> Terms:
    terms, late_us = Terms(), now_us - OVERDUE_US
    match standing:
        case Standing.RUNNING:
            terms.add(BEGUN_ONE)
        case Standing.OVERDUE:
            terms.add(OVERDUE_ONE, late_us, late_us)
        case Standing.NOT_DUE:
            terms.add("d.next_us >= ?", late_us)
        case Standing.PAUSED:
            terms.add("d.paused_until_us > ?", now_us)
        case Standing.DISABLED:
            terms.add("j.enabled = FALSE")
        case Standing.ERROR:
            terms.add("j.failing = TRUE")
        case None:
            pass
    return terms


def _fitting(rows: list[JobRow], search: JobSearch) -> list[JobRow]:
    return [row for row in rows if _fits(row.job, search)]


def _fits(job: Job, search: JobSearch) -> bool:
    """What an index can only guess."""
    if search.tag is not None and not has_tag(job, search.tag):
        return False
    return not search.words or has_words(texts_of(job), search.words)


def _following(rows: list[JobRow], chosen: Chosen, limit: int) -> str | None:
    return rows[-1].job.key if len(rows) == limit else chosen.edge
