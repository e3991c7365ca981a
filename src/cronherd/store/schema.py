"""The tables, written out once for every dialect. Instants are BIGINT UTC microseconds.

Hot rows are narrow: `job_due` and `run` hold only what firing and claiming read; what people look
at is in `job`, `run_history`, `attempt` and `output`. Keys are ASCII with a binary collation, so
that `Job`, `job` and `job ` never collide by accident of a server's default.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

KEY_LENGTH = 128
NAME_LENGTH = 120


def _id() -> TypeEngine[Any]:
    """A UUIDv7: `uuid` on PostgreSQL, 16 bytes elsewhere."""
    plain: TypeEngine[Any] = LargeBinary(16)
    return plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )


def _key(length: int = KEY_LENGTH) -> TypeEngine[str]:
    """ASCII, compared byte by byte."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def _name(length: int = NAME_LENGTH) -> TypeEngine[str]:
    """Text of people, compared byte by byte."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _text() -> TypeEngine[str]:
    """Text of any length a person may send (a TEXT of MySQL ends at 64 KiB)."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def _bytes() -> TypeEngine[bytes]:
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _hash() -> TypeEngine[bytes]:
    """A SHA-256."""
    return LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _where(condition: str, name: str, *columns: str) -> Index:
    """An index of few rows, where the database has such: most runs never enter it."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


metadata = MetaData()
# A table that is updated all the time keeps room on its pages (PostgreSQL only; others ignore it).
_HOT: dict[str, Any] = {
    "postgresql_with": {"fillfactor": 70},
    "mysql_engine": "InnoDB",
    "sqlite_with_rowid": False,
}
_COLD: dict[str, Any] = {"mysql_engine": "InnoDB"}

job = Table(
    "job",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("key", _name(), nullable=False, unique=True),
    Column("name", _name(), nullable=False),
    Column("spec", _text(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("source", _name(400), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("deleted_us", BigInteger),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    **_COLD,
)

job_version = Table(
    "job_version",
    metadata,
    Column("job_id", _id(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", _text(), nullable=False),
    Column("by", _name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "version"),
    **_COLD,
)

# Also the gate of the job's own permits: whoever takes one holds this row.
job_due = Table(
    "job_due",
    metadata,
    Column("job_id", _id(), primary_key=True),
    Column("next_us", BigInteger),
    Column("slot_us", BigInteger, nullable=False),
    Column("last_slot_us", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("paused_until_us", BigInteger),
    Column("seq", BigInteger, nullable=False),
    Index("job_due_next", "next_us", "job_id"),
    **_HOT,
)

# Shared keys and pools only.
gate = Table(
    "gate",
    metadata,
    Column("gkey", _key(), primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    **_HOT,
)

# A row exists only while the permit is held; its primary key is what makes two holders impossible.
permit = Table(
    "permit",
    metadata,
    Column("gkey", _key(), nullable=False),
    Column("n", Integer, nullable=False),
    Column("run_id", _id(), nullable=False),
    Column("until_us", BigInteger),
    PrimaryKeyConstraint("gkey", "n"),
    Index("permit_run", "run_id"),
    **_HOT,
)

# Live runs only; a finish moves the row to run_history.
run = Table(
    "run",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("short", BigInteger, nullable=False),
    Column("job_id", _id(), nullable=False),
    Column("dedup", _key(64), nullable=False),
    Column("slot_us", BigInteger),
    Column("cause", _key(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _key(8), nullable=False),
    Column("place", _name(400), nullable=False),
    Column("prio", Integer, nullable=False),
    Column("ready_us", BigInteger, nullable=False),
    Column("deadline_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token", _key(32)),
    Column("node_id", _id()),
    Column("started_us", BigInteger),
    Column("excl_key", _key()),
    Column("excl_n", Integer),
    Column("wait_key", _name(402)),
    Column("cancel", Boolean, nullable=False),
    Column("params", _text()),
    Column("progress", _name(200)),
    Index("run_dedup", "job_id", "dedup", unique=True),
    _where("state = 'ready'", "run_ready", "state", "place", "prio", "ready_us", "id"),
    _where("wait_key IS NOT NULL", "run_wait", "wait_key", "prio", "ready_us", "id"),
    _where("state = 'delayed'", "run_delayed", "state", "ready_us"),
    _where("deadline_us IS NOT NULL", "run_deadline", "deadline_us"),
    _where("state = 'held'", "run_held", "job_id"),
    Index("run_node", "node_id"),
    **_HOT,
)

run_history = Table(
    "run_history",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("short", BigInteger, nullable=False),
    Column("job_id", _id(), nullable=False),
    Column("dedup", _key(64), nullable=False),
    Column("slot_us", BigInteger),
    Column("cause", _key(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("outcome", _key(12), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token", _key(32)),
    Column("node_id", _id()),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("error_text", _name(400), nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("params", _text()),
    Index("run_history_job", "job_id", "id"),
    Index("run_history_short", "short"),
    Index("run_history_outcome", "outcome", "id"),
    sqlite_with_rowid=False,
    **_COLD,
)

attempt = Table(
    "attempt",
    metadata,
    Column("run_id", _id(), nullable=False),
    Column("n", Integer, nullable=False),
    Column("node_id", _id()),
    Column("token", _key(32)),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("killed_by", _key(12), nullable=False),
    Column("error", _key(24), nullable=False),
    Column("error_text", _name(400), nullable=False),
    Column("cpu_us", BigInteger, nullable=False),
    Column("peak_rss_bytes", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("read_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("written_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("pid", Integer, nullable=False, server_default=text("0")),
    Column("how", _key(8), nullable=False, server_default=""),
    Column("leaked", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("run_id", "n"),
    sqlite_with_rowid=False,
    **_COLD,
)

# One number counts over both streams, so that what was written in turn is read in turn.
output = Table(
    "output",
    metadata,
    Column("run_id", _id(), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("bytes", _bytes(), nullable=False),
    PrimaryKeyConstraint("run_id", "attempt", "stream", "seq"),
    sqlite_with_rowid=False,
    **_COLD,
)

ledger = Table(
    "ledger",
    metadata,
    Column("job_id", _id(), nullable=False),
    Column("from_us", BigInteger, nullable=False),
    Column("to_us", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", _key(20), nullable=False),
    Column("ref", _name(400)),
    Column("node_id", _id()),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "from_us", "reason"),
    Index("ledger_at", "at_us"),
    sqlite_with_rowid=False,
    **_COLD,
)

# What was asked for outside the schedule: a click that is sent again finds its run here.
request = Table(
    "request",
    metadata,
    Column("job_id", _id(), nullable=False),
    Column("dedup", _key(64), nullable=False),
    Column("run_id", _id(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "dedup"),
    Index("request_at", "at_us"),
    **_COLD,
)

node = Table(
    "node",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("name", _name(), nullable=False, unique=True),
    Column("boot_id", _key(36), nullable=False),
    Column("incarnation", _key(32), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),
    Column("labels", _text(), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("drained", Boolean, nullable=False),
    Column("version", _key(32), nullable=False),
    Column("tzdata", _key(32), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("home", _key(64), nullable=False, server_default=""),
    Column("removed_us", BigInteger),
    Column("unfenced", Boolean, nullable=False, server_default=false()),
    Column("settled_boot", _key(36), nullable=False, server_default=""),
    **_HOT,
)

event = Table(
    "event",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", _key(32), nullable=False),
    Column("subject", _name(), nullable=False),
    Column("actor", _name(), nullable=False),
    Column("text", _name(1000), nullable=False),
    Index("event_at", "at_us"),
    **_COLD,
)

account = Table(
    "account",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("key", _name(), nullable=False, unique=True),
    Column("name", _name(), nullable=False),
    Column("role", _key(16), nullable=False),
    Column("password_hash", _key(255)),
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger),
    **_COLD,
)

token = Table(
    "token",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("account_id", _id(), nullable=False),
    Column("name", _name(), nullable=False),
    Column("scope", _key(64), nullable=False),
    Column("hash", _hash(), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Index("token_account", "account_id"),
    **_COLD,
)

session = Table(
    "session",
    metadata,
    Column("hash", _hash(), primary_key=True),
    Column("account_id", _id(), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("session_expires", "expires_us"),
    **_COLD,
)

secret = Table(
    "secret",
    metadata,
    Column("key", _name(), primary_key=True),
    Column("sealed", _bytes(), nullable=False),
    Column("by", _name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    **_COLD,
)

calendar = Table(
    "calendar",
    metadata,
    Column("key", _name(), primary_key=True),
    Column("spec", _text(), nullable=False),
    Column("by", _name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    **_COLD,
)

meta = Table(
    "meta",
    metadata,
    Column("key", _key(32), primary_key=True),
    Column("value", _name(400), nullable=False),
    **_COLD,
)
