"""The toolbox as people use it: a real process, and what it left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 20


def environment(folder: Path) -> dict[str, str]:
    """No configuration, no state, no database."""
    return {"HOME": str(folder), "PATH": os.environ["PATH"], "TZ": "UTC", "LANG": "C.UTF-8"} | {
        name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ
    }


class Tool:
    """One `cronherd ...` that runs."""

    def __init__(self, folder: Path, *words: str, **more: object) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cronherd", *words],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,  # type: ignore[call-overload]
        )

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, given: bytes = b"") -> tuple[int, str, str]:
        """Its exit code and what it wrote."""
        out, err = self.process.communicate(given, timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()


Run = Callable[..., Tool]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    begun: list[Tool] = []

    def start(*words: str, **more: object) -> Tool:
        begun.append(Tool(tmp_path, *words, **more))
        return begun[-1]

    yield start
    for tool in begun:
        if tool.process.poll() is None:
            tool.send(signal.SIGKILL)
        for pipe in (tool.process.stdin, tool.process.stdout, tool.process.stderr):
            if pipe is not None:
                pipe.close()
        tool.process.wait(PATIENCE_S)


def until(true: Callable[[], object]) -> None:
    """Wait for what is about to be true."""
    limit = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < limit, "it did not happen"
        subprocess.run(["sleep", "0.01"], check=True)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
