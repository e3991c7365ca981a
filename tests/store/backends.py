"""The back ends the store's tests run on: each opens fresh, empty stores of the current schema.

A further one (PostgreSQL, MariaDB) is a class with the same three verbs and a line in BACKENDS.
"""

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cronherd.domain.ident import make_id
from cronherd.engine.clock import FakeClock
from cronherd.store.database import Database
from cronherd.store.migrate import upgrade_schema
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore

TIMEZONE = "Europe/Berlin"
INCARNATION = "first-life"


class Backend(Protocol):
    """Opens stores; `clock` is the database's clock where the back end lets a test move it."""

    name: str

    def open(self, folder: Path, clock: FakeClock) -> SqlStore:
        """A store on a database of its own that lies in, or is named after, this folder."""
        ...

    def open_second(self, first: SqlStore) -> SqlStore:
        """One more store on the same database, with a memory of its own."""
        ...


class SqliteBackend:
    """A file; one process writes it, so a second store shares the first one's connections."""

    name = "sqlite"

    def __init__(self, workshop: Path) -> None:
        self._template = workshop / "template.db"

    def open(self, folder: Path, clock: FakeClock) -> SqlStore:
        path = folder / "cronherd.db"
        shutil.copyfile(self._made(), path)
        return SqlStore(Database(SqliteDialect(path, clock.now_us)), ids(clock))

    def open_second(self, first: SqlStore) -> SqlStore:
        return SqlStore(first.db, first._events.new_id)

    def _made(self) -> Path:
        """Migrated once and copied for each test: the migration itself has tests of its own."""
        if not self._template.exists():
            database = Database(SqliteDialect(self._template, FakeClock().now_us))
            upgrade_schema(database, timezone=TIMEZONE, incarnation=INCARNATION)
            database.close()
        return self._template


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}


def ids(clock: FakeClock, seed: int = 1) -> Callable[[], str]:
    """Ids that are the same in each run of a test."""
    noise = random.Random(seed)
    drawing = threading.Lock()

    def new_id() -> str:
        with drawing:
            return make_id(clock.now_us(), noise.randbytes(10))

    return new_id
