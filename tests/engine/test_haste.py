"""Who is told to end gives the database a moment, and none when it has just not answered."""

from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.engine.agent import HASTE_S
from cronherd.store.base import Look
from tests.engine.stand_in import Rig
from tests.engine.test_stepping_down import life_of


class Ending:
    """A life that may be ended, and what it said to its database."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.life, self.supervisor = life_of(self.rig)
        self.said: list[float | None] = []
        self.life._parts = replace(self.life._parts, give_up=self.said.append)


@pytest.fixture
def ending(tmp_path: Path) -> Ending:
    return Ending(tmp_path)


def _away(ending: Ending, patch: pytest.MonkeyPatch) -> None:
    def look(node_id: str, horizon_us: int) -> Look:
        raise Unavailable("the database does not answer", code="database_lost")

    patch.setattr(ending.rig.store, "look", look)


def test_while_runs_are_waited_for_the_database_is_used_as_ever(ending: Ending) -> None:
    assert ending.life.drain(0)
    assert ending.said == [HASTE_S, None]


def test_a_drain_that_is_not_heard_lets_the_database_come_back(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _away(ending, patch)
        ending.life.drain(0)
        assert ending.said == [HASTE_S, None]
    ending.life.drain(0)
    ending.life.hasten()
    assert ending.said == [HASTE_S, None, HASTE_S, None, HASTE_S]


def test_a_database_that_did_not_answer_is_not_waited_for_at_the_end(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    _away(ending, monkeypatch)
    ending.life.drain(0)
    ending.life.cancel_all(0)
    assert ending.said == [HASTE_S, None, 0.0]


def test_a_cancel_waits_for_a_database_that_answers(ending: Ending) -> None:
    ending.life.drain(0)
    ending.life.cancel_all(0)
    assert ending.said == [HASTE_S, None]
