"""Peers that know no seconds: one burst at a full minute each, seen by the commands themselves.

Debian's cron runs in a mount namespace of its own, with a spool, a crontab and a /run that nobody
else sees; that takes root. yacron and cronstable come from PyPI.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.burst import Mode, fire_once
from bench.report import BenchError, Row, percentile, tidy
from bench.stage import Bench

INSTALL_S = 300
GOALS = {"Debian cron": 4.0, "cronstable": 4.0, "yacron": 4.0}
LEAD_S = 15  # a peer is started this long before the minute, at least
GIVE_UP_S = 40  # after it
LOOK_S = 0.05

# $1 a folder with spool/ and etc/, $2 the program.
NAMESPACE = """
set -e
mount --bind "$1/spool" /var/spool/cron
mount --bind "$1/crontab" /etc/crontab
mount --bind "$1/cron.d" /etc/cron.d
mount -t tmpfs tmpfs /run
exec "$2" -f -L 0
"""


@dataclass(slots=True)
class Minute:
    """What was found, and our own rate in the same run."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ours: float = 0.0


def run(bench: Bench) -> Minute:
    """Ours first, then each that can be run; the others are told of."""
    found = Minute()
    witness = bench.program("witness")
    mode = Mode(name="sh: witness", command=f"{witness} {bench.folder}/ours", writes="", goal=0)
    with bench.fleet() as fleet:
        bench.say("sh: witness, ours")
        row = fire_once(fleet, mode, bench.jobs, "w")
        found.ours = tidy(bench.jobs / row["last"])
        found.rows.append(_row("cronherd", [row["first"], row["p50"], row["last"]], bench.jobs))
    peers: list[tuple[str, Callable[[Bench, str], list[str]]]] = [
        ("Debian cron", _cron),
        ("cronstable", lambda bench, command: _from_yaml(bench, "cronstable", command)),
        ("yacron", lambda bench, command: _from_yaml(bench, "yacron", command)),
    ]
    for who, prepare in peers:
        evidence = bench.folder / f"evidence-{who.split()[-1]}"
        try:
            argv = prepare(bench, f"{witness} {evidence}")
            starts = _burst(bench, who, argv, evidence)
        except BenchError as error:
            found.notes.append(f"{who} was not run: {error}")
            continue
        three = [starts[0], percentile(starts, 0.5), starts[-1]]
        found.rows.append(_row(who, three, len(starts)))
        if len(starts) != bench.jobs:
            found.notes.append(f"{who} started {len(starts)} of {bench.jobs} in {GIVE_UP_S} s")
    return found


def _row(who: str, three: Sequence[float], count: int) -> Row:
    first, half, last = (round(value, 4) for value in three)
    return {"who": who, "first": first, "p50": half, "last": last, "runs/s": tidy(count / last)}


def _burst(bench: Bench, who: str, argv: Sequence[str], evidence: Path) -> list[float]:
    """Seconds after the minute at which commands began, in order."""
    left = 60 - time.time() % 60
    if left < LEAD_S:
        time.sleep(left + 1)
    due_s = (time.time() // 60 + 1) * 60
    bench.say(f"{who}, {due_s - time.time():.0f} s until its minute")
    log = bench.folder / "peer.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    try:
        while time.time() < due_s + GIVE_UP_S and len(_starts(evidence, due_s)) < bench.jobs:
            if process.poll() is not None:
                raise BenchError(f"it ended: {log.read_text(errors='replace').strip()[-200:]}")
            time.sleep(LOOK_S if time.time() < due_s else 10 * LOOK_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    starts = _starts(evidence, due_s)
    if not starts:
        raise BenchError(f"nothing ran: {log.read_text(errors='replace').strip()[-200:]}")
    return starts


def _starts(evidence: Path, due_s: float) -> list[float]:
    if not evidence.exists():
        return []
    nanos = [int(line.split()[2]) for line in evidence.read_text().splitlines()]
    return sorted(start for nano in nanos if 0 <= (start := nano / 1e9 - due_s) < GIVE_UP_S)


def _cron(bench: Bench, command: str) -> list[str]:
    program = shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin")
    if program is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        raise BenchError("it takes root and 'apt-get install cron'")
    folder = bench.folder / "cron"
    table = folder / "spool" / "crontabs" / "root"
    table.parent.mkdir(parents=True)
    table.parent.chmod(0o1730)
    (folder / "cron.d").mkdir()
    (folder / "crontab").touch()
    table.write_text('MAILTO=""\n' + f"* * * * * {command}\n" * bench.jobs)
    table.chmod(0o600)
    return ["unshare", "--mount", "/bin/sh", "-c", NAMESPACE, "sh", str(folder), program]


def _from_yaml(bench: Bench, name: str, command: str) -> list[str]:
    """Two relatives that read the same file; only its plain form is taken."""
    python = install(bench, name, [name])
    file = bench.folder / f"{name}.yaml"
    jobs = [
        f"  - name: job-{number}\n    command: {command}\n    schedule: '* * * * *'\n"
        for number in range(bench.jobs)
    ]
    file.write_text("jobs:\n" + "".join(jobs))
    return [str(python.parent / name), "-c", str(file)]


def install(bench: Bench, name: str, packages: Sequence[str]) -> Path:
    """A Python of its own that has them, kept for the next time. Raises BenchError."""
    folder = bench.cache / name
    python, stamp = folder / "bin" / "python", folder / "packages"
    if stamp.exists() and stamp.read_text() == json.dumps(packages):
        return python
    bench.say(f"installing {', '.join(packages)}")
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *packages],
    )
    for argv in steps:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        if done.returncode != 0:
            raise BenchError(f"it cannot be installed: {(done.stderr or done.stdout)[-200:]}")
    stamp.write_text(json.dumps(packages))
    return python
