"""The records as they lie in the database, read from outside the process under test.

A second pair of eyes: what is counted here has been committed, whatever the API says, and looking
costs the process nothing. Only reads; of a file it never becomes the last one to close it.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.servers.databases import Session

FINISHED = "SELECT count(*) FROM run_history"


class Records(Protocol):
    """A reader of one fleet's database; opened at the first look."""

    def finished(self) -> int:
        """Runs recorded as ended."""
        ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        ...

    def close(self) -> None:
        """Before the process under test closes the file."""
        ...


class FileRecords:
    """Of an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._link: sqlite3.Connection | None = None

    def finished(self) -> int:
        return int(self.rows(FINISHED)[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self._link is None:
            self._link = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            self._link.execute("PRAGMA query_only = ON")
            self._link.execute("PRAGMA wal_autocheckpoint = 0")
        return self._link.execute(sql).fetchall()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class ServerRecords:
    """Of a server's database."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._session: Session | None = None

    def finished(self) -> int:
        return int(self.rows(FINISHED)[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self._session is None:
            self._session = self._connect()
        return self._session.run(sql)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
