"""What commands get and leave: parameters, progress, and what an attempt cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def _number(name: str, kind: TypeEngine[int]) -> sa.Column[int]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text("0"))


def _columns() -> dict[str, list[sa.Column[str] | sa.Column[int]]]:
    long = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
    return {
        "attempt": [
            _number("read_bytes", sa.BigInteger()),
            _number("written_bytes", sa.BigInteger()),
            _number("pid", sa.Integer()),
            sa.Column("how", _key(8), nullable=False, server_default=""),
            _number("leaked", sa.Integer()),
        ],
        "run": [sa.Column("params", long), sa.Column("progress", sa.String(200))],
        "run_history": [sa.Column("params", long)],
        "job": [_number("failures", sa.Integer())],
    }


def upgrade() -> None:
    """Add only: programs of the version before go on working."""
    found = sa.inspect(op.get_bind())
    for table, columns in _columns().items():
        there = {column["name"] for column in found.get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
