"""What a task told, as people see it."""

import json
from typing import Any

import pytest

from cronherd.cli.words import progress_of, result_of
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, make_run


def far(done: float, total: float | None = None, text: str = "") -> dict[str, Any]:
    return {"progress": {"done": done, "total": total, "text": text}}


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (37, 100, "37/100"),
        (0, 5, "0/5"),
        (7, 5, "7/5"),
        (37, None, "37"),
        (0.25, None, "0.25"),
        (0.25, 1, "25%"),
        (1, 3.0, "33%"),
        (999_999, 999_999, "999999/999999"),
        (500_000, 1_000_000, "50%"),
        (10**15, 10**15, "100%"),
        (1_999_999, 2_000_000, "99%"),
    ],
)
def test_progress_is_two_numbers_or_a_share(done: float, total: float | None, words: str):
    assert progress_of(far(done, total)) == words


def test_a_run_without_progress_has_its_state_alone():
    assert result_of({"state": "running", "outcome": None}) == "running"
    assert result_of({"state": "running", "outcome": None, "progress": None}) == "running"
    assert result_of({"state": "running", "outcome": None, **far(1, 2)}) == "running (1/2)"
    assert result_of({"state": "finished", "outcome": "succeeded", **far(1, 2)}) == "succeeded"


def running(fleet: FakeFleet) -> None:
    fleet.ended = [make_run(7, state="running", outcome=None, **far(37, 100, "cust\x1bomers"))]


def test_progress_is_shown_in_lists_in_one_run_and_in_the_status(cronherd: Shell, fleet: FakeFleet):
    running(fleet)
    assert "  running (37/100)  " in cronherd("run", "list").out
    said = cronherd("run", "show", "00000007").out
    assert "result:    running (37/100)" in said
    assert "doing:     cust\\x1bomers" in said
    status = cronherd("status").out
    assert "\nRunning\n" in status
    assert "running (37/100)" in status
    document = json.loads(cronherd("run", "list", "-o", "json").out)
    assert document["items"][0]["progress"]["done"] == 37


def test_a_result_is_shown_as_json_and_cut(cronherd: Shell, fleet: FakeFleet):
    fleet.ended = [make_run(7, result={"rows": 12, "who": "é\x1b"}, notes=["was\x1b not kept"])]
    said = cronherd("run", "show", "00000007").out.encode("latin-1").decode()
    assert 'returned:  {"rows": 12, "who": "é\\u001b"}\n' in said
    assert "note:      was\\x1b not kept\n" in said
    assert "doing" not in said
    fleet.ended = [make_run(7, result="x" * 2_000)]
    said = cronherd("run", "show", "00000007").out.encode("latin-1").decode()
    assert f'returned:  "{"x" * 999}… (all of it with -o json)\n' in said
    for nothing in (None, 0, "", False):
        fleet.ended = [make_run(7, result=nothing)]
        assert ("returned:" in cronherd("run", "show", "00000007").out) is (nothing is not None)


def test_a_traceback_stands_at_the_end_line_by_line(cronherd: Shell, fleet: FakeFleet):
    text = "".join(f'  File "{number}"\n' for number in range(60)) + "\tValueError: \x1b no\n"
    fleet.ended = [make_run(7, exception={"type": "", "message": "", "traceback": text})]
    lines = cronherd("run", "show", "00000007").out.encode("latin-1").decode().splitlines()
    assert lines[-1] == "        ValueError: \\x1b no"
    assert lines[-40] == '  File "21"'
    assert lines[-41] == "… 21 lines (all of them with -o json)"
    fleet.ended = [make_run(7, exception=None)]
    assert "…" not in cronherd("run", "show", "00000007").out
