"""tools: how long the toolbox takes around a command that does nothing, whole processes."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.report import BenchError, Report, Row, Target, spread
from bench.stage import Bench
from tests.servers.engines import ServerBroken, ServerMissing
from tests.servers.handles import Place, private_server

EACH = 5
"""Starts of each in a round."""
GOAL_MS = 80.0
TOOL = (sys.executable, "-m", "cronherd")
BESIDE = {"true": ["true"], "python -c pass": [sys.executable, "-c", "pass"]}
"""What a start costs without us; no goal."""


def run(bench: Bench) -> Report:
    report = Report(name="tools")
    with ExitStack() as running:
        try:
            places = {
                kind: running.enter_context(private_server(kind)).place
                for kind in ("redis", "redis_tls", "memcached")
            }
        except (ServerMissing, ServerBroken) as error:
            raise BenchError(str(error)) from None
        commands = {**BESIDE, **tools(places)}
        times = EACH * bench.rounds
        bench.say(f"{times} times each, in turn")
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(times + 1):
            for name, argv in commands.items():
                lasted = _time(argv, bench.folder)
                if turn:  # the first one compiles
                    taken[name].append(lasted)
    rows: list[Row] = [{"command": name, **spread(values, 1e3)} for name, values in taken.items()]
    report.tables[f"milliseconds of wall time, {times} processes each"] = rows
    report.targets += [
        Target(what=row["command"], value=row["p50"], goal=GOAL_MS, unit="ms", at_least=False)
        for row in rows
        if row["command"] not in BESIDE
    ]
    report.notes.append(
        "started as `python -m cronherd`, with compiled byte code; the median counts"
    )
    report.notes.append("publish writes to the disk and waits for it; servers are on this host")
    return report


def tools(places: Mapping[str, Place]) -> dict[str, list[str]]:
    """Each with a command that ends at once."""
    guarded = places["redis_tls"]
    files = f"ssl_ca={guarded.home}/ca.pem&ssl_cert={guarded.home}/host.pem"
    by_tls = f"{guarded.url}/x?{files}&ssl_key={guarded.home}/host.key"
    said = {
        "lock, file": ["lock", "./file", "true"],
        "lock, Redis": ["lock", f"{places['redis'].url}/x", "true"],
        "lock, Redis with TLS": ["lock", by_tls.replace("//", "//locker:of-locker@"), "true"],
        "lock, Memcached": ["lock", f"{places['memcached'].url}/x", "true"],
        "timeout": ["timeout", "60", "true"],
        "timeout --idle": ["timeout", "--idle", "60", "true"],
        "publish": ["publish", "page"],
        "publish --if-success": ["publish", "page", "--if-success", "true"],
        "timestart": ["timestart", "1", "1", "1", "1", "sh", "-c", "kill -HUP $PPID"],
    }
    return {name: [*TOOL, *words] for name, words in said.items()}


def _time(argv: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        argv, cwd=folder, check=False, stdin=subprocess.DEVNULL, capture_output=True
    )
    taken = time.perf_counter() - began
    if done.returncode != 0:
        raise BenchError(f"{argv[-1]} ended with {done.returncode}: {done.stderr[-200:]!r}")
    return taken
