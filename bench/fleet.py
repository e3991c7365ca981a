"""A real `cronherd up` in a process of its own, asked and watched from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.proc import Family, find_family
from bench.records import FileRecords, Records, ServerRecords
from bench.report import BenchError
from bench.servers import DatabaseServer
from cronherd.client import Client
from cronherd.domain.errors import CronherdError

UP_S = 60
DOWN_S = 60
LOOK_S = 0.02  # between two looks at something that is about to happen
PAGE = 1_000

Json = dict[str, Any]


class Fleet:
    """One node: agent with API, supervisor, guardian."""

    def __init__(
        self,
        folder: Path,
        *,
        capacity: int,
        jobs: Sequence[Mapping[str, object]],
        server: DatabaseServer | None = None,
        url: str | None = None,
        name: str = "bench",
    ) -> None:
        """`url` is a database of `server`; without them it is a file in the state directory."""
        self.folder = folder
        self.name = name
        self.state = folder / "state"
        self.server = server
        self.url = url
        self.client = Client.over_socket(self.state / "run" / "api.sock")
        self.records = self.open_records()
        self._config = folder / "cronherd.yaml"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        document: dict[str, object] = {
            "node": {"name": name, "capacity": capacity},
            "timezone": "UTC",
            "jobs": list(jobs),
        }
        if url is not None:
            document["database"] = url
        # JSON is YAML.
        self._config.write_text(json.dumps(document), encoding="utf-8")

    def open_records(self) -> Records:
        """A reader of its database."""
        server, url = self.server, self.url
        if server is None or url is None:
            return FileRecords(self.state / "cronherd.db")
        return ServerRecords(lambda: server.open(url))

    @property
    def command(self) -> list[str]:
        """`cronherd` with this fleet's state directory."""
        return [sys.executable, "-m", "cronherd", "--state", str(self.state)]

    def start(self) -> None:
        """Start it and wait until its node lives."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self.command, "up", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._is_up, UP_S, "cronherd did not come up")

    def stop(self) -> None:
        """As Ctrl-C does; what runs may end, all of it is recorded."""
        self.records.close()
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(DOWN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise BenchError(f"cronherd did not end: {self.last_words()}") from None
        self._process = None
        if process.returncode != 0:
            raise BenchError(f"cronherd ended with {process.returncode}: {self.last_words()}")

    def family(self) -> Family:
        """Its processes by name."""
        assert self._process is not None
        return find_family(self._process.pid)

    def server_us(self) -> float:
        """Microseconds of CPU of the database's server so far; 0 where it is a file."""
        return 0.0 if self.server is None else self.server.cpu_us()

    def runs(self, count: int) -> list[Json]:
        """The newest `count` runs as the API tells them."""
        found: list[Json] = []
        before: str | None = None
        while len(found) < count:
            page = self.client.list_runs(before=before, limit=min(PAGE, count - len(found)))
            found += page["items"]
            before = page["next"]
            if before is None:
                break
        return found

    def last_words(self) -> str:
        """The end of its log."""
        text = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return " | ".join(text.splitlines()[-3:])[-600:] or "it said nothing"

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise BenchError(f"cronherd did not start: {self.last_words()}")
        try:
            nodes = self.client.list_nodes()["items"]
        except CronherdError:
            return False
        return any(node["alive"] for node in nodes) and len(self.family()) == 3


def wait_for(condition: Any, seconds: float, sentence: str) -> None:
    """Look again and again until it holds. Raises BenchError with the sentence."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise BenchError(f"{sentence} within {seconds:g} s")
        time.sleep(LOOK_S)


def instant_us(text: str) -> int:
    """Microseconds since 1970 of an instant of the API."""
    seen = datetime.fromisoformat(text)
    return round(seen.timestamp() * 1_000_000)
