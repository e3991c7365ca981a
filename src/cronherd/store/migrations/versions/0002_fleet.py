"""What a fleet of nodes needs: whose state directory it is, which nodes were removed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Tables whose rows are written and dropped all the time are cleaned long before they are large.
_BUSY = ("job_due", "permit", "run", "node")


def upgrade() -> None:
    """Add columns only: programs of the version before go on working."""
    key = sa.String(64).with_variant(
        mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("node")}
    if "home" not in there:
        op.add_column("node", sa.Column("home", key, nullable=False, server_default=""))
    if "removed_us" not in there:
        op.add_column("node", sa.Column("removed_us", sa.BigInteger()))
    held = sa.text("state = 'held'")
    if "run_held" not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("run")}:
        op.create_index("run_held", "run", ["job_id"], sqlite_where=held, postgresql_where=held)
    if op.get_bind().dialect.name == "postgresql":
        for table in _BUSY:
            op.execute(
                f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, "
                "autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
            )
