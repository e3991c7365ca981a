"""A node that was judged ends what others took, even when it cannot ask at once what that is."""

from pathlib import Path

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.domain.judge import judge, lost_exit
from cronherd.engine.accounts import Account
from cronherd.engine.agent import Life
from cronherd.engine.parts import Parts
from cronherd.store.base import Claim, Renewal
from tests.engine.stand_in import LEASE_US, FakeSupervisor, Rig


def life_of(rig: Rig) -> tuple[Life, FakeSupervisor]:
    supervisor = FakeSupervisor(rig.clock)
    parts = Parts(
        store=rig.store,
        beats=rig.store,  # type: ignore[arg-type]
        clock=rig.clock,
        launch=lambda: supervisor,
        node=rig.node,
        account=Account(user="me", home="/"),
        ledger_age_us=10**18,
        new_id=rig.new_id,
        chance=lambda: 0.5,
        owned=lambda: True,
        halt=lambda: None,
    )
    return Life(parts, lost=lambda: None), supervisor


def take_over(rig: Rig, claim: Claim) -> None:
    rig.clock.advance(2 * LEASE_US / 1_000_000)
    (node,) = rig.store.nodes()
    exit_ = lost_exit(None, rig.clock.now_us(), "its node fell silent")
    ending = claim.ended(exit_, judge(claim.job, claim.attempt, exit_, 0.5))
    assert rig.store.take_over(node, [ending], judged=True) is not None


def test_what_others_took_is_ended_with_a_later_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    run_id = rig.request("job")
    claim = rig.claim()
    life, supervisor = life_of(rig)
    life._live.add([claim])
    take_over(rig, claim)

    def gone(node_id: str) -> list[Claim]:
        raise Unavailable("the database has just gone")

    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "held_by", gone)
        with pytest.raises(Unavailable):
            life._judged()
    assert supervisor.cancelled == []
    life._renewed(Renewal(ours=True), 0)
    life._renewed(Renewal(ours=True), 0)
    assert supervisor.cancelled == [(run_id, 1)]
