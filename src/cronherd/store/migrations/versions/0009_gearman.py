"""Which delivery of a run by a job server is the one that counts."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table more: programs of the version before go on working."""
    if sa.inspect(op.get_bind()).has_table("gearman_delivery"):
        return
    plain: TypeEngine[Any] = sa.LargeBinary(16)
    ident = plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )
    key = sa.String(32).with_variant(
        mysql.VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )
    name = sa.String(120).with_variant(
        mysql.VARCHAR(120, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    op.create_table(
        "gearman_delivery",
        sa.Column("run_id", ident, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", key, nullable=False),
        sa.Column("worker", name, nullable=False),
        sa.Column("taken_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Integer()),
        sa.PrimaryKeyConstraint("run_id", "attempt"),
        mysql_engine="InnoDB",
    )
    op.create_index("gearman_delivery_seen", "gearman_delivery", ["seen_us"])
