"""What a job server delivers twice is started once, on each database."""

from collections.abc import Callable

from cronherd.domain.ident import to_stored
from cronherd.domain.receipt import SILENT_US, Delivered, Receipt
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import SECOND_US, Stage, race

MINE, THEIRS = "a" * 32, "b" * 32
WEEK_S = 8 * 86_400


def started(stage: Stage) -> str:
    """The id of a run whose submitter runs."""
    job_id = stage.job(overlap="allow", retries=1)
    stage.request(job_id)
    claim = stage.one_claim()
    stage.start(claim)
    return claim.run_id


def test_the_first_delivery_wins_and_its_token_wins_again(stage: Stage):
    run = started(stage)
    assert stage.store.deliver(run, 1, MINE, "here") == Delivered(Receipt.WON)
    assert stage.store.deliver(run, 1, MINE, "here").receipt is Receipt.WON
    assert stage.store.deliver(run, 1, THEIRS, "there").receipt is Receipt.TAKEN
    assert len(stage.fetch("SELECT * FROM gearman_delivery")) == 1


def test_of_many_at_once_one_wins(stage: Stage, open_second: Callable[[], SqlStore]):
    run = started(stage)
    other = open_second()
    stores = [stage.store, other] * 3
    tokens = [f"{number:032x}" for number in range(6)]
    acts = [
        lambda store=store, token=token: store.deliver(run, 1, token, "w").receipt
        for store, token in zip(stores, tokens, strict=True)
    ]
    receipts = race(*acts)
    assert sorted(receipts) == [Receipt.TAKEN] * 5 + [Receipt.WON]


def test_a_run_may_be_delivered_before_its_start_is_recorded(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    assert stage.store.deliver(claim.run_id, 1, MINE, "here").receipt is Receipt.WON


def test_the_end_of_the_one_is_told_to_the_others(stage: Stage):
    run = started(stage)
    stage.store.deliver(run, 1, MINE, "here")
    assert stage.store.delivered(run, 1, THEIRS, 0)  # a token that never won changes nothing
    assert stage.store.deliver(run, 1, THEIRS, "there").receipt is Receipt.TAKEN
    assert stage.store.delivered(run, 1, MINE, 3)
    assert stage.store.delivered(run, 1, MINE, 0)  # it ended once
    ended = Delivered(Receipt.ENDED, 3)
    assert stage.store.deliver(run, 1, THEIRS, "there") == ended
    assert stage.store.deliver(run, 1, MINE, "here") == ended


def test_a_worker_that_is_silent_is_said_to_be(stage: Stage):
    run = started(stage)
    stage.store.deliver(run, 1, MINE, "here")
    stage.clock.advance(SILENT_US / SECOND_US)
    assert stage.store.deliver(run, 1, THEIRS, "there").receipt is Receipt.TAKEN
    assert stage.store.delivered(run, 1, MINE, None)
    stage.clock.advance(SILENT_US / SECOND_US)
    assert stage.store.deliver(run, 1, THEIRS, "there").receipt is Receipt.TAKEN
    stage.clock.advance(1)
    assert stage.store.deliver(run, 1, THEIRS, "there").receipt is Receipt.SILENT


def test_nobody_starts_what_was_cancelled(stage: Stage):
    run = started(stage)
    stage.store.cancel_run(run)
    assert stage.store.deliver(run, 1, MINE, "here").receipt is Receipt.OVER
    assert not stage.store.delivered(run, 1, MINE, None)


def test_an_attempt_that_is_over_is_not_started_and_the_next_one_is(stage: Stage):
    stage.request(stage.job(retries={"max": 1, "backoff": "1s", "jitter": 0}))
    claim = stage.one_claim()
    stage.start(claim)
    assert stage.store.deliver(claim.run_id, 2, MINE, "here").receipt is Receipt.OVER
    stage.end(claim, exit_code=1)
    assert stage.store.deliver(claim.run_id, 1, MINE, "here").receipt is Receipt.OVER
    stage.clock.advance(2)
    stage.settle()
    again = stage.one_claim()
    assert (again.run_id, again.attempt) == (claim.run_id, 2)
    assert stage.store.deliver(claim.run_id, 1, MINE, "here").receipt is Receipt.OVER
    assert stage.store.deliver(claim.run_id, 2, MINE, "here").receipt is Receipt.WON
    stage.start(again)
    stage.end(again)
    assert stage.store.deliver(claim.run_id, 2, THEIRS, "there").receipt is Receipt.OVER


def test_an_id_of_no_run_is_nobodys(stage: Stage):
    assert stage.store.deliver(stage.new_id(), 1, MINE, "here").receipt is Receipt.UNKNOWN
    assert not stage.store.delivered(stage.new_id(), 1, MINE, 0)


def test_deliveries_are_forgotten_after_a_week(stage: Stage):
    run = started(stage)
    stage.store.deliver(run, 1, MINE, "here")
    stage.store.prune(0, 10)
    found = "SELECT run_id FROM gearman_delivery"
    assert stage.fetch(found) == [(to_stored(run),)]
    stage.clock.advance(WEEK_S)
    stage.store.prune(0, 10)
    assert stage.fetch(found) == []
