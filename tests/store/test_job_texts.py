"""What jobs are searched by stands in rows of its own, and says what their definitions say."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cronherd.domain.ident import to_stored
from cronherd.domain.instant import DAY_US
from cronherd.domain.job import name_key
from cronherd.domain.run import Run
from cronherd.domain.search import JobSearch, RunSearch, has_words
from cronherd.store import browse, jobpages, jobtexts, textsearch
from cronherd.store.database import fetch, one
from cronherd.store.duerows import lock_due
from cronherd.store.facts import JobRow, RunFilter
from cronherd.store.jobtexts import refresh, texts_of
from cronherd.store.sqlstore import SqlStore
from tests.store.only import servers_only
from tests.store.stage import Stage

# What folds to something longer, or to a letter of ASCII, or stands otherwise within JSON.
LETTERS = ["a", "B", "c", "S", "s", "k", "f", "i", "ß", "é", "Σ", "ς", "日", "%", "_", '"', "\\"]
BLANKS = [" ", "\n"]
# Only the rows of a text know that these are letters of ASCII: no database folds them so.
FOLDED = ["\N{KELVIN SIGN}", "\N{LATIN SMALL LETTER LONG S}", "ﬁ", "İ"]
ROWS = 'SELECT job_id, "key", name, text FROM job_text ORDER BY job_id'
TAGS = 'SELECT tag, "key", job_id FROM job_tag ORDER BY tag, "key", job_id'
KINDS = ("add", "add", "add", "edit", "rename", "delete", "revive", "old", "old edit")
# As a program of the version before writes a job.
OLD_ADD = """
INSERT INTO job ("key", name, spec, version, enabled, source, updated_us, applied, drifted, id,
created_us) VALUES (?, ?, ?, 1, ?, 'old', 1, NULL, FALSE, ?, 1)
"""
OLD_DUE = """
INSERT INTO job_due (slot_us, last_slot_us, version, job_id, seq) VALUES (1, 1, 1, ?, 0)
"""
OLD_SET = 'UPDATE job SET "key" = ?, name = ?, spec = ?, version = version + 1 WHERE id = ?'
OLD_DELETE = "UPDATE job SET deleted_us = 1, enabled = FALSE WHERE id = ?"


def text(chance: random.Random, letters: list[str], most: int) -> str:
    return "".join(chance.choice(letters) for _ in range(chance.randint(1, most)))


def spec_of(chance: random.Random, letters: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": text(chance, letters, 6)}
    if chance.random() < 0.5:
        found["command"] = [text(chance, letters, 3), text(chance, letters, 3)]
    if chance.random() < 0.7:
        found["tags"] = list({text(chance, LETTERS, 1) for _ in range(chance.randint(1, 3))})
    return found


def old_spec(name: str, spec: dict[str, Any]) -> str:
    words = {"name": name, "command": "true", **spec}
    return json.dumps(words, ensure_ascii=False, sort_keys=True)


def old_add(stage: Stage, name: str, **spec: Any) -> str:
    job_id = stage.new_id()
    with stage.store.db.write() as connection:
        head = (name_key(name), name, old_spec(name, spec), True)
        one(connection, OLD_ADD, (*head, to_stored(job_id)))
        one(connection, OLD_DUE, (to_stored(job_id),))
    return job_id


def old_set(stage: Stage, job_id: str, name: str, **spec: Any) -> None:
    with stage.store.db.write() as connection:
        values = (name_key(name), name, old_spec(name, spec), to_stored(job_id))
        one(connection, OLD_SET, values)


def old_delete(stage: Stage, job_id: str) -> None:
    with stage.store.db.write() as connection:
        one(connection, OLD_DELETE, (to_stored(job_id),))


def change(stage: Stage, chance: random.Random, number: int) -> None:
    """One of the ways in which definitions come and go."""
    rows = stage.store.jobs(limit=1000)
    row = chance.choice(rows) if rows else None
    name = f"{text(chance, ['a', 'B', 'ß', 'é', 'k', 'S'], 4)}{number}"
    kind = chance.choice(
        ["add", "add", "add", "edit", "rename", "delete", "revive", "old", "old edit"]
    )
    if kind == "old":
        old_add(stage, name, **spec_of(chance, LETTERS))
    elif row is None or kind == "add":
        stage.job(name, **spec_of(chance, LETTERS + BLANKS + FOLDED))
    elif kind == "old edit":
        old_set(stage, row.id, row.job.name, **spec_of(chance, LETTERS))
    elif kind in {"edit", "rename"}:
        spec = spec_of(chance, LETTERS + BLANKS + FOLDED)
        called = name if kind == "rename" else row.job.name
        stage.save(called, row.version, job_id=row.id, **spec)
    else:
        stage.delete(row.id)
        if kind == "revive":
            stage.job(row.job.name, **spec_of(chance, LETTERS))


def found_by(stage: Stage, search: JobSearch, limit: int) -> list[str]:
    names: list[str] = []
    after = None
    for _ in range(500):
        page, after = stage.store.job_page(search, after, limit)
        names += [row.job.name for row in page]
        if after is None:
            return names
    raise AssertionError("it never comes to an end")


def walked(rows: list[JobRow], search: JobSearch) -> list[str]:
    return [
        row.job.name
        for row in rows
        if has_words(texts_of(row.job), search.words)
        and (search.tag is None or search.tag in row.job.spec.get("tags", ()))
        and (search.source is None or search.source == row.source)
    ]


def searches(chance: random.Random, letters: list[str]) -> Iterator[JobSearch]:
    for _ in range(40):
        words = tuple(text(chance, letters, 2) for _ in range(chance.choice([0, 1, 1, 2])))
        tag = chance.choice([None, None, *LETTERS[:6]])
        source = chance.choice([None, None, None, "test", "old"])
        yield JobSearch(words=words, tag=tag, source=source)


@pytest.fixture(params=[0, 3, 1_000], ids=["none", "three", "many"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many jobs are named by their ids; with what follows from it on each path."""
    count = int(request.param)
    monkeypatch.setattr(textsearch, "FEW", count)
    monkeypatch.setattr(jobpages, "JOB_WINDOW", 5)
    monkeypatch.setattr(jobpages, "NEAR", 4)
    monkeypatch.setattr(jobpages, "SMALL", 3)
    return count


@pytest.mark.parametrize("seed", range(3))
def test_a_search_finds_what_a_walk_finds_whoever_wrote_it(stage: Stage, few: int, seed: int):
    chance = random.Random(seed)
    for number in range(40):
        change(stage, chance, number)
    rows = stage.store.jobs(limit=1000)
    # While many jobs have no row, or few ids are told, a guess in ASCII must do.
    sure = LETTERS + BLANKS
    for search in searches(chance, sure):
        for limit in (2, 50):
            assert found_by(stage, search, limit) == walked(rows, search), (search, limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobpages, "JOB_WINDOW", 1_000)
        for search in searches(chance, sure):
            ranks = stage.store.job_ranks(search, 1_000)
            assert ranks is not None
            assert sorted(rank.job.name for rank in ranks) == sorted(walked(rows, search))
    refresh(stage.store.db)
    assert not untold(stage)
    for search in searches(chance, LETTERS + FOLDED):
        for limit in (2, 50):
            assert found_by(stage, search, limit) == walked(rows, search), (search, limit)


def untold(stage: Stage) -> list[bytes]:
    with stage.store.db.read() as connection:
        return [bytes(row[0]) for row in fetch(connection, jobtexts.UNTOLD_IDS, (1000,))]


def kept(stage: Stage) -> list[tuple[object, ...]]:
    with stage.store.db.read() as connection:
        return [tuple(row) for sql in (ROWS, TAGS) for row in fetch(connection, sql)]


def test_every_verb_leaves_the_rows_that_a_refresh_would_write(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(5)
    for number in range(40):
        change(stage, chance, number)
    monkeypatch.setattr(jobtexts, "REFRESHED", 4)
    refresh(stage.store.db)
    before = kept(stage)
    assert len(before) > 30
    with stage.store.db.write() as connection:
        one(connection, "UPDATE job SET texted = NULL")
        one(connection, "UPDATE job_text SET text = 'x', name = 'x'")
        one(connection, "DELETE FROM job_tag")
    assert refresh(stage.store.db) == len(stage.store.jobs(limit=1000)) + deleted(stage)
    assert kept(stage) == before
    assert refresh(stage.store.db) == 0


def deleted(stage: Stage) -> int:
    with stage.store.db.read() as connection:
        sql = "SELECT count(*) FROM job WHERE deleted_us IS NOT NULL"
        return int(fetch(connection, sql)[0][0])


def test_what_no_database_takes_in_a_text_hides_nothing_else(stage: Stage):
    stage.job("one", description="be\0fore", tags=["x" * 300])
    for word in ("fore", "be", "BE\0FO", "be\0\ud800fore"):
        wanted = ["one"] if "\ud800" not in word else []
        assert found_by(stage, JobSearch(words=(word,)), 5) == wanted
    assert found_by(stage, JobSearch(tag="x" * 300), 5) == ["one"]
    assert found_by(stage, JobSearch(tag="x" * 299), 5) == []
    stage.job("two", tags=["b", "b ", "b  "])
    for tag in ("b", "b ", "b  "):
        assert found_by(stage, JobSearch(tag=tag), 5) == ["two"]
    assert found_by(stage, JobSearch(tag="b   "), 5) == []


def test_pruning_writes_what_a_program_of_the_version_before_left_out(stage: Stage):
    job_id = stage.job("one", description="early")
    assert not untold(stage)
    old_set(stage, job_id, "two", description="late", tags=["t"])
    old_add(stage, "three", description="late as well")
    assert len(untold(stage)) == 2
    for again in range(2):
        assert found_by(stage, JobSearch(words=("late",)), 5) == ["three", "two"], again
        assert found_by(stage, JobSearch(words=("early",)), 5) == []
        assert found_by(stage, JobSearch(tag="t"), 5) == ["two"]
        stage.store.prune(DAY_US, 10)
        assert not untold(stage)


def test_a_name_that_moved_on_is_found_where_it_is_now(stage: Stage, few: int):
    """Its row says the old name still; who took that name since is another job."""
    del few
    job_id = stage.job("aa", description="word", tags=["t"])
    stage.job("bb", description="word", tags=["t"])
    old_set(stage, job_id, "zz", description="word", tags=["t"])
    stage.job("aa", description="word", tags=["t"])
    for search in (JobSearch(words=("word",)), JobSearch(tag="t")):
        for limit in (1, 2, 50):
            assert found_by(stage, search, limit) == ["aa", "bb", "zz"]


def test_a_page_of_jobs_that_lost_their_tag_ends_before_the_first_that_has_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobpages, "SMALL", 3)
    for name in ("a", "b", "c", "d", "e"):
        job_id = stage.job(name, tags=["t"])
        if name < "d":
            old_set(stage, job_id, name)
    page, after = stage.store.job_page(JobSearch(tag="t"), None, 1)
    assert (page, after) == ([], "c")
    assert found_by(stage, JobSearch(tag="t"), 1) == ["d", "e"]


def test_a_page_is_full_where_what_it_looks_for_is_far_apart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobpages, "NEAR", 2)
    monkeypatch.setattr(jobpages, "JOB_WINDOW", 2)
    for number in range(9):
        stage.job(f"j{number}", description="word" if number in {0, 5, 8} else "")
    for search in (JobSearch(words=("word",)), JobSearch(words=("word",), source="test")):
        page, after = stage.store.job_page(search, None, 2)
        assert ([row.job.name for row in page], after) == (["j0", "j5"], "j5")


def test_a_word_and_a_tag_that_most_have_are_found_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(textsearch, "FEW", 3)
    monkeypatch.setattr(jobpages, "NEAR", 2)
    for number in range(9):
        tags = [] if number == 5 else ["t"]
        stage.job(f"j{number}", description="word" if number > 3 else "", tags=tags)
    search = JobSearch(words=("WORD",), tag="t")
    for limit in (1, 2, 50):
        assert found_by(stage, search, limit) == ["j4", "j6", "j7", "j8"]
    assert found_by(stage, JobSearch(words=("j5",), tag="t"), 5) == []
    assert len(stage.store.job_ranks(search, 50) or ()) == 4


def test_a_definition_that_cannot_be_read_is_no_hindrance(stage: Stage):
    stage.job("good", description="word")
    strange = old_add(stage, "strange", schedule="no such thing", description="word")
    old_add(stage, "young", description="word")
    assert refresh(stage.store.db) == 2
    assert untold(stage) == [to_stored(strange)]
    found = found_by(stage, JobSearch(words=("strange",)), 5)
    assert found == ["strange"]
    assert found_by(stage, JobSearch(words=("word",)), 5) == ["good", "young"]


# ------------------------------------------------------------------ runs


def runs_by(stage: Stage, word: str, looks: int) -> list[Run]:
    found: list[Run] = []
    before = None
    for _ in range(500):
        which = RunFilter(search=RunSearch(words=(word,)), before=before, limit=4, looks=looks)
        page, before = stage.store.run_page(which)
        assert len(page) <= which.limit
        found += page
        if before is None:
            return found
    raise AssertionError("it never comes to an end")


@pytest.mark.parametrize("looks", [1, 3])
def test_runs_are_found_by_the_names_they_have_now(
    stage: Stage, few: int, looks: int, monkeypatch: pytest.MonkeyPatch
):
    del few
    monkeypatch.setattr(browse, "WINDOW", 6)
    chance = random.Random(3)
    jobs = [stage.job(f"Night {n}", None, overlap="allow", description="day") for n in range(5)]
    for number in range(40):
        stage.clock.advance(1)
        stage.request(chance.choice(jobs), f"m:{number}")
        if number % 3:
            error = chance.choice(["", "Night is over", "100% GONE", "größer"])
            stage.end(*stage.claim(1), exit_code=1 if error else 0, error_text=error)
    stage.delete(jobs[0])
    old_set(stage, jobs[1], "Dusk")
    old_delete(stage, jobs[2])
    stage.save("Dawn", 1, job_id=jobs[3])
    every = stage.store.runs(RunFilter(limit=1000))
    assert {run.job_name for run in every} == {"Night 0", "Dusk", "Night 2", "Dawn", "Night 4"}
    short = every[5].id[:8]
    words = [
        "NIGHT",
        "night 0",
        "Night 1",
        "night 2",
        "dusk",
        "dawn",
        "day",
        "gone",
        "%",
        "GRÖSSER",
    ]
    for word in [*words, "b", short, short.upper(), "nowhere"]:
        wanted = [r for r in every if has_words((r.id, r.job_name, r.error_text), (word,))]
        assert runs_by(stage, word, looks) == wanted, word


def test_more_looks_find_at_once_what_one_would_not(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(browse, "WINDOW", 5)
    wanted, other = stage.job("wanted", None), stage.job("other", None, overlap="allow")
    for number, job in enumerate([wanted, *[other] * 12]):
        stage.clock.advance(1)
        stage.request(job, f"m:{number}")
        stage.end(*stage.claim(1))
    search = RunSearch(words=("wanted",))
    page, before = stage.store.run_page(RunFilter(search=search))
    assert not page
    assert before is not None
    page, before = stage.store.run_page(RunFilter(search=search, looks=4))
    assert [run.job_name for run in page] == ["wanted"]
    assert before is None


@servers_only
def test_rows_are_written_of_what_is_saved_under_the_lock(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    job_id = old_add(stage, "one", description="early")
    store = open_second()
    writer = threading.Thread(target=lambda: refresh(store.db))
    with stage.store.db.write() as connection:
        lock_due(connection, [to_stored(job_id)])
        values = (name_key("one"), "one", old_spec("one", {"description": "late"}))
        one(connection, OLD_SET, (*values, to_stored(job_id)))
        writer.start()
        writer.join(0.3)  # it would have looked by now, and waits
        assert writer.is_alive()
    writer.join(20)
    assert not writer.is_alive()
    assert [row[3] for row in kept(stage)] == ["one\nlate\n\ntrue"]
    assert not untold(stage)
