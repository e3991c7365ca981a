"""A real supervisor with real children, one per test, in a temporary state directory."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.host import Host

NOBODY = 65534


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    place = Host(tmp_path)
    yield place
    place.end()


@pytest.fixture
def nobodys() -> Iterator[tuple[str, Path]]:
    """A Python that nobody may run, and a directory of its own."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            good = subprocess.run(probe, user=NOBODY, group=NOBODY, check=False).returncode == 0
        except OSError:
            continue
        if good:
            break
    else:
        pytest.skip("there is no Python here that others may run")
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, NOBODY, NOBODY)
    yield python, folder
    shutil.rmtree(folder)
