"""burst: many jobs due at one instant on one node; ours and the bare C loop in turn."""

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.fleet import Fleet, Json, instant_us
from bench.report import BenchError, Report, Row, Target, median_row, percentile, tidy
from bench.stage import Bench

POLL_S = 0.004
READ_BACK = 20  # runs whose kept output is compared with what the command writes
GOAL_SH, DREAM_SH, GOAL_DIRECT = 0.6, 0.75, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How a command is given: a text goes through the shell, a list does not."""

    name: str
    command: str | list[str]
    writes: str
    goal: float

    def argv(self) -> list[str]:
        """The same for the C loop."""
        if isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        return [shutil.which(self.command[0]) or self.command[0], *self.command[1:]]


MODES = (
    Mode(name="sh: echo hi", command="echo hi", writes="hi\n", goal=GOAL_SH),
    Mode(name="sh: true", command="true", writes="", goal=GOAL_SH),
    Mode(name="direct: true", command=["true"], writes="", goal=GOAL_DIRECT),
)


def run(bench: Bench) -> Report:
    report = Report(name="burst")
    medians: list[Row] = []
    rounds: list[Row] = []
    for mode in [mode for mode in MODES if bench.command in mode.name]:
        with bench.fleet() as fleet:
            rows = [_round(bench, fleet, mode, number) for number in range(1, bench.rounds + 1)]
        rounds += rows
        median = median_row([{k: v for k, v in row.items() if k != "round"} for row in rows])
        medians.append(median)
        report.targets.append(_target(mode, median["ratio"]))
    report.tables[f"{bench.jobs} jobs due at one instant, medians of {bench.rounds} rounds"] = (
        medians
    )
    report.tables["each round"] = rounds
    report.notes += [
        f"{bench.capacity} in flight, ours and the loop; seconds count from the due instant",
        "runs/s is up to the last end; `stored` is when the last record was seen in the database",
        f"the goal beyond is {DREAM_SH} through sh",
        "cpu ratio: (loop + command) / (ours + server + command) in CPU time, disturbed less",
    ]
    return report


def _target(mode: Mode, ratio: float) -> Target:
    what = f"{mode.name}: ours / C loop"
    return Target(what=what, value=ratio, goal=mode.goal, unit="x", at_least=True)


def _round(bench: Bench, fleet: Fleet, mode: Mode, number: int) -> Row:
    bench.say(f"{mode.name}, round {number} of {bench.rounds}")
    ours = fire_once(fleet, mode, bench.jobs, f"r{number}")
    loop = bench.loop(bench.jobs, mode.argv())
    return {
        "command": mode.name,
        "round": number,
        **ours,
        "loop/s": tidy(loop["per_s"]),
        "ratio": tidy(ours["runs/s"] / loop["per_s"], 3),
        "ratio stored": tidy(ours["stored/s"] / loop["per_s"], 3),
        "cpu ratio": cpu_ratio(ours["own us/run"] + ours["server us/run"], loop),
    }


def cpu_ratio(own_us: float, loop: Json) -> float:
    """What the ratio would be if nobody else used the processors: by CPU time, not by the clock.

    The commands themselves are taken to cost the same in both.
    """
    return tidy((loop["own_us"] + loop["child_us"]) / (own_us + loop["child_us"]), 3)


def fire_once(fleet: Fleet, mode: Mode, count: int, prefix: str) -> Row:
    """Make the jobs, let their instant come, wait until all is recorded, check every record."""
    due_s = _make_jobs(fleet, mode, count, prefix)
    before = fleet.records.finished()
    time.sleep(max(0.0, due_s - time.time() - 0.2))
    cpu, server_us = fleet.family().cpu_us(), fleet.server_us()
    stored_s = _wait_stored(fleet, before + count, due_s) - due_s
    spent = {name: after - cpu[name] for name, after in fleet.family().cpu_us().items()}
    server_us = fleet.server_us() - server_us
    runs = fleet.runs(count)
    _check(fleet, runs, mode, count, prefix)
    starts = [instant_us(run["started_at"]) / 1e6 - due_s for run in runs]
    last_end = max(instant_us(run["ended_at"]) / 1e6 - due_s for run in runs)
    return {
        "first": round(min(starts), 4),
        "p50": round(percentile(starts, 0.5), 4),
        "last": round(max(starts), 4),
        "end": round(last_end, 4),
        "stored": round(stored_s, 4),
        "runs/s": tidy(count / last_end),
        "stored/s": tidy(count / stored_s),
        "own us/run": tidy(sum(spent.values()) / count, 3),
        "server us/run": tidy(server_us / count, 3),
    }


def _make_jobs(fleet: Fleet, mode: Mode, count: int, prefix: str) -> int:
    """The jobs, and the instant at which all of them are due, in seconds since 1970."""
    lead_s = 2 + count / 250
    due_s = int(time.time() + lead_s)
    at = datetime.fromtimestamp(due_s, UTC).isoformat()
    jobs = [
        {"name": f"{prefix}-{number}", "command": mode.command, "schedule": f"at {at}"}
        for number in range(count)
    ]
    fleet.client.apply_jobs(jobs, "bench", "bench", dry_run=False)
    if time.time() > due_s - 1:
        raise BenchError(f"making {count} jobs took longer than {lead_s:g} s")
    return due_s


def _wait_stored(fleet: Fleet, count: int, due_s: int) -> float:
    give_up = due_s + 60 + count / 20
    while fleet.records.finished() < count:
        if time.time() > give_up:
            raise BenchError(f"only {fleet.records.finished()} of {count} runs were recorded")
        time.sleep(POLL_S)
    return time.time()


def _check(fleet: Fleet, runs: list[Json], mode: Mode, count: int, prefix: str) -> None:
    """Fast and wrong is not fast."""
    names = {run["job"] for run in runs}
    if names != {f"{prefix}-{number}" for number in range(count)}:
        raise BenchError(f"{len(names)} jobs of this round ran, not {count}")
    bad = [run for run in runs if run["outcome"] != "succeeded"]
    if bad:
        raise BenchError(f"{len(bad)} of {count} runs did not succeed, such as {bad[0]}")
    for run in runs[:: max(1, count // READ_BACK)]:
        pieces = fleet.client.run_output(run["id"])["items"]
        wrote = "".join(piece["bytes"] for piece in pieces)
        if wrote != mode.writes:
            raise BenchError(f"a run's output was kept as {wrote!r}, not {mode.writes!r}")
