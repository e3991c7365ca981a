"""A database of an older version keeps every row when it is upgraded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import cronherd.store
from cronherd.domain.ident import NOBODY, to_stored
from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.store.database import Database, Duplicate, fetch, many, one
from cronherd.store.migrate import SCHEMA_VERSION, check_schema, upgrade_schema
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.schema import meta
from cronherd.store.sqlite import SqliteDialect

SERVERS: dict[str, Any] = {"postgresql": PostgresDialect, "mariadb": MysqlDialect}
IDS = [to_stored(f"{n:032x}") for n in range(1, 40)]
JOB = """
INSERT INTO job (id, "key", name, spec, version, enabled, source, created_us, updated_us)
VALUES (?, ?, ?, ?, ?, TRUE, 'x', 1, 1)
"""
LEDGER = """
INSERT INTO ledger (job_id, from_us, to_us, "count", reason, ref, node_id, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
RUN = """
INSERT INTO run (id, short, job_id, dedup, slot_us, cause, version, state, place, prio, ready_us,
created_us, attempt, epoch, fence, wait_key, cancel)
VALUES (?, 7, ?, 's:9', 9, 'schedule', 1, 'waiting', 'a=1,b=2', 0, 1, 1, 1, 0, 65536, 'j1', FALSE)
"""
PAST = """
INSERT INTO run_history (id, short, job_id, dedup, cause, version, outcome, created_us, ended_us,
attempt, fence, error_text, dropped)
VALUES (?, 7, ?, 'm:1', 'manual', 1, 'failed', 1, 2, 1, 65537, 'ä', 0)
"""


@pytest.fixture(params=["sqlite", *SERVERS])
def old(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Any) -> Iterator[Database]:
    """A database as version 5 had made it."""
    if request.param == "sqlite":
        database = Database(SqliteDialect(tmp_path / "x.db", FakeClock().now_us))
    else:
        url = empty_database(request.param)
        database = Database(SERVERS[request.param](url, SystemClock().boot_us))
    folder = Path(cronherd.store.__file__).parent / "migrations"
    with database.dialect.schema_session() as connection:
        assert not inspect(connection).has_table("meta")  # from here on it is a transaction of ours
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        facts = {"schema": "5", "min_code": "1", "timezone": "UTC", "incarnation": "x", "hold": ""}
        for key, value in facts.items():
            connection.execute(meta.insert().values(key=key, value=value))
    yield database
    database.close()


def upgrade(database: Database) -> str:
    return upgrade_schema(database, timezone="UTC", incarnation="x")


def ledger_rows(node: object) -> list[tuple[object, ...]]:
    """A few rows of each job, with and without a reference."""
    return [
        (job, n * 10, n * 10 + 5, n + 1, reason, ref, node, 1000 + n)
        for job in IDS[:12]
        for n in range(20)
        for reason, ref in (("paused", None), ("overlap", "0123 ä"))
    ]


def test_the_rows_of_version_5_are_there_afterwards(old: Database):
    with old.write() as connection:
        many(connection, LEDGER, ledger_rows(None))
        one(connection, RUN, (IDS[0], IDS[1]))
        one(connection, PAST, (IDS[2], IDS[1]))
        one(connection, "INSERT INTO gate (gkey, capacity, seq) VALUES ('~pace', 0, 5)")
        one(connection, "INSERT INTO permit (gkey, n, run_id) VALUES ('j1', 0, ?)", (IDS[0],))
    assert "from version 5" in upgrade(old)
    check_schema(old)
    assert "up to date" in upgrade(old)
    columns = 'job_id, from_us, to_us, "count", reason, ref, node_id, at_us'
    with old.write() as connection:
        found = [tuple(row) for row in fetch(connection, f"SELECT {columns} FROM ledger")]  # noqa: S608
        (run,) = fetch(connection, "SELECT id, wait_key, place, pools, target_id, forced FROM run")
        (past,) = fetch(connection, "SELECT id, error_text, forced FROM run_history")
        permits = fetch(connection, "SELECT gkey, n, run_id FROM permit")
        said = dict(tuple(row) for row in fetch(connection, 'SELECT "key", value FROM meta'))
    assert sorted(found, key=repr) == sorted(ledger_rows(NOBODY), key=repr)
    assert tuple(run) == (IDS[0], "j1", "a=1,b=2", None, None, False)
    assert tuple(past) == (IDS[2], "ä", False)
    assert [tuple(row) for row in permits] == [("j1", 0, IDS[0])]
    assert (said["schema"], said["timezone"]) == (str(SCHEMA_VERSION), "UTC")


def test_a_row_of_a_node_stands_beside_that_of_the_job_and_each_once(old: Database):
    with old.write() as connection:
        many(connection, LEDGER, ledger_rows(None)[:1])
    upgrade(old)
    row = list(ledger_rows(NOBODY)[0])
    for node in (IDS[7], IDS[8]):
        row[6] = node
        with old.write() as connection:
            one(connection, LEDGER, row)
    row[6] = NOBODY
    with pytest.raises(Duplicate), old.write() as connection:
        one(connection, LEDGER, row)


def test_a_program_of_the_version_before_goes_on_writing_its_rows(old: Database):
    """It knows neither the new columns nor that a row has a node."""
    upgrade(old)
    said = 'job_id, from_us, to_us, "count", reason, ref, at_us'
    with old.write() as connection:
        one(
            connection,
            f"INSERT INTO ledger ({said}) VALUES (?, 1, 1, 1, 'paused', NULL, 1)",  # noqa: S608
            (IDS[0],),
        )
        one(connection, RUN, (IDS[0], IDS[1]))
        one(connection, PAST, (IDS[2], IDS[1]))
        (row,) = fetch(connection, "SELECT node_id FROM ledger")
    assert row[0] == NOBODY


def test_jobs_of_an_older_version_are_searched_as_new_ones_are(old: Database):
    spec = '{"command": "true", "description": "Größe", "name": "Old", "tags": ["t"]}'
    with old.write() as connection:
        one(connection, JOB, (IDS[0], "old", "Old", spec, 3))
        one(connection, JOB, (IDS[1], "odd", "odd", '{"name": "odd", "schedule": "?"}', 1))
    upgrade(old)
    with old.write() as connection:
        texts = fetch(connection, 'SELECT job_id, "key", name, text FROM job_text')
        tags = fetch(connection, 'SELECT tag, "key", job_id FROM job_tag')
        marks = fetch(connection, "SELECT texted FROM job ORDER BY id")
        one(connection, JOB, (IDS[2], "new", "new", spec, 1))  # it knows nothing of all that
        (mark,) = fetch(connection, "SELECT texted FROM job WHERE id = ?", (IDS[2],))
    assert [tuple(row) for row in texts] == [(IDS[0], "old", "old", "old\ngrösse\n\ntrue\nt")]
    assert [tuple(row) for row in tags] == [("t", "old", IDS[0])]
    assert [row[0] for row in marks] == [3, None]
    assert mark[0] is None
