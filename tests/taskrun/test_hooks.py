"""Functions around a task and around a command: when they are called, and what becomes of it."""

import signal
import time
from typing import Any

from cronherd.domain.telling import parse_line
from tests.taskrun.conftest import Ended, Run, Start

ECHO = ["sh", "-c", "echo work"]


def hooks(**functions: Any) -> dict[str, Any]:
    """As a validated spec has them."""
    return {"hooks": {kind: f"hooked:{name}" for kind, name in functions.items()}}


def skipped(ended: Ended) -> list[Any]:
    found = [parse_line(line) for line in ended.raw.splitlines()]
    return [value for kind, value in filter(None, found) if kind == "skipped"]


def test_all_are_called_around_a_command_in_their_order(run: Run):
    around = hooks(when="yes", skip="no", before="before", on_success="good", after="after")
    ended = run(None, None, "extra", command=[*ECHO], **around)
    assert (ended.code, ended.told.error) == (0, None)
    assert ended.out.splitlines() == ["yes", "no", "before", "work", "good job", "after"]


def test_all_are_called_around_a_task_whose_result_is_kept(run: Run):
    ended = run("examples:add", [1], **hooks(before="before", on_failure="bad", after="after"))
    assert (ended.code, ended.told.result) == (0, 3)
    assert ended.out.splitlines() == ["before", "after"]


def test_a_no_starts_nothing_and_says_who_said_it(run: Run):
    calls = {"before": "before", "on_success": "good", "on_failure": "bad", "after": "after"}
    for asked, sentence in (
        ("when", "when: hooked:no said no"),
        ("skip", "skip: hooked:yes said yes"),
    ):
        ended = run(
            None, command=ECHO, **hooks(**{asked: sentence.split(":")[2].split()[0]}, **calls)
        )
        assert ended.code == 0
        assert "work" not in ended.out
        assert "after" not in ended.out
        assert skipped(ended) == [sentence]
        assert f"cronherd: skipped, {sentence}" in ended.err


def test_an_async_hook_is_awaited(run: Run):
    ended = run(None, command=ECHO, **hooks(when="later_no"))
    assert skipped(ended) == ["when: hooked:later_no said no"]


def test_who_cannot_be_asked_fails_the_run_and_starts_nothing(run: Run):
    ended = run(None, command=ECHO, **hooks(when="broken", on_failure="bad", after="after"))
    assert (ended.code, skipped(ended), ended.out) == (1, [], "")
    assert ended.told.error is not None
    assert ended.told.error["message"] == "cannot tell"
    missing = run(None, command=ECHO, **hooks(when="nowhere"))
    assert (missing.code, missing.out) == (127, "")
    leaves = run(None, command=ECHO, **hooks(skip="leaves"))
    assert (leaves.code, leaves.out) == (1, "")
    assert leaves.told.error is not None


def test_before_that_raises_fails_the_run_unstarted_and_the_others_follow(run: Run):
    ended = run(None, command=ECHO, **hooks(before="broken", on_failure="bad", after="after"))
    assert ended.code == 1
    assert ended.out.splitlines() == ["bad", "after"]
    assert ended.told.error is not None


def test_what_fails_afterwards_changes_nothing_but_is_told(run: Run):
    ended = run(None, command=ECHO, **hooks(on_success="broken", after="leaves"))
    assert (ended.code, ended.told.error) == (0, None)
    assert ended.told.notes == (
        "on_success: hooked:broken failed: ValueError: cannot tell",
        "after: hooked:leaves failed: SystemExit: 0",
    )
    assert "ValueError: cannot tell" in ended.err


def test_the_exit_code_is_the_commands_own(run: Run):
    around = hooks(on_success="good", on_failure="bad", after="after")
    ended = run(None, command=["sh", "-c", "exit 3"], **around)
    assert (ended.code, ended.out.splitlines()) == (3, ["bad", "after"])
    ended = run(None, command=["sh", "-c", "exit 3"], success_codes=[3], **around)
    assert (ended.code, ended.out.splitlines()) == (3, ["good job", "after"])
    ended = run(None, command=["sh", "-c", "kill -9 $$"], **around)
    assert (ended.code, ended.out.splitlines()) == (-signal.SIGKILL, ["bad", "after"])
    ended = run(None, command=["/nowhere/at/all"], **around)
    assert (ended.code, ended.out.splitlines()) == (127, ["bad", "after"])
    assert ended.told.error is not None
    assert "cannot execute /nowhere/at/all" in ended.told.error["message"]


def test_a_task_that_leaves_or_raises_has_its_hooks_too(run: Run):
    around = hooks(on_failure="bad", after="after")
    ended = run("hooked:leaves_with_four", **around)
    assert (ended.code, ended.out.splitlines()) == (4, ["bad", "after"])
    ended = run("hooked:broken", **around)
    assert (ended.code, ended.out.splitlines()) == (1, ["bad", "after"])


def test_a_run_that_is_to_end_lets_its_command_end_and_calls_them(start: Start):
    around = hooks(on_success="good", on_failure="bad", after="after")
    command = ["sh", "-c", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done"]
    task = start(None, command=command, **around)
    assert task.process.stdout is not None
    assert task.process.stdout.readline() == "up\n"
    began = time.monotonic()
    task.signal_group(signal.SIGTERM)
    ended = task.end()
    assert time.monotonic() - began < 20
    assert (ended.code, ended.out.splitlines()) == (0, ["asked", "bad", "after"])


def test_the_command_does_not_see_the_runner(run: Run):
    script = "env | grep -c CRONHERD_TASK; echo x >&3"
    ended = run(None, command=["sh", "-c", script], **hooks(after="after"))
    assert ended.out.splitlines()[0] == "0"
    assert ended.told.notes == ()
    assert "3" in ended.err
