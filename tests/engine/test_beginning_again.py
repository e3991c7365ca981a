"""An agent whose life was lost takes another one, however often that fails."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cronherd.engine import agent as agent_module
from cronherd.engine.agent import Agent
from cronherd.engine.clock import SystemClock
from cronherd.engine.mailroom import NoMailroom


class FakeLife:
    """A life that a test ends and whose successor may not begin."""

    def __init__(self, parts: Any, *, lost: Any) -> None:
        self.lost = lost
        self._parts = parts

    def begin(self) -> None:
        self._parts.begun()

    def leave(self) -> None:
        self._parts.abandoned()

    def end(self) -> None:
        pass


def test_a_life_that_cannot_begin_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "Life", FakeLife)
    again = threading.Event()
    faults: list[Exception | None] = [None, OSError("no process"), OSError("no process"), None]

    def begun() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault
        if not faults:
            again.set()

    clock = SystemClock()
    monkeypatch.setattr(clock, "wait", lambda event, seconds: event.is_set())
    parts: Any = SimpleNamespace(
        clock=clock, begun=begun, abandoned=lambda: None, mailroom=NoMailroom()
    )
    agent = Agent(parts)
    agent.start()
    agent._over.set()
    assert again.wait(5)
    agent.stop()


def test_a_life_that_is_lost_at_once_is_not_followed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent_module, "Life", FakeLife)
    again = threading.Event()
    waited: list[float] = []
    lives: list[int] = []

    def begun() -> None:
        lives.append(len(lives))
        if len(lives) == 2:
            agent._over.set()
        elif len(lives) == 3:
            again.set()

    def wait(event: threading.Event, seconds: float) -> bool:
        waited.append(seconds)
        return event.is_set()

    clock = SystemClock()
    monkeypatch.setattr(clock, "wait", wait)
    parts: Any = SimpleNamespace(
        clock=clock, begun=begun, abandoned=lambda: None, mailroom=NoMailroom()
    )
    agent = Agent(parts)
    agent.start()
    agent._over.set()
    assert again.wait(5)
    assert waited == [1.0]
    agent.stop()
