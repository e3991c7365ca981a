"""Runs for people, a page at a time and by what is looked for.

Live runs and finished ones are limited selects that are merged, one for each outcome; a UNION of
both would sort the whole history for each page. What no index knows (a text, a tag, a node, a
cause, a time) is looked for within so many rows at once: a page may hold fewer than asked for, and
say where to go on.
"""

import re
from dataclasses import replace

from cronherd.domain.ident import SHORTEST_PREFIX, Stored, from_stored, prefix_range, to_stored
from cronherd.domain.instant import DAY_US, LAST_US
from cronherd.domain.run import Outcome, Run
from cronherd.domain.search import LIVE as LIVE_STATES
from cronherd.domain.search import RunSearch, has_words, plain_part
from cronherd.store.database import Connection, Database, Row, fetch
from cronherd.store.definitions import JobCache
from cronherd.store.facts import RunFilter
from cronherd.store.history import LIVE, PAST, HistoryRows, read_run
from cronherd.store.terms import HAS_TAG, IN_NAME, Terms, has_tag, quoted
from cronherd.store.textsearch import find_names

WINDOW = 10_000  # rows of history that one look for the rare goes through
# Ids begin with the clock of the node that made them, which may be wrong; `created_us` is exact.
CLOCKS_APART_US = DAY_US

EDGE = "SELECT h.id FROM run_history h WHERE {} ORDER BY h.id DESC LIMIT 1 OFFSET ?"
VERSIONS = "SELECT id, version FROM job WHERE id IN ?"

# Most runs have none, and to make it lower case costs more than to see that.
IN_ERROR = """
(h.error_text <> '' AND instr(lower(/*bytes of*/ h.error_text /*bytes*/), ?) > 0)
"""

_Named = dict[str, list[bytes]]  # jobs by the word that their names hold
_HEX = re.compile(r"[0-9a-f]+")


class BrowseRows:
    """Reading of pages; nothing here locks or writes."""

    def __init__(self, db: Database, cache: JobCache, history: HistoryRows) -> None:
        self._db = db
        self._cache = cache
        self._history = history

    def runs(self, which: RunFilter) -> list[Run]:
        return self.run_page(which)[0]

    def run_page(self, which: RunFilter) -> tuple[list[Run], str | None]:
        before = self._before(which.before)
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            named = _named(connection, which.search)
            found: list[Run] = []
            for _ in range(which.looks):
                rest = replace(which, limit=which.limit - len(found))
                runs, before = self._look(connection, rest, before, now_us, named)
                found += runs
                if before is None or len(found) == which.limit:
                    break
            return found, None if before is None else from_stored(before)

    def _look(
        self,
        connection: Connection,
        which: RunFilter,
        before: Stored | None,
        now_us: int,
        named: _Named,
    ) -> tuple[list[Run], Stored | None]:
        """What one look through so many rows finds, and before which run the next one begins."""
        low = self._edge(connection, which, before)
        rows: list[Row] = []
        for sql, name, terms in _selects(which, before, low, named):
            if len(rows) >= which.limit:  # what is older would be cut off again
                terms.add(f"{name}.id > ?", rows[which.limit - 1][0])
            rows += fetch(connection, sql.format(terms), (*terms.values, which.limit))
            rows.sort(key=lambda row: bytes(row[0]), reverse=True)
        found = [read_run(row, now_us) for row in rows[: which.limit]]
        following = low
        if len(found) == which.limit:
            following = to_stored(found[-1].id)
        return self._fitting(connection, found, which.search), following

    def _before(self, shown: str | None) -> Stored | None:
        """A whole id need not be there any more; a short one is looked up."""
        if not shown:
            return None
        whole = len(shown) == 32 and _HEX.fullmatch(shown)
        return to_stored(shown if whole else self._history.find_run(shown).id)

    def _edge(
        self, connection: Connection, which: RunFilter, before: Stored | None
    ) -> Stored | None:
        """How far back this look goes; None: to the first run of all."""
        if not _is_rare(which.search) or not which.search.outcomes:
            return None
        terms = _past_terms(which, before)
        rows = fetch(connection, EDGE.format(terms), (*terms.values, WINDOW - 1))
        return Stored(rows[0][0]) if rows else None

    def _fitting(self, connection: Connection, runs: list[Run], search: RunSearch) -> list[Run]:
        """What the database could only guess is looked at once more."""
        if search.words:
            runs = [r for r in runs if has_words((r.id, r.job_name, r.error_text), search.words)]
        if search.tag is not None and runs:
            ids = sorted({to_stored(run.job_id) for run in runs})
            pairs = [(row[0], row[1]) for row in fetch(connection, VERSIONS, (ids,))]
            jobs = {pair[0]: job for pair, job in self._cache.get(connection, pairs).items()}
            runs = [r for r in runs if has_tag(jobs.get(to_stored(r.job_id)), search.tag)]
        return runs


def _is_rare(search: RunSearch) -> bool:
    """Whether something is looked for that no index knows."""
    wanted = (search.tag, search.node, search.cause, search.since_us, search.until_us)
    return bool(search.words) or any(value is not None for value in wanted)


def _named(connection: Connection, search: RunSearch) -> _Named:
    """The rarest word; what contains it in its name is looked for once for all looks."""
    word = max(search.words, key=len, default=None)
    ids = None if word is None else find_names(connection, word)
    return {} if word is None or ids is None else {word: ids}


def _selects(
    which: RunFilter, before: Stored | None, low: Stored | None, named: _Named
) -> list[tuple[str, str, Terms]]:
    """The limited selects whose rows are merged, each with the name of its table there."""
    search, found = which.search, list[tuple[str, str, Terms]]()
    if search.live:
        terms = _shared_terms("r", which, before)
        if search.live != LIVE_STATES:
            terms.add("r.state IN ?", sorted(state.value for state in search.live))
        found.append((LIVE, "r", _rare_terms("r", search, terms, low, named)))
    if search.outcomes:
        rare = _is_rare(search) or len(search.outcomes) == len(Outcome)
        each = [search.outcomes] if rare else [{one} for one in sorted(search.outcomes)]
        for outcomes in each:
            terms = _shared_terms("h", which, before)
            _add_outcomes(terms, outcomes)
            found.append((PAST, "h", _rare_terms("h", search, terms, low, named)))
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


def _rare_terms(
    name: str, search: RunSearch, terms: Terms, low: Stored | None, named: _Named
) -> Terms:
    if low is not None:
        terms.add(f"{name}.id >= ?", low)
    if search.since_us is not None:
        terms.add(f"{name}.created_us >= ?", search.since_us)
    if search.until_us is not None:
        terms.add(f"{name}.created_us <= ?", search.until_us)
    if search.cause is not None:
        terms.add(f"{name}.cause = ?", search.cause.value)
    if search.node is not None:
        terms.add("n.name = ?", search.node)
    if search.tag is not None:
        terms.add(HAS_TAG, quoted(search.tag))
    for word in search.words:
        _add_word(terms, name, word, named.get(word))
    return terms


def _add_word(terms: Terms, name: str, word: str, ids: list[bytes] | None) -> None:
    """What may hold it; which of them do is looked at afterwards. `ids`: jobs so named."""
    part = plain_part(word)
    if not part:
        return
    texts, values = [IN_NAME], list[object]([part])
    if ids is not None:
        texts, values = ([f"{name}.job_id IN ?"], [ids]) if ids else ([], [])
    if name == "h":
        texts.append(IN_ERROR)
        values.append(part)
    if _HEX.fullmatch(word.lower()):
        if len(word) < SHORTEST_PREFIX:
            return  # it may stand within an id
        texts.append(f"{name}.short BETWEEN ? AND ?")
        values += prefix_range(word.lower())
    terms.add(f"({' OR '.join(texts) or '1 = 0'})", *values)


def _id_at(at_us: int, digit: str) -> Stored:
    """The first or last id that a right clock makes at this instant."""
    millis = min(max(at_us, 0), LAST_US) // 1_000
    return Stored.fromhex(f"{millis:012x}".ljust(32, digit))
