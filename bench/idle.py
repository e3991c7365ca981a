"""idle: what a node with jobs and nothing due costs: CPU share and memory."""

import time

from bench.report import Report, Row, Target, tidy
from bench.stage import Bench

JOBS = 1_000
SETTLE_S = 3
GOAL_SHARE = 0.5
GOALS_MB = {"agent+api": 80.0, "supervisor": 20.0, "guardian": 20.0}


def run(bench: Bench) -> Report:
    report = Report(name="idle")
    jobs = [{"name": f"job-{n}", "command": "true", "schedule": "0 0 1 1 *"} for n in range(JOBS)]
    with bench.fleet(jobs) as fleet:
        bench.say(f"{JOBS} jobs, nothing due, {bench.seconds} s")
        time.sleep(SETTLE_S)  # what begins once has begun
        family = fleet.family()
        before, began = family.cpu_us(), time.monotonic()
        time.sleep(bench.seconds)
        lasted = time.monotonic() - began
        after, memory = family.cpu_us(), family.memory_mb()
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
    report.notes.append("statements a second are not counted on SQLite; the API is in the agent")
    return report
