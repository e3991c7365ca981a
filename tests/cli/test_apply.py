"""`cronherd apply`, `diff` and `import crontab`: many jobs at once."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

JOBS = """\
jobs:
  - name: backup
    command: pg_dump shop
    schedule: "30 2 * * *"
  - name: report
    command: [report, --all]
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.yaml"
    path.write_text(JOBS)
    return path


def test_apply_shows_the_changes_and_applies_them_once(
    cronherd: Shell, fleet: FakeFleet, jobs: Path
):
    said = cronherd("apply", "-f", "jobs.yaml", "--yes")
    assert (said.code, said.out) == (0, "+ backup\n+ report\n")
    assert said.err == "2 jobs applied\n"
    assert fleet.calls == [f"apply file:{jobs} dry", f"apply file:{jobs} for good"]
    assert cronherd("apply", "-f", "jobs.yaml", "--yes").err == "nothing to change\n"
    jobs.write_text(JOBS.replace("shop", "SHOP"))
    said = cronherd("apply", "-f", "jobs.yaml", "-y")
    assert said.out == "~ backup\n  - command: pg_dump shop\n  + command: pg_dump SHOP\n"


def test_apply_asks_and_does_nothing_where_nobody_can_answer(
    cronherd: Shell, fleet: FakeFleet, jobs: Path
):
    said = cronherd("apply", "-f", "jobs.yaml")
    assert said.code == 2
    assert "nobody is here to answer 'Apply 2 changes?'\n  repeat it with --yes" in said.err
    assert cronherd("apply", "-f", "jobs.yaml", "--dry-run").code == 0
    assert not fleet.jobs


def test_diff_tells_by_its_code_whether_something_differs(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("diff", "-f", "-", given=JOBS.encode())
    assert (said.code, said.out) == (3, "+ backup\n+ report\n")
    assert not fleet.jobs
    assert cronherd("apply", "-f", "-", "--yes", given=JOBS.encode()).code == 0
    assert cronherd("diff", "-f", "-", given=JOBS.encode()).code == 0


def test_a_folder_is_all_its_files_in_one_step(cronherd: Shell, fleet: FakeFleet, tmp_path: Path):
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    for name in ("b", "a"):
        (folder / f"{name}.yaml").write_text(f"jobs:\n  {name}:\n    command: 'true'\n")
    (folder / "notes.txt").write_text("not ours: [")
    assert cronherd("apply", "-f", "jobs.d", "--yes").out == "+ a\n+ b\n"
    assert len(fleet.calls) == 2


def test_without_a_file_the_jobs_of_the_configuration_are_meant(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    (tmp_path / "cronherd.yaml").write_text(JOBS)
    assert cronherd("diff").out == "+ backup\n+ report\n"
    assert fleet.calls[0].startswith("apply config:")


def test_a_fault_in_a_file_has_its_line_and_nothing_is_applied(
    cronherd: Shell, fleet: FakeFleet, jobs: Path
):
    jobs.write_text(JOBS + "    tiemout: 1h\n")
    said = cronherd("apply", "-f", "jobs.yaml", "--yes")
    assert said.code == 1
    assert "cronherd: jobs.yaml:7:5: jobs.report.tiemout: unknown setting" in said.err
    assert "did you mean 'timeout'?" in said.err
    assert not fleet.calls


def test_changes_are_one_json_document(cronherd: Shell, jobs: Path):
    document = json.loads(cronherd("apply", "-f", "jobs.yaml", "--yes", "-o", "json").out)
    assert document["applied"] is True
    assert [change["name"] for change in document["changes"]] == ["backup", "report"]


# ------------------------------------------------------------------ crontabs

CRONTAB = b"""\
# Nightly backup
30 2 * * * pg_dump shop
@reboot nobody
0 4 31 2 * never
*/5 * * * * t\xe4glich
"""


def test_a_crontab_is_imported_line_by_line_and_a_second_time_updates(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    (tmp_path / "tab").write_bytes(CRONTAB)
    said = cronherd("import", "crontab", "tab", "--node", "web-1", "--yes")
    assert said.code == 0, said.err
    assert "    2  imported: 'nightly-backup'" in said.out
    assert "    3  not supported: @reboot nobody" in said.out
    assert "    4  not supported: 0 4 31 2 * never" in said.out
    assert "was read as Latin-1" in said.out
    assert said.err.startswith("2 jobs imported, 2 lines not supported\n")
    assert fleet.jobs["nightly-backup"]["source"] == f"crontab:web-1:{tmp_path}/tab"
    said = cronherd("import", "crontab", "tab", "--node", "web-1", "--yes")
    assert "'nightly-backup' (unchanged)" in said.out
    assert len(fleet.jobs) == 2


def test_an_import_that_is_only_looked_at_changes_nothing(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", "--dry-run", "-o", "json", given=CRONTAB)
    lines = json.loads(said.out.encode("latin-1"))["files"][0]["lines"]
    assert [line["state"] for line in lines] == [
        "comment", "imported", "refused", "refused", "imported",
    ]  # fmt: skip
    assert not fleet.jobs
    assert cronherd("import", "crontab", "-", given=CRONTAB).code == 2
    assert not fleet.jobs


def test_strict_imports_nothing_when_a_line_is_refused(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", "--strict", "--yes", given=CRONTAB)
    assert said.code == 1
    assert said.err == "cronherd: nothing was imported: 2 lines not supported\n"
    assert not fleet.jobs


def test_files_that_share_a_name_are_told_apart(cronherd: Shell, fleet: FakeFleet, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("0 4 * * * report\n")
    assert cronherd("import", "crontab", "one", "two", "--yes").code == 0
    assert sorted(fleet.jobs) == ["one-report", "two-report"]
    assert "'one-report' (unchanged)" in cronherd("import", "crontab", "one", "--yes").out


def test_a_thousand_lines_and_windows_line_ends_are_read(cronherd: Shell, fleet: FakeFleet):
    raw = b"".join(b"%d 4 * * * job%d\r\n" % (n % 60, n) for n in range(1_000))
    said = cronherd("import", "crontab", "-", "--yes", given=raw)
    assert said.err.startswith("1000 jobs imported, 0 lines not supported")
    assert not any("\r" in job["command"] for job in fleet.jobs.values())


def test_an_empty_crontab_is_no_error(cronherd: Shell):
    said = cronherd("import", "crontab", "-", given=b"")
    assert said.err == "0 jobs to import, 0 lines not supported; nothing was done\n"
