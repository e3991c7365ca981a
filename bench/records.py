"""The records as they lie in the file, read from outside the process under test.

A second pair of eyes: what is counted here has been committed, whatever the API says, and looking
costs the process nothing. Only reads; it never becomes the last one to close the file.
"""

import sqlite3
from pathlib import Path
from typing import Any


class Records:
    """A reader of one fleet's SQLite file; opened at the first look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._link: sqlite3.Connection | None = None

    def finished(self) -> int:
        """Runs recorded as ended."""
        return int(self.rows("SELECT count(*) FROM run_history")[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        if self._link is None:
            self._link = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            self._link.execute("PRAGMA query_only = ON")
            self._link.execute("PRAGMA wal_autocheckpoint = 0")
        return self._link.execute(sql).fetchall()

    def close(self) -> None:
        """Before the process under test closes the file."""
        if self._link is not None:
            self._link.close()
            self._link = None
