"""What jobs are searched by, in narrow rows of their own."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _ident() -> TypeEngine[Any]:
    plain: TypeEngine[Any] = sa.LargeBinary(16)
    return plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )


def _name(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def upgrade() -> None:
    """Add only: programs of the version before go on working.

    The rows are written afterwards, a few at a time, and what they write meanwhile as well
    (`store/jobtexts.py`): here all jobs would be locked until the last of them is read.
    """
    there = sa.inspect(op.get_bind())
    if not there.has_table("job_text"):
        text = sa.Text().with_variant(
            mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
        )
        op.create_table(
            "job_text",
            sa.Column("job_id", _ident(), nullable=False),
            sa.Column("key", _name(120), nullable=False),
            sa.Column("name", _name(360), nullable=False),
            sa.Column("text", text, nullable=False),
            sa.PrimaryKeyConstraint("job_id"),
            mysql_engine="InnoDB",
        )
    if not there.has_table("job_tag"):
        op.create_table(
            "job_tag",
            sa.Column("tag", _name(200), nullable=False),
            sa.Column("key", _name(120), nullable=False),
            sa.Column("job_id", _ident(), nullable=False),
            sa.PrimaryKeyConstraint("tag", "key", "job_id"),
            mysql_engine="InnoDB",
        )
    _index("job_tag", "job_tag_job", ["job_id"])
    if "texted" not in {column["name"] for column in there.get_columns("job")}:
        op.add_column("job", sa.Column("texted", sa.Integer()))
    only = sa.text("texted IS NULL OR texted <> version")
    _index("job", "job_untold", ["id", "texted", "version"], only)


def _index(table: str, name: str, columns: list[str], only: "sa.TextClause | None" = None) -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in there:
        op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
