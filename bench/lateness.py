"""lateness: how long after its instant a job's process begins, on a node with nothing else to do.

Told twice: by our record, and by the process itself, which writes down its own clock.
"""

import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet import Fleet, instant_us, wait_for
from bench.report import BenchError, Report, Row, Target, spread
from bench.stage import Bench

GOAL_P50_MS, GOAL_P99_MS = 3.0, 25.0
GAP_S = 0.1
SYNCS = 200
NOISE = 7919  # seed: instants that follow no grid of ours


def run(bench: Bench) -> Report:
    report = Report(name="lateness")
    witness = bench.program("witness")
    rows: list[Row] = [_disk(bench.folder / "disk", "before")]
    with bench.fleet() as fleet:
        count = round(1.5 * bench.seconds / GAP_S)
        bench.say(f"{count} jobs, one about every {GAP_S:g} s")
        rows += _staggered(fleet, witness, bench.folder / "staggered", count)
    with bench.fleet() as fleet:
        bench.say(f"one job, every 1s, for {3 * bench.seconds} s")
        rows += _every_second(fleet, witness, bench.folder / "every", 3 * bench.seconds)
    rows.append(_disk(bench.folder / "disk", "after"))
    report.tables["milliseconds from the due instant to the process"] = rows
    for row in rows:
        if row["told by"] == "process":
            report.targets += _targets(row)
    report.notes += [
        "disk: 4 KiB written and synchronised, which each slot waits for once",
        "transaction: it opened; record: spawned, says the supervisor; process: its main() began",
        f"the goal of the page on performance is p99 15 ms, that of this step {GOAL_P99_MS:g} ms",
        "max is one sample: on a shared machine it belongs to whoever took the processor",
    ]
    return report


def _disk(file: Path, when: str) -> Row:
    """What no lateness can beat: a slot is on the disk before its process begins."""
    taken = []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(SYNCS):
        time.sleep(GAP_S / 10)
        began = time.perf_counter()
        os.write(descriptor, bytes(4096))
        os.fdatasync(descriptor)
        taken.append(time.perf_counter() - began)
    os.close(descriptor)
    return {"what": f"disk, {when}", "told by": "this", "runs": SYNCS, **spread(taken, 1e3)}


def _targets(row: Row) -> list[Target]:
    goals = (("p50", GOAL_P50_MS), ("p99", GOAL_P99_MS))
    return [
        Target(what=f"{row['what']}: {name}", value=row[name], goal=goal, unit="ms", at_least=False)
        for name, goal in goals
    ]


def _staggered(fleet: Fleet, witness: Path, evidence: Path, count: int) -> list[Row]:
    rng = random.Random(NOISE)
    begin_us = round((time.time() + 3 + count / 250) * 1e6)
    due = [begin_us + round((n * GAP_S + rng.uniform(0, GAP_S / 2)) * 1e6) for n in range(count)]
    jobs = [
        {
            "name": f"late-{n}",
            "command": [str(witness), str(evidence)],
            "schedule": f"at {datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}"
            f".{at % 1_000_000:06d}Z",
        }
        for n, at in enumerate(due)
    ]
    fleet.client.apply_jobs(jobs, "bench", "bench", dry_run=False)
    if time.time() * 1e6 > begin_us:
        raise BenchError("making the jobs took longer than their first instant allowed")
    time.sleep(due[-1] / 1e6 - time.time())
    return _compare(fleet, evidence, count, "one instant in 0.1 s")


def _every_second(fleet: Fleet, witness: Path, evidence: Path, count: int) -> list[Row]:
    job = {"name": "late", "command": [str(witness), str(evidence)], "schedule": "every 1s"}
    fleet.client.create_job(job, "bench")
    time.sleep(count)
    return _compare(fleet, evidence, count - 1, "every 1s")


def _compare(fleet: Fleet, evidence: Path, count: int, title: str) -> list[Row]:
    wait_for(lambda: fleet.records.finished() >= count, 30, f"{count} runs were not recorded")
    runs = {
        (run["job"], run["scheduled_at"]): run
        for run in fleet.runs(count)
        if run["outcome"] == "succeeded"
    }
    if len(runs) != count:
        raise BenchError(f"{len(runs)} runs succeeded, not {count}")
    born = {}
    for line in evidence.read_text().splitlines():
        slot, job, nanos = line.split()
        born[job, slot] = int(nanos) / 1e9
    missing = [key for key in runs if key not in born]
    if missing:
        raise BenchError(f"{len(missing)} runs are recorded and left no evidence: {missing[0]}")
    slots = {key: instant_us(key[1]) / 1e6 for key in runs}
    told = {
        "transaction": [instant_us(runs[key]["created_at"]) / 1e6 - slots[key] for key in runs],
        "record": [run["late_s"] for run in runs.values()],
        "process": [born[key] - slots[key] for key in runs],
    }
    if min(told["process"]) < 0:
        raise BenchError(f"a process began {-min(told['process']) * 1e3:g} ms before its instant")
    return [
        {"what": title, "told by": who, "runs": count, **spread(values, 1e3)}
        for who, values in told.items()
    ]
