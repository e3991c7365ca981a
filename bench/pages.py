"""pages: how long people wait for each page: 100,000 jobs, 1,000,000 runs and what is live.

A real `cronherd web` with a session is asked for each page and each of its filters over one kept
connection. `ms` is the time from the request to the last byte of the answer; CPU, statements and
rows are what one of them costs, whatever else this machine does. Then 200 views are live at it.
"""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bench import statements
from bench.fleet import wait_for
from bench.populated import Filled, populate
from bench.proc import cpu_us
from bench.report import BenchError, Report, Row, Target, percentile, tidy
from bench.servers import DatabaseServer
from bench.shifted import CLOCK, dialect_of, new_id
from bench.stage import Bench
from cronherd.access.keys import Keys
from cronherd.api.access import COOKIE
from cronherd.domain.access import Role
from cronherd.domain.run import Cause
from cronherd.service.accounts import new_account
from cronherd.service.entrance import Entrance, From
from cronherd.store.database import Database, Dialect
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.servers.engines import free_port

WARM, CALLS = 3, 50  # fewer of few jobs: then it only shows that it works
GOALS_MS = {"postgresql": 50.0, "mariadb": 200.0, "sqlite": 200.0}
UP_S, DOWN_S, ANSWER_S = 30, 20, 60
PASSWORD = "correct horse battery staple"
VIEWS = (1, 200)
GOAL_SHARE, GOAL_TIMES = 10.0, 1.2
SETTLE_S = 1.1  # PostgreSQL's processes tell their counters once a second
WATCHER = Path(__file__).resolve().parent / "watcher.py"
ROWS_READ = {
    "postgresql": "SELECT tup_returned + tup_fetched FROM pg_stat_database"
    " WHERE datname = current_database()",
    "mariadb": "SELECT sum(variable_value) FROM information_schema.global_status"
    " WHERE variable_name LIKE 'Handler_read%'",
}
RUN_SEARCHES = (
    *("state:running", "state:waiting", "state:ready", "state:succeeded", "state:error"),
    *(
        "state:cancelled",
        "state:lost",
        "since:1h",
        "since:24h",
        "since:7d",
        "state:error since:24h",
    ),
    *("tag:backup", "tag:rare", "node:node-3", "cause:api", "job-0000700", "nowhere"),
)
JOB_SEARCHES = (
    *("state:running", "state:overdue", "state:not_due", "state:paused", "state:disabled"),
    *("state:error", "tag:backup", "tag:rare", "source:/etc/crontab", "part 0000700", "nowhere"),
    *("state:error tag:backup", "node:node-3"),
)
SORTS = ("-name", "next", "-next", "status", "result", "started", "took", "worker", "frequency")


def run(bench: Bench) -> Report:
    report = Report(name="pages")
    server = bench.server
    url = server.fresh() if server is not None else None
    database = Database(_dialect(bench, url))
    began = time.monotonic()
    try:
        filled = populate(database, bench.jobs, bench.say)
        cookie = _log_in(database)
    finally:
        database.close()
    if server is not None:
        server.checkpoint()
    bench.say(f"filled in {time.monotonic() - began:.0f} s")
    with _site(bench, url, cookie) as site:
        calls = max(1, min(CALLS, filled.jobs // 100))
        rows = [site.measure(what, at, calls) for what, at in addresses(filled).items()]
        report.tables[f"{filled.jobs:,} jobs, {filled.runs:,} runs"] = rows
        views = [_watch(bench, site, filled, count) for count in VIEWS]
        report.tables["live views of the overview, a run a second asked for"] = views
    _judge(report, bench.database, rows, views)
    report.notes += [
        f"{calls} requests of each page after {WARM}, one after the other, by one browser",
        "CPU ms: of the web process and of the server, for one request",
        "rows: read by the server for one request, from tables and indexes",
    ]
    return report


def addresses(filled: Filled) -> Mapping[str, str]:
    """Each page and each of its filters, by what it is called here."""
    job, busy = f"/jobs/{filled.usual}", f"/jobs/{filled.busy}"
    found = {"overview": "/"}
    found |= {f"overview, {span}": f"/?span={span}" for span in ("15m", "12h", "3d")}
    found |= {"jobs": "/jobs", "jobs, page 2": f"/jobs?after=job-{49:07d}"}
    found["jobs, deep"] = f"/jobs?after=job-{filled.jobs * 9 // 10:07d}"
    found |= {f"jobs, {q}": f"/jobs?q={quote(q)}" for q in JOB_SEARCHES}
    found |= {f"jobs by {key}": f"/jobs?sort={key}" for key in SORTS}
    found["jobs, state:error by started"] = "/jobs?q=state:error&sort=started"
    found["jobs, tag:rare by took"] = "/jobs?q=tag:rare&sort=took"
    found |= {"job": job, "job, busy": busy, "job, runs": f"{job}/runs"}
    found |= {"job, runs that failed": f"{job}/runs?state=error", "job, busy, runs": f"{busy}/runs"}
    found |= {"job, why": f"{job}?at=", "job, edit": f"{job}/edit"}
    found["job, changes"] = f"/jobs/{filled.changed}/changes"
    found |= {"runs": "/runs", "runs, deep": f"/runs?before={filled.middle}"}
    found |= {f"runs, {q}": f"/runs?q={quote(q)}" for q in RUN_SEARCHES}
    found[f"runs, job:{filled.usual}"] = f"/runs?q={quote(f'job:{filled.usual}')}"
    found["run with output"] = f"/runs/{filled.run}"
    found |= {"timeline": "/timeline", "timeline, 7d": "/timeline?span=7d"}
    found["timeline of a job"] = f"/timeline?job={filled.usual}"
    found |= {"nodes": "/nodes", "settings": "/settings"}
    found |= {f"settings, {tab}": f"/settings/{tab}" for tab in ("people", "alerts", "audit")}
    found |= {"settings, health": "/settings/health", "metrics": "/metrics"}
    return found


class Site:
    """A web process, and a browser that is logged in there."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, cookie: str,
        server: DatabaseServer | None, url: str | None,
    ) -> None:  # fmt: skip
        self.pid, self.port, self.cookie = process.pid, port, cookie
        self.server, self.url = server, url
        self._session = server.open(url) if server is not None and url is not None else None
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)

    def ask(self, address: str) -> bytes:
        """The page. Raises BenchError for any other answer."""
        self._line.request("GET", address, headers={"Cookie": f"{COOKIE}={self.cookie}"})
        answer = self._line.getresponse()
        page = answer.read()
        if answer.status != 200:
            raise BenchError(f"{address} answered {answer.status}: {page[:300]!r}")
        return page

    def look(self, address: str) -> None:
        """Ask for it and throw it away."""
        self.ask(address)

    def is_up(self) -> bool:
        """Whether it answers by now."""
        try:
            self.ask("/healthz")
        except (OSError, http.client.HTTPException):
            self._line.close()
            return False
        return True

    def measure(self, what: str, address: str, calls: int) -> Row:
        size = [len(self.ask(address)) for _ in range(WARM)][-1]
        before, own_us, server_us = self._rows(address), cpu_us(self.pid), self.server_us()
        took = []
        for _ in range(calls):
            began = time.perf_counter()
            self.ask(address)
            took.append((time.perf_counter() - began) * 1_000)
        own_us, server_us = cpu_us(self.pid) - own_us, self.server_us() - server_us
        read = self._rows(address)
        sent: int | None = None
        if self.server is not None and self.url is not None:
            sent = statements.count(self.server, self.url, lambda: self.look(address)).total()
        return {
            "page": what,
            "p50 ms": tidy(percentile(took, 0.5), 3),
            "p95 ms": tidy(percentile(took, 0.95), 3),
            "max ms": tidy(max(took), 3),
            "CPU ms": tidy(own_us / calls / 1_000, 3),
            "server CPU ms": None if sent is None else tidy(server_us / calls / 1_000, 3),
            "statements": sent,
            "rows": None if read is None else round((read - (before or 0)) / (calls + 1)),
            "kB": tidy(size / 1_000, 3),
            "load": tidy(_load(), 3),
        }

    def _rows(self, address: str) -> int | None:
        """Rows that the server has read so far; PostgreSQL's process tells them when asked on."""
        if self._session is None or self.server is None:
            return None
        if self.server.kind == "postgresql":
            time.sleep(SETTLE_S)
            self.ask(address)
        return int(self._session.run(ROWS_READ[self.server.kind])[0][0])

    def server_us(self) -> float:
        return 0.0 if self.server is None else self.server.cpu_us()

    def hang_up(self) -> None:
        """The next request opens a connection of its own."""
        self._line.close()

    def close(self) -> None:
        self._line.close()
        if self._session is not None:
            self._session.close()


def _load() -> float:
    return float(Path("/proc/loadavg").read_text().split()[0])


# ---------------------------------------------------------------------- live views


def _watch(bench: Bench, site: Site, filled: Filled, count: int) -> Row:
    """So many views of the overview, while a run is asked for each second."""
    bench.say(f"{count} live views, {bench.seconds} s")
    database = Database(_dialect(bench, site.url)) if site.url is not None else None
    watcher = subprocess.Popen(
        [sys.executable, WATCHER, f"127.0.0.1:{site.port}", "topic=overview", str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"COOKIE": f"{COOKIE}={site.cookie}"},
    )  # fmt: skip
    try:
        assert watcher.stdout is not None
        if watcher.stdout.readline().strip() != "open":
            raise BenchError("the views could not be opened")
        own_us, server_us, looks = cpu_us(site.pid), site.server_us(), _looks(site)
        began = time.monotonic()
        for _ in range(bench.seconds):
            if database is not None:  # of a file only one process writes
                _ask_run(SqlStore(database, new_id), filled)
            time.sleep(1)
        lasted = time.monotonic() - began
        share = (cpu_us(site.pid) - own_us) / lasted / 1e4
        served = (site.server_us() - server_us) / lasted / 1e4
        looked = (_looks(site) - looks) / lasted
    finally:
        said, _ = watcher.communicate("\n", timeout=30)
        if database is not None:
            database.close()
    return {
        "views": count, "CPU %": tidy(share, 3), "server CPU %": tidy(served, 3),
        "looks/s": tidy(looked, 3), "events told": int(said),
    }  # fmt: skip


def _ask_run(store: SqlStore, filled: Filled) -> None:
    job = store.find_job(filled.changed)
    store.request_run(job.id, new_id(), f"m:{new_id()}", Cause.API, force=True)


def _looks(site: Site) -> float:
    site.hang_up()  # a kept connection that says nothing is closed by the server after a while
    lines = site.ask("/metrics").decode().splitlines()
    return next(float(row.split()[-1]) for row in lines if row.startswith("cronherd_live_looks"))


# ---------------------------------------------------------------------- the process


def _dialect(bench: Bench, url: str | None) -> Dialect:
    if url is not None:
        return dialect_of(url)
    state = bench.folder / "state"
    state.mkdir(exist_ok=True)
    return SqliteDialect(state / "cronherd.db", CLOCK.now_us)


def _log_in(database: Database) -> str:
    """An admin, and the key of a session."""
    people = SqlStore(database, new_id)
    keys = Keys()
    entrance = Entrance(people, keys, new_id=new_id, now_us=people.now_us)
    people.add_account(new_account(new_id(), "ada", Role.ADMIN), keys.hash(PASSWORD), "bench")
    return entrance.login("ada", PASSWORD, From(address="127.0.0.1")).key


@contextmanager
def _site(bench: Bench, url: str | None, cookie: str) -> Iterator[Site]:
    port = free_port()
    config = bench.folder / "cronherd.yaml"
    document: dict[str, object] = {"timezone": "UTC", "web": {"listen": f"127.0.0.1:{port}"}}
    config.write_text(json.dumps(document | ({"database": url} if url else {})))
    log = (bench.folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "cronherd", "--state", str(bench.folder / "state"), "web",
         "--config", str(config)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip
    site = Site(process, port, cookie, bench.server, url)
    try:
        wait_for(lambda: _answers(site, process), UP_S, "cronherd web did not come up")
        yield site
    finally:
        site.close()
        log.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DOWN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(site: Site, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise BenchError("cronherd web ended at once")
    return site.is_up()


def _judge(report: Report, kind: str, rows: Sequence[Row], views: Sequence[Row]) -> None:
    goal = GOALS_MS[kind]
    report.targets += [
        Target(what=f"{row['page']}: p95", value=row["p95 ms"], goal=goal, unit="ms",
               at_least=False)
        for row in rows
    ]  # fmt: skip
    one, many = views
    report.targets += [
        Target(what="CPU of 200 live views", value=many["CPU %"], goal=GOAL_SHARE, unit="%",
               at_least=False),
        Target(what="looks for 200 live views, as many as for one",
               value=tidy(many["looks/s"] / one["looks/s"], 3), goal=GOAL_TIMES, unit="times",
               at_least=False),
    ]  # fmt: skip
