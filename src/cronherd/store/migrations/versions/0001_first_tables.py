"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None


def _id() -> TypeEngine[Any]:
    plain: TypeEngine[Any] = sa.LargeBinary(16)
    return plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def _name(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _text() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _hash() -> TypeEngine[bytes]:
    return sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _table(name: str, *columns: Any, **options: Any) -> None:
    """Where a table commits by itself, an upgrade that was cut short finds some of them."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **options)


def _index(name: str, table: str, columns: list[str], **options: Any) -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in there:
        op.create_index(name, table, columns, **options)


def upgrade() -> None:
    """Create everything."""
    _jobs()
    _runs()
    _history()
    _records()
    _people()


def _jobs() -> None:
    _table(
        "job",
        sa.Column("id", _id(), nullable=False),
        sa.Column("key", _name(120), nullable=False),
        sa.Column("name", _name(120), nullable=False),
        sa.Column("spec", _text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("source", _name(400), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("deleted_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        mysql_engine="InnoDB",
    )
    _table(
        "job_version",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", _text(), nullable=False),
        sa.Column("by", _name(120), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "version"),
        mysql_engine="InnoDB",
    )
    _table(
        "job_due",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("slot_us", sa.BigInteger(), nullable=False),
        sa.Column("last_slot_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("paused_until_us", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
        mysql_engine="InnoDB",
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    _index("job_due_next", "job_due", ["next_us", "job_id"], unique=False)
    _table(
        "gate",
        sa.Column("gkey", _key(128), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gkey"),
        mysql_engine="InnoDB",
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    _table(
        "permit",
        sa.Column("gkey", _key(128), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("run_id", _id(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("gkey", "n"),
        mysql_engine="InnoDB",
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    _index("permit_run", "permit", ["run_id"], unique=False)


def _runs() -> None:
    _table(
        "run",
        sa.Column("id", _id(), nullable=False),
        sa.Column("short", sa.BigInteger(), nullable=False),
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("dedup", _key(64), nullable=False),
        sa.Column("slot_us", sa.BigInteger(), nullable=True),
        sa.Column("cause", _key(12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", _key(8), nullable=False),
        sa.Column("place", _name(400), nullable=False),
        sa.Column("prio", sa.Integer(), nullable=False),
        sa.Column("ready_us", sa.BigInteger(), nullable=False),
        sa.Column("deadline_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("token", _key(32), nullable=True),
        sa.Column("node_id", _id(), nullable=True),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("excl_key", _key(128), nullable=True),
        sa.Column("excl_n", sa.Integer(), nullable=True),
        sa.Column("wait_key", _name(402), nullable=True),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_engine="InnoDB",
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    _index(
        "run_deadline",
        "run",
        ["deadline_us"],
        unique=False,
        sqlite_where=sa.text("deadline_us IS NOT NULL"),
        postgresql_where=sa.text("deadline_us IS NOT NULL"),
    )
    _index("run_dedup", "run", ["job_id", "dedup"], unique=True)
    _index(
        "run_delayed",
        "run",
        ["state", "ready_us"],
        unique=False,
        sqlite_where=sa.text("state = 'delayed'"),
        postgresql_where=sa.text("state = 'delayed'"),
    )
    _index("run_node", "run", ["node_id"], unique=False)
    _index(
        "run_ready",
        "run",
        ["state", "place", "prio", "ready_us", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    _index(
        "run_wait",
        "run",
        ["wait_key", "prio", "ready_us", "id"],
        unique=False,
        sqlite_where=sa.text("wait_key IS NOT NULL"),
        postgresql_where=sa.text("wait_key IS NOT NULL"),
    )


def _history() -> None:
    _table(
        "run_history",
        sa.Column("id", _id(), nullable=False),
        sa.Column("short", sa.BigInteger(), nullable=False),
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("dedup", _key(64), nullable=False),
        sa.Column("slot_us", sa.BigInteger(), nullable=True),
        sa.Column("cause", _key(12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("outcome", _key(12), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("token", _key(32), nullable=True),
        sa.Column("node_id", _id(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("error_text", _name(400), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _index("run_history_job", "run_history", ["job_id", "id"], unique=False)
    _index("run_history_outcome", "run_history", ["outcome", "id"], unique=False)
    _index("run_history_short", "run_history", ["short"], unique=False)
    _table(
        "attempt",
        sa.Column("run_id", _id(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("node_id", _id(), nullable=True),
        sa.Column("token", _key(32), nullable=True),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("killed_by", _key(12), nullable=False),
        sa.Column("error", _key(24), nullable=False),
        sa.Column("error_text", _name(400), nullable=False),
        sa.Column("cpu_us", sa.BigInteger(), nullable=False),
        sa.Column("peak_rss_bytes", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "n"),
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _table(
        "output",
        sa.Column("run_id", _id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stream", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("bytes", _bytes(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "attempt", "stream", "seq"),
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )


def _records() -> None:
    _table(
        "ledger",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("reason", _key(20), nullable=False),
        sa.Column("ref", _name(400), nullable=True),
        sa.Column("node_id", _id(), nullable=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "from_us", "reason"),
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _index("ledger_at", "ledger", ["at_us"], unique=False)
    _table(
        "request",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("dedup", _key(64), nullable=False),
        sa.Column("run_id", _id(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "dedup"),
        mysql_engine="InnoDB",
    )
    _index("request_at", "request", ["at_us"], unique=False)
    _table(
        "event",
        sa.Column("id", _id(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", _key(32), nullable=False),
        sa.Column("subject", _name(120), nullable=False),
        sa.Column("actor", _name(120), nullable=False),
        sa.Column("text", _name(1000), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_engine="InnoDB",
    )
    _index("event_at", "event", ["at_us"], unique=False)
    _table(
        "node",
        sa.Column("id", _id(), nullable=False),
        sa.Column("name", _name(120), nullable=False),
        sa.Column("boot_id", _key(36), nullable=False),
        sa.Column("incarnation", _key(32), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("lease_us", sa.BigInteger(), nullable=False),
        sa.Column("labels", _text(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("drained", sa.Boolean(), nullable=False),
        sa.Column("version", _key(32), nullable=False),
        sa.Column("tzdata", _key(32), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_engine="InnoDB",
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    _table(
        "meta",
        sa.Column("key", _key(32), nullable=False),
        sa.Column("value", _name(400), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        mysql_engine="InnoDB",
    )


def _people() -> None:
    _table(
        "account",
        sa.Column("id", _id(), nullable=False),
        sa.Column("key", _name(120), nullable=False),
        sa.Column("name", _name(120), nullable=False),
        sa.Column("role", _key(16), nullable=False),
        sa.Column("password_hash", _key(255), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("disabled_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        mysql_engine="InnoDB",
    )
    _table(
        "token",
        sa.Column("id", _id(), nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.Column("name", _name(120), nullable=False),
        sa.Column("scope", _key(64), nullable=False),
        sa.Column("hash", _hash(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        mysql_engine="InnoDB",
    )
    _index("token_account", "token", ["account_id"], unique=False)
    _table(
        "session",
        sa.Column("hash", _hash(), nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        mysql_engine="InnoDB",
    )
    _index("session_expires", "session", ["expires_us"], unique=False)
    _table(
        "secret",
        sa.Column("key", _name(120), nullable=False),
        sa.Column("sealed", _bytes(), nullable=False),
        sa.Column("by", _name(120), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        mysql_engine="InnoDB",
    )
    _table(
        "calendar",
        sa.Column("key", _name(120), nullable=False),
        sa.Column("spec", _text(), nullable=False),
        sa.Column("by", _name(120), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        mysql_engine="InnoDB",
    )
