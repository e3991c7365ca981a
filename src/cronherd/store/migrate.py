"""Creating and upgrading the schema. Alembic loads only here, and only when it is needed."""

from pathlib import Path

from sqlalchemy import Connection, inspect

from cronherd.domain.errors import Conflict, Unavailable
from cronherd.store.database import Database, fetch, one
from cronherd.store.schema import MIN_PROGRAM, SCHEMA_VERSION

SET_META = "INSERT INTO meta (key, value) VALUES (?, ?)"
CHANGE_META = "UPDATE meta SET value = ? WHERE key = ?"


def check_schema(db: Database) -> None:
    """Raise unless this program may work on the schema as it is."""
    with db.read() as connection:
        found = _meta(connection)
    if "schema" not in found:
        raise Unavailable(
            "the database has no cronherd schema yet",
            code="no_schema",
            hint="run 'cronherd db upgrade'",
        )
    if int(found["schema"]) < SCHEMA_VERSION:
        raise Unavailable(
            f"the database has schema {found['schema']}, this program needs {SCHEMA_VERSION}",
            code="old_schema",
            hint="run 'cronherd db upgrade'",
        )
    _refuse_newer(found)


def upgrade_schema(db: Database, *, timezone: str, incarnation: str) -> str:
    """Bring the schema up to date; the first time, fix the fleet's time zone. Says what it did."""
    with db.write() as connection:
        found = _meta(connection)
        _refuse_newer(found)
        if found.get("schema") == str(SCHEMA_VERSION):
            return f"the schema is up to date (version {SCHEMA_VERSION})"
        _run_alembic(connection)
        facts = {"schema": str(SCHEMA_VERSION), "min_code": str(MIN_PROGRAM)}
        if not found:
            facts |= {"timezone": timezone, "incarnation": incarnation}
        for key, value in facts.items():
            if key in found:
                one(connection, CHANGE_META, (value, key))
            else:
                one(connection, SET_META, (key, value))
    before = f"from version {found['schema']}" if found else "new"
    return f"the schema is now version {SCHEMA_VERSION} ({before})"


def _meta(connection: Connection) -> dict[str, str]:
    if not inspect(connection).has_table("meta"):
        return {}
    return dict(tuple(row) for row in fetch(connection, "SELECT key, value FROM meta"))


def _refuse_newer(found: dict[str, str]) -> None:
    if int(found.get("min_code", "0")) > SCHEMA_VERSION:
        raise Conflict(
            f"the database has schema {found['schema']}, this program knows up to {SCHEMA_VERSION}",
            code="newer_schema",
            hint="use the newer cronherd on this host too",
        )


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - only where a migration is
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
