"""Hosts for engine tests; whatever a test leaves running is ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.host import Host
from tests.engine.stand_in import Rig


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.clear_away()


@pytest.fixture(autouse=True)
def closed_rigs() -> Iterator[None]:
    """Thousands of tests share a process: each gives back the files that it opened."""
    yield
    Rig.close_all()


@pytest.fixture(scope="session")
def _standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("standing"))
    made.write_config("web: {listen: none}")  # the usual port is for those who wait for it
    yield made
    made.clear_away()


@pytest.fixture
def standing(_standing: Host, tmp_path: Path) -> Host:
    """A node that is up for all tests that only run jobs of their own names: it begins once."""
    _standing.evidence = tmp_path / "evidence"
    if _standing.process is None:
        _standing.up()
    assert _standing.answers()
    return _standing
