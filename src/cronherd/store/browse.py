"""Lists for people, a page at a time: runs and jobs by what is looked for, and how jobs stand.

Live runs and finished ones are limited selects that are merged, one for each outcome; a UNION of
both would sort the whole history for each page. What no index knows (a text, a tag, a node, a
cause, a time) is looked for within so many rows at once: a page may hold fewer than asked for, and
say where to go on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cronherd.domain.ident import SHORTEST_PREFIX, Stored, from_stored, prefix_range, to_stored
from cronherd.domain.instant import DAY_US, LAST_US
from cronherd.domain.job import Job
from cronherd.domain.run import Outcome, Run
from cronherd.domain.search import LIVE as LIVE_STATES
from cronherd.domain.search import JobSearch, RunSearch, has_words, plain_part
from cronherd.domain.standing import COUNTED, OVERDUE_US, STARTED, UNSTARTED, Standing
from cronherd.store.database import Connection, Database, Row, fetch
from cronherd.store.definitions import JobCache
from cronherd.store.facts import JobRow, RunFilter
from cronherd.store.history import ALIVE, LIVE, PAST, HistoryRows, read_jobs, read_run

WINDOW = 10_000  # rows of history that one look for the rare goes through
JOB_WINDOW = 10_000
FEW = 1_000  # jobs that are named by their ids; more of them are met soon when all are looked at
# Ids begin with the clock of the node that made them, which may be wrong; `created_us` is exact.
CLOCKS_APART_US = DAY_US

EDGE = "SELECT h.id FROM run_history h WHERE {} ORDER BY h.id DESC LIMIT 1 OFFSET ?"
# With those that were deleted: an index alone knows the names.
JOB_EDGE = 'SELECT j."key" FROM job j WHERE j."key" > ? ORDER BY j."key" LIMIT 1 OFFSET ?'
MATCHING = """
SELECT count(*) FROM (
SELECT 1 FROM job j JOIN job_due d ON d.job_id = j.id WHERE {} LIMIT ?) a
"""
VERSIONS = "SELECT id, version FROM job WHERE id IN ?"
# Not LIKE: what escapes its signs would be worked out anew for each row.
IN_NAME = "instr(lower(/*bytes of*/ j.name /*bytes*/), ?) > 0"
HAS_TAG = "instr(j.spec, ?) > 0"
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

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(slots=True)
class Terms:
    """Conditions that all hold, and their values in order."""

    texts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        self.texts.append(text)
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(self.texts) or "1 = 1"


class BrowseRows:
    """Reading of pages; nothing here locks or writes."""

    def __init__(self, db: Database, cache: JobCache, history: HistoryRows) -> None:
        self._db = db
        self._cache = cache
        self._history = history

    # Runs

    def runs(self, which: RunFilter) -> list[Run]:
        return self.run_page(which)[0]

    def run_page(self, which: RunFilter) -> tuple[list[Run], str | None]:
        before = self._before(which.before)
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            low = self._edge(connection, which, before)
            rows: list[Row] = []
            for sql, terms in _selects(which, before, low):
                rows += fetch(connection, sql.format(terms), (*terms.values, which.limit))
            rows.sort(key=lambda row: bytes(row[0]), reverse=True)
            found = [read_run(row, now_us) for row in rows[: which.limit]]
            full = len(found) == which.limit
            following = found[-1].id if full else None if low is None else from_stored(low)
            return self._fitting(connection, found, which.search), following

    def _before(self, shown: str | None) -> Stored | None:
        """A whole id need not be there any more; a short one is looked up."""
        if not shown:
            return None
        whole = len(shown) == 32 and _HEX.fullmatch(shown)
        return to_stored(shown if whole else self._history.find_run(shown).id)

    def _edge(
        self, connection: Connection, which: RunFilter, before: Stored | None
    ) -> bytes | None:
        """How far back this look goes; None: to the first run of all."""
        if not _is_rare(which.search) or not which.search.outcomes:
            return None
        terms = _past_terms(which, before)
        rows = fetch(connection, EDGE.format(terms), (*terms.values, WINDOW - 1))
        return bytes(rows[0][0]) if rows else None

    def _fitting(self, connection: Connection, runs: list[Run], search: RunSearch) -> list[Run]:
        """What the database could only guess is looked at once more."""
        if search.words:
            runs = [r for r in runs if has_words((r.id, r.job_name, r.error_text), search.words)]
        if search.tag is not None and runs:
            ids = sorted({to_stored(run.job_id) for run in runs})
            pairs = [(row[0], row[1]) for row in fetch(connection, VERSIONS, (ids,))]
            jobs = {pair[0]: job for pair, job in self._cache.get(connection, pairs).items()}
            runs = [r for r in runs if _has_tag(jobs.get(to_stored(r.job_id)), search.tag)]
        return runs

    # Jobs

    def jobs(self, after: str | None = None, limit: int = 500) -> list[JobRow]:
        return self.job_page(JobSearch(), after, limit)[0]

    def job_page(
        self, search: JobSearch, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            terms = self._job_terms(connection, search, now_us)
            if terms is None:
                return [], None
            terms.add('j."key" > ?', after or "")
            edge = self._job_edge(connection, search, after)
            if edge is not None:
                terms.add('j."key" <= ?', edge)
            # A number and no value: it is planned before values are known, for few rows then.
            where = f'{ALIVE}{terms} ORDER BY j."key" LIMIT {limit:d}'
            rows = read_jobs(connection, self._cache, now_us, where, terms.values)
            following = rows[-1].job.key if len(rows) == limit else edge
            return [row for row in rows if _fits(row, search)], following

    def count_jobs(self, search: JobSearch, most: int) -> int:
        with self._db.read() as connection:
            terms = self._job_terms(connection, search, self._db.dialect.now_us(connection))
            if terms is None:
                return 0
            sql = MATCHING.format(f"{ALIVE}{terms}")
            return int(fetch(connection, sql, (*terms.values, most))[0][0])

    def _job_terms(self, connection: Connection, search: JobSearch, now_us: int) -> Terms | None:
        """The conditions; None when it is known already that no job fulfils them."""
        terms, late_us = _stand_terms(search.standing, now_us), now_us - OVERDUE_US
        few = {
            Standing.RUNNING: (BEGUN, ()),
            Standing.OVERDUE: (OVERDUE, (late_us, late_us)),
            Standing.NOT_DUE: (NOT_DUE, (late_us,)),
            Standing.PAUSED: (PAUSED, (now_us,)),
        }
        if search.standing in few:
            sql, values = few[search.standing]
            rows = fetch(connection, f"{sql} LIMIT ?", (*values, FEW + 1))
            if not rows:
                return None
            if len(rows) <= FEW:
                terms = Terms(["j.id IN ?"], [sorted(row[0] for row in rows)])
        if search.source is not None:
            terms.add("j.source = ?", search.source)
        if search.drift is not None:
            terms.add(f"j.drifted = {'TRUE' if search.drift else 'FALSE'}")
        if search.tag is not None:
            terms.add(HAS_TAG, _quoted(search.tag))
        for word in sorted(search.words, key=len, reverse=True):  # the rarest is asked for first
            if part := plain_part(word):
                text = f"({IN_NAME} OR instr(lower(/*bytes of*/ j.spec /*bytes*/), ?) > 0)"
                terms.add(text, part, _escaped(part))
        return terms

    def _job_edge(self, connection: Connection, search: JobSearch, after: str | None) -> str | None:
        if not search.words and search.tag is None and search.source is None:
            return None
        rows = fetch(connection, JOB_EDGE, (after or "", JOB_WINDOW - 1))
        return str(rows[0][0]) if rows else None

    # Numbers

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


def _is_rare(search: RunSearch) -> bool:
    """Whether something is looked for that no index knows."""
    wanted = (search.tag, search.node, search.cause, search.since_us, search.until_us)
    return bool(search.words) or any(value is not None for value in wanted)


def _selects(which: RunFilter, before: Stored | None, low: bytes | None) -> list[tuple[str, Terms]]:
    """The limited selects whose rows are merged."""
    search, found = which.search, list[tuple[str, Terms]]()
    if search.live:
        terms = _shared_terms("r", which, before)
        if search.live != LIVE_STATES:
            terms.add("r.state IN ?", sorted(state.value for state in search.live))
        found.append((LIVE, _rare_terms("r", search, terms, low)))
    if search.outcomes:
        rare = _is_rare(search) or len(search.outcomes) == len(Outcome)
        each = [search.outcomes] if rare else [{one} for one in sorted(search.outcomes)]
        for outcomes in each:
            terms = _shared_terms("h", which, before)
            _add_outcomes(terms, outcomes)
            found.append((PAST, _rare_terms("h", search, terms, low)))
    return found


def _past_terms(which: RunFilter, before: Stored | None) -> Terms:
    terms = _shared_terms("h", which, before)
    if len(which.search.outcomes) == 1:
        _add_outcomes(terms, which.search.outcomes)
    return terms


def _add_outcomes(terms: Terms, outcomes: "set[Outcome] | frozenset[Outcome]") -> None:
    if len(outcomes) == 1:
        terms.add(f"h.outcome = '{min(outcomes).value}'")
    elif len(outcomes) < len(Outcome):
        terms.add("h.outcome IN ?", sorted(outcome.value for outcome in outcomes))


def _shared_terms(name: str, which: RunFilter, before: Stored | None) -> Terms:
    """What an index knows."""
    terms, search = Terms(), which.search
    if which.job_id:
        terms.add(f"{name}.job_id = ?", to_stored(which.job_id))
    if before is not None:
        terms.add(f"{name}.id < ?", before)
    if search.since_us is not None:
        terms.add(f"{name}.id >= ?", _id_at(search.since_us - CLOCKS_APART_US, "0"))
    if search.until_us is not None:
        terms.add(f"{name}.id <= ?", _id_at(search.until_us + CLOCKS_APART_US, "f"))
    return terms


def _rare_terms(name: str, search: RunSearch, terms: Terms, low: bytes | None) -> Terms:
    if low is not None:
        terms.add(f"{name}.id >= ?", Stored(low))
    if search.since_us is not None:
        terms.add(f"{name}.created_us >= ?", search.since_us)
    if search.until_us is not None:
        terms.add(f"{name}.created_us <= ?", search.until_us)
    if search.cause is not None:
        terms.add(f"{name}.cause = ?", search.cause.value)
    if search.node is not None:
        terms.add("n.name = ?", search.node)
    if search.tag is not None:
        terms.add(HAS_TAG, _quoted(search.tag))
    for word in search.words:
        _add_word(terms, name, word)
    return terms


def _add_word(terms: Terms, name: str, word: str) -> None:
    """What may hold it; which of them do is looked at afterwards."""
    part = plain_part(word)
    if not part:
        return
    texts, values = [IN_NAME], list[object]([part])
    if name == "h":
        texts.append("instr(lower(/*bytes of*/ h.error_text /*bytes*/), ?) > 0")
        values.append(part)
    if _HEX.fullmatch(part):
        if len(part) < SHORTEST_PREFIX:
            return  # it may stand within an id
        texts.append(f"{name}.short BETWEEN ? AND ?")
        values += prefix_range(part)
    terms.add(f"({' OR '.join(texts)})", *values)


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


def _fits(row: JobRow, search: JobSearch) -> bool:
    if search.tag is not None and not _has_tag(row.job, search.tag):
        return False
    return has_words(_texts(row.job), search.words)


def _texts(job: Job) -> list[str]:
    command = [job.command] if isinstance(job.command, str) else [" ".join(job.command)]
    tags = [str(tag) for tag in job.spec.get("tags", ())]
    return [job.name, str(job.spec.get("description", "")), job.task or "", *command, *tags]


def _has_tag(job: Job | str | None, tag: str) -> bool:
    return isinstance(job, Job) and tag in job.spec.get("tags", ())


def _id_at(at_us: int, digit: str) -> Stored:
    """The first or last id that a right clock makes at this instant."""
    millis = min(max(at_us, 0), LAST_US) // 1_000
    return Stored.fromhex(f"{millis:012x}".ljust(32, digit))


def _escaped(part: str) -> str:
    """As it stands within a text of JSON; only what needs no escape where that is not sure."""
    return max(re.split(r'["\\]', part), key=len)


def _quoted(tag: str) -> str:
    """A tag as JSON has it, at its likeliest: what must be escaped there is left out."""
    return '"' if re.search(r'["\\\x00-\x1f\x7f]', tag) else f'"{tag}"'
