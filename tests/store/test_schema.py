"""The schema on each back end: what the migrations make, and who may work on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cronherd.domain.errors import Conflict, Unavailable
from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.store.database import Database, Dialect
from cronherd.store.migrate import SCHEMA_VERSION, check_schema, upgrade_schema
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.schema import metadata
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, race

DIALECTS: dict[str, Callable[..., Dialect]] = {
    "postgresql": PostgresDialect,
    "mariadb": MysqlDialect,
}


def upgrade(database: Database) -> str:
    return upgrade_schema(database, timezone="UTC", incarnation="x")


@pytest.fixture(params=["sqlite", *DIALECTS])
def empty(
    request: pytest.FixtureRequest, tmp_path: Path, empty_database: Callable[[str], str]
) -> Iterator[Database]:
    """An empty database of its own, so that a test may leave it in ruins."""
    if request.param == "sqlite":
        database = Database(SqliteDialect(tmp_path / "x.db", FakeClock().now_us))
    else:
        url = empty_database(request.param)
        database = Database(DIALECTS[request.param](url, SystemClock().boot_us))
    yield database
    database.close()


def drift(database: Database, *statements: str) -> list[Any]:
    with database.dialect.schema_session() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def test_the_migrations_make_what_the_code_describes_and_the_check_can_fail(empty: Database):
    with pytest.raises(Unavailable, match="no cronherd schema") as caught:
        check_schema(empty)
    assert caught.value.code == "no_schema"
    assert "new" in upgrade(empty)
    check_schema(empty)
    assert "up to date" in upgrade(empty)
    assert drift(empty) == []
    drop = "DROP INDEX run_wait" + (" ON run" if empty.dialect.name == "mysql" else "")
    assert len(drift(empty, drop, "ALTER TABLE node ADD COLUMN surprise TEXT")) == 2


def test_two_who_upgrade_at_one_instant_upgrade_once(empty: Database):
    if empty.dialect.name == "sqlite":
        pytest.skip("one process works with a file")
    others = [Database(empty.dialect) for _ in range(3)]
    said = race(*(lambda other=other: upgrade(other) for other in others))
    assert sorted("new" in str(words) for words in said) == [False, False, True]
    assert sum("up to date" in str(words) for words in said) == 2
    for other in others:
        other.close()


def test_a_schema_that_is_up_to_date_loads_no_library_for_it(
    empty: Database, monkeypatch: pytest.MonkeyPatch
):
    upgrade(empty)
    monkeypatch.setattr(empty.dialect, "schema_session", None)
    assert "up to date" in upgrade(empty)


@pytest.mark.parametrize("verb", ["check", "upgrade"])
def test_a_newer_schema_is_refused_and_left_alone(stage: Stage, store: SqlStore, verb: str):
    stage.write("UPDATE meta SET value = '99' WHERE \"key\" IN ('schema', 'min_code')")
    with pytest.raises(Conflict) as caught:
        check_schema(store.db) if verb == "check" else upgrade(store.db)
    assert caught.value.code == "newer_schema"
    assert store.meta()["schema"] == "99"


def test_a_newer_schema_that_admits_this_program_is_used(stage: Stage, store: SqlStore):
    stage.write("UPDATE meta SET value = '99' WHERE \"key\" = 'schema'")
    check_schema(store.db)


def test_an_older_schema_asks_for_an_upgrade(stage: Stage, store: SqlStore):
    stage.write("UPDATE meta SET value = '0' WHERE \"key\" = 'schema'")
    with pytest.raises(Unavailable) as caught:
        check_schema(store.db)
    assert caught.value.code == "old_schema"
    assert str(SCHEMA_VERSION) in caught.value.text
