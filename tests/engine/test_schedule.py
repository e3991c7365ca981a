"""`schedule test` and `schedule work` as programs: a node of their own, gone afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.host import wait_until

APP = """
import sys
from pathlib import Path
from cronherd import Scheduler, task
schedule = Scheduler()

@task
def greet(name: str) -> str:
    print("hello", name)
    return name

def never() -> bool:
    return False

def mark() -> None:
    Path("mark").touch()

schedule.task("greet", "you").daily().run_on("gpu").pools("none").name("hello")
schedule.command("exit 3").daily().name("three").on_failure(mark)
schedule.command("echo no").daily().when(never).name("closed")
schedule.command("echo tick >> ticks").every_second().cwd(Path(__file__).parent)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cronherd", "schedule", *words, "--app", "app:schedule"]


def environment(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder / "home"), "PATH": os.environ["PATH"], "TZ": "UTC"}


def tried(folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("test", name), cwd=folder, env=environment(folder), capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip


def test_test_runs_one_job_here_and_shows_it(folder: Path) -> None:
    """D2.7: schedule test."""
    said = tried(folder, "hello")
    assert (said.returncode, said.stdout) == (0, "hello you\n")
    assert "'hello' succeeded" in said.stderr
    assert not (folder / "home").exists()


def test_test_ends_as_the_command_does_with_its_hooks(folder: Path) -> None:
    said = tried(folder, "three")
    assert said.returncode == 3
    assert (folder / "mark").exists()
    said = tried(folder, "closed")
    assert (said.returncode, said.stdout) == (125, "")
    assert "'closed' skipped" in said.stderr
    assert "when: app:never said no" in said.stderr


def test_work_is_a_node_with_the_schedule_until_it_is_told_to_end(folder: Path) -> None:
    """D2.7: schedule work."""
    with subprocess.Popen(
        command("work"), cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            ticks = folder / "ticks"
            wait_until(lambda: ticks.exists() and len(ticks.read_text()) > 10, "nothing ticked")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "4 created" in said
    assert not (folder / "home").exists()
