"""A task in a process of its own, as a supervisor starts it: with a pipe as descriptor 3."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.job import build_job
from cronherd.domain.telling import Told, parse_line, read_told
from cronherd.engine.taskorder import task_argv, task_environment

HERE = Path(__file__).resolve().parent
AS_THREE = """
import os, sys
given = int(sys.argv[1])
os.dup2(given, 3)
if given != 3:
    os.close(given)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass
class Task:
    """A process and what it tells."""

    process: subprocess.Popen[str]
    _reader: threading.Thread
    _pieces: list[bytes]

    def signal_group(self, number: int) -> None:
        """As a supervisor does; only of those with hooks, which are a session of their own."""
        os.killpg(self.process.pid, number)

    def end(self) -> "Ended":
        out, err = self.process.communicate(timeout=30)
        self._reader.join(10)
        assert not self._reader.is_alive(), "somebody still holds descriptor 3"
        return Ended(self.process.returncode, out, err, b"".join(self._pieces))


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    raw: bytes

    @property
    def told(self) -> Told:
        return read_told(self.raw)

    @property
    def progress(self) -> list[Any]:
        found = [parse_line(line) for line in self.raw.splitlines()]
        return [value for kind, value in filter(None, found) if kind == "progress"]


Start = Callable[..., Task]
Run = Callable[..., Ended]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(task: str | None, args: Any = None, *arguments: str, **more: Any) -> Task:
        """`more` is of the job; its env is all that the process gets."""
        work = {"command": ""} if task is None else {"command": "", "task": task}
        spec = {"name": "job", **work, **more}
        if args is not None:
            spec["args"] = args
        job = build_job(spec)
        name = {"CRONHERD_JOB_NAME": job.name}
        env = {"PATH": os.environ["PATH"], **name, **job.env, **task_environment(job)}
        ours, theirs = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", AS_THREE, str(theirs), *task_argv(job, env), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=env, cwd=job.cwd or HERE, pass_fds=[theirs],
            start_new_session=bool(job.hooks),
        )  # fmt: skip
        started.append(process)
        os.close(theirs)
        pieces: list[bytes] = []
        reader = threading.Thread(target=_read, args=(ours, pieces), daemon=True)
        reader.start()
        return Task(process, reader, pieces)

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    def run(task: str | None, args: Any = None, *arguments: str, **more: Any) -> Ended:
        return start(task, args, *arguments, **more).end()

    return run


def _read(descriptor: int, pieces: list[bytes]) -> None:
    with open(descriptor, "rb", buffering=0) as pipe:
        while piece := pipe.read(65_536):
            pieces.append(piece)


def by_hand(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The runner without an agent; descriptor 3 is a file of somebody else, $OTHER."""
    job = build_job({"name": "x", "command": "", "task": "examples:nothing"})
    argv = task_argv(job, {})[:-1]
    return subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 3>"${OTHER:-/dev/null}"', "sh", *argv, *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=HERE,
        check=False,
    )
