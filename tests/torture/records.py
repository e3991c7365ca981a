"""The product's own word, read straight from its tables once all is quiet."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.torture.database import Ground, Row
from tests.torture.oracle import is_chained, seconds_of

SHORT = 8
LIVE = "SELECT id, job_id, slot_us, cause, state, attempt, fence, epoch, excl_key FROM run"
HISTORY = """
SELECT id, job_id, slot_us, cause, outcome, created_us, started_us, ended_us, attempt, fence,
node_id, exit_code, "signal" FROM run_history
"""
ATTEMPTS = """
SELECT run_id, n, node_id, started_us, ended_us, exit_code, "signal", killed_by, error, error_text
FROM attempt
"""
LEDGER = 'SELECT job_id, from_us, to_us, "count", reason, ref, at_us FROM ledger'
JOBS = """
SELECT j.id, j.name, j.spec, j.enabled, d.last_slot_us FROM job j JOIN job_due d ON d.job_id = j.id
WHERE j.deleted_us IS NULL
"""
VERSIONS = "SELECT job_id, version, spec, at_us FROM job_version ORDER BY job_id, version"
PERMITS = "SELECT gkey, n, run_id FROM permit"
GATES = "SELECT gkey, capacity FROM gate"
NODES = "SELECT id, name FROM node"
EVENTS = "SELECT kind, count(*) FROM event GROUP BY kind"


def shown(stored: str) -> str:
    """An id as commands see it: its random end comes first."""
    return stored[-SHORT:] + stored[:-SHORT]


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """A run, ended or not. `state` is `finished` when it ended."""

    id: str
    job: str
    slot_us: int | None
    cause: str
    state: str
    outcome: str | None = None
    created_us: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    attempt: int = 1
    fence: int = 0
    exit_code: int | None = None
    signal: int | None = None


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    run: str
    number: int
    node: str
    started_us: int | None
    ended_us: int | None
    exit_code: int | None = None
    signal: int | None = None
    killed_by: str = ""
    error: str = ""
    text: str = ""


@dataclass(slots=True, kw_only=True)
class LedgerRecord:
    job: str
    from_us: int
    to_us: int
    count: int
    reason: str
    ref: str = ""
    at_us: int = 0


@dataclass(slots=True, kw_only=True)
class JobRecord:
    """A job: its rules now, every schedule it had and since when, and its watermark."""

    name: str
    spec: dict[str, Any]
    last_slot_us: int
    schedules: list[tuple[int, str]] = field(default_factory=list)
    enabled: bool = False

    @property
    def chained(self) -> bool:
        return any(is_chained(schedule) for _, schedule in self.schedules)

    @property
    def overlap(self) -> str:
        return str(self.spec.get("overlap", "skip"))

    @property
    def permits(self) -> int | None:
        """How many runs at once; None: any number."""
        return None if self.overlap == "allow" else int(self.spec.get("max_running", 1))

    @property
    def pools(self) -> dict[str, int]:
        """How many permits of which pool each run holds."""
        said = self.spec.get("pools") or []
        uses = [said] if isinstance(said, str) else said
        return {
            str(use if isinstance(use, str) else use["name"]): (
                1 if isinstance(use, str) else int(use.get("permits", 1))
            )
            for use in uses
        }

    @property
    def at_least_once(self) -> bool:
        return self.spec.get("delivery") == "at_least_once"

    @property
    def retries(self) -> int:
        retries = self.spec.get("retries", 0)
        return int(retries["max"] if isinstance(retries, dict) else retries)

    @property
    def on_time_us(self) -> int:
        return round(seconds_of(str(self.spec.get("on_time", "60s"))) * 1_000_000)


@dataclass(slots=True, kw_only=True)
class Records:
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    runs: list[RunRecord] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    ledger: list[LedgerRecord] = field(default_factory=list)
    permits: list[tuple[str, int, str]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    pools: dict[str, int] = field(default_factory=dict)


def read_records(ground: Ground) -> Records:
    """One statement after the other: nothing moves any more."""
    names: dict[str, str] = {}
    nodes = {str(row[0]): str(row[1]) for row in ground.query(NODES)}
    records = Records()
    history: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for job_id, _, spec, at_us in ground.query(VERSIONS):
        schedule = str(json.loads(spec).get("schedule") or "")
        if not history[job_id] or history[job_id][-1][1] != schedule:
            history[job_id].append((at_us, schedule))
    for job_id, name, spec, enabled, last_slot_us in ground.query(JOBS):
        names[job_id] = name
        records.jobs[name] = JobRecord(
            name=name,
            spec=json.loads(spec),
            last_slot_us=last_slot_us,
            schedules=history[job_id],
            enabled=bool(enabled),
        )
    records.runs = [_live(row, names) for row in ground.query(LIVE)]
    records.runs += [_ended(row, names) for row in ground.query(HISTORY)]
    records.attempts = [_attempt(row, nodes) for row in ground.query(ATTEMPTS)]
    for job_id, from_us, to_us, count, reason, ref, at_us in ground.query(LEDGER):
        records.ledger.append(
            LedgerRecord(
                job=names[job_id],
                from_us=from_us,
                to_us=to_us,
                count=count,
                reason=reason,
                ref=ref or "",
                at_us=at_us,
            )
        )
    records.permits = [(key, n, shown(run)) for key, n, run in ground.query(PERMITS)]
    records.pools = {
        str(key)[1:]: capacity for key, capacity in ground.query(GATES) if str(key)[0] == "p"
    }
    records.events = Counter({str(kind): count for kind, count in ground.query(EVENTS)})
    return records


def _live(row: Row, names: dict[str, str]) -> RunRecord:
    run_id, job_id, slot_us, cause, state, attempt, fence, epoch, _ = row
    return RunRecord(
        id=shown(run_id),
        job=names[job_id],
        slot_us=slot_us,
        cause=cause,
        state=state,
        attempt=attempt,
        fence=fence | epoch,
    )


def _ended(row: Row, names: dict[str, str]) -> RunRecord:
    return RunRecord(
        id=shown(row[0]),
        job=names[row[1]],
        slot_us=row[2],
        cause=row[3],
        state="finished",
        outcome=row[4],
        created_us=row[5],
        started_us=row[6],
        ended_us=row[7],
        attempt=row[8],
        fence=row[9],
        exit_code=row[11],
        signal=row[12],
    )


def _attempt(row: Row, nodes: dict[str, str]) -> AttemptRecord:
    return AttemptRecord(
        run=shown(row[0]),
        number=row[1],
        node=nodes.get(str(row[2]), "?"),
        started_us=row[3],
        ended_us=row[4],
        exit_code=row[5],
        signal=row[6],
        killed_by=row[7],
        error=row[8],
        text=row[9],
    )
