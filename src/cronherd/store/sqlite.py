"""SQLite: the embedded database of one host. One process writes, through one connection.

Versions before 3.51.3 can corrupt a file when one connection commits while another checkpoints;
so the writing connection is also the only one that does.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.domain.errors import Conflict, CronherdError, StatementRefused, Unavailable
from cronherd.store.database import (
    Connection,
    Duplicate,
    Fact,
    Row,
    Values,
    fetch,
    many,
    one,
    spread,
    written,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection as SchemaConnection

# A reader never waits for long behind the writer's COMMIT; more than this is a stuck disk.
_BUSY_MS = 5_000

DUE = """
SELECT job_id, next_us, slot_us, last_slot_us, version, seq, paused_until_us, skip_us, fired
FROM job_due WHERE next_us BETWEEN ? AND ? ORDER BY next_us, job_id LIMIT ?
"""
ADVANCE = """
UPDATE job_due SET next_us = ?1, slot_us = ?2, last_slot_us = ?3, seq = ?4, fired = ?5,
paused_until_us = CASE WHEN ?1 IS NOT NULL AND ?2 < paused_until_us THEN paused_until_us END,
skip_us = CASE WHEN ?1 IS NOT NULL AND ?2 <= skip_us THEN skip_us END
WHERE job_id = ?6 AND next_us = ?7 AND version = ?8 AND ?3 > last_slot_us
"""
READY = """
SELECT id FROM run WHERE state = 'ready' AND place IN ? AND +ready_us <= ?
ORDER BY prio, ready_us, id LIMIT ?
"""
TAKE = """
UPDATE run SET state = 'claimed', epoch = epoch + 1, token = ?, node_id = ?, started_us = NULL
WHERE id IN ? AND state = 'ready'
"""

# BEGIN IMMEDIATE holds the whole file, so nothing is locked or skipped row by row.
_MARKS = {"/*unless there*/": "ON CONFLICT DO NOTHING"}


class SqliteConnection:
    """Straight to the driver."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self.driver = driver

    def fetch(self, sql: str, values: Values = ()) -> Sequence[Row]:
        text, flat = spread(_text(sql), values)
        return self.driver.execute(text, flat).fetchall()

    def one(self, sql: str, values: Values = ()) -> int:
        text, flat = spread(_text(sql), values)
        return self.driver.execute(text, flat).rowcount

    def many(self, sql: str, rows: Sequence[Values]) -> int:
        return self.driver.executemany(_text(sql), rows).rowcount

    def in_transaction(self) -> bool:
        return self.driver.in_transaction

    def broken(self) -> bool:
        return False

    def close(self) -> None:
        self.driver.close()


class SqliteDialect:
    """Statements and habits of SQLite. Opening takes the file's lock for this process."""

    name = "sqlite"
    connections = 1
    readers = 16
    driver_error = sqlite3.Error

    def __init__(self, path: Path, now_us: Callable[[], int]) -> None:
        self.path = path
        self._now_us = now_us
        self._lock = _lock_file(path)
        try:
            self._writer = self._open()
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "temp_store = MEMORY"):
                self._writer.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self.explain(error) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_function("now_us", 0, self._now_us)
        return connection

    def connect(self, *, writes: bool) -> SqliteConnection:
        if writes:
            return SqliteConnection(self._writer)
        connection = self._open()
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = ON")
        return SqliteConnection(connection)

    def begin_write(self, connection: Connection) -> None:
        one(connection, "BEGIN IMMEDIATE")

    def begin_read(self, connection: Connection) -> None:
        one(connection, "BEGIN")

    def commit(self, connection: Connection) -> None:
        one(connection, "COMMIT")

    def now_us(self, connection: Connection) -> int:
        """The file has no clock of its own: it is this host's."""
        del connection
        return self._now_us()

    def due(self, connection: Connection, low_us: int, now_us: int, limit: int) -> Sequence[Row]:
        return fetch(connection, DUE, (low_us, now_us, limit))

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        return many(connection, ADVANCE, rows)

    def claim(
        self,
        connection: Connection,
        places: Sequence[str],
        limit: int,
        token: str,
        node: bytes,
        until_us: int,
    ) -> Sequence[Row]:
        ids = fetch(connection, READY, (list(places), until_us, limit))
        if ids:
            one(connection, TAKE, (token, node, [row[0] for row in ids]))
        return ids

    def notify(self, connection: Connection) -> None:
        """One process works with the file, and wakes its own threads."""

    def wait_hint(self, connection: Connection, timeout_s: float) -> bool | None:
        del connection, timeout_s
        return None

    def check(self, connection: Connection) -> list[Fact]:
        del connection
        text = f"SQLite {sqlite3.sqlite_version}: one connection writes and checkpoints"
        return [("ok", "sqlite", f"{text}, so all versions are safe")]

    @contextmanager
    def schema_session(self) -> "Iterator[SchemaConnection]":
        """On the writing connection itself, inside a transaction of ours."""
        from sqlalchemy import create_engine  # noqa: PLC0415 - only where a migration is
        from sqlalchemy.pool import StaticPool  # noqa: PLC0415

        engine = create_engine(
            "sqlite://",
            creator=lambda: self._writer,
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
        )
        connection = engine.connect()
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        finally:
            connection.close()

    def explain(self, error: Exception) -> CronherdError:
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
            refused = Duplicate if text.startswith("UNIQUE") else StatementRefused
            return refused(f"the database refused a statement: {text}")
        if isinstance(error, sqlite3.OperationalError) and "full" in text:
            return Unavailable(
                f"the disk of {self.path} is full", code="disk_full", hint="free some space"
            )
        if "readonly" in text or "unable to open" in text:
            return Unavailable(
                f"cannot write {self.path}", code="not_writable", hint="check owner and mode"
            )
        if "not a database" in text or "malformed" in text:
            return Unavailable(
                f"{self.path} is not a sound SQLite database",
                code="bad_database",
                hint="restore a backup, or start with a new file",
            )
        if "no such table" in text:
            return Unavailable(
                f"{self.path} has no cronherd schema",
                code="no_schema",
                hint="run 'cronherd db upgrade'",
            )
        return Unavailable(f"the database failed: {text}", code="database_failed")

    def give_up(self, after_s: float | None) -> None:
        """A file is there or not: nobody waits for it."""

    def close(self) -> None:
        self._writer.close()
        os.close(self._lock)


@lru_cache(maxsize=2_000)
def _text(sql: str) -> str:
    return written(sql, _MARKS)


def _lock_file(path: Path) -> int:
    """Hold `<file>.lock` as long as this process lives. Raises Conflict, Unavailable."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"cannot write beside {path}: {error.strerror}",
            code="not_writable",
            hint="check owner and mode of its directory",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Conflict(
            f"another process works with {path}",
            code="database_in_use",
            hint="one process writes an SQLite file: a 'cronherd up' whose socket is gone must be "
            "restarted, a 'cronherd agent' answers no commands",
        ) from error
    return lock
