"""Where a lock of each kind is, and processes that hold it."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Lock
from tests.conftest import Record, needing_server
from tests.servers.handles import ROOT, Servers

KINDS = ("file", "redis", "memcached")
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


@pytest.fixture
def address(servers: Servers, tmp_path: Path, record_property: Record) -> Callable[[str], str]:
    """address("redis"): where a lock is that no other test has."""

    def make(kind: str) -> str:
        if kind == "file":
            return str(tmp_path / "lock")
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
            lock = open_lock(where, SystemClock(), {}, expiry_us=round(expiry_s * 1_000_000))
            living.callback(lock.close)
            return lock

        yield start
