"""`python3 dev.py bench [NAMES]`: measure, print, and write bench/results/NAME-DATABASE.json.

With --database the same on a server of its own, with each commit flushed to a real disk.

Nothing here is a test: a slow result is a result. A benchmark that could not be run says why, and
the exit code is 1.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import (
    apply,
    burst,
    cancel,
    cli,
    crowd,
    flood,
    gearman,
    idle,
    lateness,
    live,
    million,
    nodes,
    own_cpu,
    pages,
    peers,
    planning,
    steady,
    tools,
    waiting,
)
from bench.report import BenchError, Report
from bench.servers import DatabaseServer, work_folder
from bench.stage import Bench
from cronherd.domain.errors import CronherdError

RESULTS = Path(__file__).resolve().parent / "results"

BENCHMARKS: Mapping[str, Callable[[Bench], Report]] = {
    "burst": burst.run,
    "lateness": lateness.run,
    "own_cpu": own_cpu.run,
    "steady": steady.run,
    "output": flood.run,
    "cli": cli.run,
    "tools": tools.run,
    "idle": idle.run,
    "peers": peers.run,
    "million": million.run,
    "nodes": nodes.run,
    "live": live.run,
    "pages": pages.run,
    "cancel": cancel.run,
    "crowd": crowd.run,
    "next": planning.run,
    "waiting": waiting.run,
    "gearman": gearman.run,
    "apply": apply.run,
}
DATABASES = ("sqlite", "postgresql", "mariadb")
# Run when none is named: those that need no network and no server.
USUAL = ["burst", "lateness", "own_cpu", "steady", "output", "cli", "tools", "idle"]
JOBS = {
    "million": 1_000_000,
    "nodes": 50_000,
    "cancel": 40,
    "next": 1_000_000,
    "pages": 100_000,
    "waiting": 100_000,
    "crowd": 100_000,
    "gearman": 20_000,
    "apply": 10_000,
}


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument(
        "--database",
        default="",
        help=f"{', '.join(DATABASES)}, several with commas between, or all",
    )
    parser.add_argument("--disk", type=Path, help="a folder on the disk for the server's files")
    parser.add_argument("--profile", action="store_true", help="million: print what firing costs")
    parser.add_argument(
        "--jobs",
        type=int,
        help="how many: burst 1000, nodes 50000, million, next 1000000, cancel 40, apply 10000;"
        " waiting, crowd, pages 100000",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a burst, of tools")
    parser.add_argument("--seconds", type=int, default=20, help="how long benchmarks look")
    parser.add_argument("--capacity", type=int, default=64, help="runs at once")
    parser.add_argument("--command", default="", help="only this command of a burst")
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(BENCHMARKS)}")
    if chosen.database == "all":
        chosen.database = ",".join(DATABASES)
    for kind in filter(None, chosen.database.split(",")):
        if kind not in DATABASES:
            parser.error(f"no database {kind!r}: there are {', '.join(DATABASES)}, all")
    if chosen.jobs is None:
        chosen.jobs = 0
    elif chosen.jobs < 1:
        parser.error("jobs are at least 1")
    if min(chosen.rounds, chosen.seconds, chosen.capacity) < 1:
        parser.error("rounds, seconds and capacity are at least 1")
    return chosen


def main(argv: list[str]) -> int:
    chosen = options(argv)
    chosen.results.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in chosen.names or USUAL:
        usual = "postgresql" if name in {"million", "nodes", "cancel", "pages"} else "sqlite"
        for database in (chosen.database or usual).split(","):
            print(f"\n== {name}, {database}", flush=True)
            began = time.monotonic()
            # Beside the results, not in /tmp: that is memory on many hosts, and commits cost
            # nothing there.
            with tempfile.TemporaryDirectory(suffix=".tmp", dir=chosen.results) as folder:
                failed += measure(name, database, chosen, Path(folder))
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def measure(name: str, database: str, chosen: argparse.Namespace, folder: Path) -> int:
    """Run one benchmark; 1 when it could not be run."""
    server = None
    place = folder
    try:
        if database != "sqlite":
            place = work_folder(folder, chosen.disk)
            server = DatabaseServer(database, place)
            server.start()
        bench = Bench(
            folder=folder,
            jobs=chosen.jobs or JOBS.get(name, 1_000),
            rounds=chosen.rounds,
            seconds=chosen.seconds,
            capacity=chosen.capacity,
            command=chosen.command,
            database=database,
            server=server,
            profile=chosen.profile,
        )
        report = BENCHMARKS[name](bench)
        if server is not None:
            report.settings = server.settings()
    except (BenchError, CronherdError) as error:
        print(f"  {name} could not be run: {error}", flush=True)
        return 1
    finally:
        if server is not None:
            server.close()
        if place != folder:
            shutil.rmtree(place, ignore_errors=True)
    report.show()
    report.write(chosen.results, database)
    return 0
