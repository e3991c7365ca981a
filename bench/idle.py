"""idle: what a node with jobs and nothing due costs: CPU share, memory, and the server's work."""

import time
from collections import Counter

from bench import statements
from bench.fleet import Fleet
from bench.report import Report, Row, Target, tidy
from bench.servers import DatabaseServer
from bench.stage import Bench

JOBS = 1_000
SETTLE_S = 3
GOAL_SHARE = 0.5
GOALS_MB = {"agent+api": 80.0, "supervisor": 20.0, "guardian": 20.0}
GOAL_STATEMENTS = 2.0
GOAL_CONNECTIONS = 3


def run(bench: Bench) -> Report:
    report = Report(name="idle")
    jobs = [{"name": f"job-{n}", "command": "true", "schedule": "0 0 1 1 *"} for n in range(JOBS)]
    with bench.fleet(jobs) as fleet:
        bench.say(f"{JOBS} jobs, nothing due, {bench.seconds} s")
        time.sleep(SETTLE_S)  # what begins once has begun
        family = fleet.family()
        before, began = family.cpu_us(), time.monotonic()
        server_us = bench.server.cpu_us() if bench.server else 0.0
        time.sleep(bench.seconds)
        lasted = time.monotonic() - began
        after, memory = family.cpu_us(), family.memory_mb()
        if bench.server is not None:
            server_us = bench.server.cpu_us() - server_us
            _ask_server(bench, bench.server, fleet, report, server_us / lasted)
    rows: list[Row] = [
        {
            "process": name,
            "CPU %": tidy((after[name] - before[name]) / lasted / 1e4, 3),
            "resident MB": memory[name]["resident"],
            "proportional MB": memory[name]["proportional"],
        }
        for name in after
    ]
    report.tables["at rest"] = rows
    share = tidy(sum(row["CPU %"] for row in rows), 3)
    report.targets.append(
        Target(what="CPU of all three", value=share, goal=GOAL_SHARE, unit="%", at_least=False)
    )
    for row in rows:
        goal = GOALS_MB[row["process"]]
        report.targets.append(
            Target(what=f"memory of {row['process']}", value=row["resident MB"], goal=goal,
                   unit="MB", at_least=False)
        )  # fmt: skip
    if bench.server is None:
        report.notes.append("statements a second are not counted on SQLite")
    report.notes += [
        "the API is in the agent",
        "this is a first start, whose migration loads libraries that stay; later ones lack them",
    ]
    return report


def _ask_server(
    bench: Bench, server: DatabaseServer, fleet: Fleet, report: Report, server_us: float
) -> None:
    """A second look of the same length, while the server writes down what it is sent."""
    assert fleet.url is not None
    bench.say(f"the same again, counting statements, {bench.seconds} s")
    began = time.monotonic()
    found = statements.count(server, fleet.url, lambda: time.sleep(bench.seconds))
    lasted = time.monotonic() - began
    sessions = statements.connections(server, fleet.url)
    per_s = tidy(found.total() / lasted, 3)
    report.tables["what the server is sent"] = _table(found, lasted)
    report.tables["what the server sees"] = [
        {"statements/s": per_s, "connections": sessions, "server CPU %": tidy(server_us / 1e4, 3)}
    ]
    report.targets += [
        Target(what="statements a second", value=per_s, goal=GOAL_STATEMENTS, unit="/s",
               at_least=False),
        Target(what="connections of an agent", value=sessions, goal=GOAL_CONNECTIONS, unit="",
               at_least=False),
    ]  # fmt: skip
    report.notes.append("statements are counted by the server's log, BEGIN and COMMIT with them")


def _table(found: Counter[str], lasted: float) -> list[Row]:
    return [
        {"statement": text, "times": times, "a second": tidy(times / lasted, 3)}
        for text, times in found.most_common()
    ]
