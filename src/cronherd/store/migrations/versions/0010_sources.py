"""What a job was when its source was last applied, and whether it was edited since."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add only: programs of the version before go on working."""
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("job")}
    if "applied" not in columns:
        op.add_column("job", sa.Column("applied", sa.Integer()))
    if "drifted" not in columns:
        drifted: sa.Column[bool] = sa.Column(
            "drifted", sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("job", drifted)
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("job")}
    if "job_drifted" not in there:
        only = sa.text("drifted")
        op.create_index(
            "job_drifted", "job", ["drifted", "key"], sqlite_where=only, postgresql_where=only
        )
