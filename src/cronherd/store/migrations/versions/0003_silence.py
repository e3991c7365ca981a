"""What silence must not be read from: a node that nobody fences, a boot that settled nothing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns only: programs of the version before go on working."""
    key = sa.String(36).with_variant(
        mysql.VARCHAR(36, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("node")}
    if "unfenced" not in there:
        unfenced: sa.Column[bool] = sa.Column(
            "unfenced", sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("node", unfenced)
    if "settled_boot" not in there:
        op.add_column("node", sa.Column("settled_boot", key, nullable=False, server_default=""))
    # Also where this was cut short: until a node beats again its boot settled what came before.
    op.execute("UPDATE node SET settled_boot = boot_id WHERE settled_boot = ''")
