"""apply: how long `cronherd apply -f DIR` takes for a folder of 10,000 jobs, first and again.

The whole command in a process of its own, from reading the files to the last answer, against a
node that lives: what a pipeline waits for. Beside it the two requests alone that it makes.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench.fleet import Fleet
from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench

IN_A_FILE = 100
SOURCE = "git:bench"
FIRST_GOAL_S, AGAIN_GOAL_S = 10.0, 3.0
PATIENCE_S = 300


def run(bench: Bench) -> Report:
    report = Report(name="apply")
    folder = bench.folder / "jobs"
    with bench.fleet() as fleet:
        rows = [
            _measure(bench, fleet, folder, "first", bench.jobs),
            _measure(bench, fleet, folder, "again, unchanged", 0),
        ]
        write_jobs(folder, bench.jobs, changed=bench.jobs // 100)
        rows.append(_measure(bench, fleet, folder, "one of a hundred changed", bench.jobs // 100))
        left = bench.jobs - bench.jobs // 100
        write_jobs(folder, left)
        both = 2 * (bench.jobs // 100) - _overlap(bench.jobs)
        rows.append(_measure(bench, fleet, folder, "changed back, and as many deleted", both))
    report.tables[f"cronherd apply -f DIR --prune, {bench.jobs:,} jobs"] = rows
    for row, goal in ((rows[0], FIRST_GOAL_S), (rows[1], AGAIN_GOAL_S)):
        what = str(row["what"])
        report.targets.append(
            Target(what=what, value=row["command s"], goal=goal, unit="s", at_least=False)
        )
    report.notes.append(f"load of this machine: {', '.join(f'{n:.1f}' for n in os.getloadavg())}")
    report.notes.append(f"{IN_A_FILE} jobs in a file; the command checks them as the fleet does")
    return report


def write_jobs(folder: Path, count: int, *, changed: int = 0) -> None:
    """So many jobs in files as people write them; the first of them with another command."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for first in range(0, count, IN_A_FILE):
        lines = ["jobs:"]
        for number in range(first, min(first + IN_A_FILE, count)):
            word = "--new" if number < changed else "--all"
            lines += [
                f"  - name: report-{number:05d}",
                f"    command: /usr/local/bin/report {word} {number}",
                f'    schedule: "{number % 60} {number // 60 % 24} * * *"',
                "    timeout: 1h",
                "    tags: [report]",
            ]
        (folder / f"team-{first // IN_A_FILE:03d}.yaml").write_text("\n".join(lines) + "\n")


def _overlap(count: int) -> int:
    """Jobs that were changed and are deleted: none, unless there are very few."""
    return max(0, 2 * (count // 100) - count)


def _measure(bench: Bench, fleet: Fleet, folder: Path, what: str, expected: int) -> Row:
    bench.say(what)
    if not folder.exists():
        write_jobs(folder, bench.jobs)
    began = time.monotonic()
    done = _apply(fleet, folder, ["--yes"])
    took_s = time.monotonic() - began
    changes = [line for line in done.splitlines() if line[:1] in {"+", "~", "-"}]
    if len(changes) != expected:
        raise BenchError(f"{what}: {len(changes)} changes, not {expected}")
    return {"what": what, "changes": expected, "command s": tidy(took_s), **_alone(fleet)}


def _apply(fleet: Fleet, folder: Path, more: Sequence[str]) -> str:
    argv = [*fleet.command, "apply", "-f", str(folder), "--source", SOURCE, "--prune", *more]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise BenchError(f"apply failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def _alone(fleet: Fleet) -> Row:
    """One question of an unchanged source, without reading files: what the fleet itself takes."""
    spoken = fleet.client
    found, cursor = [], None
    while True:
        page = spoken.list_jobs(cursor, 1000, q=f'source:"{SOURCE}"')
        found += [
            {
                key: job[key]
                for key in ("name", "command", "schedule", "timezone", "tags")
                if job[key]
            }
            | {"timeout": "1h"}
            for job in page["items"]
        ]
        cursor = page["next"]
        if cursor is None:
            break
    began = time.monotonic()
    spoken.apply_jobs(found, SOURCE, "bench", dry_run=True)
    return {"one dry run s": tidy(time.monotonic() - began)}
