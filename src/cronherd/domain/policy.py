"""Policies: small frozen rules with their defaults, and the table the docs are made from."""

from dataclasses import dataclass
from enum import StrEnum

from cronherd.domain.instant import DAY_US, HOUR_US, MINUTE_US, SECOND_US


class Overlap(StrEnum):
    """What a slot does when the job already runs as often as it may."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


class CatchupMode(StrEnum):
    """Which of the slots that were missed still run."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class Delivery(StrEnum):
    """Whether a run whose node is gone may be started once more."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Spread(StrEnum):
    """Whether a slot is one run anywhere, or one on each node that fits."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catchup:
    """`window_us`: how old a missed slot may be; `most`: how many of them run at the most."""

    mode: CatchupMode = CatchupMode.LATEST
    window_us: int = HOUR_US
    most: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """New attempts of the same run: the n-th waits backoff x factor^(n-1), at most `max_delay`.

    `jitter` is the largest share by which a delay is varied, 0 to 1.
    """

    most: int = 0
    backoff_us: int = 30 * SECOND_US
    factor: float = 2.0
    max_delay_us: int = HOUR_US
    jitter: float = 0.2

    def delay_us(self, attempt: int, chance: float) -> int:
        """How long to wait after the failed `attempt` (from 1); `chance` is in [0, 1)."""
        plain = min(self.backoff_us * self.factor ** min(attempt - 1, 64), self.max_delay_us)
        return round(plain * (1 + self.jitter * (2 * chance - 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """A finished run is dropped when it is older than `age_us` and not among the last `runs`."""

    age_us: int = 30 * DAY_US
    runs: int = 200


ON_TIME_US = 60 * SECOND_US
GRACE_US = 10 * SECOND_US
TAKEOVER_AFTER_US = 15 * MINUTE_US
QUEUE_MAX = 100
OUTPUT_HEAD = 262_144
OUTPUT_TAIL = 262_144
OUTPUT_FILE_SIZE = 100_000_000
LEDGER_AGE_US = 400 * DAY_US
HEARTBEAT_US = 5 * SECOND_US
LEASE_US = 15 * SECOND_US
CLAIM_TO_EXEC_US = 5 * SECOND_US
DRAIN_TIMEOUT_US = 30 * SECOND_US
# What a pause without an end ends at: later than any instant, and it fits every database.
FOREVER_US = 1 << 62
# Before a takeover the silent node's own supervisor is done this long ago.
FENCE_MARGIN_US = 2 * SECOND_US
# A takeover comes after the lease, the kill's grace and this.
TAKEOVER_SLACK_US = 5 * SECOND_US
# A run whose node is silent for longer than this is called unknown, and a run on all nodes does
# not wait for a node that is.
UNKNOWN_AFTER_US = DAY_US
# How long others leave a run to the nodes that it prefers.
PREFER_US = 5 * SECOND_US


def default_capacity(processors: int) -> int:
    """How many runs a node takes at once when nothing is said."""
    return max(32, 8 * processors)


def capacity_of(wanted: int | str | None, processors: int) -> int:
    """How many runs a node takes at once: a number, a share of its processors, or the default."""
    shares = {"cpu_full": 1.0, "cpu_half": 0.5, "cpu_quarter": 0.25}
    if wanted is None:
        return default_capacity(processors)
    if isinstance(wanted, str):
        return max(1, int(processors * shares[wanted]))
    return wanted


@dataclass(frozen=True, slots=True)
class Default:
    """One row of the table of defaults."""

    setting: str
    value: str
    why: str


DEFAULTS = (
    Default("timezone", "the fleet's, fixed when it is made", "the database decides, not a host"),
    Default("overlap", "skip", "a slow job must not pile up; imported crontab lines: allow"),
    Default("max_running", "1", "how many runs of the job at once in the whole fleet"),
    Default("queue_max", str(QUEUE_MAX), "slots that may wait with overlap: queue"),
    Default("catchup", "latest", "after an outage the newest missed slot runs; imported: none"),
    Default("catchup_window", "1h", "older slots are recorded as missed"),
    Default("catchup_max", "100", "with catchup: all, at most this many run"),
    Default("on_time", "60s", "a slot started within it is on time: a fail-over drops none"),
    Default("start_deadline", "none", "a run not started that long after its slot is given up"),
    Default("timeout", "none", "a limit that nobody chose kills somebody's backup"),
    Default("grace", "10s", "between TERM and KILL"),
    Default("retries", "0", "only the author knows whether a second try is harmless"),
    Default("delivery", "at_most_once", "a recorded loss is better than a double start"),
    Default("takeover_after", "15m", "how long a silent node keeps what it holds"),
    Default("retention", "30d and 200 runs per job", "the ledger is kept for 400 days"),
    Default("output", "first 256 KiB and last 256 KiB of a run", "it lives in your database"),
    Default("capacity of a node", "max(32, 8 x processors)", "under cron all of 02:00 ran at once"),
    Default("heartbeat, lease", "5s, 15s", "a node is silent when its lease has run out"),
    Default("claim to start", "5s", "a claim that was not started by then is void"),
    Default("drain_timeout", "30s", "how long the first Ctrl-C waits for runs"),
)
