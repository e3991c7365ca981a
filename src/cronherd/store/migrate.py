"""Creating and upgrading the schema. Alembic loads only here, and only when it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.domain.errors import Conflict, Unavailable
from cronherd.store.database import Database, fetch
from cronherd.store.jobtexts import refresh

if TYPE_CHECKING:
    from sqlalchemy import Connection as SchemaConnection

# What this program needs; schema.py, which loads a large library, says the same.
SCHEMA_VERSION = 11
# The oldest program that may still work on this schema.
MIN_PROGRAM = 1

META = 'SELECT "key", value FROM meta'


_UP_TO_DATE = f"the schema is up to date (version {SCHEMA_VERSION})"


def check_schema(db: Database) -> None:
    """Raise unless this program may work on the schema as it is."""
    with db.glance() as connection:
        found = dict(tuple(row) for row in fetch(connection, META))
    if int(found.get("schema", "0")) < SCHEMA_VERSION:
        raise Unavailable(
            f"the database has schema {found.get('schema', '0')}, "
            f"this program needs {SCHEMA_VERSION}",
            code="old_schema",
            hint="run 'cronherd db upgrade'",
        )
    _refuse_newer(found)


def upgrade_schema(db: Database, *, timezone: str, incarnation: str) -> str:
    """Bring the schema up to date; the first time, fix the fleet's time zone. Says what it did."""
    if _is_current(db):
        return _UP_TO_DATE
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - only where a migration is

    try:
        return _upgrade(db, timezone, incarnation)
    except DBAPIError as error:
        raise db.dialect.explain(error.orig or error) from error
    except db.dialect.driver_error as error:
        raise db.dialect.explain(error) from error


def _is_current(db: Database) -> bool:
    """Nearly always it is, and then the large library need not be loaded: 17 MB of each `up`."""
    try:
        with db.change() as connection:
            found = dict(tuple(row) for row in fetch(connection, META))
    except Unavailable as error:
        if error.code != "no_schema":
            raise
        return False
    _refuse_newer(found)
    return found.get("schema") == str(SCHEMA_VERSION)


def _upgrade(db: Database, timezone: str, incarnation: str) -> str:
    from sqlalchemy import inspect  # noqa: PLC0415 - only where a migration is

    from cronherd.store.schema import meta  # noqa: PLC0415

    with db.dialect.schema_session() as connection:
        found: dict[str, str] = {}
        if inspect(connection).has_table("meta"):
            found = {row.key: row.value for row in connection.execute(meta.select())}
        _refuse_newer(found)
        if found.get("schema") == str(SCHEMA_VERSION):
            return _UP_TO_DATE  # somebody else was faster
        _run_alembic(connection)
        facts = {"schema": str(SCHEMA_VERSION), "min_code": str(MIN_PROGRAM)}
        if "timezone" not in found:
            facts |= {"timezone": timezone, "incarnation": incarnation}
        facts |= {"hold": found.get("hold", ""), "database": db.dialect.name}
        for key, value in facts.items():
            if key in found:
                change = meta.update().where(meta.c.key == key).values(value=value)
                connection.execute(change)
            else:
                connection.execute(meta.insert().values(key=key, value=value))
    refresh(db)  # after the schema has changed, so that nobody waits for all of it
    before = f"from version {found['schema']}" if "schema" in found else "new"
    return f"the schema is now version {SCHEMA_VERSION} ({before})"


def _refuse_newer(found: dict[str, str]) -> None:
    if int(found.get("min_code", "0")) > SCHEMA_VERSION:
        raise Conflict(
            f"the database has schema {found['schema']}, this program knows up to {SCHEMA_VERSION}",
            code="newer_schema",
            hint="use the newer cronherd on this host too",
        )


def _run_alembic(connection: "SchemaConnection") -> None:
    from alembic import command  # noqa: PLC0415 - only where a migration is
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
