"""What tests hold: the session's servers, and a private server to freeze, kill and start again.

CRONHERD_TEST_POSTGRESQL, _MARIADB, _REDIS, _MEMCACHED and _GEARMAN name a server that runs already;
then none of that kind is launched for the session. A private server is always launched.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.engines import PATIENCE_S, ServerBroken, ServerMissing, family, send, wait_for

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = {
    kind: f"CRONHERD_TEST_{kind.upper()}"
    for kind in ("postgresql", "mariadb", "redis", "memcached", "gearman")
}
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 1 << 30
_CLOSING_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server is. `pid` is its first process, on this host."""

    url: str
    socket: Path
    pid: int
    home: Path


class Servers:
    """The way to a keeper, from any process of the session."""

    def __init__(self, address: str, environment: Mapping[str, str] = os.environ) -> None:
        self.address = address
        self._environment = environment

    def url(self, kind: str) -> str:
        """Of the administration database. Raises ServerMissing, ServerBroken."""
        return self._environment.get(VARIABLES[kind]) or self.start(kind).url

    def start(self, kind: str) -> Place:
        """Start the server unless it runs; on the same port and data as before."""
        return self._ask("start", kind)

    def stop(self, kind: str) -> Place:
        """Stop it in order; its data stays."""
        return self._ask("stop", kind)

    def _ask(self, verb: str, kind: str) -> Place:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(4 * PATIENCE_S)  # the keeper may be busy with another server
            link.connect(self.address)
            with link.makefile("rw", encoding="utf-8") as lines:
                lines.write(json.dumps({"verb": verb, "kind": kind}) + "\n")
                lines.flush()
                answer: dict[str, Any] = json.loads(lines.readline() or '{"broken": "it ended"}')
        if "missing" in answer:
            raise ServerMissing(answer["missing"])
        if "broken" in answer:
            raise ServerBroken(answer["broken"])
        socket_path, home = Path(answer["socket"]), Path(answer["home"])
        return Place(url=answer["url"], socket=socket_path, pid=answer["pid"], home=home)


class Keeper:
    """The keeper's process. Nothing is started before somebody asks for a server."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cronherd-", dir=_roomy()))
        self.folder.chmod(0o711)  # the servers' user passes through
        self.address = str(self.folder / "keeper")
        with socket.socket(socket.AF_UNIX) as listener:
            # Bound here and handed down, so that nobody can come too early.
            listener.bind(self.address)
            listener.listen(64)
            fd = listener.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.keeper", str(self.folder), str(fd)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[fd],
                start_new_session=True,  # Ctrl-C at the terminal is for pytest
            )

    def close(self) -> None:
        """End all servers; back when they are gone. Raises TimeoutExpired."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_CLOSING_S)
        finally:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


def _roomy() -> Path | None:
    """Memory where there is enough of it: there fsync costs nothing. None is the usual place."""
    try:
        free = shutil.disk_usage(_MEMORY).free
    except OSError:
        return None
    return _MEMORY if free > _ROOM_BYTES and os.access(_MEMORY, os.W_OK) else None


# ------------------------------------------------------------------ a server of one test


class PrivateServer:
    """A server that one test started for itself and may treat badly."""

    def __init__(self, servers: Servers, kind: str) -> None:
        self._servers = servers
        self._kind = kind
        self.place = servers.start(kind)

    @property
    def url(self) -> str:
        return self.place.url

    @property
    def pid(self) -> int:
        """Of its first process: PostgreSQL's postmaster, or mariadbd."""
        return self.place.pid

    def freeze(self) -> None:
        """SIGSTOP to all its processes: it takes connections and answers nothing."""
        send([self.pid], signal.SIGSTOP)  # first, so that it makes no more children
        send(family(self.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        send(family(self.pid), signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all its processes at once; back when they are gone."""
        pids = family(self.pid)
        send(pids, signal.SIGKILL)
        if not wait_for(lambda: not any(map(is_alive, pids))):
            raise ServerBroken(f"the killed {self._kind} does not end")

    def stop(self) -> None:
        """Stop it in order; back when it is gone."""
        self._servers.stop(self._kind)

    def restart(self) -> None:
        """Start what was stopped or killed, on the same port and data; `pid` is a new one."""
        self.place = self._servers.start(self._kind)


def is_alive(pid: int) -> bool:
    """False for a zombie too, once its last thread is gone: it holds no port and no file."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
        threads = len(list((process / "task").iterdir()))
    except OSError:
        return False
    return state not in {"Z", "X"} or threads > 1


@contextmanager
def private_server(kind: str) -> Iterator[PrivateServer]:
    """A server with a keeper of its own; it is gone at the end. Raises ServerMissing."""
    keeper = Keeper()
    try:
        yield PrivateServer(Servers(keeper.address), kind)
    finally:
        keeper.close()
