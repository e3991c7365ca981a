"""Locks of the fleet as rows: owner-checked, expiring, fenced (rows D2.2, D2.4, D2.6, D2.7)."""

from collections.abc import Callable
from functools import partial

import pytest

from cronherd.domain.errors import NotFound
from cronherd.domain.event import EventKind
from cronherd.store import locks
from cronherd.store.lockbook import LockTry
from cronherd.store.sqlstore import SqlStore
from tests.store.lossy import lost_answers
from tests.store.stage import Stage, race

HOUR_US = 3_600_000_000
TABLES = ["lock_holder", "gate", "event"]


def take(
    stage: Stage,
    token: str,
    name: str = "report",
    *,
    shared: bool = False,
    store: SqlStore | None = None,
) -> LockTry:
    book = store or stage.store
    return book.acquire_lock(name, token, f"web:{token}", shared=shared, expires_us=HOUR_US)


def fence_of(attempt: LockTry) -> int:
    assert attempt.hold is not None
    return attempt.hold.fence


def test_one_at_a_time_and_who_is_in_the_way_is_told_d2_2(stage: Stage):
    first = take(stage, "a")
    assert first.hold is not None
    assert (first.others, first.hold.until_us) == ((), stage.now_us + HOUR_US)
    second = take(stage, "b")
    assert second.hold is None
    assert [(hold.holder, hold.since_us) for hold in second.others] == [("web:a", stage.now_us)]
    assert take(stage, "b", "other").hold is not None


def test_only_its_owner_renews_and_releases_it_d2_4(stage: Stage):
    """Laravel's defect: a release without a look at the owner shortened another's lock."""
    take(stage, "a")
    assert not stage.store.release_lock("report", "b")
    assert not stage.store.renew_lock("report", "b", 1)
    assert not stage.store.release_lock("report", "b", gap_us=1)
    assert take(stage, "c").hold is None
    assert stage.store.release_lock("report", "a")
    assert not stage.store.release_lock("report", "a")
    assert take(stage, "c").hold is not None


def test_nobody_renews_or_releases_what_never_was(stage: Stage):
    assert not stage.store.renew_lock("report", "a", HOUR_US)
    assert not stage.store.release_lock("report", "a")


def test_it_expires_by_the_clock_of_the_database_d2_6(stage: Stage):
    take(stage, "a")
    stage.advance(3_599)
    assert take(stage, "b").hold is None
    stage.advance(1)
    assert not stage.store.renew_lock("report", "a", HOUR_US)
    assert not stage.store.release_lock("report", "a")
    assert take(stage, "b").hold is not None
    assert not stage.store.release_lock("report", "a")


def test_who_renews_keeps_it_for_longer_than_it_expires_d2_4(stage: Stage):
    """Laravel's defect: nothing renewed the lock, so a run of two hours overlapped itself."""
    take(stage, "a")
    for _ in range(5):
        stage.advance(1_800)
        assert stage.store.renew_lock("report", "a", HOUR_US)
        assert take(stage, "b").hold is None


def test_each_hold_has_a_larger_fence(stage: Stage):
    fences = []
    for token in "abc":
        fences.append(fence_of(take(stage, token)))
        assert stage.store.release_lock("report", token)
    assert fences == sorted(set(fences))
    assert fences[0] >= stage.now_us


def test_a_fence_grows_when_the_clock_steps_back(stage: Stage):
    first = fence_of(take(stage, "a"))
    stage.store.release_lock("report", "a")
    stage.advance(-3_600)
    assert fence_of(take(stage, "b")) == first + 1


def test_many_share_it_and_keep_out_who_wants_it_alone(stage: Stage):
    assert fence_of(take(stage, "a", shared=True)) == 0
    assert take(stage, "b", shared=True).hold is not None
    alone = take(stage, "c")
    assert (alone.hold, len(alone.others)) == (None, 2)
    stage.store.release_lock("report", "a")
    assert take(stage, "c").hold is None
    stage.store.release_lock("report", "b")
    assert take(stage, "c").hold is not None
    assert take(stage, "d", shared=True).hold is None


def test_a_gap_follows_without_a_moment_between_d2_3(stage: Stage):
    """Laravel's defect: it took the lock away, and put it back for ten seconds."""
    take(stage, "a")
    assert stage.store.release_lock("report", "a", gap_us=10_000_000)
    assert take(stage, "b").hold is None
    assert stage.store.locks() == []
    assert not stage.store.renew_lock("report", "a", HOUR_US)
    stage.advance(9.9)
    assert take(stage, "b").hold is None
    stage.advance(0.1)
    assert take(stage, "b").hold is not None


def test_a_lost_answer_is_asked_for_again(stage: Stage):
    with lost_answers(stage.store), pytest.raises(Exception, match="does not answer"):
        take(stage, "a")
    before = stage.dump(TABLES)
    again = take(stage, "a")
    assert again.hold is not None
    assert stage.dump(TABLES) == before
    assert take(stage, "b").hold is None


def test_of_two_that_ask_at_once_one_gets_it(stage: Stage, open_second: Callable[[], SqlStore]):
    other = open_second()
    for n in range(20):
        name = f"race-{n // 4}"  # a new name now and then: its gate is made by one of them
        answers = race(
            partial(take, stage, f"a{n}", name), partial(take, stage, f"b{n}", name, store=other)
        )
        held = [each.hold for each in answers if each.hold is not None]
        assert len(held) == 1
        assert stage.store.release_lock(name, held[0].token)


def test_those_that_are_held_are_listed(stage: Stage):
    take(stage, "a", "one")
    take(stage, "b", "two", shared=True)
    take(stage, "c", "two", shared=True)
    stage.advance(10)
    assert [(each.name, each.holder, each.shared) for each in stage.store.locks()] == [
        ("one", "web:a", False),
        ("two", "web:b", True),
        ("two", "web:c", True),
    ]
    stage.advance(3_600)
    assert stage.store.locks() == []


def test_a_lock_is_cleared_and_who_did_it_is_on_record_d2_7(stage: Stage):
    take(stage, "a")
    assert [each.holder for each in stage.store.clear_lock("report", "ann")] == ["web:a"]
    event = stage.store.events(1)[0]
    assert (event.kind, event.subject, event.actor) == (EventKind.LOCK_CLEARED, "report", "ann")
    assert "web:a" in event.text
    assert not stage.store.renew_lock("report", "a", HOUR_US)
    assert take(stage, "b").hold is not None


@pytest.mark.parametrize("taken", [True, False])
def test_nobody_clears_what_nobody_holds(stage: Stage, *, taken: bool):
    if taken:
        take(stage, "a")
        stage.advance(3_601)
    with pytest.raises(NotFound, match="nobody holds"):
        stage.store.clear_lock("report", "ann")
    assert not [each for each in stage.store.events(9) if each.kind is EventKind.LOCK_CLEARED]


def test_a_gap_is_cleared_too(stage: Stage):
    take(stage, "a")
    stage.store.release_lock("report", "a", gap_us=10_000_000)
    assert stage.store.clear_lock("report", "ann") == []
    assert take(stage, "b").hold is not None


def test_a_clear_whose_answer_was_lost_clears_nobody_elses(stage: Stage):
    take(stage, "a")
    with lost_answers(stage.store) as lost:
        stage.store.clear_lock("report", "ann")
    assert lost == [1]
    kinds = [each.kind for each in stage.store.events(9)]
    assert kinds.count(EventKind.LOCK_CLEARED) == 1


def test_what_expired_is_forgotten_and_a_fence_grows_all_the_same(stage: Stage):
    first = fence_of(take(stage, "a", "old"))
    take(stage, "b", "held", shared=True)
    stage.advance(3_601)
    take(stage, "b", "held", shared=True)
    stage.store.prune(0, 100)
    assert [row[0] for row in stage.dump(["lock_holder"])["lock_holder"]] == ["held"]
    stage.advance(locks.UNUSED_US / 1_000_000)
    stage.store.prune(0, 100)
    stage.store.prune(0, 100)
    assert stage.dump(["lock_holder", "gate"]) == {"lock_holder": [], "gate": []}
    assert fence_of(take(stage, "c", "old")) > first
