"""Which function is called, with what, and what the exit code says when it is not."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cronherd.engine import taskorder
from cronherd.taskrun import main
from tests.taskrun.conftest import Run, by_hand


@pytest.mark.parametrize(
    ("args", "result"),
    [
        (None, {"values": [], "named": {}}),
        ([], {"values": [], "named": {}}),
        ([1, "two", {"three": None}], {"values": [1, "two", {"three": None}], "named": {}}),
        ({"day": "1", "rows": [2]}, {"values": [], "named": {"day": "1", "rows": [2]}}),
    ],
)
def test_a_list_is_values_in_order_and_a_mapping_is_by_name(run: Run, args: Any, result: Any):
    ended = run("examples:echo", args)
    assert (ended.code, ended.told.result, ended.told.error) == (0, result, None)


def test_defaults_hold_for_what_is_left_out(run: Run):
    assert run("examples:add", [40]).told.result == 42
    assert run("examples:add", {"first": 1, "second": 1}).told.result == 2


def test_a_coroutine_is_run_to_its_end(run: Run):
    ended = run("examples:later", ["done"])
    assert (ended.code, ended.told.result, ended.progress) == (0, "DONE", [[1, 1, ""]])


def test_a_function_of_a_class_may_be_named(run: Run):
    assert run("examples:Shop.close").told.result == "closed"


def test_whoever_asks_for_a_context_gets_one(run: Run):
    env = {
        "CRONHERD_RUN_ID": "r1", "CRONHERD_JOB_NAME": "nightly", "CRONHERD_ATTEMPT": "2",
        "CRONHERD_SCHEDULED_AT": "2027-01-15T08:00:00Z", "CRONHERD_FENCE": "7",
        "CRONHERD_NODE": "alpha", "PARAM_SINCE_DAY": "monday", "PARAM_ROWS": "5",
    }  # fmt: skip
    ended = run("examples:who", None, "--dry-run=true", "--since-day=x", env=env)
    assert ended.told.result == {
        "run_id": "r1",
        "job": "nightly",
        "scheduled_at": "2027-01-15T08:00:00+00:00",
        "attempt": 2,
        "fence": 7,
        "node": "alpha",
        "params": {"since_day": "monday", "rows": "5", "dry_run": "true"},
        "argv": ["examples:who", "--dry-run=true", "--since-day=x"],
        "path": str(Path(__file__).parent),
        "seen": False,
    }
    assert ended.err == "INFO hello from nightly\n"


def test_a_run_that_somebody_asked_for_has_no_slot(run: Run):
    assert (
        run("examples:who", env={"CRONHERD_SCHEDULED_AT": ""}).told.result["scheduled_at"] is None
    )


@pytest.mark.parametrize(
    ("head", "gets"),
    [
        ("def f(context, *rest)", True),
        ("def f(any: Context)", True),
        ("def f(any: 'Context')", True),
        ("def f(any: 'task.Context')", True),
        ("def f(*, context)", True),
        ("def f(*, any: Context)", True),
        ("async def f(context)", True),
        ("def f(*context)", False),
        ("def f(**context)", False),
        ("def f(first=None, context=None)", False),
        ("def f(any: 'Elsewhere' = None)", False),
    ],
)
def test_the_first_parameter_says_whether_it_wants_a_context(
    run: Run, tmp_path: Path, head: str, *, gets: bool
):
    words = "type(next(iter(locals().values()))).__name__"
    text = f"from cronherd import task\nfrom cronherd.task import Context\n{head}:\n return {words}"
    (tmp_path / "mine.py").write_text(text)
    ended = run("mine:f", cwd=str(tmp_path))
    assert (ended.code, ended.told.result == "Context") == (0, gets)


def test_a_context_of_the_args_is_the_one_it_gets(run: Run):
    ended = run("examples:told", {"steps": 3})
    assert ended.told.result == 3
    (ended,) = [run("examples:watching", {"context": "mine"})]
    assert "multiple values for argument 'context'" in ended.err


def test_an_argument_called_context_goes_before_ours(run: Run, tmp_path: Path):
    (tmp_path / "mine.py").write_text("def f(context): return context")
    assert run("mine:f", {"context": "mine"}, cwd=str(tmp_path)).told.result == "mine"


# ------------------------------------------------------------------ what cannot be called


@pytest.mark.parametrize(
    ("task", "args", "code", "words"),
    [
        ("absent:f", None, 127, "there is no module 'absent'"),
        ("absent.deep:f", None, 127, "there is no module 'absent'"),
        ("examples.deep:f", None, 127, "there is no module 'examples.deep'"),
        ("examples:ecko", None, 127, "'examples' has no function 'ecko'; did you mean 'echo'?"),
        ("examples:Shop.klose", None, 127, "no function 'Shop.klose'; did you mean 'close'?"),
        ("examples", None, 127, "'examples' names no task: write package.module:function"),
        ("examples:shelf", None, 126, "'shelf' of 'examples' is no function"),
        ("examples:pages", None, 126, "'examples:pages' yields: a task returns"),
        ("examples:add", None, 126, "missing a required argument: 'first' (it is add(first: int"),
        ("examples:add", [1, 2, 3], 126, "the args do not fit: too many positional arguments"),
        ("examples:add", {"first": 1, "third": 2}, 126, "unexpected keyword argument 'third'"),
        ("examples:later", {}, 126, "missing a required argument: 'value'"),
    ],
)
def test_a_sentence_says_what_cannot_be_called(
    run: Run, task: str, args: Any, code: int, words: str
):
    ended = run(task, args)
    assert ended.code == code
    assert ended.err.startswith("cronherd: ")
    assert words in ended.err
    assert ended.err.count("\n") == 1, "no traceback"
    assert ended.told.error is not None
    assert words in ended.told.error["message"]
    assert (ended.told.error["type"], ended.told.error["traceback"]) == ("", "")


def test_what_the_module_itself_misses_is_its_own_failure(run: Run, tmp_path: Path):
    (tmp_path / "mine.py").write_text("import absent_library\ndef f(): pass")
    ended = run("mine:f", cwd=str(tmp_path))
    assert ended.code == 1
    assert ended.told.error is not None
    assert ended.told.error["type"] == "ModuleNotFoundError"
    assert 'mine.py", line 1' in ended.told.error["traceback"]
    assert "importlib" not in ended.err


def test_the_directory_and_the_path_of_the_job_are_searched(run: Run, tmp_path: Path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "mine.py").write_text("import other\ndef f(): return other.where")
    (tmp_path / "there" / "other.py").write_text("where = 'there'")
    env = {"PYTHONPATH": str(tmp_path / "there")}
    assert run("mine:f", cwd=str(tmp_path / "here"), env=env).told.result == "there"
    (tmp_path / "here" / "other.py").write_text("where = 'here'")
    assert run("mine:f", cwd=str(tmp_path / "here"), env=env).told.result == "here"


def test_the_folder_of_the_agent_is_not_on_the_path(run: Run, tmp_path: Path):
    (tmp_path / "mine.py").write_text("import sys\ndef f(): return sys.path")
    source = str(Path(taskorder.__file__).resolve().parents[2])
    env = {"CRONHERD_PYTHON": "/usr/bin/python3"} if Path("/usr/bin/python3").exists() else {}
    path = run("mine:f", cwd=str(tmp_path), env=env).told.result
    assert path[0] == str(tmp_path)
    assert source not in path


def test_a_job_may_name_another_interpreter(run: Run, tmp_path: Path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "mine: $#"\n')
    python.chmod(0o755)
    assert run("examples:nothing", env={"CRONHERD_PYTHON": str(python)}).out == "mine: 4\n"


def test_an_interpreter_that_is_too_old_is_refused_in_one_sentence(run: Run, tmp_path: Path):
    """Its version is as the runner sees it: hosts that build this have no old one."""
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nshift\nboot=$1\nshift\n"
        f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9, 18)\n$boot" "$@"\n'
    )
    python.chmod(0o755)
    ended = run("examples:nothing", env={"CRONHERD_PYTHON": str(python)})
    why = f"{sys.executable} is Python 3.9, and a task needs 3.11 or newer"
    assert (ended.code, ended.err) == (126, f"cronherd: {why}\n")
    assert ended.told.error == {"type": "", "message": why, "traceback": ""}


def test_files_of_ours_that_its_user_may_not_read_are_named(run: Run, monkeypatch: Any):
    monkeypatch.setattr(taskorder, "_SOURCE", "/nowhere")
    ended = run("examples:nothing")
    why = "the user of this run may not read cronherd itself, in /nowhere"
    assert (ended.code, ended.err) == (126, f"cronherd: {why}\n")
    assert ended.told.error is not None
    assert ended.told.error["message"] == why


def test_a_missing_module_is_looked_for_where_the_sentence_says(run: Run, tmp_path: Path):
    (tmp_path / "mine.py").write_text("def f(): return 1")
    ended = run("mine:f", cwd="/")
    assert ended.code == 127
    assert "there is no module 'mine', neither in / nor" in ended.err
    assert "the job's cwd says where to look" in ended.err
    ended = run("mine.py:f", cwd=str(tmp_path))
    assert ended.err == "cronherd: 'mine.py' is a file and no module: write mine:f\n"


def test_both_sides_mean_the_same_variable():
    assert main.ORDER == taskorder.ORDER


def test_by_hand_it_writes_to_no_descriptor_it_was_not_given(tmp_path: Path):
    other = tmp_path / "other"
    assert by_hand("examples:Shop.close", OTHER=str(other)).returncode == 0
    assert other.read_text() == ""
    ended = by_hand("examples:add")
    assert ended.returncode == 126
    assert by_hand("examples:nothing").returncode == 0
    assert by_hand("examples:odd").stderr.startswith("cronherd: the args do not fit")


def test_the_order_is_json_and_says_which_signal_asks_it_to_end():
    from cronherd.domain.job import build_job  # noqa: PLC0415 - only here

    job = build_job({"name": "j", "command": "", "task": "a:b", "args": [1], "stop_signal": "INT"})
    assert json.loads(taskorder.task_environment(job)["CRONHERD_TASK"]) == {
        "args": [1],
        "signal": 2,
    }
    assert taskorder.task_environment(build_job({"name": "j", "command": "true"})) == {}
