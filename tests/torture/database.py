"""The database under torture, and the torture's own way to it: past every proxy, by plain SQL."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.servers.engines import ServerBroken
from tests.servers.handles import PrivateServer, private_server
from tests.torture.evidence import boot_ns

KINDS = ("sqlite", "postgresql", "mariadb")
NAME = "torture"
CALL_S = 5
Row = Sequence[Any]
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Ground(Protocol):
    """One database, and what may happen to it."""

    kind: str

    @property
    def address(self) -> str:
        """host:port; empty where there is no network."""
        ...

    def url(self, port: int) -> str:
        """How a node reaches it through its door."""
        ...

    def query(self, sql: str) -> list[Row]:
        """Ids come as 32 hexadecimal digits. Raises OSError or what the driver raises."""
        ...

    def now(self) -> tuple[int, int, int]:
        """The database's clock between two readings of the boot clock."""
        ...

    def deadlocks(self) -> int:
        """How many it has had to solve since it was started."""
        ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...

    def restart(self) -> None: ...

    def cut(self) -> None:
        """End every connection that is not our own."""
        ...


class SqliteGround:
    """The file of the one node. It has no server, so nothing happens to it by itself."""

    kind = "sqlite"
    address = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    def url(self, port: int) -> str:
        del port
        return f"sqlite:///{self.path}"

    def query(self, sql: str) -> list[Row]:
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=CALL_S) as link:
            rows = [tuple(map(plain, row)) for row in link.execute(sql)]
        link.close()
        return list(rows)

    def now(self) -> tuple[int, int, int]:
        before = boot_ns()
        rows = sqlite3.connect(":memory:").execute(
            "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000"
        )
        at_us: int = rows.fetchone()[0]
        return before, at_us, boot_ns()

    def deadlocks(self) -> int:
        return 0

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...

    def restart(self) -> None: ...

    def cut(self) -> None: ...


class _ServerGround:
    """What both servers have in common; a connection of ours lasts for one question."""

    def __init__(self, server: PrivateServer) -> None:
        self._server = server
        self.parts = urlsplit(server.url)

    @property
    def address(self) -> str:
        return f"{self.parts.hostname}:{self.parts.port}"

    def freeze(self) -> None:
        self._server.freeze()

    def thaw(self) -> None:
        self._server.thaw()

    def kill(self) -> None:
        self._server.kill()

    def stop(self) -> None:
        try:
            self._server.stop()
        except ServerBroken:
            # PostgreSQL waits for clients that never say who they are, and a black hole has such.
            self._server.kill()

    def restart(self) -> None:
        self._server.restart()


class PostgresGround(_ServerGround):
    kind = "postgresql"

    def __init__(self, server: PrivateServer) -> None:
        super().__init__(server)
        self._ask(f"CREATE DATABASE {NAME}", self.parts.path.lstrip("/"))

    def url(self, port: int) -> str:
        return f"postgresql://{self.parts.username}@127.0.0.1:{port}/{NAME}"

    def query(self, sql: str) -> list[Row]:
        return self._ask(sql, NAME)

    def now(self) -> tuple[int, int, int]:
        import psycopg  # noqa: PLC0415 - only where this server is

        with psycopg.connect(self._place(NAME), autocommit=True) as link:
            before = boot_ns()
            found = link.execute(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
            ).fetchone()
            after = boot_ns()
        assert found is not None
        return before, int(found[0]), after

    def deadlocks(self) -> int:
        own = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(self._ask(own, NAME)[0][0])

    def cut(self) -> None:
        self._ask(CUT, NAME)

    def _ask(self, sql: str, database: str) -> list[Row]:
        import psycopg  # noqa: PLC0415

        with psycopg.connect(self._place(database), autocommit=True) as link:
            cursor = link.execute(sql.encode())
            rows = cursor.fetchall() if cursor.description else []
        return [tuple(map(plain, row)) for row in rows]

    def _place(self, database: str) -> str:
        return (
            f"host=127.0.0.1 port={self.parts.port} user={self.parts.username} dbname={database}"
            f" connect_timeout={CALL_S}"
        )


class MariaGround(_ServerGround):
    kind = "mariadb"

    def __init__(self, server: PrivateServer) -> None:
        super().__init__(server)
        self._ask(f"CREATE DATABASE {NAME}", None)

    def url(self, port: int) -> str:
        return f"mysql://{self.parts.username}@127.0.0.1:{port}/{NAME}"

    def query(self, sql: str) -> list[Row]:
        return self._ask(sql, NAME)

    def now(self) -> tuple[int, int, int]:
        with self._link(NAME) as link, link.cursor() as cursor:
            before = boot_ns()
            cursor.execute("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)")
            found = cursor.fetchone()
            after = boot_ns()
        return before, int(found[0]), after

    def deadlocks(self) -> int:
        return int(self._ask("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'", None)[0][1])

    def cut(self) -> None:
        own = "SELECT id FROM information_schema.processlist WHERE id <> connection_id()"
        for (number,) in self._ask(f"{own} AND db = '{NAME}'", None):
            try:
                self._ask(f"KILL CONNECTION {number}", None)
            except Exception as error:
                if "Unknown thread" not in str(error):
                    raise

    def _ask(self, sql: str, database: str | None) -> list[Row]:
        with self._link(database) as link, link.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall() or ()
        return [tuple(map(plain, row)) for row in rows]

    def _link(self, database: str | None) -> Any:
        import pymysql  # noqa: PLC0415

        return pymysql.connect(
            host="127.0.0.1",
            port=self.parts.port or 0,
            user=self.parts.username or "root",
            database=database,
            autocommit=True,
            connect_timeout=CALL_S,
            read_timeout=CALL_S,
            sql_mode="ANSI_QUOTES",
        )


def plain(value: Any) -> Any:
    """An id as 32 hexadecimal digits, whatever the driver makes of it."""
    if isinstance(value, bytes):
        return value.hex()
    return value.hex if hasattr(value, "hex") and hasattr(value, "bytes_le") else value


@contextmanager
def ground(kind: str, folder: Path) -> Iterator[Ground]:
    """A database of our own; its server is gone at the end. Raises ServerMissing."""
    if kind == "sqlite":
        yield SqliteGround(folder / "cronherd.db")
        return
    with private_server(kind) as server:
        yield PostgresGround(server) if kind == "postgresql" else MariaGround(server)
