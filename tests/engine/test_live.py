"""The places of a node: two who claim at once never take more than there are."""

from pathlib import Path

import pytest

from cronherd.engine.live import LiveRuns
from cronherd.store.base import Claim
from tests.engine.stand_in import Rig


def _claims(rig: Rig, count: int) -> list[Claim]:
    for number in range(count):
        rig.request(f"job-{number}")
    return [rig.claim() for _ in range(count)]


def test_places_that_somebody_claims_for_are_nobody_elses(tmp_path: Path) -> None:
    live = LiveRuns(4)
    first, *_ = _claims(Rig(tmp_path), 1)
    with live.reserve(3) as room, live.reserve(9) as rest:
        assert (room, rest, live.free()) == (3, 1, 0)
        live.add([first])
    assert live.free() == 3
    live.remove([(first.run_id, first.attempt)])
    assert live.free() == 4


def test_a_failure_while_claiming_gives_the_places_back() -> None:
    live = LiveRuns(4)
    with pytest.raises(ConnectionError), live.reserve(4):
        raise ConnectionError
    assert live.free() == 4


def test_a_worker_takes_nothing_while_the_scheduler_fires_into_the_same_places(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, capacity=2)
    for number in range(4):
        rig.request(f"job-{number}")
    with rig.live.reserve(2):  # as the scheduler does around its transaction
        rig.worker.tick()
        assert rig.supervisor.started == []
    rig.worker.tick()
    assert len(rig.supervisor.started) == 2


def test_what_was_claimed_meanwhile_shows_in_the_count_of_moves() -> None:
    live = LiveRuns(2)
    before = live.moves()
    with live.reserve(1):
        assert live.moves() is None
    assert live.moves() not in {before, None}
