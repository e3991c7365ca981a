"""A real node for tests: `cronherd up` as a process of its own, asked over its socket."""

import atexit
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import IO
from unittest import mock

from cronherd import wiring
from cronherd.cli.main import answer
from cronherd.cli.session import Session
from cronherd.client import Client
from cronherd.engine.clock import SystemClock
from tests.engine import nursery

PATIENCE_S = 30.0
POLL_S = 0.02
Process = nursery.Node | subprocess.Popen[bytes]


def wait_until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look again and again until it is so; fail with `what` when patience ends."""
    never = threading.Event()
    for _ in range(int(patience_s / POLL_S)):
        if true():
            return
        never.wait(POLL_S)
    raise AssertionError(f"waited {patience_s:.0f} s in vain: {what}")


def say(command: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What `python -m cronherd ...` answers, without a process; not by two threads at once."""
    words = command[3:]
    session = Session(load_host=lambda: wiring, now_us=SystemClock().now_us, environ=environment())
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "stdin", given):
        code = answer(words, session)
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    return subprocess.CompletedProcess(words, code, *said)


class Host:
    """One state directory, and the `up` that lives in it from time to time."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.config = folder / "cronherd.yaml"
        self.log = folder / "up.log"
        self.evidence = folder / "evidence"
        self.config.write_text("{}\n")
        self.client = Client.over_socket(self.state / "run" / "api.sock")
        self.process: Process | None = None
        self._lives = 0

    def write_config(self, text: str) -> None:
        self.config.write_text(textwrap.dedent(text))

    def command(self, *arguments: str) -> list[str]:
        """The command line of this host."""
        own = ["--state", str(self.state), "--config", str(self.config)]
        return [sys.executable, "-m", "cronherd", *own, *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """One command to its end, as a process of its own."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment(),
        )

    def say(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """One command to its end, by this process: a new one takes half a second to begin."""
        return say(self.command(*arguments), stdin)

    def begin(self, log: IO[bytes], *arguments: str) -> Process:
        """A command that goes on, as a process of its own."""
        python, *words = self.command(*arguments)
        if words[:2] == ["-m", "cronherd"]:
            return nursery.start(words[2:], out=log, err=log, env=environment())
        return subprocess.Popen(
            [python, *words],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )

    def furnish(self) -> None:
        """A database as the first `up` or `db upgrade` would make it, which takes a second."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(_migrated(), self.state)

    def up(self) -> None:
        """Start, and return when its engine is up: the past is settled, it answers."""
        self._lives += 1
        own = re.search("^(database|timezone):", self.config.read_text(), re.MULTILINE)
        if not own and not (self.state / "cronherd.db").exists():
            self.furnish()
        with self.log.open("ab") as log:
            self.process = self.begin(log, "up")
        wait_until(self.answers, f"up never answered: {self.log.read_text()}")

    def answers(self) -> bool:
        """Whether this life has said that it is up."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"up ended by itself: {self.log.read_text()}")
        return self.log.read_text().count(" is up, ") == self._lives

    def kill(self) -> None:
        """kill -9 the agent, as the out-of-memory killer would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def clear_away(self) -> None:
        """Leave nothing behind: not even runs that would go on."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self.supervisors():  # Their guardians end what they left.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signal it and wait for its end."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def supervisors(self) -> list[int]:
        """Supervisors and guardians of this state directory that still live."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if os.fsencode(self.state) in line and b"--socket" in line:
                    found.append(int(entry.name))
        return found


@cache
def _migrated() -> Path:
    """The database of a new host: made once by each process that tests."""
    workshop = tempfile.TemporaryDirectory(prefix="cronherd-host-")
    atexit.register(workshop.cleanup)
    made = Host(Path(workshop.name))
    done = made.say("db", "upgrade")
    assert done.returncode == 0, done.stderr
    return made.state / "cronherd.db"


def environment() -> dict[str, str]:
    source = str(Path(__file__).resolve().parents[2] / "src")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CRONHERD_")}
    return {**kept, "PYTHONPATH": source}
