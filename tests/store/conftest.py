"""Fresh stores on each back end, a clock moved by hand, and a stage to act on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cronherd.engine.clock import FakeClock
from cronherd.store.sqlstore import SqlStore
from tests.store.backends import BACKENDS, Backend
from tests.store.stage import Stage


@pytest.fixture(scope="session", params=list(BACKENDS))
def _each_backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Backend:
    return BACKENDS[request.param](tmp_path_factory.mktemp(f"workshop-{request.param}"))


@pytest.fixture
def backend(_each_backend: Backend, record_property: Callable[[str, object], None]) -> Backend:
    record_property("back_end", _each_backend.name)
    return _each_backend


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(backend: Backend, clock: FakeClock, tmp_path: Path) -> Iterator[SqlStore]:
    opened = backend.open(tmp_path, clock)
    yield opened
    opened.close()


@pytest.fixture
def open_second(backend: Backend, store: SqlStore) -> Callable[[], SqlStore]:
    """Another store on the same database, to race with."""
    return lambda: backend.open_second(store)


@pytest.fixture
def stage(store: SqlStore, clock: FakeClock) -> Stage:
    return Stage(store, clock)
