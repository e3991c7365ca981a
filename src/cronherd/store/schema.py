"""The tables, written out once for every dialect. Instants are BIGINT UTC microseconds.

Hot rows are narrow: `job_due` and `run` hold only what firing and claiming read; what people look
at is in `job`, `run_history`, `attempt` and `output`. Keys are ASCII with a binary collation, so
that `Job`, `job` and `job ` never collide by accident of a server's default.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    false,
    text,
)

from cronherd.store import columns, peopletables

metadata = MetaData()
peopletables.add_tables(metadata)

job = Table(
    "job",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("key", columns.name(), nullable=False, unique=True),
    Column("name", columns.name(), nullable=False),
    Column("spec", columns.long_text(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("source", columns.name(400), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("deleted_us", BigInteger),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("forgotten_us", BigInteger, nullable=False, server_default=text("0")),
    Column("failing", Boolean, nullable=False, server_default=false()),
    Column("applied", Integer),
    Column("drifted", Boolean, nullable=False, server_default=false()),
    Column("texted", Integer),
    Index("job_enabled", "enabled", "key"),
    columns.partial("failing", "job_failing", "failing", "key"),
    columns.partial("drifted", "job_drifted", "drifted", "key"),
    columns.partial("texted IS NULL OR texted <> version", "job_untold", "id", "texted", "version"),
    **columns.COLD,
)

# What a job is searched by; no index knows a word, so the rows are narrow.
job_text = Table(
    "job_text",
    metadata,
    Column("job_id", columns.ident(), primary_key=True),
    Column("key", columns.name(), nullable=False),
    Column("name", columns.name(3 * columns.NAME_LENGTH), nullable=False),
    Column("text", columns.folded_text(), nullable=False),
    **columns.COLD,
)

job_tag = Table(
    "job_tag",
    metadata,
    Column("tag", columns.name(200), nullable=False),
    Column("key", columns.name(), nullable=False),
    Column("job_id", columns.ident(), nullable=False),
    PrimaryKeyConstraint("tag", "key", "job_id"),
    Index("job_tag_job", "job_id"),
    **columns.COLD,
)

job_version = Table(
    "job_version",
    metadata,
    Column("job_id", columns.ident(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", columns.long_text(), nullable=False),
    Column("by", columns.name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "version"),
    **columns.COLD,
)

# Also the gate of the job's own permits: whoever takes one holds this row.
job_due = Table(
    "job_due",
    metadata,
    Column("job_id", columns.ident(), primary_key=True),
    Column("next_us", BigInteger),
    Column("slot_us", BigInteger, nullable=False),
    Column("last_slot_us", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("paused_until_us", BigInteger),
    Column("seq", BigInteger, nullable=False),
    Column("skip_us", BigInteger),
    Column("fired", BigInteger, nullable=False, server_default=text("0")),
    Index("job_due_next", "next_us", "job_id"),
    columns.partial("paused_until_us IS NOT NULL", "job_due_paused", "paused_until_us"),
    **columns.HOT,
)

# Shared keys and pools only.
gate = Table(
    "gate",
    metadata,
    Column("gkey", columns.key(), primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    **columns.HOT,
)

# A row exists only while the permit is held; its primary key is what makes two holders impossible.
permit = Table(
    "permit",
    metadata,
    Column("gkey", columns.key(), nullable=False),
    Column("n", Integer, nullable=False),
    Column("run_id", columns.ident(), nullable=False),
    Column("until_us", BigInteger),
    PrimaryKeyConstraint("gkey", "n"),
    Index("permit_run", "run_id"),
    **columns.HOT,
)

# Live runs only; a finish moves the row to run_history.
run = Table(
    "run",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("short", BigInteger, nullable=False),
    Column("job_id", columns.ident(), nullable=False),
    Column("dedup", columns.key(64), nullable=False),
    Column("slot_us", BigInteger),
    Column("cause", columns.key(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", columns.key(8), nullable=False),
    Column("place", columns.name(400), nullable=False),
    Column("prio", Integer, nullable=False),
    Column("ready_us", BigInteger, nullable=False),
    Column("deadline_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token", columns.key(32)),
    Column("node_id", columns.ident()),
    Column("started_us", BigInteger),
    Column("excl_key", columns.key()),
    Column("excl_n", Integer),
    Column("wait_key", columns.name(402)),
    Column("cancel", Boolean, nullable=False),
    Column("params", columns.long_text()),
    Column("progress", columns.name(200)),
    Column("pools", columns.name(400)),
    Column("target_id", columns.ident()),
    Column("forced", Boolean, nullable=False, server_default=false()),
    Index("run_dedup", "job_id", "dedup", unique=True),
    columns.partial("state = 'ready'", "run_ready", "state", "place", "prio", "ready_us", "id"),
    columns.partial("wait_key IS NOT NULL", "run_wait", "wait_key", "prio", "ready_us", "id"),
    columns.partial("state = 'delayed'", "run_delayed", "state", "ready_us"),
    columns.partial("deadline_us IS NOT NULL", "run_deadline", "deadline_us"),
    columns.partial("state = 'held'", "run_held", "job_id"),
    Index("run_node", "node_id"),
    **columns.HOT,
)

run_history = Table(
    "run_history",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("short", BigInteger, nullable=False),
    Column("job_id", columns.ident(), nullable=False),
    Column("dedup", columns.key(64), nullable=False),
    Column("slot_us", BigInteger),
    Column("cause", columns.key(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("outcome", columns.key(12), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token", columns.key(32)),
    Column("node_id", columns.ident()),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("error_text", columns.name(400), nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("params", columns.long_text()),
    Column("forced", Boolean, nullable=False, server_default=false()),
    Index("run_history_job", "job_id", "id"),
    Index("run_history_short", "short"),
    Index("run_history_outcome", "outcome", "id"),
    sqlite_with_rowid=False,
    **columns.COLD,
)

attempt = Table(
    "attempt",
    metadata,
    Column("run_id", columns.ident(), nullable=False),
    Column("n", Integer, nullable=False),
    Column("node_id", columns.ident()),
    Column("token", columns.key(32)),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("killed_by", columns.key(12), nullable=False),
    Column("error", columns.key(24), nullable=False),
    Column("error_text", columns.name(400), nullable=False),
    Column("cpu_us", BigInteger, nullable=False),
    Column("peak_rss_bytes", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("read_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("written_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("pid", Integer, nullable=False, server_default=text("0")),
    Column("how", columns.key(8), nullable=False, server_default=""),
    Column("leaked", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("run_id", "n"),
    sqlite_with_rowid=False,
    **columns.COLD,
)

# One number counts over both streams, so that what was written in turn is read in turn.
output = Table(
    "output",
    metadata,
    Column("run_id", columns.ident(), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("bytes", columns.raw(), nullable=False),
    PrimaryKeyConstraint("run_id", "attempt", "stream", "seq"),
    sqlite_with_rowid=False,
    **columns.COLD,
)

ledger = Table(
    "ledger",
    metadata,
    Column("job_id", columns.ident(), nullable=False),
    Column("from_us", BigInteger, nullable=False),
    Column("to_us", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", columns.key(20), nullable=False),
    Column("ref", columns.name(400)),
    Column("node_id", columns.ident(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "from_us", "reason", "node_id"),
    Index("ledger_at", "at_us"),
    sqlite_with_rowid=False,
    **columns.COLD,
)

# What was asked for outside the schedule: a click that is sent again finds its run here.
request = Table(
    "request",
    metadata,
    Column("job_id", columns.ident(), nullable=False),
    Column("dedup", columns.key(64), nullable=False),
    Column("run_id", columns.ident(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "dedup"),
    Index("request_at", "at_us"),
    **columns.COLD,
)

# Locks for what is outside cronherd; the row of `gate` is what taking one locks.
lock_holder = Table(
    "lock_holder",
    metadata,
    Column("name", columns.key(), nullable=False),
    Column("token", columns.key(32), nullable=False),
    Column("holder", columns.name(400), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "token"),
    **columns.HOT,
)

node = Table(
    "node",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("name", columns.name(), nullable=False, unique=True),
    Column("boot_id", columns.key(36), nullable=False),
    Column("incarnation", columns.key(32), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),
    Column("labels", columns.long_text(), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("drained", Boolean, nullable=False),
    Column("version", columns.key(32), nullable=False),
    Column("tzdata", columns.key(32), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("home", columns.key(64), nullable=False, server_default=""),
    Column("removed_us", BigInteger),
    Column("unfenced", Boolean, nullable=False, server_default=false()),
    Column("settled_boot", columns.key(36), nullable=False, server_default=""),
    **columns.HOT,
)

event = Table(
    "event",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", columns.key(32), nullable=False),
    Column("subject", columns.name(), nullable=False),
    Column("actor", columns.name(), nullable=False),
    Column("text", columns.name(1000), nullable=False),
    Index("event_at", "at_us"),
    **columns.COLD,
)

secret = Table(
    "secret",
    metadata,
    Column("key", columns.name(), primary_key=True),
    Column("sealed", columns.raw(), nullable=False),
    Column("by", columns.name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    **columns.COLD,
)

# What is told to people and other programs; `key` says what of, so it is written once.
outbox = Table(
    "outbox",
    metadata,
    Column("id", columns.ident(), primary_key=True),
    Column("key", columns.key(), nullable=False, unique=True),
    Column("channel", columns.key(12), nullable=False),
    Column("target", columns.name(400), nullable=False),
    Column("run_id", columns.ident()),
    Column("turn", Integer, nullable=False),
    Column("payload", columns.long_text(), nullable=False),
    Column("state", columns.key(8), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("done_us", BigInteger),
    Column("token", columns.key(32)),
    Column("batch", columns.key(32)),
    Column("error", columns.name(400), nullable=False),
    columns.partial("state = 'waiting'", "outbox_due", "state", "channel", "next_us"),
    columns.partial("state = 'waiting'", "outbox_run", "run_id"),
    Index("outbox_created", "created_us"),
    **columns.COLD,
)

calendar = Table(
    "calendar",
    metadata,
    Column("key", columns.name(), primary_key=True),
    Column("spec", columns.long_text(), nullable=False),
    Column("by", columns.name(), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    **columns.COLD,
)

# Of the deliveries of a run by job servers, the one that was first.
gearman_delivery = Table(
    "gearman_delivery",
    metadata,
    Column("run_id", columns.ident(), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("token", columns.key(32), nullable=False),
    Column("worker", columns.name(), nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("code", Integer),
    PrimaryKeyConstraint("run_id", "attempt"),
    Index("gearman_delivery_seen", "seen_us"),
    **columns.COLD,
)

meta = Table(
    "meta",
    metadata,
    Column("key", columns.key(32), primary_key=True),
    Column("value", columns.name(400), nullable=False),
    **columns.COLD,
)
