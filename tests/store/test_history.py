"""What people look at: runs newest first, found by a few digits; ledger, events, counts."""

import pytest

from cronherd.domain.errors import Invalid, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.run import Outcome, RunState
from cronherd.domain.search import RunSearch
from cronherd.store.facts import RunFilter
from tests.store.stage import Stage


def some_runs(stage: Stage, count: int = 10) -> list[str]:
    """Run ids, oldest first; every other one has ended."""
    job_id = stage.job(overlap="allow")
    ids = []
    for number in range(count):
        stage.clock.advance(1)
        ids.append(stage.request(job_id, f"m:{number}").run_id)
        if number % 2:
            stage.end(*stage.claim(1), exit_code=number % 4)
    return ids


def test_runs_are_listed_newest_first_live_and_finished_merged(stage: Stage):
    ids = some_runs(stage)
    assert [run.id for run in stage.runs()] == ids[::-1]
    states = {run.state for run in stage.runs()}
    assert states == {RunState.READY, RunState.FINISHED}


@pytest.mark.parametrize("limit", [1, 3, 4, 50])
def test_pages_join_without_gap_or_repeat(stage: Stage, limit: int):
    ids = some_runs(stage)
    seen: list[str] = []
    before = None
    while page := stage.store.runs(RunFilter(limit=limit, before=before)):
        assert len(page) <= limit
        seen += [run.id for run in page]
        before = page[-1].id
    assert seen == ids[::-1]


def test_a_page_may_begin_at_a_run_that_ended_or_by_its_short_id(stage: Stage):
    ids = some_runs(stage)
    for place in (3, 4):
        page = stage.store.runs(RunFilter(before=ids[place][:8]))
        assert [run.id for run in page] == ids[:place][::-1]
    with pytest.raises(NotFound):
        stage.store.runs(RunFilter(before="ffffffffff"))


def test_filters_choose_by_job_state_and_outcome(stage: Stage):
    some_runs(stage)
    other = stage.job("other")
    asked = stage.request(other).run_id

    def count(*words: RunState | Outcome, **which: object) -> int:
        search = RunSearch.of(*words) if words else RunSearch()
        return len(stage.store.runs(RunFilter(search=search, **which)))  # type: ignore[arg-type]

    assert count(job_id=other) == 1
    assert stage.runs(other)[0].id == asked
    assert count(RunState.FINISHED) == 5
    assert count(RunState.READY) == 6
    assert count(RunState.RUNNING) == 0
    assert count(Outcome.FAILED) == 5
    assert count(Outcome.SUCCEEDED) == 0
    assert count(Outcome.FAILED, RunState.READY) == 11
    assert count(Outcome.FAILED, Outcome.SUCCEEDED, limit=3) == 3
    assert count(limit=2) == 2


@pytest.mark.parametrize("digits", [6, 7, 8, 9, 20, 32])
def test_a_run_is_found_by_any_unique_prefix(stage: Stage, digits: int):
    for run_id in some_runs(stage, 4):
        assert stage.store.find_run(run_id[:digits]).id == run_id
        assert stage.store.find_run(f" {run_id[:digits].upper()} ").id == run_id


def test_a_prefix_that_fits_none_or_is_no_id_is_refused(stage: Stage):
    some_runs(stage, 2)
    with pytest.raises(NotFound) as caught:
        stage.store.find_run("000000")
    assert caught.value.code == "no_such_run"
    for odd in ("12345", "", "zzzzzzzz", "123456 7", "%" * 8, "a" * 33):
        with pytest.raises(Invalid, match="not a run id"):
            stage.store.find_run(odd)


def test_an_ambiguous_prefix_names_those_it_fits(stage: Stage):
    some_runs(stage, 2)
    stage.write("UPDATE run SET short = ?, id = ?", 0xABCDEF12, to_stored("abcdef12" + "0" * 24))
    stage.write(
        "UPDATE run_history SET short = ?, id = ?", 0xABCDEF34, to_stored("abcdef34" + "0" * 24)
    )
    with pytest.raises(NotFound) as caught:
        stage.store.find_run("abcdef")
    assert caught.value.code == "ambiguous_run"
    assert "abcdef120000" in caught.value.hint
    assert "abcdef340000" in caught.value.hint
    assert stage.store.find_run("abcdef1").state is RunState.READY
    assert stage.store.find_run("abcdef3").state is RunState.FINISHED


def test_two_runs_with_equal_short_ids_are_told_apart_by_more_digits(stage: Stage):
    some_runs(stage, 4)
    rows = stage.fetch("SELECT id FROM run ORDER BY id")
    for number, (stored,) in enumerate(rows):
        changed = to_stored("abcdef12" + f"{number}" * 24)
        stage.write("UPDATE run SET short = ?, id = ? WHERE id = ?", 0xABCDEF12, changed, stored)
    with pytest.raises(NotFound):
        stage.store.find_run("abcdef12")
    assert stage.store.find_run("abcdef120").id == "abcdef12" + "0" * 24
    assert stage.store.find_run("abcdef1211").id == "abcdef12" + "1" * 24


def test_a_job_row_tells_its_live_runs_and_the_last_one_that_ended(stage: Stage):
    some_runs(stage)
    row = stage.store.find_job("job")
    assert row.live == 5
    assert row.last is not None
    assert row.last == stage.runs(state=RunState.FINISHED)[0]
    assert row.last.state is RunState.FINISHED


def test_the_ledger_is_read_newest_first_and_by_job(stage: Stage):
    one = stage.job("one", "every 60s", catchup="none", on_time="0s")
    two = stage.job("two", "every 60s", catchup="none", on_time="0s")
    for _ in range(3):
        stage.after(61)
    everything = stage.store.ledger(None, 100)
    assert [row.from_us for row in everything] == sorted(
        (row.from_us for row in everything), reverse=True
    )
    assert {row.job_name for row in everything} == {"one", "two"}
    assert {row.job_id for row in stage.store.ledger(two, 100)} == {two}
    assert len(stage.store.ledger(one, 2)) == 2


def test_events_are_read_newest_first_and_after_an_instant(stage: Stage):
    job_id = stage.job()
    stage.clock.advance(1)
    edge = stage.now_us
    stage.clock.advance(1)
    stage.disable(job_id)
    stage.clock.advance(1)
    stage.enable(job_id)
    kinds = [event.kind for event in stage.store.events(10, edge)]
    assert kinds == [EventKind.JOB_ENABLED, EventKind.JOB_DISABLED]
    assert stage.store.events(1)[0].kind is EventKind.JOB_ENABLED
    assert len(stage.store.events(10)) == 4


def test_counts_tell_jobs_and_runs_by_state(stage: Stage):
    some_runs(stage)
    stage.job("off", enabled=False)
    stage.delete(stage.job("gone"))
    counts = stage.store.standings()
    assert (counts["jobs"], counts["disabled"], counts["runs_ready"]) == (2, 1, 5)
    assert stage.store.ended_counts() == {"runs_failed": 5}


def test_meta_tells_the_fleets_time_zone_and_life(stage: Stage):
    meta = stage.store.meta()
    assert (meta["timezone"], meta["incarnation"]) == ("Europe/Berlin", "first-life")
    assert int(meta["schema"]) >= int(meta["min_code"]) >= 1


def test_the_nearest_slots_come_first_whatever_the_names(stage: Stage):
    stage.job("a-late", schedule="every 1h")
    stage.job("z-soon", schedule="every 10s")
    stage.job("by-hand", schedule=None)
    stage.job("off", schedule="every 5s", enabled=False)
    assert [row.job.name for row in stage.store.next_jobs(10)] == ["z-soon", "a-late"]
    assert [row.job.name for row in stage.store.next_jobs(1)] == ["z-soon"]


def test_what_next_slots_depend_on_is_as_a_list_of_jobs_has_it(stage: Stage):
    for number in range(4):
        stage.job(f"j{number}", f"every {90 - 10 * number}s", max_runs=9)
        stage.clock.advance(number + 1)
    stage.job("by hand", None)
    stage.store.skip_next(stage.store.find_job("j1").id, 2, "ada")
    stage.store.pause_job(stage.store.find_job("j2").id, stage.now_us + 5_000_000, "ada")
    stage.clock.advance(60)
    stage.fire()
    rows = stage.store.next_jobs(3)
    facts = (
        "id",
        "job",
        "enabled",
        "next_us",
        "last_slot_us",
        "paused_until_us",
        "skip_us",
        "fired",
    )
    wanted = [tuple(getattr(row, fact) for fact in facts) for row in rows]
    assert stage.store.job_plans(3) == wanted
    assert {row.fired for row in rows} == {0, 1}
    assert len(stage.store.job_plans(9)) == 4
