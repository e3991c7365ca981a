"""What jobs are searched by: the words and tags of each in narrow rows of their own.

A definition is long and its letters are as a person wrote them, so to look for a word in all of
them costs ten times as much. `job.texted` says of which version the rows are; a job for which it
says another one, or none, was saved by a program that does not know these rows, and is searched in
its definition until `refresh` has written them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cronherd.domain.ident import Stored
from cronherd.domain.job import Job
from cronherd.store.database import Connection, Database, Values, fetch, many, one, parts, plain
from cronherd.store.definitions import read_definition
from cronherd.store.duerows import lock_due

# As the index `job_untold` says it.
UNTOLD = "(j.texted IS NULL OR j.texted <> j.version)"
TAG_LENGTH = 200

UNTOLD_IDS = f"SELECT j.id FROM job j WHERE {UNTOLD} LIMIT ?"
SOME_UNTOLD = f"SELECT j.id FROM job j WHERE {UNTOLD} AND j.id > ? ORDER BY j.id LIMIT ?"
BY_IDS = 'SELECT id, "key", name, version, spec, deleted_us FROM job WHERE id IN ?'
DROP_TEXTS = "DELETE FROM job_text WHERE job_id IN ?"
DROP_TAGS = "DELETE FROM job_tag WHERE job_id IN ?"
ADD_TEXT = 'INSERT INTO job_text (job_id, "key", name, text) VALUES (?, ?, ?, ?)'
ADD_TAG = 'INSERT INTO job_tag (tag, "key", job_id) VALUES (?, ?, ?)'
NO_TEXT = "UPDATE job_text SET text = '' WHERE job_id = ?"
TOLD = "UPDATE job SET texted = ? WHERE id = ?"

REFRESHED = 500  # jobs of one transaction, whose due rows are held so long
_FIRST = Stored(bytes(16))
_HALVES = re.compile("[\0\ud800-\udfff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobText:
    """What one job is found by; `texts` and `tags` of a deleted one are empty."""

    id: bytes
    key: str
    name: str
    texts: Sequence[str] = ()
    tags: Sequence[str] = ()

    @classmethod
    def of(cls, stored: bytes, job: Job) -> "JobText":
        return cls(id=stored, key=job.key, name=job.name, texts=texts_of(job), tags=tags_of(job))


def texts_of(job: Job) -> list[str]:
    """The texts in which words are looked for."""
    command = [job.command] if isinstance(job.command, str) else [" ".join(job.command)]
    return [job.name, str(job.spec.get("description", "")), job.task or "", *command, *tags_of(job)]


def tags_of(job: Job) -> list[str]:
    return [str(tag) for tag in job.spec.get("tags", ())]


def folded_part(word: str) -> str:
    """The longest part of a word that a row can hold, folded as rows are; it may be empty."""
    return max(_HALVES.split(word.casefold()), key=len)


def tag_key(tag: str) -> str:
    """A tag as rows have it: some databases take no more of it, or no blank at its end."""
    return plain(tag, TAG_LENGTH).rstrip(" ")


def write_texts(connection: Connection, told: Sequence[JobText], *, fresh: bool) -> None:
    """The rows of jobs whose due rows are ours; `fresh`: there are none yet."""
    if not fresh:
        for ids in parts([each.id for each in told]):
            one(connection, DROP_TEXTS, (ids,))
            one(connection, DROP_TAGS, (ids,))
    texts = [(each.id, each.key, _folded([each.name]), _folded(each.texts)) for each in told]
    for some in parts(texts):
        many(connection, ADD_TEXT, some)
    for tags in parts([row for each in told for row in _tag_rows(each)]):
        many(connection, ADD_TAG, tags)


def empty_texts(connection: Connection, job_id: bytes) -> None:
    """The job was deleted: its runs are still found by its name."""
    one(connection, NO_TEXT, (job_id,))
    one(connection, DROP_TAGS, ([job_id],))


def refresh(db: Database) -> int:
    """Write what is missing, so many jobs at a time; how many were looked at.

    A definition that cannot be read here stays as it is: it is searched as it stands.
    """
    after, count = _FIRST, 0
    while True:
        with db.glance() as connection:
            rows = fetch(connection, SOME_UNTOLD, (after, REFRESHED))
        if not rows:
            return count
        ids = [Stored(row[0]) for row in rows]
        after, count = ids[-1], count + len(ids)
        with db.write() as connection:
            lock_due(connection, ids)
            _refresh(connection, ids)


def _refresh(connection: Connection, ids: Sequence[bytes]) -> None:
    told, marks = [], []
    for job_id, key, name, version, spec, deleted_us in fetch(connection, BY_IDS, (list(ids),)):
        text = JobText(id=job_id, key=key, name=name)
        if deleted_us is None:
            job = read_definition(spec)
            if isinstance(job, str):
                continue
            text = JobText(id=job_id, key=key, name=name, texts=texts_of(job), tags=tags_of(job))
        told.append(text)
        marks.append((version, job_id))
    write_texts(connection, told, fresh=False)
    many(connection, TOLD, marks)


def _tag_rows(told: JobText) -> list[Values]:
    return [(tag, told.key, told.id) for tag in sorted(set(map(tag_key, told.tags)))]


def _folded(texts: Iterable[str]) -> str:
    return "\n".join(texts).casefold().replace("\0", "\n")
