"""own_cpu: what a run costs beside the command itself, in microseconds of CPU, by process."""

import time

from bench.fleet import Fleet, wait_for
from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench

GOAL_US = 200.0
RUNS = 5_000
REST_S = 5
COMMAND = ["echo", "hi"]


def run(bench: Bench) -> Report:
    report = Report(name="own_cpu")
    per_second = max(1, RUNS // bench.seconds)
    rows: list[Row] = []
    for title, command in (("direct: echo hi", COMMAND), ("sh: echo hi", " ".join(COMMAND))):
        jobs = [
            {"name": f"cpu-{n}", "command": command, "schedule": "every 1s"}
            for n in range(per_second)
        ]
        with bench.fleet() as fleet:
            bench.say(f"{title}, {per_second} runs a second for {bench.seconds} s")
            rest = _rest(fleet)
            fleet.client.apply_jobs(jobs, "bench", "bench", dry_run=False)
            rows.append({"command": title, **_measure(fleet, bench.seconds, rest)})
    report.tables["microseconds of own CPU per run"] = rows
    for row in rows:
        report.targets.append(
            Target(what=row["command"], value=row["all"], goal=GOAL_US, unit="us", at_least=False)
        )
    report.notes += [
        "user and system time of each process from /proc, children not counted; output kept",
        f"{per_second} runs begin at each full second, so batches are as large as in a burst",
        "all: what is ours; the server of the database is beside it",
        "what the node uses at rest is in it and shown beside",
        "the goal of the page on performance is 150 us, that of this step 200 us",
    ]
    return report


def _rest(fleet: Fleet) -> float:
    """Microseconds of CPU in a second with nothing to do."""
    family = fleet.family()
    before = sum(family.cpu_us().values())
    time.sleep(REST_S)
    return (sum(family.cpu_us().values()) - before) / REST_S


def _measure(fleet: Fleet, seconds: int, rest_us: float) -> Row:
    """Between two quiet moments: half a second after a full one, when its runs have ended."""
    records, family = fleet.records, fleet.family()
    wait_for(lambda: records.finished() > 0, 30, "nothing was recorded")
    _sleep_to_half()
    finished, cpu, began = records.finished(), family.cpu_us(), time.monotonic()
    chunks, server_us = _chunks(fleet), fleet.server_us()
    time.sleep(seconds - 0.5)
    _sleep_to_half()
    spent = {name: after - cpu[name] for name, after in family.cpu_us().items()}
    server_us = fleet.server_us() - server_us
    runs = records.finished() - finished
    lasted = time.monotonic() - began
    if _chunks(fleet) - chunks != runs:
        raise BenchError(f"{runs} runs kept {_chunks(fleet) - chunks} outputs")
    return {
        "runs": runs,
        **{name: tidy(used / runs) for name, used in spent.items()},
        "all": tidy(sum(spent.values()) / runs),
        "server": tidy(server_us / runs),
        "at rest us/s": tidy(rest_us),
        "runs/s": tidy(runs / lasted),
    }


def _sleep_to_half() -> None:
    time.sleep(1 - (time.time() + 0.1) % 1)


def _chunks(fleet: Fleet) -> int:
    return int(fleet.records.rows("SELECT count(*) FROM output")[0][0])
