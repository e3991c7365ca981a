"""Pages of what is recorded, of which much has one instant; and creations that are sent again."""

from collections.abc import Callable

import pytest

from cronherd.domain.alert import ChannelName
from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.job import build_job
from cronherd.domain.pulse import Pulse, Watched, change_between
from cronherd.domain.run import Reason
from cronherd.store.base import Chunk, Claim
from cronherd.store.facts import EventFilter, JobWrite, LedgerFilter
from cronherd.store.pruning import REQUEST_AGE_US
from tests.store.stage import Stage


def some_events(stage: Stage) -> None:
    for number in range(24):
        if number % 5 == 0:
            stage.clock.advance(1)
        kind = EventKind.JOB_CHANGED if number % 2 else EventKind.JOB_PAUSED
        stage.store.note(kind, f"job {number % 3}", "me", str(number))


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_events_of_one_instant_are_told_once_each(stage: Stage, limit: int):
    some_events(stage)
    texts, mark = [], None
    while True:
        page, mark = stage.store.event_page(EventFilter(mark=mark, limit=limit))
        texts += [event.text for event in page if event.actor == "me"]
        if mark is None:
            break
    assert sorted(texts, key=int) == [str(number) for number in range(24)]
    assert texts == [event.text for event in stage.store.events(100) if event.actor == "me"]


def test_events_are_chosen_by_kind_and_subject(stage: Stage):
    some_events(stage)
    which = EventFilter(kind=EventKind.JOB_PAUSED, subject="job 1", limit=100)
    assert [int(event.text) for event in stage.store.event_page(which)[0]] == [22, 16, 10, 4]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_the_ledger_join(stage: Stage, limit: int):
    jobs = [stage.job(f"j{n}", "every 60s") for n in range(5)]
    for job_id in jobs:
        stage.pause(job_id, 600)
    stage.clock.advance(300)
    for job_id in jobs:
        stage.resume(job_id)
    seen, mark = [], None
    while True:
        page, mark = stage.store.ledger_page(LedgerFilter(mark=mark, limit=limit))
        seen += [(row.job_name, row.from_us) for row in page]
        if mark is None:
            break
    assert len(seen) == len(set(seen)) >= 5
    assert {name for name, _ in seen} == {f"j{n}" for n in range(5)}
    assert stage.store.ledger_page(LedgerFilter(reason=Reason.OVERLAP))[0] == []
    assert len(stage.store.ledger_page(LedgerFilter(reason=Reason.PAUSED))[0]) == len(seen)


def test_pages_of_the_outbox_join(stage: Stage):
    posts = {stage.store.add_test(ChannelName.MAIL, "a@x.org", f"m{n}").id for n in range(5)}
    first, mark = stage.store.post_page([], 3, None)
    rest, end = stage.store.post_page([], 3, mark)
    assert end is None
    assert {post.id for post in (*first, *rest)} == posts


def test_timers_go_on_behind_an_instant_and_a_job(stage: Stage):
    for name in ("b", "a", "c"):
        stage.job(name, "every 60s")
    stage.job("soon", "every 5s")
    first = stage.store.next_jobs(2)
    assert first[0].job.name == "soon"
    assert first[-1].next_us is not None
    rest = stage.store.next_jobs(5, (first[-1].next_us, first[-1].id))
    assert {row.job.name for row in (first[-1], *rest)} == {"a", "b", "c"}
    assert len(rest) == 2


# ------------------------------------------------------------------ the same creation again


def create(stage: Stage, name: str, request: str | None) -> str:
    job_id = stage.new_id()
    job = build_job({"name": name, "command": "true"})
    write = JobWrite(id=job_id, job=job, enabled=None, source="test", request=request)
    stage.store.save_jobs([write], "me")
    return job_id


def test_a_creation_that_is_sent_again_finds_what_it_made(stage: Stage):
    first = create(stage, "a", "c:1")
    create(stage, "a", "c:1")
    job = stage.store.find_job("a")
    assert (job.id, job.version) == (first, 1)
    assert stage.store.creation(job.id, "c:1") == first
    assert stage.store.creation(job.id, "c:2") is None
    with pytest.raises(Conflict) as caught:
        create(stage, "a", "c:2")
    assert caught.value.code == "name_taken"


def test_a_creation_of_what_was_deleted_since_makes_nothing(stage: Stage):
    create(stage, "a", "c:1")
    stage.delete(stage.store.find_job("a").id)
    with pytest.raises(Conflict) as caught:
        create(stage, "a", "c:1")
    assert caught.value.code == "already_done"
    again = create(stage, "a", "c:2")
    assert stage.store.creation(stage.store.find_job("a").id, "c:2") == again


def test_a_creation_is_remembered_for_seven_days(stage: Stage):
    create(stage, "a", "c:1")
    stage.clock.advance(REQUEST_AGE_US / 1e6 - 1)
    stage.store.prune(1, 100)
    create(stage, "a", "c:1")
    stage.clock.advance(2)
    stage.store.prune(1, 100)
    with pytest.raises(Conflict):
        create(stage, "a", "c:1")


# ------------------------------------------------------------------ the pulse


def beat(stage: Stage) -> Pulse:
    return stage.store.pulse()


def test_the_pulse_shows_what_changes_and_nothing_else(stage: Stage):
    job_id = stage.job("a", None, overlap="allow")
    before = beat(stage)
    stage.renew()
    assert not change_between(before, beat(stage))
    run_id = stage.request(job_id, "m:1").run_id
    made = beat(stage)
    assert change_between(before, made).jobs == {job_id}
    acts: list[Callable[[], object]] = [
        lambda: claims.extend(stage.claim(1)),
        lambda: stage.start(*claims),
        lambda: stage.end(*claims, exit_code=0),
    ]
    claims: list[Claim] = []
    for act in acts:
        act()
        after = beat(stage)
        assert change_between(made, after).runs == {run_id}
        assert not change_between(after, beat(stage))
        made = after
    stage.clock.advance(1)
    stage.pause(job_id)
    assert change_between(made, beat(stage)).events
    stage.store.set_drained(stage.node.id, "me", drained=True)
    assert change_between(made, beat(stage)).nodes


def test_a_run_that_came_and_went_between_two_looks_is_seen(stage: Stage):
    job_id = stage.job("a", None)
    stage.request(job_id, "m:1")
    stage.finish_all()
    before = beat(stage)
    stage.clock.advance(1)
    run_id = stage.request(job_id, "m:2").run_id
    stage.finish_all()
    assert change_between(before, beat(stage)).runs == {run_id}


def test_fresh_output_is_told_by_run(stage: Stage):
    job_id = stage.job("a", None, overlap="allow")
    ids = [stage.request(job_id, f"m:{n}").run_id for n in range(3)]
    claims = {claim.run_id: claim for claim in stage.claim(3)}
    stage.start(*claims.values())

    def write(run_id: str, seq: int, stream: int = 1) -> None:
        piece = Chunk(
            run_id=run_id, token=claims[run_id].token, attempt=1, stream=stream, seq=seq,
            at_us=1, dropped=0, chunk=b"x",
        )  # fmt: skip
        stage.store.record([], [piece], [])

    write(ids[0], 0)
    write(ids[0], 1)
    write(ids[1], 0)
    write(ids[2], 0, stream=3)  # what a task tells is no output
    read = [
        Watched(run_id=ids[0], after=0),
        Watched(run_id=ids[1], after=0),
        Watched(run_id=ids[2]),
    ]
    assert stage.store.fresh_output(read) == {ids[0]}
    assert stage.store.fresh_output([]) == set()
    found = {run.id for run in stage.store.runs_by_id([*ids, "f" * 32])}
    assert found == set(ids)
