"""A real supervisor with real children, one per test, in a temporary state directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    place = Host(tmp_path)
    yield place
    place.leave()
