"""What the finisher, the reaper and the worker promise, with a supervisor that a test plays."""

from pathlib import Path

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.supervisor.base import Gone
from tests.engine.stand_in import Rig, ended, started


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_report_is_acked_only_once_it_is_stored(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = rig.request("job")
    claim = rig.claim()
    rig.live.add([claim])
    rig.supervisor.say(ended(claim), 10)

    def broken(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(rig.store, "record", broken)
    with pytest.raises(Unavailable):
        rig.finisher.tick()
    assert rig.supervisor.acked == 0
    monkeypatch.undo()
    rig.finisher.tick()
    assert (rig.state(run_id), rig.supervisor.acked) == ("succeeded", 10)


def test_the_last_words_of_a_dead_supervisor_are_stored(rig: Rig) -> None:
    run_id = rig.request("job")
    claim = rig.claim()
    rig.live.add([claim])
    rig.supervisor.say(ended(claim), 10)
    rig.supervisor.lost = True
    rig.finisher.tick()
    assert rig.state(run_id) == "succeeded"


def test_a_claim_that_nobody_heard_of_is_given_back(rig: Rig) -> None:
    run_id = rig.request("job")
    rig.claim()
    rig.begin()
    assert rig.reaper.settle(rig.node.id, same_boot=True) == 1
    assert rig.state(run_id) == "ready"


def test_a_claim_of_an_earlier_boot_is_lost_and_not_started_again(rig: Rig) -> None:
    run_id = rig.request("job")
    rig.claim()
    rig.begin()
    rig.reaper.settle(rig.node.id, same_boot=False)
    assert rig.state(run_id) == "lost"


def test_a_run_that_had_started_is_never_given_back(rig: Rig) -> None:
    run_id = rig.request("job")
    claim = rig.claim()
    rig.live.add([claim])
    rig.supervisor.say(started(claim), 10)
    rig.finisher.tick()
    rig.begin()
    rig.reaper.settle(rig.node.id, same_boot=True)
    assert rig.state(run_id) == "lost"


def test_what_the_predecessor_wrote_down_is_heard_before_a_claim_is_given_back(rig: Rig) -> None:
    run_id = rig.request("job")
    claim = rig.claim()
    rig.begin(replay_until=10)
    rig.supervisor.say(Gone(run_id=run_id, attempt=1, token=claim.token), 10)
    rig.reaper.settle(rig.node.id, same_boot=True)
    assert rig.state(run_id) == "lost"


def test_the_worker_takes_no_more_than_fits(rig: Rig) -> None:
    for number in range(9):
        rig.request(f"job-{number}")
    rig.worker.tick()
    rig.worker.tick()
    assert len(rig.supervisor.started) == rig.node.capacity == 4


def test_the_worker_takes_nothing_while_the_spool_is_full(rig: Rig) -> None:
    rig.request("job")
    rig.supervisor.spooled = 2 << 30
    rig.worker.tick()
    assert rig.supervisor.started == []


def test_one_order_that_nobody_takes_does_not_stop_the_others(rig: Rig) -> None:
    rig.supervisor.refuses = rig.request("huge")
    small = rig.request("small")
    rig.worker.tick()
    rig.finisher.tick()
    assert [start.run_id for start in rig.supervisor.started] == [small]
    assert rig.state(rig.supervisor.refuses) == "not_started"


def test_an_order_is_void_five_seconds_after_its_claim_was_asked_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.request("job")
    asked_us = rig.clock.boot_us()
    claim = rig.store.claim

    def slow(*args: object) -> object:
        rig.clock.advance(3)
        return claim(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.store, "claim", slow)
    rig.worker.tick()
    assert rig.supervisor.started[0].valid_until_boot_us == asked_us + 5_000_000
