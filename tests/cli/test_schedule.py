"""`cronherd schedule` and `cronherd task`: jobs as code, from the command line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, make_run

APP = """
import sys
from cronherd import Scheduler, task
schedule = Scheduler(timezone="Europe/Berlin", environment="test")

@task
def add(first: int, second: int = 2) -> int:
    "Add two numbers."
    print("adding", file=sys.stderr)
    return first + second

@task
def fail() -> None:
    raise ValueError("no such table")

def closed() -> bool:
    return False

schedule.command("backup --all").daily_at("2:30").name("backup")
schedule.task("add", 1).hourly()
schedule.command("off").every_minute().environments("production")
schedule.command("hand").by_hand()
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "shopapp.py").write_text(APP)
    monkeypatch.setattr("cronherd.task._TASKS", {})
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("shopapp", None)


def test_list_shows_each_job_its_next_time_and_its_line(cronherd: Shell):
    """D2.7: schedule list."""
    said = cronherd("schedule", "list", "--app", "shopapp", "--utc", "-o", "wide")
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines == [
        "NEXT LEFT JOB SCHEDULE RUNS WHERE",
        "2026-11-22 01:30:00 UTC 15h 30m backup 30 2 * * * backup --all shopapp.py:19",
        "2026-11-21 11:00:00 UTC 1h add 0 * * * * shopapp:add shopapp.py:20",
        "off - off * * * * * off shopapp.py:21",
        "- - hand - hand shopapp.py:22",
    ]


def test_list_next_has_the_nearest_first(cronherd: Shell):
    said = cronherd("schedule", "list", "--next", "--app", "shopapp:schedule", "-o", "name")
    assert said.out.split() == ["add", "backup", "off", "hand"]
    document = json.loads(cronherd("schedule", "list", "--app", "shopapp", "-o", "json").out)
    assert document["app"] == "shopapp:schedule"
    assert document["items"][0]["next_at"] == "2026-11-22T01:30:00Z"


def test_a_fault_is_a_sentence_with_its_line(cronherd: Shell, tmp_path: Path):
    (tmp_path / "shopbad.py").write_text(
        "from cronherd import Scheduler\nschedule = Scheduler()\n"
        "schedule.command('x').cron('61 * * * *')\nschedule.command('y').daily().timeout('soon')\n"
    )
    said = cronherd("schedule", "list", "--app", "shopbad")
    assert (said.code, said.out) == (1, "")
    assert "cronherd: shopbad.py:3: x.schedule: " in said.err
    assert "cronherd: shopbad.py:4: y.timeout: " in said.err
    assert cronherd("schedule", "list").code == 2
    assert "has no 'nothing'" in cronherd("schedule", "list", "--app", "shopapp:nothing").err


def test_apply_takes_code_like_a_file(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("apply", "-f", "shopapp:schedule", "--yes")
    assert (said.code, "4 jobs applied" in said.err) == (0, True)
    assert fleet.calls[-1] == "apply code:shopapp:schedule for good"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("shopapp.py", "write -f shopapp:schedule"),
        ("shopapp", "write -f shopapp:schedule"),
        ("{}/shopapp.py", "write -f package.module:object"),
    ],
)
def test_apply_of_a_file_of_code_says_how_it_is_written(
    cronherd: Shell, tmp_path: Path, said: str, hint: str
):
    refused = cronherd("apply", "-f", said.format(tmp_path), "--yes")
    assert (refused.code, "is Python: jobs in code" in refused.err) == (1, True)
    assert hint in refused.err


def test_clear_lock_cancels_what_holds_a_job(cronherd: Shell, fleet: FakeFleet):
    """D2.7: schedule clear-lock."""
    cronherd("job", "create", "backup", "-c", "true")
    assert "nothing holds 'backup'" in cronherd("schedule", "clear-lock", "backup").err
    fleet.ended = [make_run(7, state="running", outcome=None)]
    said = cronherd("schedule", "clear-lock", "backup")
    assert (said.code, "cancel 00000007" in fleet.calls) == (2, False)
    said = cronherd("schedule", "clear-lock", "backup", "--yes")
    assert (said.code, said.err) == (0, "cancelled run 00000007\n")
    assert fleet.calls[-1] == "cancel 00000007"
    waits = make_run(9, state="waiting", outcome=None)
    fleet.ended = [waits]
    assert "nothing holds" in cronherd("schedule", "clear-lock", "backup").err
    silent = make_run(8, state="running", outcome=None, silent_since="2026-11-21T09:00:00Z")
    fleet.ended = [silent]
    said = cronherd("schedule", "clear-lock", "backup", "--yes")
    assert said.code == 1
    assert "cronherd node remove web-1 --confirm-dead" in said.err


def test_tasks_are_listed_and_run_here(cronherd: Shell):
    said = cronherd("task", "list", "--app", "shopapp")
    assert "add   shopapp:add   Add two numbers.\nfail  shopapp:fail\n" in said.out
    said = cronherd("task", "run", "add", "--app", "shopapp", "--args", "[40]")
    assert (said.code, said.out, said.err) == (0, "42\n", "adding\n")
    said = cronherd("task", "run", "fail", "--app", "shopapp")
    assert (said.code, said.out) == (1, "")
    assert "ValueError: no such table" in said.err
    said = cronherd("task", "run", "add", "--app", "shopapp", "--args", '{"third": 3}')
    assert (said.code, "the args do not fit" in said.err) == (126, True)
    assert "there are: add, fail" in cronherd("task", "run", "x", "--app", "shopapp").err
    assert cronherd("task", "run", "add", "--app", "shopapp", "--args", "{").code == 2
