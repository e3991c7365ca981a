"""`python3 dev.py bench [NAMES]`: measure, print, and write bench/results/NAME-DATABASE.json.

Nothing here is a test: a slow result is a result. A benchmark that could not be run says why, and
the exit code is 1.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import burst, cli, idle, lateness, own_cpu, peers, steady
from bench.report import BenchError, Report
from bench.stage import Bench

RESULTS = Path(__file__).resolve().parent / "results"

BENCHMARKS: Mapping[str, Callable[[Bench], Report]] = {
    "burst": burst.run,
    "lateness": lateness.run,
    "own_cpu": own_cpu.run,
    "steady": steady.run,
    "cli": cli.run,
    "idle": idle.run,
    "peers": peers.run,
}
# Run when none is named: those that need no network.
USUAL = [name for name in BENCHMARKS if name != "peers"]


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs of a burst")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a burst")
    parser.add_argument("--seconds", type=int, default=20, help="how long steady and idle look")
    parser.add_argument("--capacity", type=int, default=64, help="runs at once")
    parser.add_argument("--command", default="", help="only this command of a burst")
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(BENCHMARKS)}")
    if min(chosen.jobs, chosen.rounds, chosen.seconds, chosen.capacity) < 1:
        parser.error("jobs, rounds, seconds and capacity are at least 1")
    return chosen


def main(argv: list[str]) -> int:
    chosen = options(argv)
    chosen.results.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in chosen.names or USUAL:
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        # Beside the results, not in /tmp: that is memory on many hosts, and commits cost nothing.
        with tempfile.TemporaryDirectory(suffix=".tmp", dir=chosen.results) as folder:
            failed += measure(name, chosen, Path(folder))
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def measure(name: str, chosen: argparse.Namespace, folder: Path) -> int:
    """Run one benchmark; 1 when it could not be run."""
    bench = Bench(
        folder=folder,
        jobs=chosen.jobs,
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        capacity=chosen.capacity,
        command=chosen.command,
    )
    try:
        report = BENCHMARKS[name](bench)
    except BenchError as error:
        print(f"  {name} could not be run: {error}", flush=True)
        return 1
    report.show()
    report.write(chosen.results, bench.database)
    return 0
