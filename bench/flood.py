"""output: how fast a command may write, and what its output costs in memory and CPU."""

import time

from bench.fleet import Fleet, wait_for
from bench.proc import peak_mb
from bench.report import Report, Row, Target, tidy
from bench.stage import Bench

GOAL_MB_S = 100.0
GOAL_GROWTH_MB = 20.0
MB = 1_000_000
SIZE_MB = 1_000
COMMANDS = {
    "zeros in pieces of 64 KiB": f"head -c {SIZE_MB * MB} /dev/zero",
    "lines of 80 bytes": f"yes {'x' * 79} | head -c {SIZE_MB * MB}",
}


def run(bench: Bench) -> Report:
    report = Report(name="output")
    rows: list[Row] = []
    for title, command in COMMANDS.items():
        with bench.fleet() as fleet:
            bench.say(f"{title}, {SIZE_MB} MB")
            rows.append({"output": title, **_measure(fleet, command)})
    report.tables[f"a command that writes {SIZE_MB} MB"] = rows
    for row in rows:
        what = row["output"]
        report.targets.append(
            Target(what=what, value=row["MB/s"], goal=GOAL_MB_S, unit="MB/s", at_least=True)
        )
        growth = row["supervisor grew MB"]
        report.targets.append(
            Target(
                what=f"{what}: growth of the supervisor",
                value=growth,
                goal=GOAL_GROWTH_MB,
                unit="MB",
                at_least=False,
            )
        )
    report.notes += [
        "from the recorded start of the command to its recorded end",
        "first and last 256 KiB are kept, the rest is counted",
        "growth: of the largest resident memory since the node was at rest",
    ]
    return report


def _measure(fleet: Fleet, command: str) -> Row:
    family = fleet.family()
    before = {name: peak_mb(pid) for name, pid in family.pids.items()}
    cpu = family.cpu_us()
    fleet.client.apply_jobs(
        [{"name": "flood", "command": command}], "bench", "bench", dry_run=False
    )
    run_id = fleet.client.run_job("flood", "bench")["run"]["id"]
    began = time.monotonic()
    wait_for(lambda: fleet.client.show_run(run_id)["outcome"], 120, "the flood did not end")
    run = fleet.client.show_run(run_id)
    spent = {name: after - cpu[name] for name, after in family.cpu_us().items()}
    grew = {name: peak_mb(pid) - before[name] for name, pid in family.pids.items()}
    kept = SIZE_MB * MB - run["attempts"][-1]["output_dropped_bytes"]
    return {
        "seconds": tidy(run["duration_s"]),
        "MB/s": tidy(SIZE_MB / run["duration_s"]),
        "seen after s": tidy(time.monotonic() - began),
        "kept bytes": kept,
        "supervisor CPU s": tidy(spent["supervisor"] / MB),
        "supervisor grew MB": tidy(grew["supervisor"]),
        "agent grew MB": tidy(grew["agent+api"]),
    }
