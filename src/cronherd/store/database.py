"""Connections and transactions: where an error of a driver becomes a sentence.

Every verb runs as one function inside `write`, `read`, `glance` or `change`; on any error the
whole of it is rolled back, and nothing is caught inside. Statements are written once, with `?` for
a value and `IN ?` for a list; what differs between databases stands in them as a mark:

    now_us()            the database's clock, UTC microseconds
    /*by primary*/      after a table: lock by its primary key (MySQL, MariaDB)
    /*lock*/            lock these rows
    /*lock, skip*/      lock these rows, leave out those that somebody else has locked
    /*unless there*/    after VALUES: a row that is there already stays as it is
    /*in order*/        after SELECT: begin with the table that is named first, whatever is smaller
    /*bytes of*/ /*bytes*/  around a text: only its ASCII letters count, which is quicker to find
    instr(              (text, part): where the part stands in the text, 0 for nowhere
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar

from cronherd.domain.errors import CronherdError, StatementRefused, Unavailable

if TYPE_CHECKING:  # the library that keeps the schema loads only where a migration is
    from sqlalchemy import Connection as SchemaConnection

P = ParamSpec("P")
R = TypeVar("R")
Row = Any  # a driver's row: a tuple by position
Values = Sequence[object]
Fact = tuple[Literal["ok", "warning", "error"], str, str]


# Rows that one statement changes: each has some seconds, however many runs wait for a job.
AT_ONCE = 5_000


class Contended(Unavailable):
    """Somebody else was in the way; nothing was changed, and the whole verb may be run again."""

    default_code = "database_busy"


class Duplicate(StatementRefused):
    """A row with such a key is there already: somebody else was first."""


class Connection(Protocol):
    """One connection of a driver, for one thread at a time."""

    def fetch(self, sql: str, values: Values = ()) -> Sequence[Row]: ...

    def one(self, sql: str, values: Values = ()) -> int: ...

    def many(self, sql: str, rows: Sequence[Values]) -> int: ...

    def in_transaction(self) -> bool:
        """Whether a transaction is open, as far as this side knows."""
        ...

    def broken(self) -> bool:
        """Whether it is of no more use."""
        ...

    def close(self) -> None: ...


class Dialect(Protocol):
    """What differs between databases: connections, the clock, and the hot statements."""

    name: str
    """sqlite, postgresql or mysql."""
    connections: int
    """How many a process gets, that write as well as read."""
    readers: int
    """How many more there are that only read; 0: the others serve for that too."""

    @property
    def driver_error(self) -> type[Exception]:
        """The base of what this database's driver raises."""
        ...

    def connect(self, *, writes: bool) -> Connection: ...

    def begin_write(self, connection: Connection) -> None: ...

    def begin_read(self, connection: Connection) -> None:
        """Begin a consistent view that locks nothing."""
        ...

    def commit(self, connection: Connection) -> None: ...

    def now_us(self, connection: Connection) -> int: ...

    def due(self, connection: Connection, low_us: int, now_us: int, limit: int) -> Sequence[Row]:
        """Due rows from `low_us` on, oldest first, locked, those of others skipped.

        (job, next, slot, last slot, version, seq, paused until)
        """
        ...

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        """Compare-and-set of due rows: (next, slot, last, seq, id, seen next, version).

        A pause is over unless the next slot to be looked at lies in it as well.
        """
        ...

    def claim(
        self,
        connection: Connection,
        places: Sequence[str],
        limit: int,
        token: str,
        node: bytes,
        until_us: int,
    ) -> Sequence[Row]:
        """Take runs of these places, ready until then, in claim order; others' are skipped."""
        ...

    def notify(self, connection: Connection) -> None:
        """Tell the other nodes with this commit that something is ready, where there is a way."""
        ...

    def wait_hint(self, connection: Connection, timeout_s: float) -> bool | None:
        """Wait for such a word; None where there is no way to hear one."""
        ...

    def check(self, connection: Connection) -> list[Fact]:
        """(level, what, sentence) for each setting of the server that matters."""
        ...

    def schema_session(self) -> "AbstractContextManager[SchemaConnection]":
        """A transaction for a migration, while nobody else migrates."""
        ...

    def explain(self, error: Exception) -> CronherdError:
        """The sentence for a driver's error."""
        ...

    def give_up(self, after_s: float | None) -> None:
        """So many seconds from now end every call and refuse the others; None: go on."""
        ...

    def close(self) -> None: ...


class Pool:
    """Connections of one kind: made when needed, at most so many, dropped when broken."""

    def __init__(self, connect: Callable[[], Connection], most: int) -> None:
        self._connect = connect
        self._places = threading.BoundedSemaphore(most)
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def take(self) -> Iterator[Connection]:
        """One of them, for as long as the block lasts."""
        with self._places:
            connection = self._idle.pop() if self._idle else self._connect()
            try:
                yield connection
            finally:
                if self._closed or connection.broken():
                    connection.close()
                else:
                    self._idle.append(connection)

    def close(self) -> None:
        """Close those nobody uses; the others when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class _View(threading.local):
    """The consistent view that this thread has open."""

    connection: Connection | None = None


class Database:
    """Transactions over a dialect, with as many connections as it has, or at most so many."""

    def __init__(self, dialect: Dialect, *, most: int | None = None) -> None:
        self.dialect = dialect
        self._writers = Pool(lambda: dialect.connect(writes=True), most or dialect.connections)
        self._readers = self._writers
        if dialect.readers:
            self._readers = Pool(lambda: dialect.connect(writes=False), dialect.readers)
        self._view = _View()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction; committed at the end, rolled back on any error."""
        with _explained(self.dialect), self._writers.take() as connection:
            try:
                self.dialect.begin_write(connection)
                yield connection
                self.dialect.commit(connection)
            except BaseException:
                _roll_back(connection)
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view that locks nothing; what the thread reads within belongs to it."""
        if self._view.connection is not None:
            yield self._view.connection
            return
        with _explained(self.dialect), self._readers.take() as connection:
            try:
                self.dialect.begin_read(connection)
                self._view.connection = connection
                yield connection
            finally:
                self._view.connection = None
                _roll_back(connection)

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """Single statements, each its own view: cheaper than `read` where one is enough."""
        if self._view.connection is not None:
            yield self._view.connection
            return
        with _explained(self.dialect), self._readers.take() as connection:
            yield connection

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Single statements that may write, each a transaction of its own."""
        with _explained(self.dialect), self._writers.take() as connection:
            yield connection

    def now_us(self) -> int:
        """The database's clock."""
        with self.glance() as connection:
            return self.dialect.now_us(connection)

    def give_up(self, after_s: float | None) -> None:
        """In so many seconds an outage begins for whoever calls; None: it is over, or not to be."""
        self.dialect.give_up(after_s)

    def close(self) -> None:
        """Close the readers first: whoever closes last may write to the file."""
        self._readers.close()
        self._writers.close()
        self.dialect.close()


# A deadlock or a lock that was waited for in vain: the verb is run again, a little later.
_TRIES = 6
_PAUSE_S = 0.01


def again(verb: Callable[P, R]) -> Callable[P, R]:
    """Run the whole verb once more when others were in its way; it changed nothing before."""
    paused = threading.Event()  # never set: waiting on it is the pause

    @wraps(verb)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        for n in range(1, _TRIES):
            try:
                return verb(*args, **kwargs)
            except Contended:
                # Each waits for a time of its own, so that they do not meet again.
                paused.wait(_PAUSE_S * n * (1 + threading.get_native_id() % 7 / 7))
        return verb(*args, **kwargs)

    return tried


def many(connection: Connection, sql: str, rows: Sequence[Values]) -> int:
    """Run one statement for all rows; the number of rows it changed."""
    return connection.many(sql, rows) if rows else 0


def one(connection: Connection, sql: str, values: Values = ()) -> int:
    """Run one statement; the number of rows it found to change."""
    return connection.one(sql, values)


def fetch(connection: Connection, sql: str, values: Values = ()) -> Sequence[Row]:
    """All rows of a query."""
    return connection.fetch(sql, values)


def parts(values: Sequence[R]) -> Iterator[list[R]]:
    """Parts of a list that one statement takes within its time, in their order."""
    for begin in range(0, len(values), AT_ONCE):
        yield list(values[begin : begin + AT_ONCE])


def spread(sql: str, values: Values) -> tuple[str, Values]:
    """Write out the lists of a statement for a driver that knows none: IN ? -> IN (?,?,?)."""
    lengths = tuple(len(value) if isinstance(value, list) else -1 for value in values)
    if all(length < 0 for length in lengths):
        return sql, values
    flat: list[object] = []
    for value in values:
        if isinstance(value, list):
            flat.extend(value)
        else:
            flat.append(value)
    return _spread(sql, lengths), flat


@lru_cache(maxsize=2_000)
def _spread(sql: str, lengths: tuple[int, ...]) -> str:
    pieces = sql.split("?")
    marks = ("?" if length < 0 else f"({','.join('?' * length)})" for length in lengths)
    return "".join(piece + mark for piece, mark in zip(pieces, [*marks, ""], strict=True))


def plain(text: str, length: int) -> str:
    """So much of a text that every database takes it: no NUL, no half of a character.

    An end whose words were refused would be sent again for ever.
    """
    cut = text[:length]
    if cut.isprintable():
        return cut
    return cut.encode("utf-8", "replace").decode().replace("\0", "?")


def written(sql: str, marks: Mapping[str, str]) -> str:
    """A statement with its marks replaced by what one database says for them."""
    for mark, words in marks.items():
        sql = sql.replace(mark, words)
    return sql


@contextmanager
def _explained(dialect: Dialect) -> Iterator[None]:
    try:
        yield
    except dialect.driver_error as error:
        raise dialect.explain(error) from error
    except UnicodeError as error:
        raise StatementRefused("the text has characters that no database takes") from error
    except OverflowError as error:
        raise StatementRefused("a number is larger than any database takes") from error


def _roll_back(connection: Connection) -> None:
    """Give up what is open. A connection that cannot even do that is dropped by its pool."""
    if connection.broken() or not connection.in_transaction():
        return
    try:
        connection.one("ROLLBACK")
    except Exception:  # noqa: BLE001 - the first error is the one to tell
        connection.close()
