"""live: what live views cost: CPU of the agent and looks at the database, for one and for many.

Views are open at a fleet that works: a job starts each second, so that there is news all the time.
"""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from bench import statements
from bench.fleet import Fleet
from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench
from cronherd.client.line import SocketConnection

VIEWS = (0, 1, 200)
TOPICS = {"overview": "topic=overview", "overview and runs": "topic=overview&topic=runs"}
GOAL_SHARE = 10.0
GOAL_TIMES = 1.2  # looks are taken by a clock: one more or less is chance
SETTLE_S = 2
WATCHER = Path(__file__).resolve().parent / "watcher.py"


def run(bench: Bench) -> Report:
    report = Report(name="live")
    jobs = [{"name": f"job-{n}", "command": "true", "schedule": "0 0 1 1 *"} for n in range(200)]
    jobs.append({"name": "beat", "command": "true", "schedule": "every 1s", "cwd": "/"})
    rows: list[Row] = []
    with bench.fleet(jobs) as fleet:
        time.sleep(SETTLE_S)
        for title, query in TOPICS.items():
            for views in VIEWS:
                bench.say(f"{views} views of {title}, {bench.seconds} s")
                rows.append({"watched": title, **_measure(bench, fleet, query, views)})
    report.tables["live views"] = rows
    _judge(report, rows)
    report.notes.append("a second core serves the views; the share is the agent's, API and all")
    return report


def _measure(bench: Bench, fleet: Fleet, query: str, views: int) -> Row:
    watcher = _watch(fleet, query, views)
    try:
        time.sleep(SETTLE_S)
        family = fleet.family()
        before, looks, began = family.cpu_us()["agent+api"], _looks(fleet), time.monotonic()
        server_us = fleet.server_us()
        sent = 0
        if fleet.server is not None and fleet.url is not None:
            sent = statements.count(
                fleet.server, fleet.url, lambda: time.sleep(bench.seconds)
            ).total()
        else:
            time.sleep(bench.seconds)
        lasted = time.monotonic() - began
        share = (family.cpu_us()["agent+api"] - before) / lasted / 1e4
        looked = (_looks(fleet) - looks) / lasted
        server = (fleet.server_us() - server_us) / lasted / 1e4
    finally:
        told = _end(watcher)
    return {
        "views": views,
        "agent CPU %": tidy(share, 3),
        "server CPU %": tidy(server, 3),
        "looks/s": tidy(looked, 3),
        "statements/s": tidy(sent / lasted, 3),
        "events told": told,
    }


def _watch(fleet: Fleet, query: str, views: int) -> "subprocess.Popen[str]":
    socket = fleet.state / "run" / "api.sock"
    watcher = subprocess.Popen(
        [sys.executable, WATCHER, socket, query, str(views)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    if watcher.stdout.readline().strip() != "open":
        raise BenchError("the views could not be opened")
    return watcher


def _end(watcher: "subprocess.Popen[str]") -> int:
    """How many events all views were told."""
    said, _ = watcher.communicate("\n", timeout=30)
    return int(said)


def _looks(fleet: Fleet) -> float:
    socket = fleet.state / "run" / "api.sock"
    with closing(SocketConnection(socket, timeout=10)) as line:
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
    return next(
        float(row.split()[-1]) for row in text.splitlines() if row.startswith("cronherd_live_looks")
    )


def _judge(report: Report, rows: list[Row]) -> None:
    for title in TOPICS:
        idle, one, many = (row for row in rows if row["watched"] == title)
        cost = tidy(many["agent CPU %"] - idle["agent CPU %"], 3)
        report.targets.append(
            Target(
                what=f"CPU of 200 views of {title}", value=cost, goal=GOAL_SHARE, unit="%",
                at_least=False,
            )
        )  # fmt: skip
        times = tidy(many["looks/s"] / one["looks/s"], 3)
        report.targets.append(
            Target(
                what=f"looks for 200 views of {title}, as many as for one", value=times,
                goal=GOAL_TIMES, unit="times", at_least=False,
            )
        )  # fmt: skip
