"""`cronherd apply --prune`, `--source`, `--check` and their exit codes: what a pipeline meets."""

import json
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.errors import Conflict
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, FakeHost

GIT = ("--source", "git:shop")


def write(folder: Path, **jobs: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in jobs.items():
        (folder / f"{name}.yaml").write_text(f"jobs:\n  {name}:\n    command: {command}\n")


@pytest.fixture
def folder(tmp_path: Path, cronherd: Shell) -> Path:
    """Two jobs of a folder that were applied."""
    path = tmp_path / "jobs"
    write(path, a="one", b="two")
    assert cronherd("apply", "-f", "jobs", *GIT, "--yes").code == 0
    return path


def test_what_a_folder_dropped_is_named_and_deleted_only_when_that_is_said(
    cronherd: Shell, fleet: FakeFleet, folder: Path
):
    (folder / "b.yaml").unlink()
    said = cronherd("apply", "-f", "jobs", *GIT, "--yes")
    assert (said.code, said.out) == (0, "")
    assert said.err == "no longer said, and kept: b (--prune deletes them)\nnothing to change\n"
    assert cronherd("diff", "-f", "jobs", *GIT).code == 0
    said = cronherd("diff", "-f", "jobs", *GIT, "--prune")
    assert (said.code, said.out) == (3, "- b  (its runs stay)\n")
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune")
    assert said.code == 2
    assert "nobody is here to answer: Delete 1 job?" in said.err
    assert "b" in fleet.jobs
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune", "--yes")
    assert (said.code, said.out, said.err) == (0, "- b  (its runs stay)\n", "1 job deleted\n")
    assert [*fleet.jobs] == ["a"]


def test_an_empty_folder_is_refused_unless_it_is_meant(
    cronherd: Shell, fleet: FakeFleet, folder: Path
):
    for file in folder.iterdir():
        file.unlink()
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune", "--yes")
    assert said.code == 1
    assert "has no *.yaml file" in said.err
    assert sorted(fleet.jobs) == ["a", "b"]
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune", "--allow-empty", "--yes")
    assert (said.code, said.err) == (0, "2 jobs deleted\n")


def test_a_rename_and_an_edit_in_between_are_told(cronherd: Shell, fleet: FakeFleet, folder: Path):
    fleet.jobs["b"]["drifted"] = True
    (folder / "a.yaml").unlink()
    write(folder, c="one", b="three")
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune", "--yes")
    assert said.out == (
        "~ b  (was edited since it was applied)\n  - command: two\n  + command: three\n"
        "~ c  (renamed from a)\n  - name: a\n  + name: c\n"
    )
    assert sorted(fleet.jobs) == ["b", "c"]


def test_folders_below_are_read_and_hidden_ones_are_not(cronherd: Shell, folder: Path):
    write(folder / "team" / "deep", c="three")
    (folder / ".github").mkdir()
    (folder / ".github" / "ci.yml").write_text("on: push\n")
    assert cronherd("diff", "-f", "jobs", *GIT).out == "+ c\n"


def test_several_folders_of_one_source_are_one_step(
    cronherd: Shell, fleet: FakeFleet, folder: Path, tmp_path: Path
):
    write(tmp_path / "more", c="three")
    before = len(fleet.calls)
    said = cronherd("apply", "-f", "jobs", "-f", "more", *GIT, "--prune", "--yes")
    assert (said.code, said.out) == (0, "+ c\n")
    assert fleet.calls[before:] == ["apply git:shop dry", "apply git:shop for good"]
    write(tmp_path / "more", a="again")
    said = cronherd("apply", "-f", "jobs", "-f", "more", *GIT, "--prune", "--yes")
    assert (said.code, "two jobs are named 'a'" in said.err) == (1, True)


def test_a_name_in_two_files_is_a_fault_of_the_second(cronherd: Shell, folder: Path):
    (folder / "z.yaml").write_text("jobs:\n  A:\n    command: other\n")
    said = cronherd("apply", "-f", "jobs", "--check")
    assert said.code == 1
    assert said.err == "cronherd: jobs/z.yaml: a job of another file is named 'A', too\n"


def test_a_check_asks_no_fleet_and_tells_the_faults_of_all_files(
    cronherd: Shell, fleet: FakeFleet, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise AssertionError("a check reaches nobody")

    monkeypatch.setattr(FakeHost, "reach", refuse, raising=False)
    monkeypatch.setattr("cronherd.cli.reach.reach_fleet", refuse)
    said = cronherd("apply", "-f", "jobs", "--check")
    assert (said.code, said.out, said.err) == (0, "", "2 jobs: no fault was found\n")
    told = json.loads(cronherd("apply", "-f", "jobs", "--check", "-o", "json").out)
    assert (told["checked"], told["jobs"]) == (True, ["a", "b"])
    (folder / "a.yaml").write_text("jobs:\n  a:\n    command: x\n    tiemout: 1h\n")
    (folder / "b.yaml").write_text("jobs:\n  b:\n    schedule: never\n")
    said = cronherd("apply", "-f", "jobs", "--check")
    assert said.code == 1
    assert "jobs/a.yaml:4:5: jobs.a.tiemout: unknown setting" in said.err
    assert "jobs/b.yaml:2:3: jobs.b.command: is missing" in said.err


def test_whoever_was_not_first_has_a_code_of_his_own(
    cronherd: Shell, fleet: FakeFleet, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    write(folder, a="changed")
    plain = fleet.apply_jobs

    def beaten(*args: Any, dry_run: bool, **more: Any) -> Any:
        if not dry_run:
            assert more["plan"]
            more["plan"] = "of somebody else"
        return plain(*args, dry_run=dry_run, **more)

    monkeypatch.setattr(fleet, "apply_jobs", beaten)
    said = cronherd("apply", "-f", "jobs", *GIT, "--prune", "--yes")
    assert said.code == 4
    assert said.err.startswith("cronherd: somebody else meanwhile")
    said = cronherd("apply", "-f", "jobs", *GIT, "--yes", "-o", "json")
    assert json.loads(said.err)["error"]["code"] == "plan_outdated"


def test_a_job_of_somebody_else_is_shown_and_refused(
    cronherd: Shell, fleet: FakeFleet, folder: Path
):
    for command in (("apply", "--yes"), ("apply", "--dry-run"), ("diff",)):
        said = cronherd(*command, "-f", "jobs", "--source", "git:other")
        assert said.code == 1
        assert said.out.startswith("! a  (the job 'a' belongs to git:shop)\n")
        assert "nothing can be applied: the job 'a' belongs to git:shop (and 1 more)" in said.err
    assert {job["source"] for job in fleet.jobs.values()} == {"git:shop"}


def test_standard_input_is_pruned_only_under_a_name(cronherd: Shell, fleet: FakeFleet):
    text = b"jobs:\n  x:\n    command: 'true'\n"
    said = cronherd("apply", "-f", "-", "--prune", "--yes", given=text)
    assert (said.code, "--source NAME" in said.err) == (2, True)
    assert cronherd("apply", "-f", "-", *GIT, "--prune", "--yes", given=text).code == 0
    assert [*fleet.jobs] == ["x"]


def test_an_unchanged_source_settles_what_was_edited_to_say_the_same(
    cronherd: Shell, fleet: FakeFleet, folder: Path
):
    fleet.jobs["a"]["drifted"] = True
    before = len(fleet.calls)
    assert cronherd("apply", "-f", "jobs", *GIT, "--dry-run").err == "nothing to change\n"
    assert fleet.calls[before:] == ["apply git:shop dry"]
    assert cronherd("apply", "-f", "jobs", *GIT).err == "nothing to change\n"
    assert fleet.calls[-1] == "apply git:shop for good"


def test_a_source_that_was_applied_before_another_failed_is_named(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "one", a="first")
    write(tmp_path / "two", b="second")
    plain = fleet.apply_jobs

    def second_fails(jobs: Any, source: str, *args: Any, **more: Any) -> Any:
        if not more["dry_run"] and source.endswith("two"):
            raise Conflict("no", code="other_source")
        return plain(jobs, source, *args, **more)

    monkeypatch.setattr(fleet, "apply_jobs", second_fails)
    said = cronherd("apply", "-f", "one", "-f", "two", "--yes")
    assert (said.code, said.err) == (
        1,
        f"applied before: file:{tmp_path}/one\ncronherd: no\n",
    )
