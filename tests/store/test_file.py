"""The SQLite file itself: one process, one schema, and faults told as sentences."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cronherd.domain.errors import Conflict, CronherdError, Unavailable
from cronherd.engine.clock import FakeClock
from cronherd.store.database import Database, fetch, one
from cronherd.store.facts import JobWrite
from cronherd.store.migrate import check_schema, upgrade_schema
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.store.backends import ids
from tests.store.only import sqlite_only
from tests.store.stage import Stage, chunk


def opened(path: Path) -> Database:
    return Database(SqliteDialect(path, FakeClock().now_us))


def upgrade(database: Database) -> str:
    return upgrade_schema(database, timezone="UTC", incarnation="x")


# ---------------------------------------------------------------- schema


def test_a_new_file_is_upgraded_once_and_keeps_its_facts(tmp_path: Path):
    database = opened(tmp_path / "x.db")
    with pytest.raises(Unavailable, match="no cronherd schema") as caught:
        check_schema(database)
    assert "db upgrade" in caught.value.hint
    assert "new" in upgrade(database)
    check_schema(database)
    assert "up to date" in upgrade_schema(database, timezone="Asia/Tokyo", incarnation="y")
    store = SqlStore(database, ids(FakeClock()))
    assert store.meta()["timezone"] == "UTC"
    assert store.meta()["incarnation"] == "x"
    store.close()


# ---------------------------------------------------------------- one process


@sqlite_only
def test_a_second_process_on_the_same_file_is_refused(store: SqlStore):
    assert isinstance(store.db.dialect, SqliteDialect)
    code = (
        "import sys, pathlib\n"
        "from cronherd.store.sqlite import SqliteDialect\n"
        "from cronherd.domain.errors import Conflict\n"
        "try: SqliteDialect(pathlib.Path(sys.argv[1]), lambda: 0)\n"
        "except Conflict as error: print(error.code, error.hint)\n"
    )
    command = [sys.executable, "-c", code, str(store.db.dialect.path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.startswith("database_in_use")
    assert "one process writes" in said


def test_a_second_opening_in_one_process_is_refused_too_until_the_first_closes(tmp_path: Path):
    first = opened(tmp_path / "x.db")
    with pytest.raises(Conflict, match="another process"):
        opened(tmp_path / "x.db")
    first.close()
    opened(tmp_path / "x.db").close()


def test_a_file_that_could_not_be_opened_is_not_kept_locked(tmp_path: Path):
    path = tmp_path / "x.db"
    path.write_bytes(b"this is a text, and long enough to be taken for a file header" * 20)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            opened(path)
        assert caught.value.code == "bad_database"


@sqlite_only
def test_only_the_writing_connection_moves_the_log_into_the_file(store: SqlStore):
    with store.db.read() as reader:
        settings = ("wal_autocheckpoint", "query_only")
        assert [fetch(reader, f"PRAGMA {s}")[0][0] for s in settings] == [0, 1]
    with store.db.write() as writer:
        assert fetch(writer, "PRAGMA journal_mode")[0][0] == "wal"
        assert fetch(writer, "PRAGMA synchronous")[0][0] == 2
        assert fetch(writer, "PRAGMA wal_autocheckpoint")[0][0] == 1000


@sqlite_only
def test_a_reader_sees_one_moment_and_cannot_write(stage: Stage):
    with stage.store.db.read() as connection:
        count = "SELECT count(*) FROM job"
        assert fetch(connection, count)[0][0] == 0
        with ThreadPoolExecutor(1) as somebody:  # what this thread reads belongs to its view
            somebody.submit(stage.job).result(30)
        assert fetch(connection, count)[0][0] == 0
    with pytest.raises(CronherdError), stage.store.db.read() as connection:
        one(connection, "DELETE FROM job")
    assert len(stage.store.jobs()) == 1


# ---------------------------------------------------------------- faults


@sqlite_only
def test_a_full_disk_is_a_sentence_and_nothing_is_half_written(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    with stage.store.db.write() as connection:
        pages = fetch(connection, "PRAGMA page_count")[0][0]
        fetch(connection, f"PRAGMA max_page_count = {pages}")
    before = stage.dump(("run", "run_history", "attempt", "output"))
    pieces = [chunk(claim, seq, b"x" * 250_000) for seq in range(4)]
    with pytest.raises(Unavailable) as caught:
        stage.store.record([], pieces, [stage.ending(claim)])
    assert caught.value.code == "disk_full"
    assert "is full" in caught.value.text
    assert stage.dump(("run", "run_history", "attempt", "output")) == before
    with stage.store.db.write() as connection:
        fetch(connection, "PRAGMA max_page_count = 1000000")
    assert stage.store.record([], pieces, [stage.ending(claim)]).stale == []


def test_a_directory_that_is_missing_is_a_sentence(tmp_path: Path):
    with pytest.raises(Unavailable) as caught:
        opened(tmp_path / "nowhere" / "x.db")
    assert caught.value.code == "not_writable"


def test_a_file_that_is_a_directory_is_a_sentence(tmp_path: Path):
    (tmp_path / "x.db").mkdir()
    with pytest.raises(Unavailable) as caught:
        opened(tmp_path / "x.db")
    assert caught.value.code == "not_writable"


@sqlite_only
def test_a_database_that_turned_read_only_is_a_sentence(stage: Stage):
    with stage.store.db.write() as connection:
        fetch(connection, "PRAGMA query_only = ON")
    with pytest.raises(Unavailable) as caught:
        stage.job()
    assert caught.value.code == "not_writable"


def test_a_missing_table_is_a_sentence(tmp_path: Path):
    store = SqlStore(opened(tmp_path / "x.db"), ids(FakeClock()))
    with pytest.raises(Unavailable) as caught:
        store.jobs()
    assert caught.value.code == "no_schema"
    store.close()


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path):
    clock = FakeClock()
    database = Database(SqliteDialect(tmp_path / "x.db", clock.now_us))
    upgrade(database)
    stage = Stage(SqlStore(database, ids(clock)), clock)
    job_id = stage.job()
    stage.after(60)
    stage.store.close()
    again = SqlStore(Database(SqliteDialect(tmp_path / "x.db", clock.now_us)), ids(clock, 2))
    assert again.find_job("job").id == job_id
    assert again.find_job("job").live == 1
    again.close()


def test_an_error_leaves_the_writing_connection_usable(stage: Stage):
    write = JobWrite(
        id="0" * 32, job=stage.store.find_job(stage.job()).job, enabled=True, source="", version=7
    )
    for _ in range(3):
        with pytest.raises(CronherdError):
            stage.store.save_jobs([write], "me")
    assert stage.job("fresh")
