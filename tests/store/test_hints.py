"""Words that something is to be looked at: quick where the database can, none where it cannot."""

from collections.abc import Callable

import pytest

from cronherd.store.beats import SqlBeats
from cronherd.store.nodes import NodeRows
from cronherd.store.sqlstore import SqlStore
from tests.store.backends import Backend
from tests.store.only import servers_only
from tests.store.stage import Stage

pytestmark = servers_only
LONG_S = 10.0


@pytest.fixture
def beats(open_second: Callable[[], SqlStore]) -> SqlBeats:
    other = open_second()
    return SqlBeats(other.db, NodeRows(other.db, other._events))


def heard(backend: Backend, beats: SqlBeats, act: Callable[[], object]) -> bool | None:
    """Whether a word came of it, from after the listener was ready."""
    while beats.wait_hint(0.0):
        pass
    act()
    return beats.wait_hint(LONG_S if backend.name == "postgresql" else 0.0)


def test_a_run_that_is_asked_for_wakes_the_nodes(
    backend: Backend, beats: SqlBeats, stage: Stage
) -> None:
    job_id = stage.job()
    told = heard(backend, beats, lambda: stage.request(job_id))
    assert told is (True if backend.name == "postgresql" else None)


def test_a_cancel_wakes_the_node_that_runs_it(
    backend: Backend, beats: SqlBeats, stage: Stage
) -> None:
    run_id = stage.request(stage.job()).run_id
    (claim,) = stage.claim()
    stage.start(claim)
    told = heard(backend, beats, lambda: stage.store.cancel_run(run_id))
    assert told is (True if backend.name == "postgresql" else None)
    assert stage.store.look(stage.node.id, 0).cancels
