"""Which jobs may hold a word or have a tag, from their narrow rows (`store/jobtexts.py`).

What is found here is looked at once more by the domain. A job without rows of its version is among
what was found wherever its definition, or its name, may hold the word.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cronherd.domain.search import JobSearch, plain_part
from cronherd.store.database import Connection, Row, fetch
from cronherd.store.jobtexts import UNTOLD, UNTOLD_IDS, folded_part, tag_key
from cronherd.store.terms import HAS_TAG, IN_NAME, IN_SPEC, Terms, escaped, quoted

FEW = 1_000  # jobs that are named by their ids; more of them are met soon when all are looked at

# No index on names: a walk along one would fetch all rows, and in no order on the disk.
BY_TEXT = 'SELECT t.job_id, t."key" FROM job_text t WHERE {} ORDER BY t."key" LIMIT ?'
BY_TAG = 'SELECT g.job_id, g."key" FROM job_tag g WHERE {} ORDER BY g."key" LIMIT ?'
BY_BOTH = """
SELECT g.job_id, g."key" FROM job_tag g JOIN job_text t ON t.job_id = g.job_id WHERE {}
ORDER BY g."key" LIMIT ?
"""
# Each row of a word is asked for a tag that many have, in no other order: a subquery that counts.
BY_WORD_FIRST = """
SELECT t.job_id, t."key" FROM job_text t WHERE {} AND (SELECT count(*) FROM job_tag g
WHERE g.tag = ? AND g."key" = t."key" AND g.job_id = t.job_id) > 0 ORDER BY t."key" LIMIT ?
"""
HAVING_TAG = "SELECT job_id FROM job_tag WHERE tag = ? LIMIT ?"
BY_NAME = "SELECT t.job_id FROM job_text t WHERE instr(t.name, ?) > 0 LIMIT ?"
UNTOLD_NAMES = f"SELECT j.id FROM job j WHERE j.id IN ? AND {IN_NAME}"
# One row by its key; a database might make a list of all rows of what is asked with EXISTS.
IN_TEXT = "instr((SELECT t.text FROM job_text t WHERE t.job_id = j.id), ?) > 0"


class Found(NamedTuple):
    """Jobs that may match; `edge`: the key of the last when there are more."""

    ids: list[bytes]
    edge: str | None


def find_jobs(
    connection: Connection, search: JobSearch, after: str | None, most: int
) -> Found | None:
    """Of these words and this tag the first so many behind a key; None: no row can tell."""
    parts = _parts(search.words)
    if not parts and search.tag is None:
        return None
    untold = _untold(connection)
    if untold is None:
        return None
    rows = _find(connection, parts, search.tag, after, most + 1)
    edge = str(rows[most - 1][1]) if len(rows) > most > 0 else None
    if len(rows) > most == 0:
        return None
    return Found(sorted({*(row[0] for row in rows[:most]), *untold}), edge)


def _find(
    connection: Connection, parts: list[str], tag: str | None, after: str | None, limit: int
) -> Sequence[Row]:
    words, tagged = Terms(), Terms()
    for part in parts:
        words.add("instr(t.text, ?) > 0", part)
    if after:
        words.add('t."key" > ?', after)
    if tag is None:
        return fetch(connection, BY_TEXT.format(words), (*words.values, limit))
    key = tag_key(tag)
    if parts and len(fetch(connection, HAVING_TAG, (key, FEW + 1))) > FEW:
        return fetch(connection, BY_WORD_FIRST.format(words), (*words.values, key, limit))
    tagged.add("g.tag = ?", key)
    if after:
        tagged.add('g."key" > ?', after)
    if not parts:
        return fetch(connection, BY_TAG.format(tagged), (*tagged.values, limit))
    both = Terms(tagged.texts + words.texts, tagged.values + words.values)
    return fetch(connection, BY_BOTH.format(both), (*both.values, limit))


def find_names(connection: Connection, word: str) -> list[bytes] | None:
    """The few jobs, also deleted ones, whose name may hold it; None: they are many, or unknown."""
    part, plain = folded_part(word), plain_part(word)
    untold = _untold(connection)
    if not part or not plain or untold is None:
        return None
    rows = fetch(connection, BY_NAME, (part, FEW + 1))
    if len(rows) > FEW:
        return None
    if untold:
        rows = [*rows, *fetch(connection, UNTOLD_NAMES, (untold, plain))]
    return sorted({row[0] for row in rows})


def add_words(terms: Terms, search: JobSearch) -> None:
    """The same of each row of a walk: what its narrow row says, or else its definition."""
    if search.tag is not None:
        terms.add(HAS_TAG, quoted(search.tag))
    guess = guessed(search.words)
    told = Terms()
    for part in _parts(search.words):
        told.add(IN_TEXT, part)
    if search.words:
        text = f"CASE WHEN {UNTOLD} THEN {guess} ELSE {told} END"
        terms.add(f"({text})", *guess.values, *told.values)


def add_untold_words(terms: Terms, search: JobSearch) -> None:
    """Behind `find_jobs`: what its rows could not tell."""
    if search.tag is not None:
        terms.add(HAS_TAG, quoted(search.tag))
    if search.words:
        guess = guessed(search.words)
        terms.add(f"(CASE WHEN {UNTOLD} THEN {guess} ELSE 1 = 1 END)", *guess.values)


def guessed(words: Sequence[str]) -> Terms:
    """What the definition of a job that holds these words may look like."""
    terms = Terms()
    for word in sorted(words, key=len, reverse=True):  # the rarest is asked for first
        if part := plain_part(word):
            terms.add(f"({IN_NAME} OR {IN_SPEC})", part, escaped(part))
    return terms


def _untold(connection: Connection) -> list[bytes] | None:
    """Jobs without rows of their version; None when they are many."""
    rows = fetch(connection, UNTOLD_IDS, (FEW + 1,))
    return None if len(rows) > FEW else [row[0] for row in rows]


def _parts(words: Sequence[str]) -> list[str]:
    longest = sorted(words, key=len, reverse=True)
    return [part for part in map(folded_part, longest) if part]
