"""peers: the burst as others do it, ours and the C loop beside, all in one run.

Installs what it compares with into a folder of its own, from PyPI. Not among the benchmarks that
run when none is named: it needs the network.
"""

import json
import subprocess
from pathlib import Path

from bench import others
from bench.burst import MODES, Mode, fire_once
from bench.report import BenchError, Report, Row, Target, median_row, tidy
from bench.stage import HERE, Bench

PACKAGES = ("APScheduler>=3.11,<4", "SQLAlchemy>=2", "psycopg[binary]>=3.2", "PyMySQL>=1.1")
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
GOAL = 2.0
BURST_S = 400
COLUMNS = ("first", "p50", "last", "end", "runs/s")


def run(bench: Bench) -> Report:
    report = Report(name="peers")
    python = others.install(bench, "apscheduler", PACKAGES)
    medians: list[Row] = []
    for mode in [mode for mode in MODES if bench.command in mode.name]:
        rows = _rounds(bench, mode, python)
        median = {who: median_row(found) for who, found in rows.items()}
        medians += median.values()
        ratio = tidy(median["cronherd"]["runs/s"] / median["APScheduler"]["runs/s"], 3)
        report.targets.append(
            Target(what=f"{mode.name}: ours / APScheduler", value=ratio, goal=GOAL, unit="x",
                   at_least=True)
        )  # fmt: skip
    minute = others.run(bench)
    for row in minute.rows:
        if row["who"] in others.GOALS and row["last"] is not None:
            ratio = tidy(minute.ours / row["runs/s"], 3)
            report.targets.append(
                Target(what=f"sh: ours / {row['who']}", value=ratio, goal=others.GOALS[row["who"]],
                       unit="x", at_least=True)
            )  # fmt: skip
    report.tables["those that know minutes, through sh, once"] = minute.rows
    report.tables[f"{bench.jobs} jobs due at one instant, medians of {bench.rounds} rounds"] = (
        medians
    )
    report.notes += [
        f"{bench.capacity} in flight everywhere; seconds count from the due instant",
        "APScheduler: jobs in the same kind of database, a pool of threads; no records",
        "of those that know minutes the starts are known, ours and theirs: runs/s up to the last",
        *minute.notes,
        "cronie, Celery and the others of the page on performance: not run here",
    ]
    return report


def _rounds(bench: Bench, mode: Mode, python: Path) -> dict[str, list[Row]]:
    """Ours, theirs, the loop, and again."""
    rows: dict[str, list[Row]] = {"cronherd": [], "APScheduler": [], "C loop": []}
    with bench.fleet() as fleet:
        for number in range(1, bench.rounds + 1):
            bench.say(f"{mode.name}, round {number} of {bench.rounds}")
            ours = fire_once(fleet, mode, bench.jobs, f"r{number}")
            theirs = _peer(bench, mode, python)
            loop = bench.loop(bench.jobs, mode.argv())
            rows["cronherd"].append(_row(mode, "cronherd", ours))
            rows["APScheduler"].append(_row(mode, "APScheduler", theirs))
            rows["C loop"].append(_row(mode, "C loop", {"runs/s": tidy(loop["per_s"])}))
    return rows


def _row(mode: Mode, who: str, found: Row) -> Row:
    return {"command": mode.name, "who": who, **{name: found.get(name) for name in COLUMNS}}


def _peer(bench: Bench, mode: Mode, python: Path) -> Row:
    file = bench.folder / "peer.db"
    url = f"sqlite:///{file}"
    if bench.server is not None:
        scheme, _, rest = bench.server.fresh().partition(":")
        url = f"{DRIVERS[scheme]}:{rest}"
    argv = [python, HERE / "peer_apscheduler.py", bench.jobs, bench.capacity, url, *mode.argv()]
    done = subprocess.run(
        [str(part) for part in argv], capture_output=True, text=True, check=False, timeout=BURST_S
    )
    file.unlink(missing_ok=True)
    if done.returncode != 0:
        raise BenchError(f"APScheduler did not finish: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout)
    return {name: round(value, 4) for name, value in found.items()} | {
        "runs/s": tidy(bench.jobs / found["end"])
    }
