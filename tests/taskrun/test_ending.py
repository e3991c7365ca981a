"""How a task ends: results, exceptions, exit codes, signals."""

import signal
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.telling import RESULT_BYTES, TRACEBACK_BYTES
from tests.taskrun.conftest import Run, Start

# ------------------------------------------------------------------ results


def test_nothing_is_told_of_a_task_that_returns_nothing(run: Run):
    ended = run("examples:nothing")
    assert (ended.code, ended.out, ended.err, ended.raw) == (0, "", "", b"")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("object", "the result was not kept: it is no JSON: Object of type object"),
        ("nan", "the result was not kept: it is no JSON: Out of range float"),
        ("half", "the result was not kept: it is no JSON: 'utf-8' codec can't encode"),
        ("long", "the result was not kept: it is longer than 65,536 bytes as JSON"),
        ("deep", "the result was not kept: it is nested deeper than 50"),
    ],
)
def test_a_result_that_cannot_be_kept_fails_nobody(run: Run, kind: str, words: str):
    ended = run("examples:odd", [kind])
    assert (ended.code, ended.told.result, ended.told.error) == (0, None, None)
    assert ended.told.notes[0].startswith(words)
    assert ended.err == f"cronherd: {ended.told.notes[0]}\n"


def test_a_result_may_be_as_long_as_it_says(run: Run):
    assert len(run("examples:odd", ["most"]).told.result) == RESULT_BYTES - 2
    assert run("examples:odd", ["tuple"]).told.result == [1, {"2": 3}]


# ------------------------------------------------------------------ exceptions


def test_an_exception_is_a_failure_with_its_traceback(run: Run):
    ended = run("examples:fail", ["no such table"])
    assert ended.code == 1
    assert ended.told.error is not None
    assert ended.told.error["type"] == "ValueError"
    assert ended.told.error["message"] == "no such table"
    assert ended.err == ended.told.error["traceback"]
    lines = ended.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'{Path(__file__).parent}/examples.py", line' in lines[1]
    assert lines[-1] == "ValueError: no such table"
    assert "taskrun/main.py" not in ended.err


def test_what_caused_it_stands_before_it(run: Run):
    ended = run("examples:chained")
    assert ended.told.error is not None
    assert "direct cause" in ended.told.error["traceback"]
    assert ended.told.error["type"] == "KeyError"


def test_words_of_any_sort_are_told(run: Run):
    ended = run("examples:fail", ["\x00\x1b[0m\ttab\nline ü"])
    assert ended.told.error is not None
    assert ended.told.error["message"] == "??[0m\ttab\nline ü"


def test_a_long_exception_is_cut_in_the_middle(run: Run):
    ended = run("examples:fail", ["x" * 50_000 + "end"])
    assert ended.told.error is not None
    text = ended.told.error["traceback"]
    assert len(text.encode()) <= TRACEBACK_BYTES
    assert text.startswith("Traceback")
    assert text.endswith("xend\n")
    assert "\n  ...\n" in text
    assert len(ended.told.error["message"]) == 2_000
    assert len(ended.err) > 50_000, "standard error has all of it"


def test_endless_recursion_is_an_exception_like_others(run: Run):
    ended = run("examples:deep")
    assert ended.code == 1
    assert ended.told.error is not None
    assert ended.told.error["type"] == "RecursionError"


def test_an_exception_that_cannot_say_what_it_is_is_told(run: Run):
    ended = run("examples:mute")
    assert ended.code == 1
    assert ended.told.error is not None
    assert ended.told.error["type"].endswith("MuteError")
    assert ended.told.error["message"] == "(RuntimeError while its words were asked for)"


def test_an_exception_is_told_although_the_task_closed_standard_error(run: Run):
    ended = run("examples:deaf", ["no disk"])
    assert ended.code == 1
    assert ended.told.error is not None
    assert (ended.told.error["type"], ended.told.error["message"]) == ("ValueError", "no disk")


@pytest.mark.parametrize(
    ("given", "code", "err"), [(3, 3, ""), (0, 0, ""), (None, 0, ""), ("no disk", 1, "no disk\n")]
)
def test_sys_exit_keeps_its_code(run: Run, given: Any, code: int, err: str):
    ended = run("examples:leave", [given])
    assert (ended.code, ended.out, ended.err, ended.raw) == (code, "before\n", err, b"")


# ------------------------------------------------------------------ signals


def ask(start: Start, task: str, number: int = signal.SIGTERM, **more: Any) -> Any:
    begun = start(task, **more)
    assert begun.process.stdout is not None
    assert begun.process.stdout.readline() == "ready\n"
    begun.process.send_signal(number)
    return begun.end()


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("interrupted", "KeyboardInterrupt"),
        ("stubborn", "KeyboardInterrupt"),
        ("blocking", "KeyboardInterrupt"),
        ("sleeper", "CancelledError"),
    ],
)
def test_a_task_that_does_not_look_is_interrupted_and_cleans_up(start: Start, task: str, kind: str):
    ended = ask(start, f"examples:{task}")
    assert (ended.code, ended.out) == (143, "tidied up\n")
    assert ended.told.error is not None
    assert ended.told.error["type"] == kind
    assert f"in {task}" in ended.told.error["traceback"], "where it was"


def test_a_coroutine_may_end_in_its_own_way(start: Start):
    ended = ask(start, "examples:forgiving")
    assert (ended.code, ended.told.result, ended.err) == (0, "as you like", "")


def test_a_task_that_looks_ends_by_itself(start: Start):
    ended = ask(start, "examples:watching")
    assert (ended.code, ended.told.result, ended.err) == (0, "stopped by itself", "")


def test_another_signal_may_be_what_asks_it_to_end(start: Start):
    ended = ask(start, "examples:interrupted", signal.SIGUSR1, stop_signal="USR1")
    assert (ended.code, ended.out) == (138, "tidied up\n")
    ended = ask(start, "examples:interrupted", signal.SIGTERM, stop_signal="USR1")
    assert (ended.code, ended.out) == (-15, "")


def test_ctrl_c_is_an_interrupt_too(start: Start):
    assert ask(start, "examples:interrupted", signal.SIGINT).code == 130


def test_lines_are_seen_while_it_runs(start: Start):
    begun = start("examples:interrupted", [3600])
    assert begun.process.stdout is not None
    assert begun.process.stdout.readline() == "ready\n"
    assert begun.process.poll() is None
