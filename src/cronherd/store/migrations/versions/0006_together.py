"""Pools, runs that belong to one node, ledger rows of single nodes, and locks for others."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NO_NODE = "00000000-0000-0000-0000-000000000000"
LEDGER = "job_id, from_us, to_us, count, reason, ref, node_id, at_us"


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


def _forced() -> sa.Column[bool]:
    return sa.Column("forced", sa.Boolean(), nullable=False, server_default=sa.false())


def upgrade() -> None:
    """Add, and widen one key: programs of the version before go on working."""
    _columns()
    _ledger()
    _locks()


def _columns() -> None:
    wanted: dict[str, list[sa.Column[Any]]] = {
        "run": [sa.Column("pools", _name(400)), sa.Column("target_id", _id()), _forced()],
        "run_history": [_forced()],
    }
    found = sa.inspect(op.get_bind())
    for table, columns in wanted.items():
        there = {column["name"] for column in found.get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)


def _ledger() -> None:
    """One slot of a job may be missed by several nodes."""
    key = sa.inspect(op.get_bind()).get_pk_constraint("ledger")
    if "node_id" in key["constrained_columns"]:
        return
    kind = op.get_bind().dialect.name
    if kind == "sqlite":
        _ledger_anew()
    elif kind == "postgresql":
        op.execute(f"UPDATE ledger SET node_id = '{NO_NODE}' WHERE node_id IS NULL")
        op.execute(
            f"ALTER TABLE ledger ALTER COLUMN node_id SET DEFAULT '{NO_NODE}', "
            "ALTER COLUMN node_id SET NOT NULL, "
            f'DROP CONSTRAINT "{key["name"]}", '
            "ADD CONSTRAINT ledger_pkey PRIMARY KEY (job_id, from_us, reason, node_id)"
        )
    else:  # an empty default is filled up with zero bytes
        op.execute("UPDATE ledger SET node_id = '' WHERE node_id IS NULL")
        op.execute(
            "ALTER TABLE ledger MODIFY node_id BINARY(16) NOT NULL DEFAULT '', "
            "DROP PRIMARY KEY, ADD PRIMARY KEY (job_id, from_us, reason, node_id)"
        )


def _ledger_anew() -> None:
    """SQLite cannot change a primary key: all of it moves."""
    op.create_table(
        "ledger_wider",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("reason", _key(20), nullable=False),
        sa.Column("ref", _name(400)),
        sa.Column("node_id", _id(), nullable=False, server_default=sa.text("(zeroblob(16))")),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "from_us", "reason", "node_id"),
        sqlite_with_rowid=False,
    )
    moved = LEDGER.replace("node_id", "coalesce(node_id, zeroblob(16))")
    op.execute(f"INSERT INTO ledger_wider ({LEDGER}) SELECT {moved} FROM ledger")
    op.drop_table("ledger")
    op.rename_table("ledger_wider", "ledger")
    op.create_index("ledger_at", "ledger", ["at_us"])


def _locks() -> None:
    if not sa.inspect(op.get_bind()).has_table("lock_holder"):
        op.create_table(
            "lock_holder",
            sa.Column("name", _key(128), nullable=False),
            sa.Column("token", _key(32), nullable=False),
            sa.Column("holder", _name(400), nullable=False),
            sa.Column("shared", sa.Boolean(), nullable=False),
            sa.Column("fence", sa.BigInteger(), nullable=False),
            sa.Column("since_us", sa.BigInteger(), nullable=False),
            sa.Column("until_us", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("name", "token"),
            mysql_engine="InnoDB",
        )
