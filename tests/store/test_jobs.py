"""Jobs: saved all or nothing, disabled at once, deleted to a tombstone, never hidden."""

from collections.abc import Callable
from functools import partial

import pytest

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.job import build_job
from cronherd.domain.run import RunState
from cronherd.store.facts import JobWrite
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, race

BOOKS = ("job", "job_version", "job_due", "event", "run", "ledger")
GARBAGE = [
    "",
    "not json",
    "null",
    "[]",
    "5",
    '"text"',
    "{}",
    '{"name": "bad"}',
    '{"name": "bad", "command": "true", "schedule": {"sometimes": 1}}',
    '{"name": "bad", "command": "true", "overlap": "maybe"}',
    '{"name": "bad", "command": "true", "retries": {"factor": null}}',
    '{"name": "bad", "command": "true", "retries": "many"}',
    '{"name": "bad", "command": "true", "run_on": ["a"]}',
    '{"name": "bad", "command": "true", "schedule": "@daily", "timezone": "Mars"}',
    '{"name": "bad", "command": "true", "schedule": "every 1e999s"}',
    "[" * 100_000,
]


def write_of(
    stage: Stage, name: str, version: int | None = None, job_id: str = "", command: str = "true"
) -> JobWrite:
    built = build_job({"name": name, "command": command, "schedule": "every 60s"})
    return JobWrite(
        id=job_id or stage.new_id(), job=built, enabled=True, source="test", version=version
    )


def test_a_new_job_is_due_at_its_first_slot(stage: Stage):
    stage.job("Nightly", "every 60s", timeout="5m")
    row = stage.store.find_job("Nightly")
    assert (row.version, row.enabled, row.source, row.live, row.last) == (1, True, "test", 0, None)
    assert row.created_us == row.updated_us == row.last_slot_us == stage.now_us
    assert row.next_us == stage.now_us // 60_000_000 * 60_000_000 + 60_000_000
    assert row.job.timeout_us == 300_000_000


def test_a_new_disabled_job_and_one_without_schedule_are_never_due(stage: Stage):
    stage.job("off", enabled=False)
    stage.job("by hand", None)
    assert stage.store.find_job("off").next_us is None
    assert stage.store.find_job("by hand").next_us is None
    stage.after(3600)
    assert stage.runs() == []


@pytest.mark.parametrize("named", ["NIGHTLY", "nightly", "  Nightly ", "id"])
def test_it_finds_a_job_by_name_in_any_case_or_by_id(stage: Stage, named: str):
    job_id = stage.job("Nightly")
    assert stage.store.find_job(job_id if named == "id" else named).id == job_id


def test_it_does_not_find_what_is_not_there_and_names_what_is_close(stage: Stage):
    stage.job("Nightly")
    with pytest.raises(NotFound) as caught:
        stage.store.find_job("nigthly")
    assert caught.value.hint == "did you mean 'Nightly'?"
    with pytest.raises(NotFound, match="no job 'x'"):
        stage.store.find_job("x")
    with pytest.raises(NotFound):
        stage.store.find_job("0" * 32)


def test_looking_for_what_is_not_there_loses_no_connection(stage: Stage):
    for _ in range(40):  # more often than there are connections
        with pytest.raises(NotFound):
            stage.store.find_job("x")
    assert len(stage.store.db._readers._idle) == 1


def test_jobs_are_listed_by_key_page_by_page(stage: Stage):
    for name in ("b", "C", "a", "Ä", "d"):
        stage.job(name)
    names = [row.job.name for row in stage.store.jobs()]
    assert names == ["a", "b", "C", "d", "Ä"]
    page = stage.store.jobs(limit=2)
    assert [row.job.name for row in stage.store.jobs(after=page[-1].job.key)] == ["C", "d", "Ä"]
    assert set(stage.store.jobs_by_key(["a", "c", "nobody"])) == {"a", "c"}
    assert stage.store.jobs_by_key([]) == {}


# ---------------------------------------------------------------- saving


def test_saving_is_all_or_nothing(stage: Stage):
    stage.job("taken")
    before = stage.dump(BOOKS)
    with pytest.raises(Conflict, match="exists already"):
        stage.store.save_jobs([write_of(stage, "fresh"), write_of(stage, "TAKEN")], "me")
    assert stage.dump(BOOKS) == before


def test_a_stale_version_is_refused_and_changes_nothing(stage: Stage):
    job_id = stage.job("plain")
    stage.edit(job_id, timeout="1m")
    before = stage.dump(BOOKS)
    with pytest.raises(Conflict) as caught:
        stage.store.save_jobs([write_of(stage, "plain", 1, job_id)], "me")
    assert caught.value.code == "version_conflict"
    assert stage.dump(BOOKS) == before


def test_of_two_edits_of_one_version_one_wins(stage: Stage, open_second: Callable[[], SqlStore]):
    job_id = stage.job("plain")
    stores = [open_second() for _ in range(4)]
    writes = [write_of(stage, "plain", 1, job_id, f"echo {n}") for n in range(4)]
    pairs = zip(stores, writes, strict=True)
    answers = race(*(partial(store.save_jobs, [write], "me") for store, write in pairs))
    assert answers.count(None) == 1
    assert {getattr(a, "code", None) for a in answers} == {None, "version_conflict"}
    row = stage.store.find_job("plain")
    assert (row.version, row.job.command) == (2, f"echo {answers.index(None)}")


def test_an_edit_that_is_sent_again_is_acknowledged_and_changes_nothing(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    """Its answer was lost on the way: at one instant, or later."""
    write = write_of(stage, "plain", 1, stage.job("plain"), "false")
    stores = [open_second() for _ in range(3)]
    assert race(*(partial(store.save_jobs, [write], "me") for store in stores)) == [None] * 3
    before = stage.dump(BOOKS)
    stage.store.save_jobs([write], "me")
    assert stage.dump(BOOKS) == before
    assert stage.store.find_job("plain").version == 2
    stage.edit(write.id, command="echo newer")
    with pytest.raises(Conflict, match="changed by somebody else"):
        stage.store.save_jobs([write], "me")


def test_a_new_job_that_is_sent_again_is_acknowledged_and_changes_nothing(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    write = write_of(stage, "plain")
    stores = [open_second() for _ in range(3)]
    assert race(*(partial(store.save_jobs, [write], "me") for store in stores)) == [None] * 3
    before = stage.dump(BOOKS)
    stage.store.save_jobs([write], "me")
    assert stage.dump(BOOKS) == before
    for other in (write_of(stage, "plain"), write_of(stage, "plain", None, write.id, "false")):
        with pytest.raises(Conflict, match="exists already"):
            stage.store.save_jobs([other], "me")
    assert stage.dump(BOOKS) == before


def test_of_two_new_jobs_of_one_name_one_wins(stage: Stage, open_second: Callable[[], SqlStore]):
    stores = [open_second() for _ in range(4)]
    answers = race(
        *(lambda s=store: s.save_jobs([write_of(stage, "plain")], "me") for store in stores)
    )
    assert answers.count(None) == 1
    assert {getattr(a, "code", None) for a in answers} == {None, "name_taken"}


def test_a_job_can_be_renamed_but_not_onto_another(stage: Stage):
    job_id = stage.job("old")
    stage.job("other")
    stage.edit(job_id, name="Newer")
    assert stage.store.find_job("newer").id == job_id
    with pytest.raises(Conflict, match="another job"):
        stage.edit(job_id, name="OTHER")
    with pytest.raises(NotFound):
        stage.store.save_jobs([write_of(stage, "ghost", 1)], "me")


def test_each_version_is_kept_with_its_author(stage: Stage):
    job_id = stage.job("plain", timeout="1m")
    stage.clock.advance(5)
    stage.edit(job_id, timeout="2m")
    newest, oldest = stage.store.versions(job_id)
    assert (newest[0], newest[1]["timeout"], newest[2]) == (2, "2m", "tester")
    assert newest[3] - oldest[3] == 5_000_000
    assert oldest[1]["timeout"] == "1m"


def test_an_edit_that_leaves_the_schedule_alone_moves_no_slot(stage: Stage):
    job_id = stage.job()
    before = stage.store.find_job("job")
    stage.clock.advance(120)
    stage.edit(job_id, command="false")
    after = stage.store.find_job("job")
    assert (after.next_us, after.last_slot_us) == (before.next_us, before.last_slot_us)
    stage.renew()
    stage.fire_all()
    assert len(stage.runs()) + len(stage.skips()) == 2


def test_slots_that_were_due_when_the_schedule_changed_are_recorded(stage: Stage):
    job_id = stage.job("plain", "every 60s")
    stage.clock.advance(180)
    stage.edit(job_id, schedule="every 7s")
    assert [(s.reason.value, s.count) for s in stage.skips(job_id)] == [("edited", 3)]


def test_a_waiting_run_starts_with_the_edited_definition(stage: Stage):
    job_id = stage.job(overlap="queue")
    stage.request(job_id)
    stage.request(job_id, "m:2")
    first = stage.one_claim()
    stage.edit(job_id, command="false")
    assert first.job.command == "true"
    assert stage.store.held_by(stage.node.id) == [first]
    stage.store.promote(stage.end(first).freed)
    assert stage.one_claim().job.command == "false"


# ---------------------------------------------------------------- disable, enable, delete


def test_disabling_holds_all_that_did_not_start_and_frees_its_permits(stage: Stage):
    job_id = stage.job(schedule="every 60s", overlap="queue", max_running=3, retries=1)
    for _ in range(5):
        stage.after(60)
    failed = stage.claim(1)[0]
    stage.end(failed, exit_code=1)
    (claim,) = stage.claim(1)
    stage.disable(job_id)
    assert sorted(stage.states(job_id)) == ["claimed", "held", "held", "held", "held"]
    assert stage.permits(job_id) == 1
    stage.after(3600)
    stage.settle()
    assert stage.claim() == []
    stage.end(claim)
    stage.enable(job_id)
    stage.settle()
    assert len(stage.claim()) == 3


def test_a_disable_against_a_claim_leaves_nothing_to_start(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    job_id = stage.job(overlap="allow")
    for number in range(10):
        stage.request(job_id, f"m:{number}")
        claims, _ = race(
            lambda: stage.store.claim(stage.node, stage.new_id(), 99),
            lambda: other.set_enabled(job_id, "me", enabled=False),
        )
        states = [run.state for run in stage.runs(job_id) if run.state is not RunState.FINISHED]
        assert RunState.READY not in states
        assert stage.claim() == []
        stage.end(*claims)
        stage.enable(job_id)
        stage.settle()


def test_disabling_twice_is_disabling_once(stage: Stage):
    job_id = stage.job()
    stage.disable(job_id)
    before = stage.dump(BOOKS)
    stage.disable(job_id)
    assert stage.dump(BOOKS) == before
    stage.enable(job_id)
    stage.enable(job_id)
    kinds = [event.kind for event in stage.store.events(9)]
    assert kinds.count(EventKind.JOB_ENABLED) == kinds.count(EventKind.JOB_DISABLED) == 1


def test_a_deleted_job_is_gone_and_its_waiting_runs_end(stage: Stage):
    job_id = stage.job(overlap="queue")
    stage.request(job_id)
    stage.request(job_id, "m:2")
    claim = stage.one_claim()
    stage.delete(job_id)
    with pytest.raises(NotFound):
        stage.store.find_job("job")
    assert stage.store.jobs() == []
    assert sorted(stage.states(job_id)) == ["claimed", "finished"]
    stage.end(claim)
    assert stage.permits(job_id) == 0
    with pytest.raises(NotFound):
        stage.request(job_id, "m:3")
    for verb in (stage.delete, stage.disable, stage.enable):
        with pytest.raises(NotFound):
            verb(job_id)
    assert len(stage.runs(job_id)) == 2


def test_the_same_name_revives_the_same_job(stage: Stage):
    job_id = stage.job("Nightly")
    stage.delete(job_id)
    assert stage.job("NIGHTLY") == job_id
    row = stage.store.find_job("nightly")
    assert (row.version, row.job.name, row.enabled) == (2, "NIGHTLY", True)


# ---------------------------------------------------------------- invariant 9: unreadable rows


@pytest.mark.parametrize("spec", GARBAGE, ids=range(len(GARBAGE)))
def test_an_unreadable_definition_is_shown_and_hides_nothing(stage: Stage, spec: str):
    bad = stage.job("bad", "every 60s")
    good = stage.job("good", "every 60s")
    stage.spoil(bad, spec)
    shown = {row.job.name: row for row in stage.store.jobs()}
    assert set(shown) == {"bad", "good"}
    assert "unusable" in str(shown["bad"].job.spec["description"])
    assert stage.store.find_job("bad").id == stage.store.find_job(bad).id == bad
    stage.advance(60)
    stage.fire()
    assert len(stage.runs(good)) == 1
    with pytest.raises(Conflict):
        stage.request(bad)
    stage.edit(good, command="false")
    row = stage.store.find_job("bad")
    stage.save("bad", row.version, "every 30s", job_id=bad)
    stage.after(60)
    assert stage.runs(bad) != []


def test_an_unreadable_job_can_be_deleted(stage: Stage):
    bad = stage.job("bad")
    stage.spoil(bad, "null")
    stage.delete(bad)
    assert stage.store.jobs() == []
