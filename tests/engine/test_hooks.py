"""Hooks on a real node: what a run that was skipped leaves behind, and what fails afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import Host
from tests.engine.test_tasks import begin, end, output

SHOP = """
import os

def yes(): return True
def no(): return os.path.exists("open")
def note(): open("notes", "a").write("note\\n")
def broken(): raise ValueError("no such table")
"""


@pytest.fixture
def shop(host: Host, tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    host.up()
    return folder


def make(host: Host, shop: Path, command: object, **hooks: str) -> None:
    called = {kind: f"shop:{name}" for kind, name in hooks.items()}
    more: dict[str, Any] = {"retries": 3, "pause_after_failures": 1}
    job = {"name": "job", "command": command, "cwd": str(shop), "hooks": called, **more}
    host.client.create_job(job, "me")


def test_a_run_that_is_skipped_says_by_whom_and_is_no_failure(host: Host, shop: Path) -> None:
    make(host, shop, "echo work", when="no", after="note")
    run = end(host, begin(host, "job"))
    assert (run["outcome"], run["exit_code"]) == ("skipped", 0)
    assert run["error"] == "when: shop:no said no"
    assert len(run["attempts"]) == 1  # it is not tried again
    assert "work" not in str(output(host, run["id"]))
    assert not (shop / "notes").exists()
    assert host.client.show_job("job")["paused"] is False  # and not counted
    shown = host.say("run", "show", run["id"]).stdout
    assert "result:    skipped" in shown
    assert "when: shop:no said no" in shown
    assert "skipped" in host.say("run", "list", "--outcome", "skipped").stdout
    (shop / "open").touch()
    run = end(host, begin(host, "job"))
    assert (run["outcome"], output(host, run["id"])["stdout"]) == ("succeeded", "work\n")
    assert (shop / "notes").read_text() == "note\n"


def test_a_hook_that_fails_afterwards_is_a_note_of_the_run(host: Host, shop: Path) -> None:
    make(host, shop, ["echo", "work"], on_success="broken")
    run = end(host, begin(host, "job"))
    assert (run["outcome"], len(run["attempts"])) == ("succeeded", 1)
    assert run["notes"] == ["on_success: shop:broken failed: ValueError: no such table"]


def test_a_lock_is_held_around_the_hooks_too(host: Host, shop: Path, tmp_path: Path) -> None:
    called = {"when": "shop:yes", "after": "shop:note", "on_success": "shop:broken"}
    lock = {"file": str(tmp_path / "lock"), "log": "verbose"}
    job = {"name": "job", "command": "echo work", "cwd": str(shop), "hooks": called, "lock": lock}
    host.client.create_job(job, "me")
    run = end(host, begin(host, "job"))
    assert (run["outcome"], len(run["notes"])) == ("succeeded", 1)
    assert output(host, run["id"])["stdout"] == "work\n"
    assert (shop / "notes").read_text() == "note\n"
