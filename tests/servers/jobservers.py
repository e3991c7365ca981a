"""Gearman's job server as a program. It keeps nothing on disk.

Standard library only, as engines.py.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.caches import answers
from tests.servers.engines import Engine, ServerMissing, mariadb_program


@dataclass(frozen=True)
class Gearmand:
    title: str = "Gearman"
    stop_signal: signal.Signals = signal.SIGKILL  # in order it takes a second, for nothing
    drop_signal: signal.Signals = signal.SIGKILL

    def make(self, home: Path) -> None:
        del home
        self._program()

    def command(self, home: Path, port: int) -> list[str]:
        del home
        return [self._program(), "--listen=127.0.0.1", f"--port={port}", "--log-file=stderr"]

    def url(self, port: int) -> str:
        return f"gearman://127.0.0.1:{port}"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "none"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del home, pid
        return answers(port, b"version\n", b"OK ")

    def _program(self) -> str:
        found = mariadb_program("gearmand")  # where only root's PATH looks
        if found is None:
            raise ServerMissing("gearmand is not installed: run 'python3 dev.py servers' as root")
        return found


JOB_SERVERS: Mapping[str, Engine] = {"gearman": Gearmand()}
