"""browse: how long the store takes for what people look at: 100,000 jobs, 1,000,000 runs.

Milliseconds of the slowest but one of twenty calls: what is asked by an index, what is looked for
in texts, and the totals of the overview. 2 % of the runs failed; one job in a hundred has the tag.
"""

import statistics
import time
from collections.abc import Callable, Mapping

from bench.plenty import EPOCH_MS, Segment, daily, fill, first_day_us
from bench.report import Report, Row, Target, tidy
from bench.servers import DatabaseServer
from bench.shifted import dialect_of, new_id
from bench.stage import Bench
from cronherd.domain.run import Outcome
from cronherd.domain.search import JobSearch, RunSearch
from cronherd.domain.standing import BAD, Standing
from cronherd.service import Service
from cronherd.store.database import Database
from cronherd.store.facts import EventFilter, RunFilter
from cronherd.store.sqlstore import SqlStore

RUNS_EACH = 10
CALLS = 20
GOAL_MS = 50.0
RARE_GOAL_MS = 250.0  # what no index knows, in a window of history
HISTORY = (
    "id, short, job_id, dedup, slot_us, cause, version, outcome, created_us, started_us, ended_us,"
    " attempt, fence, exit_code, error_text, dropped"
)


def run(bench: Bench) -> Report:
    server = bench.need_server()
    report = Report(name="browse")
    jobs = min(bench.jobs, 100_000)
    schedule, due_us = daily(0, first_day_us())
    url = server.fresh()
    bench.say(f"filling in {jobs} jobs and {jobs * RUNS_EACH} runs")
    fill(server, url, [Segment(name="a", count=jobs, overlap="skip", schedule=schedule,
                               due_us=due_us)])  # fmt: skip
    _fill_history(server, url)
    server.checkpoint()
    database = Database(dialect_of(url))
    try:
        store = SqlStore(database, new_id)
        rows = [_measure(name, call) for name, call in _calls(store).items()]
    finally:
        database.close()
        server.drop(url)
    report.tables[f"{jobs:,} jobs, {jobs * RUNS_EACH:,} runs"] = rows
    for row in rows:
        goal = RARE_GOAL_MS if str(row["what"]).endswith("*") else GOAL_MS
        report.targets.append(
            Target(what=str(row["what"]), value=row["slow ms"], goal=goal, unit="ms",
                   at_least=False)
        )  # fmt: skip
    report.notes.append("* no index knows it: rows are looked through, so many at once")
    return report


def _fill_history(server: DatabaseServer, url: str) -> None:
    """Ten runs of each job, in turn; every fiftieth failed."""
    session = server.open(url)
    base_us = EPOCH_MS * 1_000
    try:
        jobs = "(SELECT id AS job_id, row_number() OVER (ORDER BY name) AS n FROM job) j"
        at = f"({EPOCH_MS} + 10000000 + %K * 1000000 + n * 10)"
        noise, short = "n * 10 + %K", "((n * 7 + %K) & 4294967295)"
        if server.kind == "postgresql":
            ident = (
                f"(lpad(to_hex({at}), 12, '0') || '7' || substr(md5(({noise})::text), 1, 3)"
                f" || '8' || substr(md5(({noise})::text), 4, 15))::uuid"
            )
        else:
            session.run("SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'")
            session.run("SET SESSION unique_checks = 0")
            ident = (
                f"UNHEX(concat(lpad(hex({at}), 12, '0'), '7', substr(md5({noise}), 1, 3),"
                f" '8', substr(md5({noise}), 4, 15)))"
            )
        outcome = "CASE WHEN mod(n + %K, 50) = 0 THEN 'failed' ELSE 'succeeded' END"
        what = (
            f"{ident}, {short}, job_id, concat('s:', {at}), {at} * 1000, 'schedule', 1, {outcome},"
            f" {at} * 1000, {at} * 1000, {at} * 1000 + 5, 1, 1, 0, '', 0"
        )
        insert = f"INSERT INTO run_history ({HISTORY}) SELECT {what} FROM {jobs}"
        for turn in range(RUNS_EACH):
            session.run(insert.replace("%K", str(turn)))
        session.run(
            "UPDATE job SET failing = TRUE WHERE id IN (SELECT job_id FROM run_history"
            f" WHERE outcome = 'failed' AND created_us > {base_us})"
        )
        session.run(
            'UPDATE job SET spec = concat(substr(spec, 1, length(spec) - 1), \', "tags": '
            "[\"rare\"]}') WHERE name LIKE '%%00'"
            if server.kind == "mariadb"
            else 'UPDATE job SET spec = substr(spec, 1, length(spec) - 1) || \', "tags": '
            "[\"rare\"]}' WHERE name LIKE '%00'"
        )
        words = "VACUUM ANALYZE" if server.kind == "postgresql" else "ANALYZE TABLE job, job_due"
        session.run(words)
    finally:
        session.close()


def _calls(store: SqlStore) -> Mapping[str, Callable[[], object]]:
    middle = store.runs(RunFilter(limit=1000))[-1]
    job_id = middle.job_id

    def runs(search: RunSearch, **more: object) -> Callable[[], object]:
        return lambda: store.run_page(RunFilter(search=search, **more))  # type: ignore[arg-type]

    def jobs(search: JobSearch, after: str | None = None) -> Callable[[], object]:
        return lambda: store.job_page(search, after, 50)

    service = Service(
        store, store, new_id=new_id, wake=lambda: None, pause=lambda: False, timezone="UTC"
    )
    return {
        "overview": service.overview,
        "totals of jobs": store.standings,
        "pulse": store.pulse,
        "runs, newest": runs(RunSearch()),
        "runs, further back": runs(RunSearch(), before=middle.id),
        "runs of a job": runs(RunSearch(), job_id=job_id),
        "runs that failed": runs(RunSearch.of(Outcome.FAILED)),
        "runs in error": runs(RunSearch.of(*sorted(BAD))),
        "runs with a tag *": runs(RunSearch(tag="rare")),
        "runs with a word *": runs(RunSearch(words=("job-0000700",))),
        "runs with a word that none has *": runs(RunSearch(words=("nowhere",))),
        "runs since then *": runs(RunSearch(since_us=middle.created_us)),
        "jobs, first": jobs(JobSearch()),
        "jobs, further on": jobs(JobSearch(), "job-0050000"),
        "jobs in error": jobs(JobSearch(standing=Standing.ERROR)),
        "jobs not due": jobs(JobSearch(standing=Standing.NOT_DUE)),
        "jobs overdue": jobs(JobSearch(standing=Standing.OVERDUE)),
        "jobs disabled": jobs(JobSearch(standing=Standing.DISABLED)),
        "jobs with a tag *": jobs(JobSearch(tag="rare")),
        "jobs with a word that none has *": jobs(JobSearch(words=("nowhere",))),
        "events": lambda: store.event_page(EventFilter()),
    }


def _measure(name: str, call: Callable[[], object]) -> Row:
    call()  # statements are prepared, pages are in memory
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return {
        "what": name,
        "usual ms": tidy(statistics.median(took), 3),
        "slow ms": tidy(took[-2], 3),
    }
