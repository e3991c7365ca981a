"""What ran lately: the last runs of several jobs at once, and those since an instant."""

from collections import Counter

from cronherd.domain.run import Outcome, RunState
from cronherd.store.facts import RunFilter
from tests.store.stage import Stage

GOOD = Outcome.SUCCEEDED


def ended(stage: Stage, job_id: str, codes: list[int]) -> list[str]:
    """A finished run for each exit code; their ids, oldest first."""
    ids = []
    for code in codes:
        stage.clock.advance(1)
        ids.append(stage.request(job_id, f"m:{stage.now_us}").run_id)
        stage.end(*stage.claim(1), exit_code=code)
    return ids


def test_the_last_runs_of_each_job_and_no_more(stage: Stage):
    first, second = stage.job("a"), stage.job("b")
    ones = ended(stage, first, [0, 1, 0, 3])
    twos = ended(stage, second, [0])
    stage.request(second, "m:live")
    found = stage.store.last_ended([first, second, stage.new_id()], 3)
    assert {run.run_id for run in found if run.job_id == first} == set(ones[1:])
    assert {run.run_id for run in found if run.job_id == second} == set(twos)
    bad = {run.run_id for run in found if run.outcome is Outcome.FAILED}
    assert bad == {ones[1], ones[3]}
    assert all(run.started_us is not None and run.ended_us is not None for run in found)


def test_more_jobs_than_one_statement_takes(stage: Stage):
    job_id = stage.job("a")
    run = ended(stage, job_id, [0])
    asked = [stage.new_id() for _ in range(120)]
    found = stage.store.last_ended([*asked, job_id], 1)
    assert [one.run_id for one in found] == run
    assert stage.store.last_ended([], 5) == []


def test_ends_since_an_instant_are_counted_by_step(stage: Stage):
    job_id = stage.job("a")
    ended(stage, job_id, [0, 0])
    stage.clock.advance(60)
    since_us = stage.now_us
    ids = ended(stage, job_id, [0, 1, 0])
    made = {run.id: run.created_us for run in stage.store.runs(RunFilter())}
    step_us = 2_000_000
    wanted = Counter(
        (made[run_id] // step_us * step_us, Outcome.FAILED if run_id == ids[1] else GOOD)
        for run_id in ids
    )
    counts, edge_us = stage.store.ended_since(since_us, step_us, 50)
    assert {(begin, outcome): count for begin, outcome, count in counts} == wanted
    assert edge_us is None
    counts, edge_us = stage.store.ended_since(since_us, step_us, 2)
    assert sum(count for _, _, count in counts) == 2
    assert edge_us == made[ids[1]]
    assert sum(count for _, _, count in stage.store.ended_since(0, step_us, 50)[0]) == 5


def spans_of(stage: Stage, limit: int) -> list[str]:
    return [run.run_id for run in stage.store.run_spans(None, stage.now_us + 1_000, limit)]


def test_where_runs_lie_in_time_is_as_a_list_of_them_has_it(stage: Stage):
    first, second = stage.job("a"), stage.job("b")
    for number in range(4):  # live ones and finished ones by turns
        ended(stage, first, [number])
        stage.clock.advance(1)
        stage.request(second, f"m:live{number}", force=True)
        stage.start(*stage.claim(1))
    stage.clock.advance(1)
    stage.request(second, "m:ready", force=True)
    listed = stage.runs()
    for limit in (1, 2, 3, 5, 8, 10):
        assert spans_of(stage, limit) == [run.id for run in listed[:limit]]
        assert stage.store.runs(RunFilter(limit=limit)) == listed[:limit]
    told = stage.store.run_spans(None, stage.now_us + 1_000, 10)
    assert [
        (s.job_name, s.state, s.outcome, s.created_us, s.started_us, s.ended_us) for s in told
    ] == [(r.job_name, r.state, r.outcome, r.created_us, r.started_us, r.ended_us) for r in listed]
    begun = [span for span in told if span.started_us is not None]
    assert len(begun) == len(told) - 1
    assert all(span.node == stage.node.name for span in begun)
    assert all(span.lease_us for span in begun if span.outcome is None)
    running = stage.store.run_spans(None, stage.now_us + 1_000, 10, running=True)
    assert running == [span for span in told if span.state is RunState.RUNNING]
    assert len(stage.store.run_spans(first, stage.now_us + 1_000, 10)) == 4
    middle_us = listed[3].created_us
    older = [run.id for run in listed if run.created_us < middle_us]
    assert [span.run_id for span in stage.store.run_spans(None, middle_us, 10)] == older
