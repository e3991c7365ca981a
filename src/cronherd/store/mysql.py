"""MySQL and MariaDB: rows are locked by primary key only, and never while they are searched.

Locking over a secondary index deadlocks, and a sort would lock every row it reads. So candidates
are read without a lock first, and then locked by their keys.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS
from pymysql.converters import conversions

from cronherd.domain.errors import CronherdError, StatementRefused, Unavailable
from cronherd.domain.ident import Stored
from cronherd.store.database import (
    Connection,
    Contended,
    Duplicate,
    Fact,
    Row,
    Values,
    fetch,
    one,
    spread,
    written,
)
from cronherd.store.watchdog import Watchdog, shut

if TYPE_CHECKING:
    from sqlalchemy import Connection as SchemaConnection

CONNECT_TIMEOUT_S = 5
CALL_TIMEOUT_S = 6
SCHEMA_WAIT_S = 600
SETTINGS = (
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 4",
    "SET SESSION time_zone = '+00:00'",
)
# A transaction that its node forgot: MariaDB ends it soon, MySQL only with the connection.
MARIADB_SETTINGS = ("SET SESSION idle_transaction_timeout = 5",)
MYSQL_SETTINGS = ("SET SESSION wait_timeout = 30",)

CANDIDATES = """
SELECT job_id FROM job_due WHERE next_us BETWEEN ? AND ? ORDER BY next_us, job_id LIMIT ?
"""
DUE = """
SELECT job_id, next_us, slot_us, last_slot_us, version, seq, paused_until_us, skip_us,
fired FROM job_due FORCE INDEX (PRIMARY) WHERE job_id IN ? AND next_us <= ? FOR UPDATE SKIP LOCKED
"""
ADVANCE = """
UPDATE JSON_TABLE(?, '$[*]' COLUMNS(
next_us BIGINT PATH '$[0]', slot_us BIGINT PATH '$[1]', last_us BIGINT PATH '$[2]',
seq BIGINT PATH '$[3]', fired BIGINT PATH '$[4]', id CHAR(32) PATH '$[5]',
seen_us BIGINT PATH '$[6]', version INT PATH '$[7]'
)) v STRAIGHT_JOIN job_due d ON d.job_id = UNHEX(v.id)
SET d.next_us = v.next_us, d.slot_us = v.slot_us, d.last_slot_us = v.last_us, d.seq = v.seq,
d.fired = v.fired, d.paused_until_us =
CASE WHEN v.next_us IS NOT NULL AND v.slot_us < d.paused_until_us THEN d.paused_until_us END,
d.skip_us = CASE WHEN v.next_us IS NOT NULL AND v.slot_us <= d.skip_us THEN d.skip_us END
WHERE d.next_us = v.seen_us AND d.version = v.version AND v.last_us > d.last_slot_us
"""
READY = """
SELECT id FROM run WHERE state = 'ready' AND place IN ? AND ready_us <= ?
ORDER BY prio, ready_us, id LIMIT ?
"""
LOCK_READY = """
SELECT id FROM run FORCE INDEX (PRIMARY) WHERE id IN ? AND state = 'ready' FOR UPDATE SKIP LOCKED
"""
TAKE = """
UPDATE run FORCE INDEX (PRIMARY)
SET state = 'claimed', epoch = epoch + 1, token = ?, node_id = ?, started_us = NULL WHERE id IN ?
"""
FACTS = """
SELECT version(), @@innodb_flush_log_at_trx_commit, @@read_only, @@binlog_format, @@log_bin
"""
# Others may hold the first candidates: this many times as many are looked at.
_WIDER = 4

_MARKS = {
    "/*by primary*/": "FORCE INDEX (PRIMARY)",
    "/*lock*/": "FOR UPDATE",
    "/*lock, skip*/": "FOR UPDATE SKIP LOCKED",
    "/*unless there*/": "ON DUPLICATE KEY UPDATE run_id = run_id",
    "/*in order*/": "STRAIGHT_JOIN",
    "/*bytes of*/": "CONVERT(",
    "/*bytes*/": "USING latin1)",
}
# Deadlock, lock wait, snapshot conflict: nothing of the transaction is kept after our ROLLBACK.
_BUSY = {1205, 1213, 1020, 3572}
_NO_SCHEMA = ("no_schema", "the database has no cronherd schema", "run 'cronherd db upgrade'")
_REFUSES = ("database_refused", "the database refuses us", "check its URL, password and grants")
_READ_ONLY = ("database_read_only", "the database takes no writes", "")
_KNOWN = {
    **dict.fromkeys((1146, 1054), _NO_SCHEMA),
    **dict.fromkeys((1044, 1045, 1049, 1142, 1143, 1698), _REFUSES),
    **dict.fromkeys((1290, 1836, 1021, 1114), _READ_ONLY),
}
_LOST = {1053, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 2002, 2003, 2006, 2013, 2055}


class MysqlConnection:
    """One session. Every statement has a deadline on this side."""

    def __init__(self, dialect: "MysqlDialect", driver: Any) -> None:
        self._dialect = dialect
        self._watchdog = dialect.watchdog
        self.driver = driver
        self._cursor = driver.cursor()
        self.until_us: int | None = None
        self._watchdog.watch(self)

    def fetch(self, sql: str, values: Values = ()) -> Sequence[Row]:
        self._execute(sql, values)
        rows: Sequence[Row] = self._cursor.fetchall()
        return rows

    def one(self, sql: str, values: Values = ()) -> int:
        return self._execute(sql, values)

    def many(self, sql: str, rows: Sequence[Values]) -> int:
        self.until_us = self._watchdog.deadline_us()
        try:
            return int(self._cursor.executemany(self._text(sql), rows) or 0)
        finally:
            self.until_us = None

    def _execute(self, sql: str, values: Values) -> int:
        text, flat = spread(sql, values)
        self.until_us = self._watchdog.deadline_us()
        try:
            return int(self._cursor.execute(self._text(text), tuple(flat)))
        finally:
            self.until_us = None

    def _text(self, sql: str) -> str:
        if "now_us()" in sql:
            sql = sql.replace("now_us()", self._dialect.now_sql)
        return _text(sql)

    def in_transaction(self) -> bool:
        return bool(self.driver.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def broken(self) -> bool:
        return not self.driver.open

    def cut(self) -> None:
        with suppress(AttributeError, OSError, ValueError):
            shut(self.driver._sock.fileno())  # noqa: SLF001 - it has no other name

    def close(self) -> None:
        with suppress(pymysql.Error):
            self.driver.close()


class MysqlDialect:
    """Statements and habits of MySQL and MariaDB; `url` as mysql://user@host:port/database."""

    name = "mysql"
    connections = 2
    readers = 0
    driver_error = pymysql.Error
    now_sql = "timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6))"

    def __init__(self, url: str, boot_us: Callable[[], int], password: str | None = None) -> None:
        self._options = read_url(url, password)
        self.watchdog = Watchdog(boot_us)

    def connect(self, *, writes: bool = True) -> MysqlConnection:
        del writes
        driver = self.watchdog.attempt(lambda: self._open(autocommit=True))
        return MysqlConnection(self, driver)

    def _open(self, *, autocommit: bool, patience_s: int = CALL_TIMEOUT_S) -> Any:
        driver: Any = pymysql.connect(
            **self._options,
            autocommit=autocommit,
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=patience_s,
            write_timeout=patience_s,
            # Rows found, not rows changed: a renewal with the same values counts too.
            client_flag=CLIENT.FOUND_ROWS,
            conv={**conversions, Stored: conversions[bytes]},
            # An id is bytes, not text that happens to be badly encoded.
            binary_prefix=True,
        )
        ours = MARIADB_SETTINGS if "MariaDB" in driver.get_server_info() else MYSQL_SETTINGS
        with driver.cursor() as cursor:
            for setting in (*SETTINGS, *ours):
                cursor.execute(setting)
        return driver

    def begin_write(self, connection: Connection) -> None:
        one(connection, "START TRANSACTION")

    def begin_read(self, connection: Connection) -> None:
        one(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        one(connection, "START TRANSACTION READ ONLY")

    def commit(self, connection: Connection) -> None:
        """After a deadlock the server has no transaction any more; the rest would stand alone."""
        if not connection.in_transaction():
            raise Contended("the transaction was lost before its COMMIT")
        one(connection, "COMMIT")

    def now_us(self, connection: Connection) -> int:
        return int(fetch(connection, "SELECT now_us()")[0][0])

    def due(self, connection: Connection, low_us: int, now_us: int, limit: int) -> Sequence[Row]:
        found = fetch(connection, CANDIDATES, (low_us, now_us, limit * _WIDER))
        for start in range(0, len(found), limit):
            ids = sorted(row[0] for row in found[start : start + limit])
            rows = fetch(connection, DUE, (ids, now_us))
            if rows:
                return sorted(rows, key=lambda row: (row[1], row[0]))
        return ()

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        if not rows:
            return 0
        shown = [[*row[:5], row[5].hex(), *row[6:]] for row in rows]  # type: ignore[attr-defined]
        return one(connection, ADVANCE, (json.dumps(shown),))

    def claim(
        self,
        connection: Connection,
        places: Sequence[str],
        limit: int,
        token: str,
        node: bytes,
        until_us: int,
    ) -> Sequence[Row]:
        found = fetch(connection, READY, (list(places), until_us, limit * _WIDER))
        taken: list[Row] = []
        while found and len(taken) < limit:
            chunk, found = found[: limit - len(taken)], found[limit - len(taken) :]
            taken += fetch(connection, LOCK_READY, (sorted(row[0] for row in chunk),))
        if taken:
            one(connection, TAKE, (token, node, sorted(row[0] for row in taken)))
        return taken

    def notify(self, connection: Connection) -> None:
        """These servers have no such word: the others look about once a second."""

    def wait_hint(self, connection: Connection, timeout_s: float) -> bool | None:
        del connection, timeout_s
        return None

    def check(self, connection: Connection) -> list[Fact]:
        version, flush, read_only, binlog, logging = fetch(connection, FACTS)[0]
        mariadb = "MariaDB" in version
        found: list[Fact] = [_version(version, mariadb=mariadb)]
        if flush != 1:
            text = f"innodb_flush_log_at_trx_commit is {flush}: a crash loses acknowledged writes"
            found.append(("warning", "durability", text))
        else:
            found.append(("ok", "durability", "each commit is flushed"))
        isolation = "@@tx_isolation" if mariadb else "@@transaction_isolation"
        level = fetch(connection, f"SELECT {isolation}")[0][0]
        if level != "READ-COMMITTED":
            found.append(("error", "isolation", f"it is {level}, not READ-COMMITTED"))
        if read_only and str(read_only) not in {"0", "OFF"}:
            found.append(("error", "role", "this server only reads: name the primary"))
        if logging and binlog == "STATEMENT":
            text = "binlog_format is STATEMENT: set it to ROW or MIXED"
            found.append(("error", "binary log", text))
        if [row[1] for row in fetch(connection, "SHOW VARIABLES LIKE 'wsrep_on'")] == ["ON"]:
            text = "Galera: let all nodes write through one server, or slots may be refused"
            found.append(("warning", "cluster", text))
        return found

    @contextmanager
    def schema_session(self) -> "Iterator[SchemaConnection]":
        """Under a named lock. DDL commits by itself here, so each step can be done again."""
        from sqlalchemy import create_engine, text  # noqa: PLC0415 - only where a migration is
        from sqlalchemy.pool import NullPool  # noqa: PLC0415

        engine = create_engine(
            "mysql+pymysql://",
            creator=lambda: self._open(autocommit=False, patience_s=SCHEMA_WAIT_S),
            poolclass=NullPool,
        )
        name = f"cronherd.{self._options.get('database')}"
        with engine.connect() as connection:
            got = connection.execute(
                text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": SCHEMA_WAIT_S // 2}
            )
            if got.scalar() != 1:
                raise Contended("somebody else changes the schema for minutes now")
            try:
                yield connection
                connection.commit()
            finally:
                connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})

    def explain(self, error: Exception) -> CronherdError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        words = str(error.args[1]) if len(error.args) > 1 else str(error)
        if number in _BUSY:
            return Contended(f"the database was busy: {words}")
        if number in _KNOWN:
            code, told, hint = _KNOWN[number]
            return Unavailable(f"{told}: {words}", code=code, hint=hint)
        if number in _LOST or isinstance(error, pymysql.InterfaceError) or number == 0:
            return Unavailable(f"the database does not answer: {words}", code="database_lost")
        if number == 1062:
            return Duplicate(f"the database refused a statement: {words}")
        return StatementRefused(f"the database refused a statement: {words}")

    def give_up(self, after_s: float | None) -> None:
        self.watchdog.give_up(after_s)

    def close(self) -> None:
        self.watchdog.close()


def read_url(url: str, password: str | None = None) -> dict[str, Any]:
    """What the driver wants to know, from mysql://user:password@host:port/database."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    options: dict[str, Any] = {
        "host": parts.hostname or "localhost",
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": password or unquote(parts.password or ""),
        "database": unquote(parts.path.lstrip("/")),
    }
    if "unix_socket" in query:
        options["unix_socket"] = query["unix_socket"]
    if "ssl_ca" in query:
        options["ssl"] = {"ca": query["ssl_ca"], "check_hostname": True}
    return options


def _version(version: str, *, mariadb: bool) -> Fact:
    number = version.partition("-")[0]
    numbers = tuple(int(part) for part in number.split(".")[:2])
    oldest = (10, 6) if mariadb else (8, 0)
    shown = f"{'MariaDB' if mariadb else 'MySQL'} {number}"
    if numbers < oldest:
        needed = ".".join(map(str, oldest))
        return ("error", "server", f"{shown} is too old: {needed} or newer is needed")
    return ("ok", "server", shown)


@lru_cache(maxsize=2_000)
def _text(sql: str) -> str:
    """In the driver's words."""
    return written(sql, _MARKS).replace("%", "%%").replace("?", "%s")
