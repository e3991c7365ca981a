"""The benchmarks still run. What they measure is nobody's business here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / "bench" / "run.py"


def bench(results: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(RUN), "--results", str(results), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="the loop beside needs a C compiler")
def test_a_small_burst_is_measured_and_written_down(tmp_path: Path):
    done = bench(tmp_path, "burst", "--jobs", "20", "--rounds", "1", "--command", "direct: true")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "burst-sqlite.json").read_text())
    (row,) = document["tables"]["each round"]
    assert row["runs/s"] > 0
    assert row["loop/s"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "burst-sqlite.json"]


def test_an_unknown_name_is_refused(tmp_path: Path):
    done = bench(tmp_path, "brust")
    assert done.returncode == 2
    assert "burst" in done.stderr
