"""Schedules that end, slots that are skipped, how far back the account goes, and alerts."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


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


def _columns() -> dict[str, list[sa.Column[int]]]:
    zero = sa.text("0")
    return {
        "job_due": [
            sa.Column("skip_us", sa.BigInteger()),
            sa.Column("fired", sa.BigInteger(), nullable=False, server_default=zero),
        ],
        "job": [sa.Column("forgotten_us", sa.BigInteger(), nullable=False, server_default=zero)],
    }


def upgrade() -> None:
    """Add only: programs of the version before go on working."""
    found = sa.inspect(op.get_bind())
    for table, columns in _columns().items():
        there = {column["name"] for column in found.get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
    _outbox()


def _outbox() -> None:
    """Where a table commits by itself, an upgrade that was cut short finds some of it."""
    long = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
    if not sa.inspect(op.get_bind()).has_table("outbox"):
        op.create_table(
            "outbox",
            sa.Column("id", _id(), nullable=False),
            sa.Column("key", _key(128), nullable=False),
            sa.Column("channel", _key(12), nullable=False),
            sa.Column("target", _name(400), nullable=False),
            sa.Column("run_id", _id()),
            sa.Column("turn", sa.Integer(), nullable=False),
            sa.Column("payload", long, nullable=False),
            sa.Column("state", _key(8), nullable=False),
            sa.Column("tries", sa.Integer(), nullable=False),
            sa.Column("next_us", sa.BigInteger(), nullable=False),
            sa.Column("created_us", sa.BigInteger(), nullable=False),
            sa.Column("done_us", sa.BigInteger()),
            sa.Column("token", _key(32)),
            sa.Column("batch", _key(32)),
            sa.Column("error", _name(400), nullable=False),
            sa.PrimaryKeyConstraint("id"),
            sa.UniqueConstraint("key"),
            mysql_engine="InnoDB",
        )
    _index("outbox_due", ["state", "channel", "next_us"], "state = 'waiting'")
    _index("outbox_run", ["run_id"], "state = 'waiting'")
    _index("outbox_created", ["created_us"])


def _index(name: str, columns: list[str], condition: str = "") -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("outbox")}
    if name not in there:
        where = sa.text(condition) if condition else None
        op.create_index(name, "outbox", columns, sqlite_where=where, postgresql_where=where)
