"""The tests of bad commands once more, with a supervisor of somebody who is not root."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.supervisor.conftest import NOBODY

ROOT = Path(__file__).parents[2]
PACKAGES = Path(pytest.__file__).parents[1]
FILES = ("evil", "limits", "limits_of_commands", "capture", "spawn", "kill")
# Of those that pass as root some need what only root has: control groups, FUSE, other users.
LEAST = 100


@pytest.mark.full
@pytest.mark.timeout(400)
def test_bad_commands_are_told_truthfully_without_root_too(nobodys: tuple[str, Path]) -> None:
    python, folder = nobodys
    done = subprocess.run(
        [
            python, "-B", "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider",
            "--basetemp", str(folder / "pytest"),
            *(f"tests/supervisor/test_{name}.py" for name in FILES),
        ],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd=ROOT, check=False, capture_output=True,
        env={
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}:{PACKAGES}", "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
        },
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= LEAST, done.stdout
