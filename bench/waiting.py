"""waiting: does a long line in front of a busy pool slow anything else.

Two databases on one server, alike but for the line: a short one and one of 100,000 runs. Each
thing is done to both in turn, so that whatever else this machine does slows both.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.report import Report, Row, Target, spread, tidy
from bench.shifted import CLOCK, DAY_US, dialect_of, new_id, tune
from bench.stage import Bench
from cronherd.domain.ident import short_of, to_stored
from cronherd.domain.job import build_job
from cronherd.domain.judge import Verdict
from cronherd.domain.node import Node
from cronherd.domain.planner import plan
from cronherd.domain.run import Cause, Exit, Outcome
from cronherd.store.base import Claim
from cronherd.store.database import Database, Values, fetch, many, one
from cronherd.store.facts import JobWrite
from cronherd.store.firing import ADD_RUN
from cronherd.store.migrate import upgrade_schema
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore

GOAL_RATIO = 0.8
SHORT_LINE = 200
WAITERS, OTHERS, TICKING = 100, 50, 50  # jobs
READY = 1_000  # runs of other jobs that are claimed in one round
CLAIM = 200
PASSES = 100
SWEEPS = 20
FIRINGS = 5
# What every end of a holder, and every node each second, meets the line with.
MEETING = frozenset({"finish", "promote", "take", "sweep", "look"})
POOL = "busy"
LARGEST = 5_000  # rows of one transaction while the line is made


class Side:
    """One database with its line."""

    def __init__(self, database: Database, line: int) -> None:
        upgrade_schema(database, timezone="UTC", incarnation=new_id())
        self.store = SqlStore(database, new_id)
        self.line = line
        self.node = Node(
            id=new_id(), name="bench", incarnation=new_id(), boot_id="bench", capacity=1_000
        )
        self.store.register_node(self.node, 30 * DAY_US)
        self.store.set_pool(POOL, 1, "bench")
        pooled: dict[str, object] = {"pools": [{"name": POOL}], "overlap": "allow"}
        self.waiters = self._jobs("waiter", WAITERS, pooled)
        self.others = self._jobs("other", OTHERS, {"overlap": "allow"})
        self.ticking = self._jobs("ticking", TICKING, {"schedule": "every 1s", "overlap": "allow"})
        self.store.request_run(self.waiters[0], new_id(), "m:0", Cause.MANUAL, force=False)
        (self.holder,) = self.claim(1)
        self.add(self.waiters, line, "waiting", f"p{POOL}")

    def _jobs(self, word: str, count: int, spec: dict[str, object]) -> list[str]:
        words = [{"name": f"{word} {n}", "command": "true", **spec} for n in range(count)]
        writes = [
            JobWrite(id=new_id(), job=build_job(each), enabled=True, source="bench")
            for each in words
        ]
        self.store.save_jobs(writes, "bench")
        return [write.id for write in writes]

    def add(self, jobs: Sequence[str], count: int, state: str, wait_key: str | None = None) -> None:
        """So many runs at once, as if they had been asked for."""
        rows: list[Values] = []
        for number in range(count):
            run_id = new_id()
            now_us = CLOCK.now_us()
            head = (to_stored(run_id), short_of(run_id), to_stored(jobs[number % len(jobs)]))
            line = (now_us, None, now_us, 1, 0, 1 << 16, None, None, None, None)
            tail = (wait_key, False, wait_key, None, False)
            rows.append((*head, f"m:{run_id}", None, "manual", 1, state, "", 0, *line, *tail))
        for first in range(0, len(rows), LARGEST):
            with self.store.db.write() as connection:
                many(connection, ADD_RUN, rows[first : first + LARGEST])

    def analyze(self) -> None:
        """As the server does by itself within a minute of such a change."""
        with self.store.db.change() as connection:
            if self.store.db.dialect.name == "mysql":  # it answers with rows
                fetch(connection, "ANALYZE TABLE run, permit, gate, job_due")
            else:
                one(connection, "ANALYZE")

    def claim(self, limit: int) -> list[Claim]:
        return self.store.claim(self.node, new_id(), limit)

    def end(self, *claims: Claim) -> list[str]:
        """Their ends are recorded; the gates that got something back."""
        now_us = CLOCK.now_us()
        seen = Exit(started_us=now_us, ended_us=now_us + 1, exit_code=0)
        verdict = Verdict(outcome=Outcome.SUCCEEDED)
        return self.store.record((), (), [claim.ended(seen, verdict) for claim in claims]).freed

    # ------------------------------------------------------------------ what is measured

    def claims_per_s(self) -> float:
        """Other jobs' ready runs are claimed and ended, as fast as it goes."""
        self.add(self.others, READY, "ready")
        began, done = time.perf_counter(), 0
        while claims := self.claim(CLAIM):
            self.end(*claims)
            done += len(claims)
        assert done == READY
        return done / (time.perf_counter() - began)

    def finish(self) -> None:
        self.freed = self.end(self.holder)

    def promote(self) -> None:
        assert self.store.promote(self.freed) == 1

    def take(self) -> None:
        (self.holder,) = self.claim(10)

    def sweep(self) -> None:
        self.store.promote(self.store.sweep())

    def look(self) -> None:
        self.store.look(self.node.id, 1_000_000)

    def fire(self) -> None:
        with self.store.fire(1_000) as batch:
            plans = []
            for due in batch.due:
                job = batch.jobs[due.job_id]
                gate = batch.gate(due.job_id)
                fits = batch.fits(job.place)
                plans.append(plan(job, due, gate, batch.now_us, fits=fits))
            batch.commit(plans, None)

    def pools(self) -> None:
        self.store.pools()

    def request(self) -> None:
        self.store.request_run(
            self.waiters[1], new_id(), f"m:{new_id()}", Cause.MANUAL, force=False
        )

    freed: list[str]


def run(bench: Bench) -> Report:
    report = Report(name="waiting")
    with ExitStack() as stack:
        sides = []
        for line in (SHORT_LINE, bench.jobs):
            bench.say(f"a line of {line} runs")
            side = Side(stack.enter_context(opened(bench, f"line-{line}")), line)
            side.analyze()
            sides.append(side)
        tune()
        rates = _rates(bench, sides)
        report.tables["claims/s of other jobs, ended too; a round of each in turn"] = [
            {"line": side.line, **spread(values)} for side, values in zip(sides, rates, strict=True)
        ]
        rows, slowest = _times(bench, sides)
    report.tables["milliseconds of what meets the line"] = rows
    short, long = (statistics.median(values) for values in rates)
    report.targets += [
        Target(what="claims of other jobs beside the long line, by those beside the short one",
               value=tidy(long / short, 3), goal=GOAL_RATIO, unit="x", at_least=True),
        Target(what="an end, a promotion, a claim or a sweep beside the long line, p50",
               value=slowest, goal=50,
               unit="ms", at_least=False),
    ]  # fmt: skip
    report.notes += [
        f"{READY} ready runs in a round, {CLAIM} in a claim; no process is started",
        f"one pool of one permit; the line is of {WAITERS} jobs",
        "the two databases lie on one server and are asked in turn",
    ]
    return report


@contextmanager
def opened(bench: Bench, name: str) -> Iterator[Database]:
    if bench.server is None:
        dialect = SqliteDialect(bench.folder / f"{name}.db", CLOCK.now_us)
        database = Database(dialect)
    else:
        database = Database(dialect_of(bench.server.fresh()))
    try:
        yield database
    finally:
        database.close()


def _rates(bench: Bench, sides: Sequence[Side]) -> list[list[float]]:
    rates: list[list[float]] = [[] for _ in sides]
    for number in range(2 * bench.rounds + 1):
        order = list(enumerate(sides))
        for place, side in order if number % 2 else reversed(order):
            found = side.claims_per_s()
            if number:  # the first round fills caches
                rates[place].append(found)
    return rates


def _times(bench: Bench, sides: Sequence[Side]) -> tuple[list[Row], float]:
    bench.say("ends, promotions, sweeps, firings")
    rows: list[Row] = []
    slowest = 0.0
    for side in sides:
        taken: dict[str, list[float]] = {}
        for _ in range(PASSES):
            for act in (side.finish, side.promote, side.take):
                _time(taken, act)
        for _ in range(SWEEPS):
            for act in (side.sweep, side.look, side.pools, side.request):
                _time(taken, act)
        side.fire()  # what was due meanwhile
        for _ in range(FIRINGS):
            time.sleep(1.0)
            _time(taken, side.fire)
        for what, values in taken.items():
            found = spread(values, 1e3)
            rows.append({"line": side.line, "what": what, **found})
            if side is sides[-1] and what in MEETING:
                slowest = max(slowest, found["p50"])
    return rows, slowest


def _time(taken: dict[str, list[float]], act: Callable[[], None]) -> None:
    began = time.perf_counter()
    act()
    taken.setdefault(act.__name__, []).append(time.perf_counter() - began)
