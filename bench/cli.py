"""cli: how long a person waits for a command, whole processes with all they load."""

import subprocess
import sys
import time
from collections.abc import Sequence

from bench.report import BenchError, Report, Row, Target, spread
from bench.stage import Bench

JOBS = 100
TIMES = 15
GOALS_MS = {"cronherd --version": 80.0, "cronherd job list": 200.0}


def run(bench: Bench) -> Report:
    report = Report(name="cli")
    jobs = [
        {"name": f"job-{n}", "command": "true", "schedule": f"{n % 60} 4 * * *"}
        for n in range(JOBS)
    ]
    with bench.fleet(jobs) as fleet:
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "cronherd --version": [*fleet.command[:3], "--version"],
            "cronherd job list": [*fleet.command, "job", "list"],
        }
        _check(commands["cronherd job list"])
        bench.say(f"{TIMES} times each, in turn")
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(TIMES):
            for name, argv in commands.items():
                taken[name].append(_time(argv))
    rows: list[Row] = [{"command": name, **spread(values, 1e3)} for name, values in taken.items()]
    report.tables[f"milliseconds of wall time, {TIMES} processes each, {JOBS} jobs"] = rows
    for row in rows:
        if row["command"] in GOALS_MS:
            goal = GOALS_MS[row["command"]]
            report.targets.append(
                Target(what=row["command"], value=row["p50"], goal=goal, unit="ms",
                       at_least=False)
            )  # fmt: skip
    report.notes.append("started as `python -m cronherd`, with compiled byte code")
    return report


def _check(argv: Sequence[str]) -> None:
    """Also leaves the byte code behind that a first start compiles."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stdout.count("job-") != JOBS:
        raise BenchError(f"job list answered {done.stdout[:200]!r} {done.stderr[:200]!r}")


def _time(argv: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)
    taken = time.perf_counter() - began
    if done.returncode != 0:
        raise BenchError(f"{argv[-1]} ended with {done.returncode}")
    return taken
