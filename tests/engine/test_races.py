"""Interleavings that were found by reading, made by hand."""

import threading
from pathlib import Path
from typing import Any

import pytest

from cronherd.engine import agent as agent_module
from cronherd.engine.agent import Agent
from cronherd.engine.mailroom import NoMailroom
from cronherd.supervisor.base import Gone
from tests.engine.stand_in import Rig, void


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_void_report_of_an_earlier_claim_does_not_hide_the_present_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = rig.request("job")
    first = rig.claim()
    rig.live.add([first])
    rig.supervisor.say(void(first), 10)
    rig.finisher.tick()
    assert rig.state(run_id) == "ready"
    second = rig.claim()  # the same attempt, another token; the agent is killed once it runs
    rig.begin(replay_until=30)
    rig.supervisor.say(void(first), 10)
    rig.supervisor.say(Gone(run_id=run_id, attempt=1, token=second.token), 30)
    whole = rig.supervisor.reports
    calls: list[int] = []

    def apart(timeout_s: float) -> Any:
        calls.append(1)
        if len(calls) == 2:  # the frames come further apart than one batch reaches
            rig.clock.advance(1)
            return [], 10
        return whole(timeout_s)

    monkeypatch.setattr(rig.supervisor, "reports", apart)
    rig.reaper.settle(rig.node.id, same_boot=True)
    assert rig.state(run_id) == "lost"


def test_a_cancel_that_overtakes_its_order_is_told_again(rig: Rig) -> None:
    run_id = rig.request("job")
    claim = rig.claim()
    rig.store.cancel_run(run_id)
    wanted = rig.store.look(rig.node.id, 0).cancels
    rig.worker.cancel(wanted)  # the supervisor does not know the run yet
    rig.supervisor.cancelled.clear()
    rig.worker.dispatch([claim], rig.clock.boot_us())
    rig.worker.cancel(rig.store.look(rig.node.id, 0).cancels)
    assert rig.supervisor.cancelled == [(run_id, 1)]


def test_a_stop_while_it_begins_again_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    made: list[object] = []

    class BriefLife:
        def __init__(self, parts: object, *, lost: object) -> None:
            made.append(self)

        def begin(self) -> None:
            pass

        def leave(self) -> None:
            inside.set()
            assert go_on.wait(5)

        def end(self) -> None:
            pass

        def drain(self, timeout_s: float) -> bool:
            return True

    monkeypatch.setattr(agent_module, "Life", BriefLife)

    class Parts:
        clock = rig.clock
        mailroom = NoMailroom()

    agent = Agent(Parts())  # type: ignore[arg-type]
    agent.start()
    agent._over.set()
    assert inside.wait(5)
    stopping = threading.Thread(target=agent.stop, daemon=True)
    stopping.start()
    assert agent._stopping.wait(5)
    go_on.set()
    stopping.join(5)
    assert not stopping.is_alive(), "stop() hangs"
    assert len(made) == 1
