"""A fleet that has run for ten days: jobs in every state, their history, and what is live.

Rows are what the store would have written; the texts of definitions come from the one validator,
with a number in place of a mark. One way for every database: the store's own bulk inserts.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from bench.plenty import MARK, STRIDE
from bench.shifted import CLOCK, DAY_US, new_id
from cronherd.definition.jobs import read_job
from cronherd.domain.ident import Stored, from_stored, make_id, short_of, to_stored
from cronherd.domain.node import Node
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.standing import BAD
from cronherd.store.database import Database, Values, fetch, many, one
from cronherd.store.firing import ADD_RUN
from cronherd.store.jobtexts import refresh
from cronherd.store.migrate import upgrade_schema
from cronherd.store.sqlstore import SqlStore

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAYS = 10
AT_ONCE = 5_000  # rows of one transaction
NODES = 12
RUNS_EACH = 10
ATTEMPTS = 50_000  # of the newest runs
LEDGER = 50_000
EVENTS = 20_000
VERSIONS = 60  # of the job that was changed often
PIECES = 50  # of output of the run that is shown: 1,000 lines
# Of 100,000 jobs so many; of fewer, the same share.
RUNNING, WAITING, READY, LATE = 1_000, 2_000, 400, 100
OVERDUE = 300
SEED = 4711

JOB = """
INSERT INTO job (id, "key", name, spec, version, enabled, source, created_us, updated_us, failing)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
VERSION = 'INSERT INTO job_version (job_id, version, spec, "by", at_us) VALUES (?, ?, ?, ?, ?)'
DUE = """
INSERT INTO job_due (job_id, next_us, slot_us, last_slot_us, version, paused_until_us, seq, fired)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
PAST = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
started_us, ended_us, attempt, fence, node_id, exit_code, error_text, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ATTEMPT = """
INSERT INTO attempt (run_id, n, node_id, started_us, ended_us, exit_code, killed_by, error,
error_text, cpu_us, peak_rss_bytes, dropped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PIECE = """
INSERT INTO output (run_id, attempt, stream, seq, at_us, dropped, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
SKIP = """
INSERT INTO ledger (job_id, from_us, to_us, "count", reason, ref, node_id, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
EVENT = "INSERT INTO event (id, at_us, kind, subject, actor, text) VALUES (?, ?, ?, ?, ?, ?)"
PERMIT = "INSERT INTO permit (gkey, n, run_id) VALUES (?, ?, ?)"
STARTED = "UPDATE run SET started_us = created_us WHERE state = 'running'"
TABLES = (
    "job, job_version, job_due, job_text, job_tag, run, run_history, attempt, output, ledger, "
    "event, permit"
)

SOURCES = ("command", "/etc/cronherd/jobs.yaml", "/etc/crontab", "shop.schedule:app")
SCHEDULES = ("daily", "daily", "daily", "hourly", "hourly", "often", "none")


@dataclass(slots=True)
class Filled:
    """What a database was filled with, by the names that pages ask for."""

    now_us: int
    jobs: int
    runs: int = 0
    usual: str = ""  # a job like most
    changed: str = ""  # one with many versions
    busy: str = ""  # one with many runs that wait
    run: str = ""  # a run with output
    middle: str = ""  # a run in the midst of history
    nodes: list[str] = field(default_factory=list)


def populate(database: Database, jobs: int, say: Callable[[str], None] = lambda _: None) -> Filled:
    """The schema, and all rows. `jobs` may not be a multiple of plenty.STRIDE."""
    upgrade_schema(database, timezone="UTC", incarnation=new_id())
    return Filling(database, jobs, say).all()


class Filling:
    """One database while it is filled in."""

    def __init__(self, database: Database, jobs: int, say: Callable[[str], None]) -> None:
        self._db = database
        self._say = say
        self._chance = random.Random(SEED)
        self._now_us = CLOCK.now_us()
        self._jobs = jobs
        self._ids = [self._id(self._now_us - 30 * DAY_US + place) for place in range(jobs)]
        self._numbers = [place * STRIDE % jobs for place in range(jobs)]
        self._nodes: list[Stored] = []
        self._found = Filled(now_us=self._now_us, jobs=jobs)

    def all(self) -> Filled:
        self._add_nodes()
        self._say(f"{self._jobs:,} jobs")
        self._write(JOB, self._job_rows())
        self._write(VERSION, self._version_rows())
        self._write(DUE, self._due_rows())
        self._say(f"{self._jobs * RUNS_EACH:,} runs of the past")
        self._write(PAST, self._past_rows())
        self._write(SKIP, self._skips())
        self._write(EVENT, self._events())
        self._add_live()
        self._say("what jobs are searched by")
        refresh(self._db)
        self._analyze()
        return self._found

    # ------------------------------------------------------------------ jobs

    def _job_rows(self) -> Iterator[Values]:
        specs = [_spec(shape) for shape in range(420)]
        found = self._found
        for place, number in enumerate(self._numbers):
            name = f"job-{number:07d}"
            spec = specs[number % len(specs)].replace(MARK, f"{number:07d}")
            since_us = self._now_us - 30 * DAY_US + place
            head = (self._ids[place], name, name, spec, self._version(number), number % 50 != 7)
            newest = self._outcome(place, RUNS_EACH - 1) in BAD
            yield (*head, SOURCES[number % 4], since_us, since_us, newest)
        found.usual = f"job-{self._jobs // 2:07d}"
        found.changed, found.busy = "job-0000001", "job-0000003"

    def _version(self, number: int) -> int:
        return VERSIONS if number == 1 else 1

    def _version_rows(self) -> Iterator[Values]:
        for place, number in enumerate(self._numbers):
            for version in range(1, self._version(number) + 1):
                spec = _spec((number + version) % 420).replace(MARK, f"{number:07d}")
                at_us = self._now_us - 30 * DAY_US + version
                yield (self._ids[place], version, spec, "ada", at_us)

    def _due_rows(self) -> Iterator[Values]:
        """Nothing falls due within the next half hour, but for what is overdue already."""
        for place, number in enumerate(self._numbers):
            next_us: int | None = self._now_us + 30 * MINUTE_US + number % 1_440 * MINUTE_US
            last_us, until_us = self._now_us - HOUR_US, None
            if number % 50 == 7 or SCHEDULES[number % len(SCHEDULES)] == "none":
                next_us = None
            elif number % 100 == 13:
                until_us = FOREVER_US if number % 200 == 13 else self._now_us + DAY_US
                next_us = None if until_us == FOREVER_US else until_us
            elif number % 100 == 29 and number // 100 < self._share(OVERDUE):
                next_us = self._now_us - 5 * MINUTE_US
            slot_us = next_us or last_us
            version = self._version(number)
            yield (self._ids[place], next_us, slot_us, last_us, version, until_us, 0, RUNS_EACH)

    # ------------------------------------------------------------------ the past

    def _outcome(self, place: int, turn: int) -> str:
        number = place + turn
        if number % 50 == 0:
            return "failed"
        if number % 997 == 0:
            return "timed_out"
        if number % 1_499 == 0:
            return "lost"
        return "cancelled" if number % 333 == 0 else "succeeded"

    def _past_rows(self) -> Iterator[Values]:
        total = self._jobs * RUNS_EACH
        attempts: list[Values] = []
        middle = total // 2
        for number in range(total):
            turn, place = divmod(number, self._jobs)
            at_us = self._now_us - DAYS * DAY_US * (total - number) // total - MINUTE_US
            outcome, stored = self._outcome(place, turn), self._id(at_us)
            ended_us = at_us + 5_000 + number % 60_000_000
            node, shown = self._nodes[number % NODES], from_stored(stored)
            code = {"succeeded": 0, "failed": 1}.get(outcome)
            head = (stored, short_of(shown), self._ids[place], f"s:{at_us}", at_us, "schedule", 1)
            text = "" if code == 0 else f"it ended with {code}"
            tail = (at_us + 2_000, ended_us, 1, (turn + 1) << 16, node, code, text, 0)
            if number == middle:
                self._found.middle = shown
            if number >= total - ATTEMPTS:
                told = (outcome if outcome != "succeeded" else "", text)
                spent = (code, "", *told, 3_000, 1 << 22, 0)
                attempts.append((stored, 1, node, at_us + 2_000, ended_us, *spent))
            self._found.run = shown
            yield (*head, outcome, at_us, *tail)
        self._found.runs = total
        self._write(ATTEMPT, iter(attempts))
        self._write(PIECE, self._pieces(to_stored(self._found.run)))

    def _pieces(self, stored: Stored) -> Iterator[Values]:
        for seq in range(PIECES):
            lines = "".join(f"\x1b[32mok\x1b[0m step {seq} part {n}\n" for n in range(20))
            yield (stored, 1, 1 + seq % 2, seq, self._now_us, 0, lines.encode())

    def _skips(self) -> Iterator[Values]:
        reasons = ("paused", "overlap", "disabled", "no_node", "skipped")
        for number in range(min(LEDGER, self._jobs)):
            at_us = self._now_us - DAYS * DAY_US * (LEDGER - number) // LEDGER
            reason = reasons[number % len(reasons)]
            job_id = self._ids[number * 7 % self._jobs]
            yield (job_id, at_us, at_us, 1, reason, None, to_stored("0" * 32), at_us)

    def _events(self) -> Iterator[Values]:
        kinds = ("job_changed", "job_paused", "job_resumed", "job_disabled", "job_enabled")
        for number in range(min(EVENTS, self._jobs)):
            at_us = self._now_us - DAYS * DAY_US * (EVENTS - number) // EVENTS
            subject = f"job-{number * 13 % self._jobs:07d}"
            yield (self._id(at_us), at_us, kinds[number % len(kinds)], subject, "ada", "")

    # ------------------------------------------------------------------ what is live

    def _add_nodes(self) -> None:
        store = SqlStore(self._db, new_id)
        for number in range(NODES):
            labels = {"zone": f"z{number % 3}"}
            node_id = new_id()
            node = Node(
                id=node_id, name=f"node-{number}", incarnation=new_id(), boot_id="bench",
                capacity=200, labels=labels, version="0.1.0",
            )  # fmt: skip
            store.register_node(node, DAY_US)
            self._nodes.append(to_stored(node_id))
            self._found.nodes.append(node.name)

    def _add_live(self) -> None:
        """Runs of different jobs; those that wait stand before the gates of a few."""
        rows: list[Values] = []
        permits: list[Values] = []
        groups = (
            ("running", self._share(RUNNING), 4, 2 * MINUTE_US),
            ("ready", self._share(READY), 8, 10_000_000),
            ("ready", self._share(LATE), 9, 10 * MINUTE_US),
        )
        for state, count, rest, age_us in groups:
            for number in range(count):
                place = (number * 10 + rest) % self._jobs
                row = self._live_row(place, state, age_us, number)
                rows.append(row)
                if state == "running":
                    permits.append((f"j{from_stored(self._ids[place])}", 0, row[0]))
        busy = self._numbers.index(3)
        rows += [
            self._live_row(busy, "waiting", 30_000_000, number)
            for number in range(self._share(WAITING))
        ]
        self._write(ADD_RUN, iter(rows))
        self._write(PERMIT, iter(permits))
        with self._db.write() as connection:
            one(connection, STARTED)

    def _live_row(self, place: int, state: str, age_us: int, number: int) -> Values:
        at_us = self._now_us - age_us + number
        stored, node = self._id(at_us), self._nodes[number % NODES]
        shown, job_id = from_stored(stored), self._ids[place]
        runs = state == "running"
        head = (stored, short_of(shown), job_id, f"l:{number}:{state}:{age_us}", at_us, "schedule")
        wait = f"j{from_stored(job_id)}" if state == "waiting" else None
        line = (1, state, "", 0, at_us, None, at_us, 1, int(runs), 20 << 16)
        holds = (new_id() if runs else None, node if runs else None, None, None)
        return (*head, *line, *holds, wait, False, None, None, False)

    # ------------------------------------------------------------------ how

    def _share(self, count: int) -> int:
        """What a whole fleet has of this, for the jobs that there are."""
        return max(1, count * self._jobs // 100_000)

    def _id(self, at_us: int) -> Stored:
        return to_stored(make_id(at_us, self._chance.randbytes(10)))

    def _write(self, sql: str, rows: Iterator[Values]) -> None:
        for some in _parts(rows):
            with self._db.write() as connection:
                many(connection, sql, some)

    def _analyze(self) -> None:
        """As servers do by themselves after such a change; a file is never told."""
        name = self._db.dialect.name
        if name == "sqlite":
            return
        with self._db.change() as connection:
            if name == "mysql":  # it answers with rows
                fetch(connection, f"ANALYZE TABLE {TABLES}")
                return
            one(connection, "SET statement_timeout = 0")
            for table in TABLES.split(", "):
                one(connection, f"VACUUM ANALYZE {table}")
            one(connection, "SET statement_timeout = '5s'")


def _parts(rows: Iterable[Values]) -> Iterator[Sequence[Values]]:
    left = iter(rows)
    while some := list(islice(left, AT_ONCE)):
        yield some


def _spec(shape: int) -> str:
    """A definition's text as it is stored, with the mark for its number."""
    raw: dict[str, object] = {
        "name": f"job-{MARK}",
        "command": f"/usr/local/bin/part --of {MARK}",
        "description": f"Part {MARK} of the nightly work",
        "timeout": "1h",
        "tags": [f"team-{shape % 12}", *(["backup"] if shape % 10 == 0 else [])],
    }
    if shape % 105 == 50:
        raw["tags"] = ["rare"]
    minute, hour = shape * 7 % 60, shape * 11 % 24
    kinds = {"daily": f"{minute} {hour} * * *", "hourly": f"{minute} * * * *", "often": "every 5m"}
    kind = SCHEDULES[shape % len(SCHEDULES)]
    if kind in kinds:
        raw["schedule"] = kinds[kind]
    spec = dict(read_job(raw, timezone="UTC").spec)
    spec.pop("enabled", None)
    return json.dumps(spec, ensure_ascii=False, sort_keys=True)
