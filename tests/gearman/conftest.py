"""Real job servers, and everything that talks to them: ours, the `gearman` command, pygearman."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.jobserver import Server
from cronherd.engine.clock import SystemClock
from cronherd.gearman.client import Client
from cronherd.gearman.worker import Job, Room, Worker, work
from tests.conftest import Record, needing_server
from tests.servers.handles import ROOT, PrivateServer, private_server
from tests.tools.conftest import Tool

PATIENCE_US = 20_000_000
PATIENCE_S = 20
OURS = (sys.executable, "-m", "cronherd", "gearman")


class JobServer:
    """A gearmand of one test, to kill and to start again."""

    def __init__(self, private: PrivateServer) -> None:
        self.private = private
        self.port = int(private.url.rpartition(":")[2])
        self.server = Server("127.0.0.1", self.port)

    def __str__(self) -> str:
        return str(self.server)


@pytest.fixture
def new_server(record_property: Record) -> Iterator[Callable[[], JobServer]]:
    with ExitStack() as living:

        def start() -> JobServer:
            with needing_server("gearman", record_property):
                return JobServer(living.enter_context(private_server("gearman")))

        yield start


@pytest.fixture
def job_server(new_server: Callable[[], JobServer]) -> JobServer:
    return new_server()


@pytest.fixture
def two(new_server: Callable[[], JobServer]) -> tuple[JobServer, JobServer]:
    return new_server(), new_server()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """client(server, …): ours, in this process."""
    with ExitStack() as living:

        def make(*servers: JobServer, **more: Any) -> Client:
            made = Client([each.server for each in servers], SystemClock(), **more)
            living.callback(made.close)
            return made

        yield make


class Helper:
    """Our worker in a thread, with functions of Python: a job in, (done, result) out."""

    def __init__(
        self, servers: Sequence[JobServer], functions: dict[str, Callable[[Job], object]]
    ) -> None:
        self.functions = functions
        self.took: list[bytes] = []
        self._over = threading.Event()
        self.worker = Worker(
            [each.server for each in servers],
            [name.encode() for name in functions],
            SystemClock(),
            self._take,
            room=Room(100),
            name=b"test",
        )
        self._thread = threading.Thread(target=work, args=(self.worker, self._over.is_set))
        self._thread.start()

    def _take(self, job: Job) -> None:
        self.took.append(job.payload)
        result = self.functions[job.function.decode()](job)
        if isinstance(result, bytes):
            self.worker.complete(job, result)
        else:
            self.worker.fail(job, str(result).encode())

    def close(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S)
        self.worker.close()


@pytest.fixture
def offer() -> Iterator[Callable[..., Helper]]:
    """offer([server], name=function): our worker."""
    with ExitStack() as living:

        def start(servers: Sequence[JobServer], **functions: Callable[[Job], object]) -> Helper:
            made = Helper(servers, functions)
            living.callback(made.close)
            return made

        yield start


class ConfWorker:
    """`cronherd gearman worker`, as a process."""

    def __init__(self, folder: Path, servers: Sequence[JobServer], tasks: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.conf = folder / "conf.json"
        self.servers = servers
        self.write(tasks)
        self.tool: Tool | None = None

    def write(self, tasks: dict[str, str], **more: object) -> None:
        """In the spelling of old: ports are texts, a task is an object of its own."""
        conf = {
            "job_servers": [
                {"server": "127.0.0.1", "port": str(each.port)} for each in self.servers
            ],
            "jobs": [{name: script} for name, script in tasks.items()],
            **more,
        }
        self.conf.write_text(json.dumps(conf))

    def start(self, *words: str) -> Tool:
        argv = ("gearman", "worker", "--config", str(self.conf), *words)
        self.tool = Tool(self.folder, *argv)
        return self.tool

    def end(self, number: int = 15) -> tuple[int, str, str]:
        assert self.tool is not None
        self.tool.send(number)
        return self.tool.end()


@pytest.fixture
def script_worker(tmp_path: Path) -> Iterator[Callable[..., ConfWorker]]:
    """script_worker([server], {"task": "script"}): not started yet."""
    made: list[ConfWorker] = []

    def make(
        servers: Sequence[JobServer], tasks: dict[str, str], name: str = "worker"
    ) -> ConfWorker:
        made.append(ConfWorker(tmp_path / name, servers, tasks))
        return made[-1]

    yield make
    for each in made:
        if each.tool is not None and each.tool.process.poll() is None:
            each.tool.process.kill()
            each.tool.process.communicate()


@pytest.fixture
def submit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """submit([server], "a", "b", …): `cronherd gearman submit`, to its end."""

    def run(
        servers: Sequence[JobServer], *words: str, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        conf = tmp_path / "client.json"
        said = [{"server": "127.0.0.1", "port": each.port} for each in servers]
        conf.write_text(json.dumps({"job_servers": said}))
        return subprocess.run(
            [*OURS, "submit", "--config", str(conf), "--tasks", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            cwd=ROOT,
        )

    return run


def command(server: JobServer, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """The `gearman` command as a client."""
    return subprocess.run(
        ["gearman", "-h", "127.0.0.1", "-p", str(server.port), *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
