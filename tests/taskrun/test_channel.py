"""Descriptor 3 from the task's side: throttled, the last one always, and never in a task's way."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cronherd.engine.clock import FakeClock
from cronherd.task import Context
from cronherd.taskrun import channel as module
from cronherd.taskrun.channel import PERIOD_US, Channel, Meter
from tests.taskrun.conftest import Run


@dataclass
class Pipe:
    """Both ends, and what came out so far."""

    ours: int
    theirs: int

    def read(self) -> list[Any]:
        os.set_blocking(self.ours, False)
        try:
            return [json.loads(line) for line in os.read(self.ours, 1 << 20).splitlines()]
        except BlockingIOError:
            return []


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)  # this process lives on
    made = Pipe(*os.pipe())
    yield made
    for end in (made.ours, made.theirs):
        if module._mark(end):
            os.close(end)


class Timers:
    """Timers that fire when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: list[Any] = []
        monkeypatch.setattr(module, "_started_timer", self._start)

    def _start(self, seconds: float, act: Any) -> Any:
        self.waiting.append((seconds, act))
        return threading.Timer(seconds, act)

    def fire(self) -> None:
        for _, act in self.waiting:
            act()
        self.waiting.clear()


def meter_of(pipe: Pipe, clock: FakeClock) -> Meter:
    return Meter(Channel(pipe.theirs), clock.boot_us)


def test_progress_is_passed_on_twice_a_second(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    timers, clock = Timers(monkeypatch), FakeClock()
    meter = meter_of(pipe, clock)
    for number in range(100):
        meter.report(number, 100, "")
        clock.advance(0.001)
    assert pipe.read() == [{"progress": [0, 100, ""]}]
    ((seconds, _),) = timers.waiting
    assert seconds == pytest.approx(PERIOD_US / 1_000_000 - 0.001)
    clock.advance(1)
    timers.fire()
    assert pipe.read() == [{"progress": [99, 100, ""]}]
    meter.report(100, 100, "")
    meter.report(101, 100, "")
    assert pipe.read() == []
    assert len(timers.waiting) == 1


def test_who_reports_seldom_waits_for_nothing(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    timers, clock = Timers(monkeypatch), FakeClock()
    meter = meter_of(pipe, clock)
    for number in range(3):
        meter.report(number, None, "x" * 999)
        assert pipe.read() == [{"progress": [number, None, "x" * 200]}]
        clock.advance(0.5)
    assert not timers.waiting


def test_of_a_long_task_each_240th_of_its_time_is_told(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    timers, clock = Timers(monkeypatch), FakeClock()
    meter = meter_of(pipe, clock)
    for number in range(86_400):
        meter.report(number, 86_400, "")
        clock.advance(1)
        if number % 1000 == 0:
            timers.waiting.clear()
            meter._timer = None
    told = [told["progress"][0] for told in pipe.read()]
    assert told[:100] == list(range(100))
    assert 300 < told[-1] - told[-2] < 400
    assert len(told) < 2_000


def test_progress_leaves_room_for_the_result(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    timers, clock = Timers(monkeypatch), FakeClock()
    monkeypatch.setattr(module, "PROGRESS_BYTES", 1_000)
    meter = meter_of(pipe, clock)
    for number in range(1_000):
        meter.report(number, 1_000, "some text")
        clock.advance(10)
    assert 20 < len(pipe.read()) < 40
    assert not timers.waiting
    meter.report(1_000, 1_000, "")
    meter.flush()
    assert pipe.read() == [{"progress": [1000, 1000, ""]}]


def test_the_last_one_is_told_at_the_end_and_once(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    Timers(monkeypatch)
    meter = meter_of(pipe, FakeClock())
    meter.report(1, 2, "")
    meter.report(2, 2, "")
    meter.flush()
    meter.flush()
    assert [told["progress"][0] for told in pipe.read()] == [1, 2]


def test_without_a_thread_to_be_had_the_end_passes_it_on(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    meter = meter_of(pipe, FakeClock())
    meter.report(1, 2, "")
    meter.report(2, 2, "")
    meter.flush()
    assert [told["progress"][0] for told in pipe.read()] == [1, 2]


def test_a_full_pipe_holds_no_task_up_and_the_newest_is_told_later(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
):
    Timers(monkeypatch)
    clock = FakeClock()
    meter = meter_of(pipe, clock)
    os.set_blocking(pipe.theirs, False)
    filled = b'"' + b"x" * 4_093 + b'"\n'
    with suppress(BlockingIOError):
        while os.write(pipe.theirs, filled):
            pass
    os.set_blocking(pipe.theirs, True)
    for number in range(5):
        meter.report(number, 5, "")
        clock.advance(1)
    pipe.read()
    meter.report(5, 5, "")
    assert pipe.read()[-1] == {"progress": [5, 5, ""]}


def test_a_reader_that_is_gone_is_no_fault_of_the_task(pipe: Pipe):
    channel = Channel(pipe.theirs)
    os.close(pipe.ours)
    assert channel.say("result", 1)
    assert channel.hint("progress", [1])
    assert channel._descriptor is None


def test_all_of_a_long_line_is_written_whatever_the_pipe_is(pipe: Pipe):
    channel = Channel(pipe.theirs)
    os.set_blocking(pipe.theirs, False)
    found: list[bytes] = []

    def read() -> None:
        while not found or not found[-1].endswith(b"\n"):
            found.append(os.read(pipe.ours, 10_000))

    reader = threading.Thread(target=read)
    reader.start()
    channel.say("result", "x" * 300_000)
    reader.join(10)
    assert json.loads(b"".join(found)) == {"result": "x" * 300_000}


def test_a_child_is_not_given_the_descriptor(pipe: Pipe):
    os.set_inheritable(pipe.theirs, True)  # noqa: FBT003 (its only form)
    Channel(pipe.theirs)
    assert not os.get_inheritable(pipe.theirs)


def test_without_a_descriptor_nothing_is_told(tmp_path: Path):
    channel = Channel(None)
    assert channel.say("result", 1)
    assert channel.hint("progress", [1])
    channel.close()
    assert not Channel(os.sysconf("SC_OPEN_MAX") - 1)._is_ours()


def test_outside_of_a_run_a_context_tells_nobody():
    context = Context(job="mine")
    context.progress(1, 2, "x")
    assert not context.cancelled.is_set()
    assert "mine" in repr(context)
    wrong: tuple[Any, ...]
    for wrong in (("1",), (None,), (True,), (1, "2"), (1, False)):
        with pytest.raises(TypeError, match="in numbers, not in"):
            context.progress(*wrong)


# ------------------------------------------------------------------ in a process of its own


def test_a_thousand_steps_are_few_lines_and_the_last_is_there(run: Run):
    ended = run("examples:steps", [1000])
    assert ended.progress[0] == [1, 1000, "step 1"]
    assert ended.progress[-1] == [1000, 1000, "step 1000"]
    assert 2 <= len(ended.progress) <= 4
    assert ended.code == 0


def test_infinity_is_shown_by_nothing(run: Run):
    ended = run("examples:endless")
    assert (ended.code, ended.raw) == (0, b"")


def test_children_hold_nothing_of_it(run: Run):
    ended = run("examples:fork")
    assert (ended.code, ended.err) == (0, "")
    assert "3" in ended.told.result.split(), "ls has its folder there"
    assert "4" not in ended.told.result.split()
    assert ended.progress == []


def test_what_the_task_opens_in_its_place_is_left_alone(run: Run, tmp_path: Path):
    mine = tmp_path / "mine"
    ended = run("examples:take_over", env={"MINE": str(mine)})
    assert (ended.code, ended.raw, mine.read_text()) == (0, b"", "")
