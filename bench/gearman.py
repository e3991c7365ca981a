"""gearman: empty jobs through one job server, our client and worker beside those in C."""

import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.empty_worker import FUNCTION
from bench.fleet import wait_for
from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench
from cronherd.domain.jobserver import Server
from cronherd.engine.clock import SystemClock
from cronherd.gearman.admin import Admin
from cronherd.gearman.client import Client, Fate, Request, Ticket
from tests.servers.engines import ServerMissing
from tests.servers.handles import private_server

GOAL = 5_000
WINDOWS = (1, 10, 1_000)
SINGLE = 10  # so many times fewer jobs where each waits for the one before
START_S, LONGEST_S = 10.0, 120.0
HERE = Path(__file__).resolve().parents[1]


def run(bench: Bench) -> Report:
    if shutil.which("gearman") is None:
        raise BenchError("the gearman command is missing: run 'python3 dev.py servers' as root")
    report = Report(name="gearman")
    try:
        with private_server("gearman") as private:
            server = Server("127.0.0.1", int(private.url.rpartition(":")[2]))
            rows = _measure(bench, server)
    except ServerMissing as error:
        raise BenchError(str(error)) from error
    report.tables["round trips of empty jobs in a second, one job server, one client"] = rows
    best = max(float(row["median"]) for row in rows if row["client"] == row["worker"] == "ours")
    report.targets.append(
        Target(what="our client and our worker", value=best, goal=GOAL, unit="per s", at_least=True)
    )
    report.notes += [
        "at once: so many jobs of one client are on their way; one is the whole way and back",
        "the command in C hands in one line after the other, and waits for each",
    ]
    return report


def _measure(bench: Bench, server: Server) -> list[Row]:
    ours = [sys.executable, "-m", "bench.empty_worker", str(server.port)]
    name = FUNCTION.decode()
    in_c = ["gearman", "-h", server.host, "-p", str(server.port), "-w", "-f", name]
    rows: list[Row] = []
    for worker, argv in (("ours", ours), ("C", in_c)):
        with _worker(server, argv):
            for window in WINDOWS:
                bench.say(f"our client, {window} at once, worker: {worker}")
                jobs = bench.jobs if window > 1 else bench.jobs // SINGLE
                taken = [_ours(server, jobs, window) for _ in range(bench.rounds)]
                rows.append(_row("ours", worker, window, jobs, taken))
            bench.say(f"the client in C, worker: {worker}")
            jobs = bench.jobs // SINGLE
            taken = [_c(server, jobs) for _ in range(bench.rounds)]
            rows.append(_row("C", worker, 1, jobs, taken))
    return rows


def _row(client: str, worker: str, window: int, jobs: int, taken: Sequence[float]) -> Row:
    rates = sorted(jobs / seconds for seconds in taken)
    marks = {"least": rates[0], "median": rates[len(rates) // 2], "most": rates[-1]}
    spread = {mark: tidy(rate) for mark, rate in marks.items()}
    return {"client": client, "worker": worker, "at once": window, "jobs": jobs, **spread}


@contextmanager
def _worker(server: Server, argv: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(argv, cwd=HERE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _workers(server) == 1, START_S, "a worker did not come")
        yield
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: _workers(server) == 0, START_S, "a worker did not go")


def _workers(server: Server) -> int:
    admin = Admin(server)
    rows = {row.function: row.workers for row in admin.status()}
    admin.close()
    return rows.get(FUNCTION.decode(), 0)


def _ours(server: Server, jobs: int, window: int) -> float:
    """Seconds for so many jobs."""
    client = Client([server], SystemClock())
    request = Request(function=FUNCTION)
    left, live = jobs, deque[Ticket]()
    began = time.monotonic()
    while left or live:
        while left and len(live) < window:
            live.append(client.submit(request))
            left -= 1
        client.turn(None)
        while live and live[0].fate is not None:
            if live.popleft().fate is not Fate.DONE:
                raise BenchError("an empty job was not done")
    took = time.monotonic() - began
    client.close()
    return took


def _c(server: Server, jobs: int) -> float:
    began = time.monotonic()
    argv = ["gearman", "-h", server.host, "-p", str(server.port), "-n", "-f", FUNCTION.decode()]
    done = subprocess.run(
        argv, input=b"\n" * jobs, capture_output=True, check=False, timeout=LONGEST_S
    )
    if done.returncode != 0:
        raise BenchError(f"the gearman command failed: {done.stderr.decode()[-200:]}")
    return time.monotonic() - began
