"""Connections and transactions: where an error of a driver becomes a sentence.

Every verb runs as one function inside `write` or `read`; on any error the whole of it is rolled
back, and nothing is caught inside.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cronherd.domain.errors import CronherdError

Row = Any  # a driver's row: a tuple by position
Values = Sequence[object]


class Dialect(Protocol):
    """What differs between databases: connections, the clock, and the hot statements."""

    for_update: str
    insert_ignore: str

    def connect_writer(self) -> Connection: ...

    def connect_reader(self) -> Connection: ...

    def begin_write(self, connection: Connection) -> None: ...

    def now_us(self, connection: Connection) -> int: ...

    def due(self, connection: Connection, now_us: int, limit: int) -> Sequence[Row]:
        """Due rows, oldest first, locked, those of others skipped."""
        ...

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        """Compare-and-set of due rows: (next, slot, last, seq, id, seen next, version)."""
        ...

    def ready(self, connection: Connection, places: Sequence[str], limit: int) -> Sequence[Row]:
        """Ready runs of these places in claim order, locked, those of others skipped."""
        ...

    @property
    def driver_error(self) -> type[Exception]:
        """The base of what this database's driver raises."""
        ...

    def explain(self, error: Exception) -> CronherdError:
        """The sentence for a driver's error."""
        ...

    def close(self) -> None: ...


class Database:
    """One writing connection behind a lock, and reading ones, each for one thread at a time."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._writer = dialect.connect_writer()
        self._writing = threading.Lock()
        self._readers: list[Connection] = []
        self._idle = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction; committed at the end, rolled back on any error."""
        with self._writing:
            connection = self._writer
            with _explained(self.dialect):
                self.dialect.begin_write(connection)
                try:
                    yield connection
                    one(connection, "COMMIT")
                except BaseException:
                    _roll_back(connection)
                    raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view that locks nothing."""
        with self._idle:
            connection = self._readers.pop() if self._readers else None
        with _explained(self.dialect):
            connection = connection or self.dialect.connect_reader()
            try:
                one(connection, "BEGIN")
                yield connection
            finally:
                _roll_back(connection)
                with self._idle:
                    self._readers.append(connection)

    def now_us(self) -> int:
        """The database's clock."""
        with self.read() as connection:
            return self.dialect.now_us(connection)

    def close(self) -> None:
        """Close the readers first: whoever closes last may write to the file."""
        with self._idle:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
        with self._writing:
            self._writer.close()
        self.dialect.close()


def many(connection: Connection, sql: str, rows: Sequence[Values]) -> int:
    """Run one statement for all rows; the number of rows it changed."""
    if not rows:
        return 0
    cursor = _cursor(connection)
    cursor.executemany(sql, rows)
    return int(cursor.rowcount)


def one(connection: Connection, sql: str, values: Values = ()) -> int:
    """Run one statement; the number of rows it changed."""
    cursor = _cursor(connection)
    cursor.execute(sql, values)
    return int(cursor.rowcount)


def fetch(connection: Connection, sql: str, values: Values = ()) -> Sequence[Row]:
    """All rows of a query."""
    cursor = _cursor(connection)
    cursor.execute(sql, values)
    return cast("Sequence[Row]", cursor.fetchall())


def marks(count: int) -> str:
    """The placeholders of an IN list."""
    return ",".join("?" * count)


def _cursor(connection: Connection) -> Any:
    """Straight to the driver: the library's own way there costs ten times the statement."""
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


@contextmanager
def _explained(dialect: Dialect) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise dialect.explain(error.orig or error) from error
    except dialect.driver_error as error:
        raise dialect.explain(error) from error


def _roll_back(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if driver is not None and driver.in_transaction:
        one(connection, "ROLLBACK")
