"""docs/tasks.md does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest

from cronherd.definition.document import load_document
from cronherd.definition.jobs import read_jobs
from cronherd.task import Context
from tests.taskrun.conftest import Run

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text("utf-8")


def block(language: str, word: str) -> str:
    """The one block of the guide with this word in it."""
    found = re.findall(rf"(?m)^```{language}\n((?:.*\n)*?)```$", GUIDE)
    found = [body for body in found if word in body]
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reports.py").write_text(block("python", "nightly"))
    (tmp_path / "shelves.py").write_text(block("python", "refill"))
    return tmp_path


def spec() -> dict[str, Any]:
    document = load_document(block("yaml", "nightly-report"), "guide")
    (job,) = read_jobs(document.value, document.place, timezone="UTC")
    return dict(job.spec)


def test_its_first_task_runs_as_its_job_says(run: Run, folder: Path):
    job = spec()
    ended = run(job["task"], job["args"], cwd=str(folder))
    assert (ended.code, ended.told.result) == (0, {"region": "north", "pages": 40})
    assert ended.progress[-1] == [40, 40, "page 40 of north"]
    assert ended.err == "INFO 40 pages for the slot None\n"


def test_its_polite_task_runs(run: Run, folder: Path):
    ended = run("shelves:refill", [["ab", "c"]], cwd=str(folder))
    assert (ended.code, ended.told.result) == (0, 3)


def test_it_names_every_part_of_the_context():
    parts = {name for name in dir(Context) if not name.startswith("_")}
    assert len(parts) == 10
    assert not [name for name in parts if not re.search(rf"\| .*`{name}[`(]", GUIDE)]
