"""docs/schedule-in-code.md and docs/coming-from-laravel.md do what they say."""

import re
from pathlib import Path
from typing import Any

import pytest

from cronherd.definition.jobs import build_jobs
from cronherd.sdk.app import load_app

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(name: str) -> list[str]:
    text = (DOCS / name).read_text("utf-8")
    return re.findall(r"(?m)^```python\n((?:.*\n)*?)```$", text)


def specs(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int, code: str) -> list[Any]:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("cronherd.task._TASKS", {})
    (folder / f"guide{number}.py").write_text(code)
    app = load_app(f"guide{number}:schedule")
    return [dict(job.spec) for job in build_jobs(app.definitions(), timezone="UTC")]


def test_the_first_one_and_the_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    first, group = blocks("schedule-in-code.md")
    backup, report = specs(monkeypatch, tmp_path, 1, first)
    assert (backup["name"], backup["schedule"]) == ("backup-all", "30 2 * * *")
    assert report["schedule"] == "0 * * * 1-5"
    assert report["window"] == "08:00-18:00"
    assert (report["args"], report["hooks"]) == (["north"], {"when": "guide1:has_news"})
    backup, vacuum = specs(monkeypatch, tmp_path, 2, group)
    assert (backup["schedule"], vacuum["schedule"]) == ("30 2 * * *", "0 0 * * 0")
    assert vacuum["tags"] == ["night"]


def test_what_came_from_laravel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (code,) = blocks("coming-from-laravel.md")
    (report,) = specs(monkeypatch, tmp_path, 3, code)
    assert report == {
        "name": "report",
        "command": "php artisan report --all",
        "timezone": "Europe/Berlin",
        "window": "08:00-17:00",
        "schedule": "0 * * * 1-5",
        "timeout": "10m",
        "mailto": "ops@example.com",
        "mail": "on_failure",
    }
