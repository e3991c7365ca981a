"""Hosts for engine tests; whatever a test leaves running is ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.clear_away()
