"""What every benchmark is given: a folder to work in, its options, and the compiled C programs."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.fleet import Fleet
from bench.report import BenchError
from bench.servers import DatabaseServer

HERE = Path(__file__).resolve().parent
COMPILE_S = 60
LOOP_S = 300


@dataclass(slots=True, kw_only=True)
class Bench:
    """One call of `dev.py bench`."""

    folder: Path
    jobs: int
    rounds: int
    seconds: int
    capacity: int
    command: str = ""
    database: str = "sqlite"
    server: DatabaseServer | None = None
    cache: Path = HERE / ".cache"
    profile: bool = False
    _programs: dict[str, Path] = field(default_factory=dict)
    _fleets: int = 0

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"  … {text}", flush=True)

    def need_server(self) -> DatabaseServer:
        """The server. Raises BenchError where the database is a file."""
        if self.server is None:
            raise BenchError("it needs a server: --database postgresql or mariadb")
        return self.server

    @contextmanager
    def fleet(
        self,
        jobs: Sequence[Mapping[str, object]] = (),
        *,
        url: str | None = None,
        name: str = "bench",
    ) -> Iterator[Fleet]:
        """A `cronherd up` of its own with a fresh database, or with the one named."""
        self._fleets += 1
        folder = self.folder / f"fleet-{self._fleets}"
        folder.mkdir()
        if url is None and self.server is not None:
            url = self.server.fresh()
        fleet = Fleet(
            folder, capacity=self.capacity, jobs=jobs, server=self.server, url=url, name=name
        )
        fleet.start()
        try:
            yield fleet
        finally:
            fleet.stop()

    def program(self, name: str) -> Path:
        """A C program of this folder, compiled. Raises BenchError without a compiler."""
        if name not in self._programs:
            self._programs[name] = self._compile(name)
        return self._programs[name]

    def loop(self, count: int, argv: Sequence[str]) -> dict[str, Any]:
        """The C loop over `count` children of this command, as many in flight as a node takes."""
        program = self.program("spawn_loop")
        done = subprocess.run(
            [program, str(self.capacity), str(count), *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=LOOP_S,
        )
        if done.returncode != 0:
            raise BenchError(f"the C loop failed: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found | {"per_s": count / found["seconds"]}

    def _compile(self, name: str) -> Path:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise BenchError("there is no C compiler (cc), so there is no limit to compare with")
        made = self.folder / name
        argv = [compiler, "-O2", "-o", str(made), str(HERE / f"{name}.c")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMPILE_S)
        if done.returncode != 0:
            raise BenchError(f"cc cannot compile {name}.c: {done.stderr.strip()[-400:]}")
        return made
