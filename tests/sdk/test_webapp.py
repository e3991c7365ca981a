"""examples/webapp: its page, its schedule, and what it does by itself, as its README says."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WEBAPP = Path(__file__).resolve().parents[2] / "examples" / "webapp"
PAGE = """
import io, sys
from shop.site import application
method, body = sys.argv[1], sys.argv[2].encode()
said = []
environ = {"REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body))}
environ["wsgi.input"] = io.BytesIO(body)
page = b"".join(application(environ, lambda status, headers: said.append(status)))
print(said[0], page.decode().split())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy: the page writes beside its code."""
    return shutil.copytree(
        WEBAPP, tmp_path / "webapp", ignore=shutil.ignore_patterns("__pycache__", "*.db*")
    )


def run(folder: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    env = {"HOME": str(folder), "PATH": os.environ["PATH"], "TZ": "UTC"}
    return subprocess.run(
        [sys.executable, *argv], cwd=folder, env=env, capture_output=True, text=True, check=False,
        timeout=50,
    )  # fmt: skip


def page(folder: Path, method: str, body: str = "") -> str:
    return run(folder, "-c", PAGE, method, body).stdout.strip()


def tried(folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    return run(folder, "-m", "cronherd", "schedule", "test", name, "--app", "shop.schedule")


def test_its_schedule_is_what_it_says(folder: Path):
    listed = run(folder, "-m", "cronherd", "schedule", "list", "--app", "shop.schedule", "-ojson")
    items = {item["name"]: item for item in json.load(io.StringIO(listed.stdout))["items"]}
    assert items["send-orders"]["schedule"] == "*/10 * * * 1-5 within 08:00-18:00"
    assert items["forget"]["schedule"] == items["backup"]["schedule"] == "30 2 * * *"
    assert items["month"]["schedule"] == "0 17 L * *"
    assert items["send-one"]["next_at"] is None


def test_what_the_page_takes_the_schedule_sends(folder: Path):
    assert page(folder, "GET") == "200 OK []"
    said = tried(folder, "send-orders")
    assert "when: shop.schedule:has_orders said no" in said.stderr
    assert page(folder, "POST", "what=tea") == "303 See Other []"
    assert page(folder, "GET") == "200 OK ['tea']"
    said = tried(folder, "send-orders")
    assert (said.returncode, "'send-orders' succeeded" in said.stderr) == (0, True)
    assert page(folder, "GET") == "200 OK []"


def test_it_rests_while_the_shop_is_down_but_for_the_backup(folder: Path):
    page(folder, "POST", "what=tea")
    (folder / "down").touch()
    said = tried(folder, "forget")
    assert "skip: shop.schedule:is_down said yes" in said.stderr
    assert tried(folder, "backup").returncode == 0
    assert (folder / "shop.db.bak").exists()
