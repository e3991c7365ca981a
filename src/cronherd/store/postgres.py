"""PostgreSQL: many nodes, row locks, SKIP LOCKED, and NOTIFY as a hint."""

import re
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from cronherd.domain.errors import CronherdError, StatementRefused, Unavailable
from cronherd.store.database import (
    Connection,
    Contended,
    Duplicate,
    Fact,
    Row,
    Values,
    fetch,
    one,
    written,
)
from cronherd.store.postgres_rows import COLUMNS, INSERT, adapt, bulk, by_column
from cronherd.store.watchdog import Watchdog, shut

if TYPE_CHECKING:
    from sqlalchemy import Connection as SchemaConnection

OLDEST = 130_000
CONNECT_TIMEOUT_S = 5
CHANNEL = "cronherd"
# What every session of ours relies on, whatever the server's defaults are.
SETTINGS = {
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "lock_timeout": "4s",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
    "client_encoding": "UTF8",
    # Every statement on the line has its index, and tables that grow faster than their statistics
    # are planned as if they were still empty: one plan per statement, no scans, no compiling, and
    # no workers: to start some for the five rows that a page wants takes 25 ms.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
# One number for "somebody changes the schema", shared by all databases of a server.
SCHEMA_LOCK = 0x63726F6E68657264

DUE = """
SELECT job_id, next_us, slot_us, last_slot_us, version, seq, paused_until_us, skip_us, fired
FROM job_due WHERE next_us BETWEEN ? AND ? ORDER BY next_us, job_id LIMIT ? FOR UPDATE SKIP LOCKED
"""
ADVANCE = """
UPDATE job_due d SET next_us = v.next_us, slot_us = v.slot_us, last_slot_us = v.last_us,
seq = v.seq, fired = v.fired, paused_until_us =
CASE WHEN v.next_us IS NOT NULL AND v.slot_us < d.paused_until_us THEN d.paused_until_us END,
skip_us = CASE WHEN v.next_us IS NOT NULL AND v.slot_us <= d.skip_us THEN d.skip_us END
FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::uuid[],
?::bigint[], ?::int[]) AS v(next_us, slot_us, last_us, seq, fired, id, seen_us, version)
WHERE d.job_id = v.id AND d.next_us = v.seen_us AND d.version = v.version
AND v.last_us > d.last_slot_us
"""
CLAIM = """
WITH c AS MATERIALIZED (
SELECT id FROM run WHERE state = 'ready' AND place IN ? AND ready_us <= ?
ORDER BY prio, ready_us, id LIMIT ? FOR UPDATE SKIP LOCKED
) UPDATE run SET state = 'claimed', epoch = epoch + 1, token = ?, node_id = ?, started_us = NULL
FROM c WHERE run.id = c.id RETURNING run.id
"""
# The order of the index is the order of the claim only while there is one place to look at.
CLAIM_ONE = CLAIM.replace("place IN ?", "place = ?")
FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('fsync'),
current_setting('full_page_writes'), current_setting('synchronous_commit'),
current_setting('transaction_isolation'), pg_is_in_recovery(),
current_setting('transaction_read_only'), current_setting('server_encoding')
"""

_BUSY = {"40001", "40P01", "55P03"}
_NO_SCHEMA = ("no_schema", "the database has no cronherd schema", "run 'cronherd db upgrade'")
_REFUSES = ("database_refused", "the database refuses us", "check its URL, password and grants")
_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf", "does not exist")
_READ_ONLY = ("database_read_only", "the database takes no writes", "")
_KNOWN = {
    "57014": ("database_slow", "the database was too slow", ""),
    **dict.fromkeys(("42P01", "42703"), _NO_SCHEMA),
    **dict.fromkeys(("28000", "28P01", "42501", "3D000"), _REFUSES),
    **dict.fromkeys(("53100", "25006"), _READ_ONLY),
}
_MARKS = {
    "/*by primary*/": "",
    "/*lock*/": "FOR UPDATE",
    "/*lock, skip*/": "FOR UPDATE SKIP LOCKED",
    "/*unless there*/": "ON CONFLICT DO NOTHING",
    "/*bytes*/": 'COLLATE "C"',
    "instr(": "strpos(",
}


class PostgresConnection:
    """One session. Every statement has a deadline on this side."""

    def __init__(self, dialect: "PostgresDialect", driver: "psycopg.Connection[Any]") -> None:
        self._dialect = dialect
        self._watchdog = dialect.watchdog
        self.driver = driver
        self._cursor = driver.cursor(binary=True)
        self.until_us: int | None = None
        self.listening = False
        self._watchdog.watch(self)

    def fetch(self, sql: str, values: Values = ()) -> Sequence[Row]:
        self.until_us = self._watchdog.deadline_us()
        try:
            self._cursor.execute(self._text(sql), values)
            return self._cursor.fetchall()
        finally:
            self.until_us = None

    def one(self, sql: str, values: Values = ()) -> int:
        self.until_us = self._watchdog.deadline_us()
        try:
            self._cursor.execute(self._text(sql), values)
            return self._cursor.rowcount
        finally:
            self.until_us = None

    def many(self, sql: str, rows: Sequence[Values]) -> int:
        """Rows of an INSERT go by column; all other statements one after the other."""
        matched = INSERT.fullmatch(sql) if len(rows) > 1 else None
        if matched:
            same, values = by_column(rows)
            return self.one(self._dialect.bulk(self, matched, same), values)
        self.until_us = self._watchdog.deadline_us()
        try:
            self._cursor.executemany(self._text(sql), rows)
            return self._cursor.rowcount
        finally:
            self.until_us = None

    def _text(self, sql: str) -> str:
        if "now_us()" in sql:
            sql = sql.replace("now_us()", self._dialect.now_sql)
        return _text(sql)

    def in_transaction(self) -> bool:
        return self.driver.info.transaction_status is not TransactionStatus.IDLE

    def broken(self) -> bool:
        return self.driver.closed

    def cut(self) -> None:
        with suppress(psycopg.Error):
            shut(self.driver.fileno())

    def close(self) -> None:
        self.driver.close()


class PostgresDialect:
    """Statements and habits of PostgreSQL; `url` as postgresql://user@host:port/database."""

    name = "postgresql"
    connections = 2
    readers = 0
    driver_error = psycopg.Error
    # When the statement began: it does not change within it, so an index can be searched by it.
    now_sql = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"

    def __init__(self, url: str, boot_us: Callable[[], int], password: str | None = None) -> None:
        self._url = url
        self._password = password
        self.watchdog = Watchdog(boot_us)
        self._types: dict[str, dict[str, str]] = {}

    def connect(self, *, writes: bool = True) -> PostgresConnection:
        del writes
        driver = self.watchdog.attempt(lambda: self._open(autocommit=True))
        return PostgresConnection(self, driver)

    def _open(self, *, autocommit: bool) -> "psycopg.Connection[Any]":
        pairs = ((name, value.replace(" ", r"\ ")) for name, value in SETTINGS.items())
        options = " ".join(f"-c {name}={value}" for name, value in pairs)
        secret = {"password": self._password} if self._password else {}
        driver = psycopg.connect(
            make_conninfo(self._url, **secret),
            autocommit=autocommit,
            prepare_threshold=3,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=options,
            application_name="cronherd",
        )
        adapt(driver)
        return driver

    def begin_write(self, connection: Connection) -> None:
        one(connection, "BEGIN")

    def begin_read(self, connection: Connection) -> None:
        one(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self, connection: Connection) -> None:
        """A transaction that failed answers COMMIT with a rollback, and no error."""
        assert isinstance(connection, PostgresConnection)
        status = connection.driver.info.transaction_status
        if status is not TransactionStatus.INTRANS:
            raise Contended(f"the transaction was lost before its COMMIT ({status.name})")
        one(connection, "COMMIT")

    def now_us(self, connection: Connection) -> int:
        return int(fetch(connection, "SELECT now_us()")[0][0])

    def due(self, connection: Connection, low_us: int, now_us: int, limit: int) -> Sequence[Row]:
        return fetch(connection, DUE, (low_us, now_us, limit))

    def advance(self, connection: Connection, rows: Sequence[Values]) -> int:
        if not rows:
            return 0
        return one(connection, ADVANCE, [list(column) for column in zip(*rows, strict=True)])

    def claim(
        self,
        connection: Connection,
        places: Sequence[str],
        limit: int,
        token: str,
        node: bytes,
        until_us: int,
    ) -> Sequence[Row]:
        if len(places) == 1:
            return fetch(connection, CLAIM_ONE, (places[0], until_us, limit, token, node))
        return fetch(connection, CLAIM, (list(places), until_us, limit, token, node))

    def notify(self, connection: Connection) -> None:
        fetch(connection, f"SELECT pg_notify('{CHANNEL}', '')")

    def wait_hint(self, connection: Connection, timeout_s: float) -> bool | None:
        assert isinstance(connection, PostgresConnection)
        driver = connection.driver
        if not connection.listening:
            one(connection, f"LISTEN {CHANNEL}")
            connection.listening = True
        heard = list(driver.notifies(timeout=0, stop_after=1))
        if not heard and select.select([driver], [], [], timeout_s)[0]:
            heard = list(driver.notifies(timeout=0, stop_after=1))
        return bool(heard)

    def bulk(
        self, connection: PostgresConnection, matched: re.Match[str], same: tuple[bool, ...]
    ) -> str:
        """An INSERT of many rows, parsed and planned once; `same`: which columns are one value."""
        table = matched[1]
        if table not in self._types:
            self._types[table] = dict(fetch(connection, COLUMNS, (table,)))
        names = [column.strip() for column in matched[2].split(",")]
        kinds = tuple(self._types[table][name.strip('"')] for name in names)
        return bulk(table, tuple(zip(names, kinds, same, strict=True)), matched[3])

    def check(self, connection: Connection) -> list[Fact]:
        number, fsync, pages, sync, isolation, standby, read_only, encoding = fetch(
            connection, FACTS
        )[0]
        version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
        found: list[Fact] = [("ok", "server", version)]
        if number < OLDEST:
            found = [("error", "server", f"{version} is too old: 13 or newer is needed")]
        if fsync == "off" or pages == "off":
            text = "fsync or full_page_writes is off: a crash would lose what was acknowledged"
            found.append(("error", "durability", text))
        elif sync not in {"on", "remote_write", "remote_apply"}:
            found.append(("error", "durability", f"synchronous_commit is {sync}"))
        else:
            found.append(("ok", "durability", f"fsync on, synchronous_commit {sync}"))
        found += _kept(connection)
        if isolation != "read committed":
            found.append(("error", "isolation", f"it is '{isolation}', not 'read committed'"))
        if standby or read_only == "on":
            found.append(("error", "role", "this server only reads: name the primary"))
        if encoding != "UTF8":
            found.append(("error", "encoding", f"the database is {encoding}: make it with UTF8"))
        return found

    @contextmanager
    def schema_session(self) -> "Iterator[SchemaConnection]":
        """One transaction under an advisory lock: DDL is rolled back as everything is."""
        from sqlalchemy import create_engine, text  # noqa: PLC0415 - only where a migration is
        from sqlalchemy.pool import NullPool  # noqa: PLC0415

        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._open(autocommit=False),
            poolclass=NullPool,
        )
        with engine.begin() as connection:
            # A migration may take long, and so may waiting for somebody else's.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            # A slow host may think for seconds between two statements.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
            yield connection

    def explain(self, error: Exception) -> CronherdError:
        state = getattr(error, "sqlstate", None) or ""
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if state in _BUSY:
            return Contended(f"the database was busy: {first}")
        if not state and any(sign in first for sign in _REFUSALS):
            state = "28000"  # before a session is there the driver has no number for it
        if state in _KNOWN:
            code, words, hint = _KNOWN[state]
            return Unavailable(f"{words}: {first}", code=code, hint=hint)
        if state == "23505":
            return Duplicate(f"the database refused a statement: {first}")
        if state[:2] in {"22", "23", "42"} or isinstance(error, psycopg.DataError):
            return StatementRefused(f"the database refused a statement: {first}")
        return Unavailable(f"the database does not answer: {first}", code="database_lost")

    def give_up(self, after_s: float | None) -> None:
        self.watchdog.give_up(after_s)

    def close(self) -> None:
        self.watchdog.close()


def _kept(connection: Connection) -> list[Fact]:
    """Whether the session has what we asked for: a pooler in between may drop it."""
    names = list(SETTINGS)
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    told = dict(zip(names, fetch(connection, f"SELECT {columns}")[0], strict=True))
    lost = [name for name in names if told[name].lower() != SETTINGS[name].lower()]
    if not lost:
        return []
    text = f"{', '.join(lost)} did not reach the server: a pooler between? See 'Running a fleet'"
    return [("error", "session", text)]


@lru_cache(maxsize=2_000)
def _text(sql: str) -> str:
    """In the driver's words: lists go as arrays."""
    text = written(sql, _MARKS).replace("%", "%%").replace("IN ?", "= ANY(?)")
    return text.replace("?", "%s")
