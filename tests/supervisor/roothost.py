"""A supervisor of root with a list of users of its own, for tests of other users."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cronherd.supervisor.client import SOCKET_NAME, _python
from tests.supervisor.host import Host

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
NOBODY = pwd.getpwnam("nobody")


class RootHost(Host):
    """A supervisor with a list of its own, in a place that everybody may pass through."""

    def __init__(self, folder: Path, lines: str = "", before: Sequence[str] = ()) -> None:
        """`before`: a command that executes the rest of its arguments."""
        self.allow = folder / "run-as.allow"
        self.allow.write_text(lines)
        ready, ready_end = os.pipe()
        socket = folder / "run" / SOCKET_NAME
        with (folder / "stderr").open("a") as stderr:
            self.process = subprocess.Popen(
                [*before, *_python(), "--state", str(folder / "state"), "--socket", str(socket),
                 "--allow", str(self.allow), "--ready-fd", str(ready_end)],
                pass_fds=(ready_end,), stderr=stderr,
            )  # fmt: skip
        os.close(ready_end)
        with os.fdopen(ready, "rb") as line:
            said = line.read()
        assert said.startswith(b"ready"), said + (folder / "stderr").read_bytes()
        super().__init__(folder)

    def leave(self) -> None:
        super().leave()
        self.process.wait()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Not below pytest's own, which is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="cronherd-users-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
