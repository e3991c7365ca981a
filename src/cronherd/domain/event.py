"""Events: immutable facts about people, nodes and alarms, never about each step of a run."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What happened."""

    JOB_CREATED = "job_created"
    JOB_CHANGED = "job_changed"
    JOB_ENABLED = "job_enabled"
    JOB_DISABLED = "job_disabled"
    JOB_DELETED = "job_deleted"
    JOBS_APPLIED = "jobs_applied"
    JOB_PAUSED = "job_paused"
    JOB_RESUMED = "job_resumed"
    JOB_POISONED = "job_poisoned"
    SLOTS_SKIPPED = "slots_skipped"
    SKIP_UNDONE = "skip_undone"
    BACKFILLED = "backfilled"
    BOOT_RUN_REFUSED = "boot_run_refused"
    RUN_REQUESTED = "run_requested"
    RUN_CANCELLED = "run_cancelled"
    NODE_STARTED = "node_started"
    NODE_STOPPED = "node_stopped"
    NODE_DRAINED = "node_drained"
    NODE_RESUMED = "node_resumed"
    NODE_REMOVED = "node_removed"
    NODE_JUDGED = "node_judged"
    SECRET_SET = "secret_set"  # noqa: S105 - a word, as below
    SECRET_REMOVED = "secret_removed"  # noqa: S105
    SECRETS_RESEALED = "secrets_resealed"
    HOLD_BEGAN = "hold_began"
    HOLD_ENDED = "hold_ended"
    RUN_CORRECTED = "run_corrected"
    RUNS_RECOVERED = "runs_recovered"
    STALE_REPORT = "stale_report"
    REPORT_REFUSED = "report_refused"
    ALERT_FAILED = "alert_failed"
    POOL_SET = "pool_set"
    POOL_REMOVED = "pool_removed"
    NO_NODE = "no_node"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_REMOVED = "account_removed"
    PASSWORD_SET = "password_set"  # noqa: S105
    LINK_MADE = "link_made"
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    LOGIN_REFUSED = "login_refused"
    ACCESS_REFUSED = "access_refused"
    SESSIONS_ENDED = "sessions_ended"
    TOKEN_CREATED = "token_created"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    LOCK_CLEARED = "lock_cleared"


EVENT_WORDS = {
    EventKind.JOB_CREATED: "somebody made a job",
    EventKind.JOB_CHANGED: "somebody changed a job's definition",
    EventKind.JOB_ENABLED: "somebody enabled a job",
    EventKind.JOB_DISABLED: "somebody disabled a job",
    EventKind.JOB_DELETED: "somebody deleted a job",
    EventKind.JOBS_APPLIED: "somebody made the jobs of a source what it says",
    EventKind.JOB_PAUSED: "somebody paused a job, or it failed too often in a row",
    EventKind.JOB_RESUMED: "somebody resumed a paused job",
    EventKind.JOB_POISONED: "a job could not be planned and was pushed ahead; it is not lost",
    EventKind.SLOTS_SKIPPED: "somebody skipped the next slots of a job",
    EventKind.SKIP_UNDONE: "somebody took back that slots are skipped",
    EventKind.BACKFILLED: "somebody asked for runs of slots in the past",
    EventKind.BOOT_RUN_REFUSED: "a job did not run when its host started",
    EventKind.RUN_REQUESTED: "somebody asked for a run",
    EventKind.RUN_CANCELLED: "somebody cancelled a run",
    EventKind.NODE_STARTED: "an agent started on a node",
    EventKind.NODE_STOPPED: "an agent stopped cleanly",
    EventKind.NODE_DRAINED: "somebody drained a node: it starts nothing more",
    EventKind.NODE_RESUMED: "somebody let a drained node start runs again",
    EventKind.NODE_REMOVED: "somebody removed a node and confirmed that it is dead",
    EventKind.NODE_JUDGED: "a silent node was taken over: its runs were lost or started again",
    EventKind.SECRET_SET: "somebody made a secret, or replaced its value",
    EventKind.SECRET_REMOVED: "somebody removed a secret",
    EventKind.SECRETS_RESEALED: "somebody sealed all secrets by a newer key",
    EventKind.HOLD_BEGAN: "somebody held the fleet: nothing fires, nobody is judged",
    EventKind.HOLD_ENDED: "somebody ended the fleet's hold",
    EventKind.RUN_CORRECTED: "the node of a run called lost came back with its true end",
    EventKind.RUNS_RECOVERED: "a node settled the runs of its earlier life",
    EventKind.STALE_REPORT: "a report came for a run that belongs to somebody else by now",
    EventKind.REPORT_REFUSED: "the database refused what a supervisor told of a run",
    EventKind.ALERT_FAILED: "a mail, webhook or ping could not be sent, and was given up",
    EventKind.POOL_SET: "a pool was made, or somebody changed how many permits it has",
    EventKind.POOL_REMOVED: "somebody removed a pool",
    EventKind.NO_NODE: "runs of a job wait since no node that takes runs fits it",
    EventKind.ACCOUNT_ADDED: "somebody made an account",
    EventKind.ACCOUNT_CHANGED: "somebody gave an account another role, enabled or disabled it",
    EventKind.ACCOUNT_REMOVED: "somebody removed an account",
    EventKind.PASSWORD_SET: "an account got a password; its sessions ended",
    EventKind.LINK_MADE: "somebody made a login link",
    EventKind.LOGGED_IN: "somebody logged in",
    EventKind.LOGIN_FAILED: "a login failed; one row for each address in ten minutes",
    EventKind.ACCESS_REFUSED: "somebody may not do what they tried; one row each in ten minutes",
    EventKind.LOGIN_REFUSED: "logins failed so often that the next ones have to wait",
    EventKind.SESSIONS_ENDED: "somebody ended the sessions of an account",
    EventKind.TOKEN_CREATED: "somebody made a token",
    EventKind.TOKEN_REVOKED: "somebody revoked a token",
    EventKind.LOCK_CLEARED: "somebody took a lock from who held it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact: `subject` is the name of a job or node or the id of a run."""

    at_us: int
    kind: EventKind
    subject: str
    actor: str
    text: str = ""
