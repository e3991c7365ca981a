"""A claim whose answer was lost for good is given back; nothing that runs or ended ever is."""

from pathlib import Path

import pytest

from cronherd.engine.strays import Strays
from tests.engine.stand_in import Rig, ended, started


class Kept:
    """A rig with a look at its strays."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        rig = self.rig
        self.strays = Strays(rig.store, rig.clock, rig.live, rig.finisher, rig.node.id)

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.strays.tick()
            self.rig.finisher.tick()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_claim_that_nobody_here_knows_is_given_back_at_the_second_look(kept: Kept) -> None:
    run_id = kept.rig.request("job")
    kept.rig.claim()  # and the answer is lost
    kept.look(1)
    assert kept.rig.state(run_id) == "claimed"
    kept.look(1)
    assert kept.rig.state(run_id) == "ready"
    kept.rig.worker.tick()
    assert [start.run_id for start in kept.rig.supervisor.started] == [run_id]


def test_a_claim_that_is_being_started_is_no_stray(kept: Kept) -> None:
    run_id = kept.rig.request("job")
    kept.rig.worker.tick()
    kept.look(3)
    assert kept.rig.state(run_id) == "claimed"


def test_a_run_that_has_started_is_no_stray(kept: Kept) -> None:
    run_id = kept.rig.request("job")
    kept.rig.worker.tick()
    (claim,) = kept.rig.live.all()
    kept.rig.supervisor.say(started(claim), 1)
    kept.rig.finisher.tick()
    kept.rig.live.remove([(claim.run_id, claim.attempt)])
    kept.look(3)
    assert kept.rig.state(run_id) == "running"


def test_an_end_that_is_not_stored_yet_is_no_stray(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = kept.rig.request("job")
    kept.rig.worker.tick()
    (claim,) = kept.rig.live.all()
    kept.rig.supervisor.say(ended(claim), 1)
    record = kept.rig.store.record

    def down(*_: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(kept.rig.store, "record", down)
    with pytest.raises(OSError, match="away"):
        kept.rig.finisher.tick()
    for _ in range(3):
        kept.strays.tick()
    monkeypatch.setattr(kept.rig.store, "record", record)
    kept.rig.finisher.tick()
    assert kept.rig.state(run_id) == "succeeded"
