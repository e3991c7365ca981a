"""Applying a source: one transaction, only its own jobs, renames, drift, and who was first."""

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.errors import Conflict, Invalid
from cronherd.domain.job import build_job
from cronherd.domain.search import JobSearch
from cronherd.engine.clock import FakeClock
from cronherd.service import Service
from cronherd.store.database import Database
from cronherd.store.facts import Application, JobWrite
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from tests.store.backends import Backend
from tests.store.lossy import lost_answers
from tests.store.sound import assert_sound
from tests.store.stage import Stage, race

BOOKS = ("job", "job_version", "job_due", "event", "run", "ledger", "gate")
GIT = "git:shop"
KILLED = Path(__file__).with_name("killed_apply.py")


@pytest.fixture
def service(stage: Stage) -> Service:
    store = stage.store
    return Service(
        store, store, new_id=stage.new_id, wake=lambda: None, pause=lambda: False, timezone="UTC"
    )


def job(name: str, command: str = "true", **more: object) -> dict[str, object]:
    return {"name": name, "command": command, "schedule": "every 60s", "timezone": "UTC", **more}


def names(stage: Stage) -> list[str]:
    return [row.job.name for row in stage.store.jobs()]


def told(answer: dict[str, Any]) -> dict[str, str]:
    return {change["name"]: change["change"] for change in answer["changes"]}


def apply(service: Service, *jobs: object, source: str = GIT, **more: Any) -> dict[str, str]:
    return told(service.apply_jobs(jobs, source, "ci", dry_run=False, **more))


def test_a_source_deletes_its_own_jobs_and_nobody_elses(service: Service, stage: Stage):
    service.create_job(job("by hand"), "ada")
    apply(service, job("theirs"), source="git:other")
    apply(service, job("a"), job("b"), job("c"))
    run_id = service.run_job("b", "ada")["run"]["id"]
    stage.finish_all()
    assert apply(service, job("a")) == {"a": "none", "b": "left", "c": "left"}
    assert names(stage) == ["a", "b", "by hand", "c", "theirs"]
    assert apply(service, job("a"), prune=True) == {"a": "none", "b": "delete", "c": "delete"}
    assert names(stage) == ["a", "by hand", "theirs"]
    assert service.show_run(run_id)["outcome"] == "succeeded"
    stage.after(120)
    assert {run.job_name for run in stage.runs()} == {"a", "b", "by hand", "theirs"}
    assert_sound(stage)


def test_a_job_of_another_source_refuses_the_whole(service: Service, stage: Stage):
    apply(service, job("theirs"), source="git:other")
    apply(service, job("a"))
    before = stage.dump(BOOKS)
    looked = service.apply_jobs([job("theirs", "false"), job("b", "date")], GIT, "ci", dry_run=True,
                                prune=True)  # fmt: skip
    assert told(looked) == {"theirs": "refused", "b": "create", "a": "delete"}
    with pytest.raises(Conflict, match="'theirs' belongs to git:other") as caught:
        apply(service, job("theirs", "false"), job("b", "date"), prune=True)
    assert caught.value.code == "other_source"
    assert stage.dump(BOOKS) == before


def test_a_job_of_another_source_is_adopted_with_its_past(service: Service, stage: Stage):
    apply(service, job("theirs"), job("gone"), source="git:other")
    run_id = service.run_job("theirs", "ada")["run"]["id"]
    stage.finish_all()
    looked = service.apply_jobs([job("theirs")], GIT, "ci", dry_run=True, adopt=True)
    assert [change["taken_from"] for change in looked["changes"]] == ["git:other"]
    assert apply(service, job("theirs"), adopt=True) == {"theirs": "update"}
    assert apply(service, job("theirs"), prune=True) == {"theirs": "none"}
    assert service.show_job("theirs")["source"] == GIT
    assert service.show_run(run_id)["job_id"] == service.show_job("theirs")["id"]
    # Neither source deletes by what the other said before.
    assert apply(service, source="git:other", prune=True, allow_empty=True) == {"gone": "delete"}
    assert names(stage) == ["theirs"]
    assert_sound(stage)


def test_no_job_at_all_is_refused_unless_it_is_meant(service: Service, stage: Stage):
    service.create_job(job("by hand"), "ada")
    apply(service, job("a"))
    for dry_run in (True, False):
        with pytest.raises(Invalid) as caught:
            service.apply_jobs([], GIT, "ci", dry_run=dry_run, prune=True)
        assert caught.value.code == "no_jobs"
    assert names(stage) == ["a", "by hand"]
    assert apply(service, prune=True, allow_empty=True) == {"a": "delete"}
    assert names(stage) == ["by hand"]


@pytest.mark.parametrize("source", ["command", "", " x", "x\n", "x" * 401])
def test_nobody_applies_as_everybody(service: Service, stage: Stage, source: str):
    service.create_job(job("by hand"), "ada")
    with pytest.raises(Invalid) as caught:
        apply(service, job("a"), source=source, prune=True)
    assert caught.value.code == "bad_source"
    assert names(stage) == ["by hand"]


def test_sources_are_compared_to_the_letter(service: Service, stage: Stage):
    """Some servers take `x` for `x ` and, in other collations, for `X`."""
    for source in ("GIT:shop", "git:shöp", "git:shop/x"):
        apply(service, job(f"of {source.replace('/', ' ')}"), source=source)
    assert apply(service, job("a"), prune=True) == {"a": "create"}
    assert len(names(stage)) == 4


# ---------------------------------------------------------------- who was first


def test_what_was_looked_at_is_what_is_done_or_nothing(service: Service, stage: Stage):
    apply(service, job("a"), job("b"))
    plan = service.apply_jobs([job("a", "false")], GIT, "ci", dry_run=True, prune=True)["plan"]
    service.edit_job("b", job("b", "date"), None, "ada")
    before = stage.dump(BOOKS)
    with pytest.raises(Conflict) as caught:
        apply(service, job("a", "false"), prune=True, plan=plan)
    assert caught.value.code == "plan_outdated"
    assert stage.dump(BOOKS) == before
    plan = service.apply_jobs([job("a", "false")], GIT, "ci", dry_run=True, prune=True)["plan"]
    assert apply(service, job("a", "false"), prune=True, plan=plan) == {
        "a": "update",
        "b": "delete",
    }


def write(stage: Stage, name: str) -> JobWrite:
    return JobWrite(
        id=stage.new_id(), job=build_job(job(name)), enabled=None, source=GIT, applied=True
    )


def test_of_two_who_apply_at_once_one_wins_whole(stage: Stage, open_second: Callable[[], SqlStore]):
    """Their jobs differ, so that nothing but the turn of the source tells them apart."""
    stores = [open_second() for _ in range(3)]
    turn = stage.store.kept_jobs(GIT, []).turn
    wishes = [
        Application(source=GIT, turn=turn, writes=[write(stage, f"{who} {n}") for n in range(5)])
        for who in "abc"
    ]
    pairs = zip(stores, wishes, strict=True)
    answers = race(*(partial(store.apply_jobs, wish, "ci") for store, wish in pairs))
    assert sorted(getattr(each, "code", "done") for each in answers) == [
        "done", "plan_outdated", "plan_outdated",
    ]  # fmt: skip
    winner = "abc"[answers.index([])]
    assert names(stage) == [f"{winner} {n}" for n in range(5)]


def test_a_job_that_was_edited_meanwhile_refuses_the_whole(service: Service, stage: Stage):
    apply(service, job("a"), job("b"))
    kept = stage.store.kept_jobs(GIT, [])
    drops = [(row.id, row.version) for row in kept.jobs]
    service.edit_job("b", job("b", "date"), None, "ada")
    before = stage.dump(BOOKS)
    wish = Application(source=GIT, turn=kept.turn, writes=[write(stage, "c")], drops=drops)
    with pytest.raises(Conflict) as caught:
        stage.store.apply_jobs(wish, "ci")
    assert caught.value.code == "plan_outdated"
    assert stage.dump(BOOKS) == before
    taken = Application(source=GIT, turn=kept.turn, writes=[write(stage, "b")])
    with pytest.raises(Conflict) as caught:
        stage.store.apply_jobs(taken, "ci")
    assert caught.value.code == "plan_outdated"


def test_an_apply_whose_answer_is_lost_knows_its_own_work(service: Service, stage: Stage):
    apply(service, job("a"), job("b"))
    with lost_answers(stage.store) as count:
        assert apply(service, job("a", "false"), job("c", "date"), prune=True) == {
            "a": "update", "c": "create", "b": "delete",
        }  # fmt: skip
    assert count == [1]
    kinds = [event.kind.value for event in stage.store.events(99)]
    assert [kinds.count(f"job_{word}") for word in ("created", "changed", "deleted")] == [3, 1, 1]
    assert kinds.count("jobs_applied") == 2
    assert apply(service, job("a", "false"), job("c", "date")) == {"a": "none", "c": "none"}
    assert_sound(stage)


def test_who_is_killed_before_the_commit_changed_nothing(
    backend: Backend, clock: FakeClock, tmp_path: Path
):
    """300 jobs made, one renamed, one deleted: all sent, and then SIGKILL instead of COMMIT."""
    folder = tmp_path / "killed"
    folder.mkdir()
    store = backend.open(folder, clock)
    stage = Stage(store, clock)
    service = Service(
        store, store, new_id=stage.new_id, wake=lambda: None, pause=lambda: False, timezone="UTC"
    )
    apply(service, job("gone", "date"), job("old", "echo renamed"))
    before = stage.dump(BOOKS)
    target = str(folder / "cronherd.db")
    if backend.name == "sqlite":
        backend.close(store)
    else:
        target = backend._opened[store].url  # type: ignore[attr-defined]
    ended = subprocess.run(
        [sys.executable, str(KILLED), backend.name, target, GIT],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout.split() == ["300", "create", "1", "rename", "1", "delete"]
    if backend.name == "sqlite":
        store = SqlStore(Database(SqliteDialect(Path(target), clock.now_us)), stage.new_id)
        stage = stage.on(store)
    assert stage.dump(BOOKS) == before
    if backend.name == "sqlite":
        store.close()
    else:
        backend.close(store)


# ---------------------------------------------------------------- names


def test_a_job_that_says_its_old_name_keeps_its_runs(service: Service, stage: Stage):
    apply(service, job("old"))
    job_id = service.show_job("old")["id"]
    service.run_job("old", "ada")
    stage.finish_all()
    renamed = job("newer", "false", formerly="old")
    answer = service.apply_jobs([renamed], GIT, "ci", dry_run=False)
    assert told(answer) == {"newer": "rename"}
    assert answer["changes"][0]["from"] == "old"
    shown = service.show_job("newer")
    assert (shown["id"], shown["version"], len(shown["runs"])) == (job_id, 2, 1)
    assert apply(service, renamed, prune=True) == {"newer": "none"}
    assert names(stage) == ["newer"]


def test_what_goes_and_comes_alike_is_the_same_job_where_it_would_be_deleted(
    service: Service, stage: Stage
):
    apply(service, job("a", "one"), job("twin 1"), job("twin 2"))
    job_id = service.show_job("a")["id"]
    assert told(service.apply_jobs([job("b", "one")], GIT, "ci", dry_run=True))["b"] == "create"
    assert apply(service, job("b", "one"), job("twin 3"), prune=True) == {
        "b": "rename", "twin 3": "create", "twin 1": "delete", "twin 2": "delete",
    }  # fmt: skip
    assert service.show_job("b")["id"] == job_id
    assert names(stage) == ["b", "twin 3"]


def test_a_name_that_was_deleted_keeps_the_past_of_its_own_job(service: Service, stage: Stage):
    apply(service, job("a", "one"), job("b", "two"))
    old = service.show_job("b")["id"]
    apply(service, job("a", "one"), prune=True)
    with pytest.raises(Conflict) as caught:
        apply(service, job("b", "two", formerly="a"))
    assert caught.value.code == "name_taken"
    assert apply(service, job("b", "one"), prune=True) == {"b": "create", "a": "delete"}
    assert service.show_job("b")["id"] == old


def test_an_old_name_that_is_still_said_is_no_rename(service: Service):
    apply(service, job("a"))
    assert apply(service, job("a"), job("b", formerly="a")) == {"a": "none", "b": "create"}


# ---------------------------------------------------------------- drift


def test_an_edit_drifts_until_it_says_the_same_again(service: Service, stage: Stage):
    apply(service, job("a"), job("b"))
    service.create_job(job("by hand"), "ada")
    service.edit_job("by hand", job("by hand", "date"), None, "ada")

    def drifted() -> list[str]:
        rows, _ = stage.store.job_page(JobSearch(drift=True), None, 9)
        others, _ = stage.store.job_page(JobSearch(drift=False), None, 9)
        assert len(rows) + len(others) == 3
        return [row.job.name for row in rows]

    assert drifted() == []
    service.set_enabled("a", "ada", enabled=False)
    assert drifted() == []  # a switch is no definition
    service.edit_job("b", job("b", "date"), None, "ada")
    service.edit_job("b", job("b", "date", timeout="1m"), None, "ada")
    assert drifted() == ["b"]
    shown = service.show_job("b")
    assert (shown["drifted"], shown["applied_version"], shown["version"]) == (True, 1, 3)
    service.rollback_job("b", 1, None, "ada")
    assert drifted() == []
    service.edit_job("b", job("b", "date"), None, "ada")
    looked = service.apply_jobs([job("a"), job("b")], GIT, "ci", dry_run=True)
    assert looked["changes"][1]["drifted"] is True
    apply(service, job("a"), job("b"))
    assert (drifted(), service.show_job("b")["command"]) == ([], "true")


def test_what_the_source_says_too_by_now_drifts_no_longer(service: Service):
    apply(service, job("a"))
    service.edit_job("a", job("a", "date"), None, "ada")
    looked = service.apply_jobs([job("a", "date")], GIT, "ci", dry_run=True)
    assert (told(looked), looked["settles"]) == ({"a": "none"}, 1)
    apply(service, job("a", "date"))
    shown = service.show_job("a")
    assert (shown["drifted"], shown["applied_version"], shown["version"]) == (False, 2, 2)
    assert service.apply_jobs([job("a", "date")], GIT, "ci", dry_run=True)["settles"] == 0
