"""The back ends the store's tests run on: each opens fresh, empty stores of the current schema.

Every one of them reads the test's clock as the database's clock.
"""

import atexit
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from cronherd.domain.ident import make_id
from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.store.database import Database, Dialect
from cronherd.store.migrate import upgrade_schema
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.servers.databases import Databases
from tests.servers.handles import Servers

TIMEZONE = "Europe/Berlin"
INCARNATION = "first-life"


class Backend(Protocol):
    """Opens stores; `clock` is the database's clock."""

    name: str

    def start(self) -> None:
        """Before anything else; more than once does nothing. Raises ServerMissing."""
        ...

    def open(self, folder: Path, clock: FakeClock) -> SqlStore:
        """A store on a database of its own that lies in, or is named after, this folder."""
        ...

    def open_second(self, first: SqlStore) -> SqlStore:
        """One more store on the same database, with a memory of its own."""
        ...

    def close(self, store: SqlStore) -> None:
        """Close what `open` gave, and the further ones on its database."""
        ...

    def end(self) -> None:
        """After all tests."""
        ...


@cache
def migrated(timezone: str) -> Path:
    """A file with the schema, to be copied: each process migrates one, and that has own tests."""
    workshop = TemporaryDirectory(prefix="cronherd-schema-")
    atexit.register(workshop.cleanup)
    path = Path(workshop.name) / "cronherd.db"
    database = Database(SqliteDialect(path, FakeClock().now_us))
    upgrade_schema(database, timezone=timezone, incarnation=INCARNATION)
    database.close()
    return path


class SqliteBackend:
    """A file; one process writes it, so a second store shares the first one's connections."""

    name = "sqlite"

    def start(self) -> None:
        """There is nothing to start."""

    def open(self, folder: Path, clock: FakeClock) -> SqlStore:
        path = folder / "cronherd.db"
        shutil.copyfile(migrated(TIMEZONE), path)
        return SqlStore(Database(SqliteDialect(path, clock.now_us)), ids(clock))

    def open_second(self, first: SqlStore) -> SqlStore:
        return SqlStore(first.db, first._events.new_id)

    def close(self, store: SqlStore) -> None:
        store.close()

    def end(self) -> None:
        """The files lie in the tests' own folders."""


# ------------------------------------------------------------------ servers


class PostgresOnClock(PostgresDialect):
    """PostgreSQL whose "now" is a clock moved by hand; deadlines are still real."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        super().__init__(url, SystemClock().boot_us)
        self._clock = clock

    @property
    def now_sql(self) -> str:  # type: ignore[override]  # read anew for each statement
        return f"{self._clock.now_us()}::bigint"


class MysqlOnClock(MysqlDialect):
    """MariaDB whose "now" is a clock moved by hand; deadlines are still real."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        super().__init__(url, SystemClock().boot_us)
        self._clock = clock

    @property
    def now_sql(self) -> str:  # type: ignore[override]  # read anew for each statement
        return str(self._clock.now_us())


@dataclass(kw_only=True)
class Opened:
    """One database in use: its stores, the first of them from `open`."""

    url: str
    clock: FakeClock
    stores: list[SqlStore] = field(default_factory=list)


class ServerBackend:
    """A server, shared by the whole session; each store has a database of its own."""

    def __init__(
        self, name: str, dialect: Callable[[str, FakeClock], Dialect], servers: Servers
    ) -> None:
        self.name = name
        self._dialect = dialect
        self._servers = servers
        self._databases: Databases | None = None
        self._opened: dict[SqlStore, Opened] = {}

    def start(self) -> None:
        if self._databases is None:
            self._databases = Databases(self.name, self._servers.url(self.name))

    def open(self, folder: Path, clock: FakeClock) -> SqlStore:
        del folder
        assert self._databases is not None
        opened = Opened(url=self._databases.lend(self._migrate), clock=clock)
        store = self._join(opened, ids(clock))
        self._opened[store] = opened
        return store

    def open_second(self, first: SqlStore) -> SqlStore:
        """With connections of its own: two nodes in one process."""
        return self._join(self._opened[first], first._events.new_id)

    def close(self, store: SqlStore) -> None:
        assert self._databases is not None
        opened = self._opened.pop(store)
        for each in opened.stores:
            each.close()
        self._databases.take_back(opened.url)

    def end(self) -> None:
        if self._databases is not None:
            self._databases.close()

    def _join(self, opened: Opened, new_id: Callable[[], str]) -> SqlStore:
        store = SqlStore(Database(self._dialect(opened.url, opened.clock)), new_id)
        opened.stores.append(store)
        return store

    def _migrate(self, url: str) -> None:
        database = Database(self._dialect(url, FakeClock()))
        upgrade_schema(database, timezone=TIMEZONE, incarnation=INCARNATION)
        database.close()


BACKENDS: dict[str, Callable[[Servers], Backend]] = {
    "sqlite": lambda _: SqliteBackend(),
    "postgresql": lambda servers: ServerBackend("postgresql", PostgresOnClock, servers),
    "mariadb": lambda servers: ServerBackend("mariadb", MysqlOnClock, servers),
}


def ids(clock: FakeClock, seed: int = 1) -> Callable[[], str]:
    """Ids that are the same in each run of a test."""
    noise = random.Random(seed)
    drawing = threading.Lock()

    def new_id() -> str:
        with drawing:
            return make_id(clock.now_us(), noise.randbytes(10))

    return new_id
