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
    assert "nobody is here to answer: Apply 2 changes?\n  repeat it with --yes" in said.err
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
@never nobody
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
    assert "    3  not supported: @never nobody" in said.out
    assert "    4  not supported: 0 4 31 2 * never" in said.out
    assert "was read as Latin-1" in said.out
    assert said.err.startswith("2 jobs imported, 2 lines not supported\n")
    assert "overlap (overlap: allow) and are not caught up (catchup: none)" in said.err
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
    assert said.err.startswith("1,000 jobs imported, 0 lines not supported")
    assert not any("\r" in job["command"] for job in fleet.jobs.values())


def test_an_empty_crontab_is_no_error(cronherd: Shell):
    said = cronherd("import", "crontab", "-", given=b"")
    assert said.err == "0 jobs to import, 0 lines not supported; nothing was done\n"


MANY = b"""\
# A remark
SHELL=/bin/sh
MAILTO=ops@example.org
CRON_TZ=Asia/Tokyo
0 4 * * * backup
0 5 * * * report
"""


def test_the_report_leaves_out_what_says_nothing_unless_asked_for_more(cronherd: Shell):
    short = cronherd("import", "crontab", "-", "--dry-run", given=MANY)
    assert short.out == (
        "standard input (user crontab, for node web-1)\n"
        "  note: MAILTO=ops@example.org: mailed by nodes with an alerts.relay\n"
        "    4  setting: CRON_TZ=Asia/Tokyo\n"
        "         the schedules below follow CRON_TZ as in cronie; Debian's cron ignores it\n"
        "    5  imported: 'backup'\n"
        "    6  imported: 'report'\n"
    )
    assert short.err == "2 jobs to import, 0 lines not supported; nothing was done\n"
    long = cronherd("import", "crontab", "-", "--dry-run", "-v", given=MANY)
    assert "    1  comment: # A remark\n    2  setting: SHELL=/bin/sh\n" in long.out


def test_a_user_in_a_user_crontab_is_asked_about(cronherd: Shell):
    tab = b"@daily ls\n@daily root x\n* * * * root x\n"
    said = cronherd("import", "crontab", "-", "--dry-run", given=tab)
    question = "is 'root' a user? a system crontab is imported with --system\n"
    assert f"  note: line 2: {question}" in said.out
    assert f"         hint: is a field missing? {question}" in said.out
    said = cronherd("import", "crontab", "-", "--dry-run", given=b"@daily ls\n@daily mail x\n")
    assert "is a" not in said.out


def test_the_summary_stands_before_the_question_too(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", given=MANY)
    assert said.code == 2
    assert said.err.startswith("2 jobs to import, 0 lines not supported\n")
    said = cronherd("import", "crontab", "-", "-o", "json", given=MANY)
    assert json.loads(said.err)["error"]["code"] == "usage"
    assert not fleet.jobs


def test_strict_answers_with_an_error_document_where_json_is_asked_for(cronherd: Shell):
    said = cronherd("import", "crontab", "-", "--strict", "-o", "json", given=CRONTAB)
    assert said.code == 1
    assert json.loads(said.err)["error"]["detail"].startswith("nothing was imported")


@pytest.mark.parametrize(
    ("nodes", "configured", "chosen"),
    [
        ({"laptop": True}, "web-1", "laptop"),
        ({"laptop": False}, "web-1", "laptop"),
        ({"laptop": True, "web-1": False}, "web-1", "web-1"),
        ({}, "web-1", "web-1"),
    ],
)
def test_imported_jobs_are_for_the_node_that_is_there(
    cronherd: Shell,
    fleet: FakeFleet,
    tmp_path: Path,
    nodes: dict[str, bool],
    configured: str,
    chosen: str,
):
    fleet.nodes = nodes
    (tmp_path / "cronherd.yaml").write_text(f"node: {{name: {configured}}}\n")
    said = cronherd("import", "crontab", "-", "--yes", given=b"@daily report\n")
    assert "warning" not in said.err
    assert fleet.jobs["report"]["definition"]["run_on"] == {"node": chosen}


def test_among_several_nodes_none_is_guessed(cronherd: Shell, fleet: FakeFleet, tmp_path: Path):
    fleet.nodes = {f"n{number}": True for number in range(7)}
    (tmp_path / "cronherd.yaml").write_text("node: {name: laptop}\n")
    said = cronherd("import", "crontab", "-", "--yes", given=b"@daily report\n")
    assert said.code == 1
    assert "several nodes, and none is called 'laptop' like this host\n" in said.err
    assert "with --node: 'n0', 'n1', 'n2', 'n3', 'n4' and 2 more\n" in said.err
    assert not fleet.jobs


def test_a_node_that_nobody_knows_is_taken_with_a_warning(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", "--yes", "--node", "new", given=b"@daily report\n")
    assert said.code == 0
    assert "no node of this fleet is called 'new': the jobs wait until one is" in said.err
    assert fleet.jobs["report"]["definition"]["run_on"] == {"node": "new"}


def test_jobs_of_somebody_else_are_applied_with_a_warning(
    cronherd: Shell, jobs: Path, fleet: FakeFleet
):
    jobs.write_text(JOBS + "    user: somebody\n")
    assert "warning: 'report' with user: somebody" in cronherd("apply", "-f", "jobs.yaml", "-y").err
    assert cronherd("apply", "-f", "jobs.yaml", "-y").err == "nothing to change\n"
