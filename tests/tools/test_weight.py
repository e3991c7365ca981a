"""D3.1, D3.4 to D3.6: no database, no configuration, and no code that would be for them is read."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.conftest import environment

HEAVY = (
    "cronherd.store", "cronherd.config", "cronherd.definition", "cronherd.wiring",
    "cronherd.service", "sqlalchemy", "pydantic", "yaml", "fastapi", "random", "subprocess",
    "ssl", "ctypes", "logging", "redis", "pymemcache",
)  # fmt: skip
TOOLS = {
    "timestart": ["timestart", "1", "1", "0.1", "0.1", "no-such-program"],
    "timeout": ["timeout", "5", "true"],
    "publish": ["publish", "page"],
    "publish a command": ["publish", "page", "--if-success", "echo"],
    "lock a file": ["lock", "./file", "true"],
    "lock in Redis": ["lock", "redis://127.0.0.1:1/x", "true"],
    "lock in Memcached": ["lock", "memcached://127.0.0.1:1/x", "true"],
}


def modules_of(folder: Path, *words: str) -> set[str]:
    """Every module that a command reads until its end."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cronherd", *words],
        cwd=folder, env=environment(folder), input="x", capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("words", TOOLS.values(), ids=TOOLS)
def test_a_tool_reads_little(tmp_path: Path, words: list[str]):
    (tmp_path / "cronherd.yaml").write_text("this: is no configuration")
    found = modules_of(tmp_path, *words)
    assert "cronherd.tools" in found
    assert not found & set(HEAVY)


@pytest.mark.parametrize("words", TOOLS.values(), ids=TOOLS)
def test_the_kill_code_is_read_only_to_kill(tmp_path: Path, words: list[str]):
    assert "cronherd.supervisor.sweep" not in modules_of(tmp_path, *words)


def test_the_kill_code_is_read_to_kill(tmp_path: Path):
    assert "cronherd.supervisor.sweep" in modules_of(tmp_path, "timeout", "0.1", "sleep", "9")
