"""Numbers of descriptors are used again: nothing of ours is polled when something is closed."""

import signal
from pathlib import Path
from typing import Any, Self

import pytest

from cronherd.engine.clock import SystemClock
from cronherd.tools import gearmanworker
from cronherd.tools.crew import Turn
from cronherd.tools.gearmanworker import ScriptWorker, Wishes


class Polled:
    """In the place of the crew: what is polled, for two turns."""

    turns = 0

    def __init__(self, *_: object) -> None:
        self.polled: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def listen(self, descriptor: int, events: int) -> None:
        self.polled.add(descriptor)

    def leave(self, descriptor: int) -> None:
        self.polled.remove(descriptor)

    def wait(self, until_us: int | None) -> Turn:
        assert self.polled
        self.turns += 1
        return Turn(signals=[signal.SIGHUP] if self.turns == 2 else [])


def test_the_end_of_a_command_is_never_left_in_the_place_of_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An end that nobody hears is a run that never ends, seen with 1,000 runs of real scripts."""
    conf = tmp_path / "conf.json"
    conf.write_text('{"job_servers": [{"server": "127.0.0.1", "port": 1}], "jobs": [{"a": "b"}]}')
    wishes = Wishes(
        path=conf,
        capacity=1,
        grace_us=0,
        name="w",
        syslog=tmp_path / "log",
        fleet=object(),  # type: ignore[arg-type]
    )
    seen: list[set[int]] = []
    take = ScriptWorker._take

    def look(worker: ScriptWorker, turn: Turn, crew: Any) -> None:
        seen.append(set(crew.polled))
        take(worker, turn, crew)

    monkeypatch.setattr(gearmanworker, "Crew", Polled)
    monkeypatch.setattr(ScriptWorker, "_take", look)
    worker = ScriptWorker(wishes, clock=SystemClock(), say=lambda _: None)
    assert worker.run({}) == 0
    assert seen == [set(), set()]
