"""What lists of many jobs go by: which jobs failed last, which are off, which are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The newest finished run of a job ended badly.
FILL = """
UPDATE job SET failing = TRUE WHERE EXISTS (
SELECT 1 FROM run_history h
WHERE h.id = (SELECT x.id FROM run_history x WHERE x.job_id = job.id ORDER BY x.id DESC LIMIT 1)
AND h.outcome IN ('failed', 'timed_out', 'lost', 'not_started'))
"""


def upgrade() -> None:
    """Add only: programs of the version before go on working."""
    bind = op.get_bind()
    columns = {column["name"] for column in sa.inspect(bind).get_columns("job")}
    if "failing" not in columns:
        failing: sa.Column[bool] = sa.Column(
            "failing", sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("job", failing)
    op.execute(FILL)  # also where this was cut short
    _index("job", "job_enabled", ["enabled", "key"])
    _index("job", "job_failing", ["failing", "key"], sa.text("failing"))
    paused = sa.text("paused_until_us IS NOT NULL")
    _index("job_due", "job_due_paused", ["paused_until_us"], paused)


def _index(table: str, name: str, columns: list[str], only: "sa.TextClause | None" = None) -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in there:
        op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
