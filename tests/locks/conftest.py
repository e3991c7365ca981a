"""Where a lock of each kind is, and processes that hold it."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.domain.access import LOCAL
from cronherd.domain.ident import make_id
from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.locks.base import Lock
from cronherd.service import Service
from cronherd.store.sqlstore import SqlStore
from tests.api.always import Always
from tests.conftest import Record, needing_server
from tests.locks.holder import open_at
from tests.servers.handles import ROOT, Servers
from tests.store.backends import BACKENDS, Backend

FLEETS = ("sqlite", "postgresql", "mariadb")
KINDS = ("file", "redis", "memcached", *FLEETS)
Open = Callable[..., Lock]


class Holder:
    """A process of its own (holder.py)."""

    def __init__(self, where: str, expiry_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.locks.holder", where, str(expiry_s)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, words: str) -> str:
        self.ask(words)
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Served:
    """The real service over a database of one kind, at a socket; `stop` and `start` it at will."""

    def __init__(self, backend: Backend, store: SqlStore, socket: Path) -> None:
        self._backend = backend
        self._store = store
        self._service = Service(
            store,
            store,
            new_id=lambda: make_id(SystemClock().now_us(), secrets.token_bytes(10)),
            wake=lambda: None,
            pause=lambda: False,
            timezone="UTC",
        )
        self.socket = socket
        self.start()

    def start(self) -> None:
        self._server = ApiServer(build_app(self._service, who=Always(LOCAL)), self.socket)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def close(self) -> None:
        self.stop()
        self._backend.close(self._store)


Serve = Callable[[str], Served]


@pytest.fixture(scope="session")
def _backends(servers: Servers) -> Iterator[dict[str, Backend]]:
    """Of all tests: what each of them migrates is used again by the next one."""
    made = {kind: BACKENDS[kind](servers) for kind in FLEETS}
    yield made
    for each in made.values():
        each.end()


@pytest.fixture
def serve(
    _backends: dict[str, Backend], tmp_path: Path, folder: Path, record_property: Record
) -> Iterator[Serve]:
    """serve("postgresql"): a fleet on such a database."""
    with ExitStack() as living:

        def make(kind: str) -> Served:
            backend = _backends[kind]
            with needing_server(kind, record_property):
                backend.start()
            store = backend.open(tmp_path, cast("FakeClock", SystemClock()))
            served = Served(backend, store, folder / f"{secrets.token_hex(4)}.sock")
            living.callback(served.close)
            return served

        yield make


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket has at most 107 bytes."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def address(
    servers: Servers, tmp_path: Path, serve: Serve, record_property: Record
) -> Callable[[str], str]:
    """address("redis"): where a lock is that no other test has."""

    def make(kind: str) -> str:
        if kind == "file":
            return str(tmp_path / "lock")
        if kind in FLEETS:
            return f"fleet:{serve(kind).socket}!{secrets.token_hex(8)}"
        with needing_server(kind, record_property):
            return f"{servers.url(kind)}/{secrets.token_hex(8)}"

    return make


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def where(kind: str, address: Callable[[str], str]) -> str:
    return address(kind)


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """hold(where, expiry_s): a process that may hold the lock."""
    with ExitStack() as living:

        def start(where: str, expiry_s: float = 60) -> Holder:
            holder = Holder(where, expiry_s)
            living.callback(holder.close)
            return holder

        yield start


@pytest.fixture
def opened() -> Iterator[Open]:
    """opened(where, expiry_s): the lock, in this process."""
    with ExitStack() as living:

        def start(where: str, expiry_s: float = 60) -> Lock:
            lock = open_at(where, expiry_s)
            living.callback(lock.close)
            return lock

        yield start
