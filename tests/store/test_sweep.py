"""The sweep: what nobody claims goes back to wait, and chains go on whatever ended their run."""

from collections.abc import Callable
from functools import partial

import pytest

from cronherd.domain.run import RunState
from cronherd.store import promotion
from cronherd.store.chains import unarmed
from cronherd.store.database import Connection
from cronherd.store.definitions import JobCache
from cronherd.store.sqlstore import SqlStore
from tests.store.sound import assert_sound
from tests.store.stage import Stage, race

DELAY_US = 300_000_000


def homeless(stage: Stage, **spec: object) -> str:
    """A ready run with a permit, and the only node that fits is gone."""
    fast = stage.join("fast", disk="ssd")
    job_id = stage.job(run_on={"disk": "ssd"}, **spec)  # type: ignore[arg-type]
    stage.request(job_id)
    assert stage.states(job_id) == ["ready"]
    stage.store.release_node(fast.id, fast.incarnation)
    return job_id


def test_a_ready_run_nobody_fits_any_more_waits_and_holds_nothing(stage: Stage):
    job_id = homeless(stage)
    stage.advance(30)
    stage.settle()
    assert stage.states(job_id) == ["ready"], "whoever was claiming had half a minute"
    stage.advance(1)
    stage.settle()
    (run,) = stage.runs(job_id)
    assert (run.state, run.wait_key) == (RunState.WAITING, "@disk=ssd")
    assert stage.permits(job_id) == 0
    assert_sound(stage)
    again = stage.join("slow", disk="ssd")
    stage.settle()
    (claim,) = stage.claim(node=again)
    assert claim.run_id == run.id
    assert_sound(stage, most=1)


def test_a_ready_run_that_somebody_fits_stays_ready(stage: Stage):
    job_id = stage.job(run_on={"node": "one"})
    stage.request(job_id)
    stage.job("anywhere")
    stage.request(stage.store.find_job("anywhere").id)
    stage.advance(3600)
    stage.settle()
    assert stage.states() == ["ready", "ready"]


def test_a_drained_node_keeps_nobody_ready(stage: Stage):
    job_id = stage.job(run_on={"node": "one"})
    stage.request(job_id)
    stage.store.set_drained(stage.node.id, "ada", drained=True)
    stage.advance(31)
    stage.settle()
    assert stage.states(job_id) == ["waiting"]


def test_two_sweeps_at_one_instant_do_each_thing_once(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [open_second() for _ in range(3)]
    homeless(stage)
    chain = stage.job("chain", "after 5m", start_deadline="10s")
    retry = stage.job("retry", None, retries={"max": 1, "backoff": "1s"})
    paused = stage.job("paused", None)
    stage.after(300)
    stage.request(retry)
    (claim,) = [claim for claim in stage.claim() if claim.job.name == "retry"]
    stage.end(claim, exit_code=1)
    stage.request(paused)
    stage.pause(paused, 20)
    stage.store.held_by(stage.node.id)
    for held in stage.store.held_by(stage.node.id):
        stage.end(held, exit_code=None, error="void")
    stage.advance(40)
    answers = race(*(store.sweep for store in stores))
    assert all(isinstance(answer, list) for answer in answers), answers
    assert_sound(stage)
    assert stage.states(retry) == ["ready"]
    assert stage.states(chain) == ["finished"]
    assert stage.states(paused) == ["waiting"]
    assert stage.store.find_job("chain").next_us == stage.now_us + DELAY_US
    armed = [event for event in stage.store.events(50) if "re-armed" in event.text]
    assert len(armed) == 1


# ---------------------------------------------------------------- chains


@pytest.mark.parametrize("state", ["ready", "waiting", "held", "delayed"])
def test_cancelling_the_run_of_a_chain_arms_it_in_the_same_transaction(stage: Stage, state: str):
    place = {"disk": "none"} if state == "waiting" else {}
    again = {"max": 1, "backoff": "1s"}
    job_id = stage.job(schedule="after 5m", run_on=place, retries=again)
    stage.after(300)
    (run,) = stage.runs(job_id)
    if state == "held":
        stage.pause(job_id, 1000)
    if state == "delayed":
        stage.end(stage.one_claim(), exit_code=1)
    assert stage.store.find_job("job").next_us is None
    assert stage.store.cancel_run(run.id).value == state
    armed_us = (1_000 if state == "held" else 300) * 1_000_000 + stage.now_us
    assert stage.store.find_job("job").next_us == armed_us


def test_the_run_of_a_chain_that_missed_its_deadline_arms_it_in_the_same_sweep(stage: Stage):
    stage.job(schedule="after 5m", start_deadline="30s")
    stage.after(300)
    stage.advance(31)
    assert stage.store.find_job("job").next_us is None
    stage.store.sweep()
    assert stage.states() == ["finished"]
    assert stage.store.find_job("job").next_us == stage.now_us + DELAY_US


def test_a_cancel_against_a_sweep_arms_the_chain_once(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    for turn in range(8):
        stage.job(f"job {turn}", "after 5m", start_deadline="10s")
    for _ in range(2):
        stage.after(300)
    runs = [run for run in stage.runs() if run.state is RunState.READY]
    stage.advance(11)
    for run in runs:
        answers = race(other.sweep, partial(stage.store.cancel_run, run.id))
        assert not any(isinstance(answer, Exception) for answer in answers), answers
    assert_sound(stage)
    for turn in range(8):
        assert stage.store.find_job(f"job {turn}").next_us is not None


# ---------------------------------------------------------------- between the look and the lock


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """meanwhile(act): once, after the next sweep has looked and before it locks anything."""
    plain = unarmed

    def arrange(act: Callable[[], object]) -> None:
        def looked(connection: Connection, cache: JobCache) -> list[bytes]:
            monkeypatch.setattr(promotion, "unarmed", plain)
            found = plain(connection, cache)
            act()
            return found

        monkeypatch.setattr(promotion, "unarmed", looked)

    return arrange


def test_a_run_that_was_tried_since_the_sweep_looked_does_not_expire(
    stage: Stage, meanwhile: Callable[[Callable[[], object]], None]
):
    job_id = stage.job(start_deadline="10s", retries={"max": 3, "backoff": "0s"})
    run_id = stage.request(job_id).run_id
    stage.advance(11)

    def act() -> None:
        stage.end(stage.one_claim(), exit_code=1)
        stage.store.sweep()

    meanwhile(act)
    stage.store.sweep()
    run = stage.store.find_run(run_id)
    assert (run.state, run.attempt) == (RunState.READY, 2)


def test_a_run_that_waits_anew_since_the_sweep_looked_is_not_woken(
    stage: Stage, meanwhile: Callable[[Callable[[], object]], None]
):
    job_id = stage.job(retries={"max": 3, "backoff": "10s", "jitter": 0})
    run_id = stage.request(job_id).run_id
    stage.end(stage.one_claim(), exit_code=1)
    stage.advance(10)

    def act() -> None:
        stage.store.sweep()
        stage.end(stage.one_claim(), exit_code=1)

    meanwhile(act)
    stage.store.sweep()
    run = stage.store.find_run(run_id)
    assert (run.state, run.attempt) == (RunState.DELAYED, 3)


@pytest.mark.parametrize("tried", [False, True])
def test_the_clock_that_counts_is_the_one_under_the_lock(
    stage: Stage, meanwhile: Callable[[Callable[[], object]], None], *, tried: bool
):
    """It stepped back: neither the deadline nor the next try has come."""
    job_id = stage.job(start_deadline="10s", retries={"max": 3, "backoff": "10s", "jitter": 0})
    run_id = stage.request(job_id).run_id
    if tried:
        stage.end(stage.one_claim(), exit_code=1)
    stage.advance(11)
    meanwhile(lambda: stage.clock.step(-5))
    stage.store.sweep()
    expected = RunState.DELAYED if tried else RunState.READY
    assert stage.store.find_run(run_id).state is expected


@pytest.mark.parametrize("what", ["woken", "expired"])
def test_what_is_still_so_under_the_lock_happens(
    stage: Stage, meanwhile: Callable[[Callable[[], object]], None], what: str
):
    job_id = stage.job(start_deadline="10s", retries={"max": 3, "backoff": "1s"})
    run_id = stage.request(job_id).run_id
    if what == "woken":
        stage.end(stage.one_claim(), exit_code=1)
    stage.advance(11)
    meanwhile(lambda: None)
    stage.store.sweep()
    ready = RunState.READY if what == "woken" else RunState.FINISHED
    assert stage.store.find_run(run_id).state is ready
