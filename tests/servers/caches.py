"""Redis and Memcached as programs, for tests of locks. They keep nothing on disk.

Standard library only, as engines.py.
"""

import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.engines import Engine, ServerMissing


def answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(question)
            return probe.recv(len(answer)) == answer
    except OSError:
        return False


def program(title: str, *names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise ServerMissing(f"{title} is not installed: run 'python3 dev.py servers' as root")
    return found


@dataclass(frozen=True)
class Redis:
    """Valkey where that is installed in its place."""

    title: str = "Redis"
    stop_signal: signal.Signals = signal.SIGTERM
    drop_signal: signal.Signals = signal.SIGKILL

    def make(self, home: Path) -> None:
        del home
        program(self.title, "redis-server", "valkey-server")

    def command(self, home: Path, port: int) -> list[str]:
        settings = {"port": port, "bind": "127.0.0.1", "appendonly": "no", "dir": home}
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [program(self.title, "redis-server", "valkey-server"), *options, "--save", ""]

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "none"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del home, pid
        return answers(port, b"PING\r\n", b"+PONG")


@dataclass(frozen=True)
class Memcached:
    title: str = "Memcached"
    stop_signal: signal.Signals = signal.SIGKILL  # in order it takes a second, for nothing
    drop_signal: signal.Signals = signal.SIGKILL

    def make(self, home: Path) -> None:
        del home
        program(self.title, "memcached")

    def command(self, home: Path, port: int) -> list[str]:
        del home
        argv = [program(self.title, "memcached"), f"--port={port}", "--listen=127.0.0.1"]
        return [*argv, "--user=nobody", "--threads=1"]

    def url(self, port: int) -> str:
        return f"memcached://127.0.0.1:{port}"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "none"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del home, pid
        return answers(port, b"version\r\n", b"VERSION")


CACHES: Mapping[str, Engine] = {"redis": Redis(), "memcached": Memcached()}
