"""`cronherd job`: what people do with jobs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cronherd.cli.session import user_name
from cronherd.definition.document import load_document
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, make_attempt, make_piece, make_run

BACKUP = ("job", "create", "backup", "-s", "30 2 * * *", "-c", "pg_dump shop | gzip")


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    """An $EDITOR that runs a line of shell over the file in $1."""
    path = tmp_path / "editor"
    path.write_text(f'#!/bin/sh\necho x >> "$0.count"\n{script}\n')
    path.chmod(0o755)
    return {"EDITOR": str(path)}


def test_a_job_is_created_listed_shown_and_deleted(cronherd: Shell):
    created = cronherd(*BACKUP)
    assert (created.code, created.out) == (0, "")
    assert created.err == "'backup' is created and runs next at 2026-11-22 02:30:00 UTC\n"
    header, row = cronherd("job", "list").out.splitlines()
    assert header.split() == ["NAME", "ENABLED", "SCHEDULE", "NEXT", "LAST", "RESULT"]
    assert row.split()[:2] == ["backup", "yes"]
    assert "2026-11-22 02:30:00 UTC" in row
    assert "command: pg_dump shop | gzip" in cronherd("job", "show", "backup").out
    assert cronherd("job", "delete", "backup", "--yes").code == 0
    assert "make one with `cronherd job create`" in cronherd("job", "list").err


def test_what_stands_behind_two_dashes_is_executed_as_it_is(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("job", "create", "sync", "-s", "every 1h", "--", "rsync", "-a", "/srv", "b:")
    assert said.code == 0
    assert fleet.jobs["sync"]["command"] == ["rsync", "-a", "/srv", "b:"]


def test_every_common_setting_has_an_option_and_the_rest_has_set(cronherd: Shell, fleet: FakeFleet):
    said = cronherd(
        *BACKUP, "--timezone", "Europe/Berlin", "--overlap", "queue", "--timeout", "1h",
        "--retries", "3", "--env", "A=b=c", "--run-on", "zone=eu", "--description", "nightly",
        "--set", "retries.backoff=1m", "--set", "priority=7", "--set", "env.V=1.10", "--disabled",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = fleet.jobs["backup"]["definition"]
    assert found["env"] == {"A": "b=c", "V": "1.10"}
    assert found["retries"] == {"max": 3, "backoff": "1m"}
    assert (found["priority"], found["enabled"], found["run_on"]) == (7, False, {"zone": "eu"})


def test_a_job_comes_from_a_file_or_standard_input(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    text = "name: a\ncommand: 'true'\nschedule: '*/5 * * * *'\nenv: {V: 1.10}\n"
    (tmp_path / "a.yaml").write_text(text)
    assert cronherd("job", "create", "-f", "a.yaml").code == 0
    assert fleet.jobs["a"]["definition"]["env"] == {"V": "1.10"}
    assert cronherd("job", "create", "b", "-f", "-", given=text.encode()).code == 0
    assert sorted(fleet.jobs) == ["a", "b"]


def test_a_fault_of_a_file_has_its_line(cronherd: Shell, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("jobs:\n  - name: a\n    command: x\n    timeout: soon\n")
    said = cronherd("job", "create", "-f", "a.yaml")
    assert said.err.startswith("cronherd: a.yaml:4:5: timeout: 'soon' is not a duration\n")


def test_the_faults_of_a_file_come_in_its_order(cronherd: Shell, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("tiemout: 1h\noverlap: x\nname: a\ncommand: x\ngrace: y\n")
    said = cronherd("job", "create", "-f", "a.yaml")
    assert re.findall(r"a\.yaml:(\d+):", said.err) == ["1", "2", "5"]


def test_several_jobs_are_one_document_and_all_of_them_or_none(cronherd: Shell, fleet: FakeFleet):
    for name in ("a", "b"):
        cronherd("job", "create", name, "-c", "true")
    document = json.loads(cronherd("job", "disable", "a", "b", "-o", "json").out)
    assert [job["enabled"] for job in document["items"]] == [False, False]
    assert cronherd("job", "enable", "a", "nobody").code == 1
    assert fleet.jobs["a"]["enabled"] is False
    assert cronherd("job", "delete", "a", "nobody", "-y").code == 1
    assert cronherd("job", "delete", "a", "b", "-y", "-o", "name").out == "a\nb\n"


def test_all_pages_are_one_list_in_every_form(cronherd: Shell):
    for name in ("a", "b", "c", "d", "e"):
        cronherd("job", "create", name, "-c", "true")
    assert cronherd("job", "list", "-o", "name").out.split() == ["a", "b", "c", "d", "e"]
    document = json.loads(cronherd("-o", "json", "job", "list").out)
    assert (document["api_version"], len(document["items"])) == ("v1", 5)
    assert yaml.safe_load(cronherd("job", "list", "-o", "yaml").out) == document
    assert "COMMAND" in cronherd("job", "list", "-o", "wide").out


def test_yaml_output_reads_back_as_the_same_by_our_own_reader(cronherd: Shell, fleet: FakeFleet):
    odd = [
        "1e3",
        "no",
        "12:30",
        "~",
        "08",
        "a\nb\n",
        " x ",
        "ü",
        "*",
        "",
        "1_000",
        "0o7",
        "=",
        "<<",
    ]
    cronherd("job", "create", "odd", "--", "echo", *odd)
    text = cronherd("job", "show", "odd", "-o", "yaml").out.encode("latin-1").decode()
    read = load_document(text, "x").value
    assert isinstance(read, dict)
    assert read["definition"]["command"] == ["echo", *odd]
    assert yaml.safe_load(text)["definition"]["command"] == ["echo", *odd]


def test_enable_and_disable_say_what_is_and_may_be_repeated(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    for verb, enabled in (("disable", False), ("disable", False), ("enable", True)):
        assert cronherd("job", verb, "BACKUP").err == f"'backup' is {verb}d\n"
        assert fleet.jobs["backup"]["enabled"] is enabled


def test_settings_are_edited_without_an_editor_and_taken_out(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP, "--timeout", "1h")
    said = cronherd("job", "edit", "backup", "--set", "schedule=*/5 * * * *", "--set", "timeout=")
    assert said.err == "'backup' is saved as version 2\n"
    found = fleet.jobs["backup"]["definition"]
    assert found["schedule"] == "*/5 * * * *"
    assert "timeout" not in found


def test_the_editor_opens_again_with_the_faults_on_top(
    cronherd: Shell, fleet: FakeFleet, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    environ |= editor(
        tmp_path,
        'if grep -q "^#! .*tiemout" "$1"; then sed -i s/tiemout/timeout/ "$1";'
        ' else echo "tiemout: 2h" >> "$1"; fi',
    )
    said = cronherd("job", "edit", "backup")
    assert said.err == "'backup' is saved as version 2\n"
    assert fleet.jobs["backup"]["definition"]["timeout"] == "2h"
    assert (tmp_path / "editor.count").read_text().count("x") == 2


def test_an_editor_that_leaves_the_text_alone_changes_nothing(
    cronherd: Shell, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    environ |= editor(tmp_path, "true")
    said = cronherd("job", "edit", "backup")
    assert (said.code, said.err) == (0, "nothing was changed\n")


def test_faults_that_are_given_up_on_fail_and_keep_the_text(
    cronherd: Shell, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    environ |= editor(tmp_path, 'grep -q tiemout "$1" || echo "tiemout: 2h" >> "$1"')
    said = cronherd("job", "edit", "backup")
    assert said.code == 1
    kept = Path(said.err.split("kept in ")[1].strip())
    lines = kept.read_text().splitlines()
    place = f"{kept.name}:{lines.index('tiemout: 2h') + 1}:1"
    assert said.err.startswith(f"cronherd: nothing was saved: {place}: tiemout: unknown setting")
    assert lines[0].startswith(f"#! {place}: tiemout: ")
    kept.unlink()


def test_no_editor_is_opened_where_nobody_can_type(
    cronherd: Shell, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    vi = tmp_path / "vi"
    vi.write_text("#!/bin/sh\nexit 0\n")
    vi.chmod(0o755)
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    said = cronherd("job", "edit", "backup")
    assert said.code == 1
    assert "an editor needs a terminal\n  use --set KEY=VALUE" in said.err


def test_text_that_is_no_yaml_is_given_back_with_its_line(
    cronherd: Shell, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    environ |= editor(tmp_path, """grep -q '^a: "' "$1" || echo 'a: "b' >> "$1\"""")
    said = cronherd("job", "edit", "backup")
    kept = Path(said.err.split("kept in ")[1].strip())
    assert (
        f"{kept.name}:{len(kept.read_text().splitlines()) + 1}:1: a quote is not closed" in said.err
    )
    kept.unlink()


def test_a_job_of_somebody_else_is_made_with_a_warning(
    cronherd: Shell, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
):
    assert cronherd(*BACKUP, "--set", "user=somebody").code == 0
    for own, needed in (
        ("ada", "only an agent of root can become another user, so under an agent of ada the runs"),
        ("root", "each host that runs it needs a line 'somebody' in /etc/cronherd/run-as.allow"),
    ):
        monkeypatch.setattr("cronherd.cli.foreign.user_name", lambda own=own: own)
        said = cronherd("job", "edit", "backup", "--set", f"description=of {own}")
        assert f"warning: 'backup' with user: somebody: {needed}" in said.err
    monkeypatch.undo()
    assert "warning" in cronherd("job", "edit", "backup", "--set", "priority=1").err
    own = user_name()
    assert "warning" not in cronherd("job", "edit", "backup", "--set", f"user={own}").err


def test_a_change_by_somebody_else_is_said_and_the_text_is_kept(
    cronherd: Shell, fleet: FakeFleet, environ: dict[str, str], tmp_path: Path
):
    cronherd(*BACKUP)
    environ |= editor(tmp_path, 'echo "timeout: 2h" >> "$1"')
    shown = fleet.show_job
    fleet.show_job = lambda name: {**shown(name), "version": 0}  # type: ignore[method-assign]
    said = cronherd("job", "edit", "backup")
    assert said.code == 1
    assert "somebody changed the job meanwhile\n  your text is kept in " in said.err
    Path(said.err.split("kept in ")[1].split(";")[0]).unlink()


# ------------------------------------------------------------------ running


def test_a_run_that_is_asked_for_tells_its_id_on_stdout(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    said = cronherd("job", "run", "backup", "--force")
    assert (said.code, said.out) == (0, "00000001\n")
    assert fleet.calls == ["run backup by local force"]


@pytest.mark.parametrize(
    ("ended", "error", "code"),
    [
        ({}, "", 0),
        ({"outcome": "failed", "exit_code": 3}, "", 3),
        ({"outcome": "failed", "exit_code": None, "signal": 9}, "", 137),
        ({"outcome": "timed_out", "exit_code": None, "signal": 15}, "", 124),
        ({"outcome": "lost", "exit_code": None}, "", 125),
        ({"outcome": "cancelled", "exit_code": None, "signal": 15}, "", 125),
        ({"outcome": "not_started", "exit_code": None}, "", 125),
        ({"outcome": "not_started", "exit_code": None}, "not_executable", 126),
        ({"outcome": "failed", "exit_code": None}, "not_found", 127),
    ],
)
@pytest.mark.parametrize("how", ["--wait", "--follow"])
def test_a_run_that_is_waited_for_ends_with_its_own_code(
    cronherd: Shell, fleet: FakeFleet, how: str, ended: dict[str, Any], error: str, code: int
):
    cronherd(*BACKUP)
    fleet.started = make_run(**ended)
    fleet.attempts = [make_attempt(error=error)]
    fleet.pieces = [make_piece(0, b"one\xff\n"), make_piece(1, b"two\n", "stderr")]
    said = cronherd("job", "run", "backup", how)
    assert said.code == code
    assert said.out == ("one\xff\n" if how == "--follow" else "")
    assert ("two\n" in said.err) is (how == "--follow")


def test_how_a_run_ended_is_said_in_a_sentence(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.started = make_run(outcome="not_started", duration_s=None, error="no such file")
    said = cronherd("job", "run", "backup", "--wait")
    assert said.err == "cronherd: run 00000001 of 'backup' was not started: no such file\n"
    fleet.started = make_run(outcome="failed", exit_code=2, duration_s=0.25)
    said = cronherd("job", "run", "backup", "--wait")
    assert said.err == "cronherd: run 00000001 of 'backup' failed (exit 2) in 250ms\n"


def test_waiting_fails_with_125_when_the_fleet_goes_away_or_the_job_is_unknown(
    cronherd: Shell, fleet: FakeFleet
):
    assert cronherd("job", "run", "nobody", "--wait").code == 125
    assert cronherd("job", "run", "nobody").code == 1
    cronherd(*BACKUP)
    fleet.started = make_run(state="running", outcome=None)
    said = cronherd("job", "run", "backup", "--wait")
    assert said.code == 125
    assert "the run 00000001 has not ended" in said.err
