"""However many runs wait for a job, no statement of a change of it is longer than the others."""

from collections.abc import Sequence
from typing import Any

import pytest

from cronherd.store import database, duerows, endings, permits
from tests.store.sound import assert_sound
from tests.store.stage import Stage

MOST, RUNS = 3, 10


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement named that changed or locked runs."""
    told: list[int] = []
    monkeypatch.setattr(database, "AT_ONCE", MOST)

    def spy(verb: Any) -> Any:
        def told_of(connection: Any, sql: str, values: Sequence[object] = ()) -> Any:
            told.extend(len(value) for value in values if isinstance(value, list))
            return verb(connection, sql, values)

        return told_of

    for module in (duerows, endings, permits):
        monkeypatch.setattr(module, "one", spy(database.one))
        monkeypatch.setattr(module, "fetch", spy(database.fetch))
    return told


def crowd(stage: Stage) -> str:
    job_id = stage.job("crowded", None, overlap="queue", queue_max=RUNS)
    for number in range(RUNS + 1):
        stage.request(job_id, f"m:{number}")
    stage.start(*stage.claim(1))
    assert sorted(stage.states(job_id)) == ["running", *["waiting"] * RUNS]
    return job_id


def test_a_crowd_is_held_and_let_go_in_parts(stage: Stage, longest: list[int]):
    job_id = crowd(stage)
    for stop, go in ((stage.pause, stage.resume), (stage.disable, stage.enable)):
        longest.clear()
        stop(job_id)
        assert sorted(stage.states(job_id)) == ["held"] * RUNS + ["running"]
        go(job_id)
        assert sorted(stage.states(job_id)) == ["running", *["waiting"] * RUNS]
        assert max(longest) == MOST
        assert_sound(stage)


def test_a_crowd_is_restamped_and_ends_in_parts(stage: Stage, longest: list[int]):
    job_id = crowd(stage)
    stage.edit(job_id, priority=7)
    assert {row[0] for row in stage.fetch("SELECT prio FROM run WHERE state = 'waiting'")} == {7}
    longest.clear()
    stage.delete(job_id)
    assert sorted(stage.states(job_id)) == ["finished"] * RUNS + ["running"]
    assert max(longest) == MOST
    assert_sound(stage)
