"""SQLite: the embedded database of one host. One process writes, through one connection.

Versions before 3.51.3 can corrupt a file when one connection commits while another checkpoints;
so the writing connection is also the only one that does.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cronherd.domain.errors import Conflict, CronherdError, Unavailable
from cronherd.store.database import Row, Values, fetch, many, marks, one

# A reader never waits for long behind the writer's COMMIT; more than this is a stuck disk.
_BUSY_MS = 5_000

DUE = """
SELECT job_id, next_us, slot_us, last_slot_us, version, seq FROM job_due
WHERE next_us <= ? ORDER BY next_us, job_id LIMIT ?
"""
ADVANCE = """
UPDATE job_due SET next_us = ?1, slot_us = ?2, last_slot_us = ?3, seq = ?4
WHERE job_id = ?5 AND next_us = ?6 AND version = ?7 AND ?3 > last_slot_us
"""
READY = """
SELECT id FROM run WHERE state = 'ready' AND place IN ({})
ORDER BY prio, ready_us, id LIMIT ?
"""


class SqliteDialect:
    """Statements and habits of SQLite. Opening takes the file's lock for this process."""

    # BEGIN IMMEDIATE holds the whole file, so nothing is locked or skipped row by row.
    for_update = ""
    insert_ignore = "INSERT OR IGNORE"
    driver_error = sqlite3.Error

    def __init__(self, path: Path, now_us: Callable[[], int]) -> None:
        self.path = path
        self._now_us = now_us
        self._lock = _lock_file(path)
        self._engine = create_engine(
            "sqlite://",
            creator=self._open,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def connect_writer(self) -> Connection:
        try:
            connection = self._engine.connect()
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("PRAGMA synchronous = FULL")
            connection.exec_driver_sql("PRAGMA temp_store = MEMORY")
        except DBAPIError as error:
            os.close(self._lock)
            raise self.explain(error.orig or error) from error
        return connection

    def connect_reader(self) -> Connection:
        connection = self._engine.connect()
        connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        connection.exec_driver_sql("PRAGMA query_only = ON")
        return connection

    def begin_write(self, connection: Connection) -> None:
        one(connection, "BEGIN IMMEDIATE")

    def now_us(self, connection: Connection) -> int:
        """The file has no clock of its own: it is this host's."""
        del connection
        return self._now_us()

    def due(self, connection: Connection, now_us: int, limit: int) -> Sequence[Row]:
        return fetch(connection, DUE, (now_us, limit))

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        return many(connection, ADVANCE, rows)

    def ready(self, connection: Connection, places: Sequence[str], limit: int) -> Sequence[Row]:
        return fetch(connection, READY.format(marks(len(places))), (*places, limit))

    def explain(self, error: Exception) -> CronherdError:
        text = str(error)
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

    def close(self) -> None:
        self._engine.dispose()
        os.close(self._lock)


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
