"""Fresh stores on each back end, a clock moved by hand, and a stage to act on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cronherd.engine.clock import FakeClock
from cronherd.store.sqlstore import SqlStore
from tests.conftest import Record, needing_server
from tests.servers.handles import Servers
from tests.store.backends import BACKENDS, Backend
from tests.store.stage import Stage


@pytest.fixture(scope="session", params=list(BACKENDS))
def _each_backend(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Backend]:
    made = BACKENDS[request.param](servers)
    yield made
    made.end()


@pytest.fixture
def backend(_each_backend: Backend, record_property: Record) -> Backend:
    with needing_server(_each_backend.name, record_property):
        _each_backend.start()
    return _each_backend


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(backend: Backend, clock: FakeClock, tmp_path: Path) -> Iterator[SqlStore]:
    opened = backend.open(tmp_path, clock)
    yield opened
    backend.close(opened)


@pytest.fixture
def open_second(backend: Backend, store: SqlStore) -> Callable[[], SqlStore]:
    """Another store on the same database, to race with."""
    return lambda: backend.open_second(store)


@pytest.fixture
def stage(store: SqlStore, clock: FakeClock) -> Stage:
    return Stage(store, clock)
