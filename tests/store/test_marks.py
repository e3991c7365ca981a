"""Statements are written once: their marks, their lists, and many rows at a time."""

from collections.abc import Sequence
from typing import Any

import pytest

from cronherd.domain.errors import StatementRefused
from cronherd.domain.ident import to_stored
from cronherd.store.database import Database, Duplicate, fetch, many, one, spread, written
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage

ADD_OUTPUT = """
INSERT INTO output (run_id, attempt, stream, seq, at_us, dropped, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?) /*unless there*/
"""
ADD_VERSION = 'INSERT INTO job_version (job_id, version, spec, "by", at_us) VALUES (?, ?, ?, ?, ?)'
ADD_POST = """
INSERT INTO outbox (id, "key", target, channel, token, next_us, done_us, turn, payload, state,
tries, created_us, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
POSTS = 'SELECT id, "key", target, channel, token, next_us, done_us FROM outbox ORDER BY "key"'
ADD_JOB = """
INSERT INTO job (id, "key", name, spec, version, enabled, source, created_us, updated_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
IDS = [to_stored(f"{n:032x}") for n in range(9)]


def test_lists_are_written_out():
    sql = "SELECT 1 WHERE a IN ? AND b = ? AND c IN ?"
    text, values = spread(sql, (["x", "y"], 5, [7]))
    assert text == "SELECT 1 WHERE a IN (?,?) AND b = ? AND c IN (?)"
    assert values == ["x", "y", 5, 7]
    assert spread("SELECT ?", (5,)) == ("SELECT ?", (5,))
    assert spread("SELECT 1", ()) == ("SELECT 1", ())
    with pytest.raises(ValueError, match="zip"):
        spread("SELECT ?, ?", ([1],))


def test_marks_are_replaced_and_what_is_none_stays():
    marks = {"/*lock*/": "FOR UPDATE", "/*by primary*/": ""}
    assert written("SELECT a FROM t /*by primary*/ WHERE b /*lock*/", marks) == (
        "SELECT a FROM t  WHERE b FOR UPDATE"
    )
    assert written("SELECT 'IN ?'", {}) == "SELECT 'IN ?'"


def test_lists_of_each_kind_find_their_rows(stage: Stage):
    job_id = to_stored(stage.job("a"))
    stage.job("b")
    sql = "SELECT name FROM job WHERE id IN ? AND \"key\" IN ? AND version IN ? AND name LIKE '%a%'"
    assert stage.fetch(sql, [job_id, IDS[1]], ["a", "b"], [1, 2]) == [("a",)]
    assert stage.fetch("SELECT name FROM job WHERE id IN ?", [IDS[1]]) == []


def insert(store: SqlStore, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    with store.db.write() as connection:
        return many(connection, sql, rows)


def read(store: SqlStore, sql: str) -> list[tuple[Any, ...]]:
    with store.db.glance() as connection:
        return [tuple(row) for row in fetch(connection, sql)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_many_rows_go_in_as_they_are(store: SqlStore, count: int):
    rows = [(i, 1, 2, n, 10**15 + n, n, bytes([0, n, 255])) for n, i in enumerate(IDS[:count])]
    assert insert(store, ADD_OUTPUT, rows) == count
    assert read(store, "SELECT * FROM output ORDER BY seq") == rows


def posts(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Whole rows of the outbox, from the columns that a test is about."""
    return [(*row, 0, "{}", "sent", 0, 0, "") for row in rows]


@pytest.mark.parametrize("empty", ["some", "all", "none"])
def test_many_rows_may_have_nulls_and_words_of_every_kind(store: SqlStore, empty: str):
    words = ["plain", "quo'te\"d", 'back\\slash {"a": [1, null]}, NULL', "ünïcödé ☃ 𝄞", ""]
    rows: list[tuple[Any, ...]] = []
    for n, word in enumerate(words):
        none = empty == "all" or (empty == "some" and n % 2)
        rows.append(
            (IDS[n], f"k{n}", word, "admin", None if none else "NULL", n, None if none else n)
        )
    assert insert(store, ADD_POST, posts(rows)) == len(rows)
    assert read(store, POSTS) == rows


@pytest.mark.parametrize("count", [99, 100, 500])
@pytest.mark.parametrize("odd", [None, 0, 50, -1])
def test_columns_in_which_all_rows_or_all_but_one_are_alike(
    store: SqlStore, count: int, odd: int | None
):
    rows: list[tuple[Any, ...]] = [
        (to_stored(f"{n:032x}"), f"k{n:03}", "quo'te {1,2}", "admin", None, 2**62, 5)
        for n in range(count)
    ]
    if odd is not None:
        rows[odd] = (*rows[odd][:2], "", "NULL", "x", -(2**62), None)
    assert insert(store, ADD_POST, posts(rows)) == count
    assert read(store, POSTS) == rows


def test_a_number_no_database_takes_is_refused_among_many(store: SqlStore):
    rows = [(to_stored(f"{n:032x}"), f"k{n}", "", "", None, 2**n, None) for n in range(60, 66)]
    with pytest.raises(StatementRefused):
        insert(store, ADD_POST, posts(rows))


def test_many_rows_may_have_booleans_and_quoted_columns(store: SqlStore):
    rows = [(i, f"k{n}", "x", "{}", n, n % 2 == 0, "", 0, 0) for n, i in enumerate(IDS)]
    insert(store, ADD_JOB, rows)
    enabled = read(store, 'SELECT enabled FROM job ORDER BY "key"')
    assert [bool(row[0]) for row in enabled] == [row[5] for row in rows]
    versions = [(i, 1, "☃" * 50_000, "me", 5) for i in IDS[:3]]
    insert(store, ADD_VERSION, versions)
    assert sorted(read(store, "SELECT * FROM job_version")) == sorted(versions)


def test_a_row_that_is_there_stays_as_it_was_and_the_others_go_in(store: SqlStore):
    first = (IDS[0], 1, 1, 0, 5, 0, b"first")
    insert(store, ADD_OUTPUT, [first])
    second = (IDS[1], 1, 1, 0, 5, 0, b"second")
    insert(store, ADD_OUTPUT, [(*first[:6], b"other"), second])
    assert sorted(read(store, "SELECT * FROM output")) == [first, second]


def test_without_the_mark_a_row_that_is_there_aborts_all_of_it(store: SqlStore):
    rows = [(i, 1, "x", "me", 5) for i in (IDS[0], IDS[1], IDS[0])]
    with pytest.raises(Exception, match=r"UNIQUE|job_version|PRIMARY"):
        insert(store, ADD_VERSION, rows)
    assert read(store, "SELECT * FROM job_version") == []
    if store.db.dialect.name != "sqlite":
        with pytest.raises(Duplicate):
            insert(store, ADD_VERSION, rows)


def test_a_statement_counts_the_rows_it_found_even_when_they_change_nothing(stage: Stage):
    job_id = to_stored(stage.job("a"))
    sql = "UPDATE job SET name = ? WHERE id = ?"
    assert stage.write(sql, "a", job_id) == 1
    assert stage.write(sql, "a", IDS[1]) == 0
    with stage.store.db.write() as connection:
        assert many(connection, sql, [("a", job_id), ("a", IDS[1]), ("b", job_id)]) == 2


def test_a_statement_the_database_does_not_understand_is_a_sentence(store: SqlStore):
    def refuse(db: Database) -> None:
        with db.write() as connection:
            one(connection, "UPDATE job SET nothing")

    for _ in range(3):
        with pytest.raises((StatementRefused, Exception), match="database"):
            refuse(store.db)
