"""Databases on a test server: a fresh empty one, or one with the schema that is used again.

Measured (PostgreSQL 15, MariaDB 10.11, both in memory): a copy of a template database takes 20 to
30 ms, TRUNCATE of six tables 3 to 8 ms on PostgreSQL and 13 ms on MariaDB, DELETE 1 to 4 ms.
So each process migrates a database once, and between tests deletes what is in it.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import pymysql

from tests.servers.engines import ServerBroken, wait_for

Row = tuple[Any, ...]


class Session(Protocol):
    """One connection for administration, to one database. Each statement commits by itself."""

    def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]: ...

    def create(self, name: str) -> None: ...

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        ...

    def tables(self) -> list[str]:
        """Quoted names of the tables here."""
        ...

    def cut_others(self) -> None:
        """End all other connections to this database: nobody may hold a lock any more."""
        ...

    def close(self) -> None: ...


class PostgresqlSession:
    def __init__(self, url: str) -> None:
        self._driver = psycopg.connect(url, autocommit=True)

    def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        cursor = self._driver.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def create(self, name: str) -> None:
        self.run(f"CREATE DATABASE {name}")

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def tables(self) -> list[str]:
        found = self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [f'"{name}"' for (name,) in found]

    def cut_others(self) -> None:
        # Waiting is done here: the server would look only every 100 ms whether they are gone.
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        if not wait_for(lambda: not self.run(end), look_s=0.001):
            raise ServerBroken("PostgreSQL does not end the connections of an earlier test")

    def close(self) -> None:
        self._driver.close()


class MariadbSession:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._driver = pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or "",
            database=parts.path.lstrip("/"),
            autocommit=True,
            charset="utf8mb4",
        )

    def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        with self._driver.cursor() as cursor:
            cursor.execute(statement, tuple(values) or None)
            return list(cursor.fetchall())

    def create(self, name: str) -> None:
        self.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name}")

    def tables(self) -> list[str]:
        found = self.run(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = database() AND table_type = 'BASE TABLE'"
        )
        return [f"`{name}`" for (name,) in found]

    def cut_others(self) -> None:
        others = self.run(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = database() AND id <> connection_id()"
        )
        for (number,) in others:
            try:
                self.run(f"KILL {number}")
            except pymysql.OperationalError as error:
                if error.args[0] != 1094:  # it is gone already
                    raise

    def close(self) -> None:
        self._driver.close()


SESSIONS: dict[str, Callable[[str], Session]] = {
    "postgresql": PostgresqlSession,
    "mariadb": MariadbSession,
}


class Used:
    """A database with its schema, and what was in it when that was new."""

    def __init__(self, url: str, session: Session) -> None:
        self.url = url
        self._session = session
        self._tables = session.tables()
        self._first = {table: rows for table in self._tables if (rows := self._rows(table))}

    def empty(self) -> None:
        """As it was after the migration."""
        self._session.cut_others()
        parts = (f"(SELECT '{t}' FROM {t} LIMIT 1)" for t in self._tables if t not in self._first)
        for (table,) in self._session.run(" UNION ALL ".join(parts)):
            self._session.run(f"DELETE FROM {table}")
        for table, rows in self._first.items():
            if self._rows(table) != rows:
                self._session.run(f"DELETE FROM {table}")
                marks = ",".join(["%s"] * len(rows[0]))
                for row in rows:
                    self._session.run(f"INSERT INTO {table} VALUES ({marks})", row)

    def close(self) -> None:
        self._session.close()

    def _rows(self, table: str) -> list[Row]:
        return sorted(self._session.run(f"SELECT * FROM {table}"))


class Databases:
    """The databases of one process on one server; dropped at its end. For one thread."""

    def __init__(self, kind: str, url: str) -> None:
        self._open = SESSIONS[kind]
        self._url = url
        self._session = self._open(url)
        self._name = f"cronherd_{secrets.token_hex(4)}"
        self._made = 0
        self._idle: list[Used] = []
        self._lent: dict[str, Used] = {}

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"{self._name}_{self._made}"
        self._session.create(name)
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def lend(self, migrate: Callable[[str], None]) -> str:
        """The URL of a database with its schema and nothing else; nobody else has it."""
        if self._idle:
            used = self._idle.pop()
            used.empty()
        else:
            url = self.fresh()
            migrate(url)
            used = Used(url, self._open(url))
        self._lent[used.url] = used
        return used.url

    def take_back(self, url: str) -> None:
        self._idle.append(self._lent.pop(url))

    def close(self) -> None:
        for used in [*self._idle, *self._lent.values()]:
            used.close()
        for number in range(1, self._made + 1):
            self._session.drop(f"{self._name}_{number}")
        self._session.close()
