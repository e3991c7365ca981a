"""`cronherd run`, `logs`, `status`, `timers`, `node`: looking."""

import json
from pathlib import Path

import pytest

from cronherd.cli.table import coloured
from tests.cli.conftest import Process, Shell
from tests.cli.fakes import FakeFleet, FakeHost, make_attempt, make_piece, make_run


def test_runs_are_listed_with_short_ids_and_how_they_ended(cronherd: Shell, fleet: FakeFleet):
    fleet.ended = [make_run(7, outcome="failed", exit_code=3), make_run(8)]
    lines = cronherd("run", "list").out.splitlines()
    assert lines[0].split() == ["ID", "JOB", "RESULT", "STARTED", "TOOK", "NODE"]
    assert lines[1].startswith("00000007  backup  failed (exit 3)  2026-11-21 09:59:01 UTC  3.0s")
    assert (
        cronherd("run", "list", "--outcome", "failed", "-o", "name").out == f"{7:08x}{'0' * 24}\n"
    )


def test_outcomes_are_words_for_people_and_stay_as_they_are_for_programs(
    cronherd: Shell, fleet: FakeFleet
):
    fleet.ended = [make_run(7, outcome="timed_out"), make_run(8, outcome="not_started")]
    said = cronherd("run", "list").out
    assert "  timed out  " in said
    assert "  not started  " in said
    assert '"outcome": "timed_out"' in cronherd("run", "list", "-o", "json").out
    assert cronherd("run", "list", "--outcome", "timed out", "-o", "name").out.startswith(
        "00000007"
    )
    assert coloured("timed out") != "timed out" != coloured("not started")


def test_one_run_is_shown_with_its_attempts_under_both_names(cronherd: Shell, fleet: FakeFleet):
    fleet.attempts = [make_attempt(exit_code=None, signal=9)]
    for verb in ("show", "view"):
        said = cronherd("run", verb, "000000")
        assert "result:    succeeded" in said.out
        assert "SIGKILL" in said.out


def test_output_keeps_every_byte_and_each_stream(cronherd: Shell, fleet: FakeFleet):
    raw = bytes(range(256))
    fleet.pieces = [
        make_piece(0, raw), make_piece(1, b"warn\n", "stderr"), make_piece(2, b"end", dropped=99),
    ]  # fmt: skip
    said = cronherd("run", "logs", "00000001")
    assert said.out.encode("latin-1") == raw + b"end"
    assert said.err == "warn\ncronherd: 99 bytes of output were not kept here\n"


def test_logs_of_a_job_are_those_of_its_newest_run(cronherd: Shell, fleet: FakeFleet):
    cronherd("job", "create", "backup", "-c", "true")
    assert cronherd("logs", "backup").err.startswith("cronherd: the job 'backup' has not run yet")
    fleet.ended, fleet.pieces = [fleet.started], [make_piece(0, b"hello\n")]
    assert cronherd("logs", "backup").out == "hello\n"
    assert cronherd("logs", "backup", "-f").out == "hello\n"
    lines = cronherd("logs", "backup", "-f", "-o", "json").out.splitlines()
    assert json.loads(lines[0])["bytes"] == "hello\n"


def test_a_run_without_output_says_so(cronherd: Shell):
    said = cronherd("run", "logs", "00000001")
    assert (said.out, said.err) == (
        "",
        "run 00000001 of 'backup' has written nothing (succeeded)\n",
    )


@pytest.mark.parametrize("more", [(), ("-f",)], ids=["kept", "followed"])
def test_the_output_of_a_lost_attempt_says_that_its_end_may_be_missing(
    cronherd: Shell, fleet: FakeFleet, more: tuple[str, ...]
):
    missing = "cronherd: attempt 1 was lost: the last it wrote may be missing\n"
    fleet.pieces = [make_piece(0, b"hello\n")]
    assert cronherd("run", "logs", "00000001", *more).err == ""
    fleet.started = make_run(1, outcome="lost")
    fleet.attempts = [make_attempt(killed_by="gone")]
    assert cronherd("run", "logs", "00000001", *more).err == missing
    fleet.started = make_run(1, attempt=2)
    fleet.attempts.append(make_attempt(number=2))
    assert cronherd("run", "logs", "00000001", *more).err == missing
    assert "missing" not in cronherd("run", "logs", "00000001", "--attempt", "2", *more).err


def test_cancelling_asks_and_then_cancels(cronherd: Shell, fleet: FakeFleet):
    assert cronherd("run", "cancel", "00000001").code == 2
    assert not fleet.calls
    assert cronherd("run", "cancel", "00000001", "-y").code == 0
    assert fleet.calls == ["cancel 00000001"]


def test_timers_say_how_long_is_left(cronherd: Shell):
    cronherd("job", "create", "backup", "-s", "30 2 * * *", "-c", "true")
    header, row = cronherd("timers").out.splitlines()
    assert header.split() == ["NEXT", "LEFT", "LAST", "PASSED", "JOB", "NODE"]
    assert row.startswith("2026-11-22 02:30:00 UTC  16h 30m  -     -       backup  -")


def test_times_are_in_the_zone_of_the_viewer_or_utc(cronherd: Shell, process: Process):
    shown = process("timers", environ={"TZ": "Europe/Berlin"}).stdout.decode()
    assert "2026-11-22 03:30:00 CET" in shown
    shown = process("timers", "--utc", environ={"TZ": "Europe/Berlin"}).stdout.decode()
    assert "2026-11-22 02:30:00 UTC" in shown


def test_status_is_one_screen(cronherd: Shell, fleet: FakeFleet):
    cronherd("job", "create", "backup", "-s", "30 2 * * *", "-c", "true")
    fleet.ended = [make_run(7, outcome="failed", exit_code=3)]
    said = cronherd("status").out
    for part in ("nodes: 1 alive", "Last failures", "failed (exit 3)", "Next", "jobs: 1"):
        assert part in said
    assert json.loads(cronherd("status", "-o", "json").out)["api_version"] == "v1"
    assert "command: 'true'" in cronherd("status", "backup").out


def test_status_says_what_runs_wait_for_and_which_were_forced(cronherd: Shell, fleet: FakeFleet):
    waits = {"kind": "pool", "name": "db", "text": "a permit of the pool db"}
    fleet.ended = [
        make_run(7, state="waiting", outcome=None, waits_for=waits, job="second"),
        make_run(8, state="running", outcome=None, forced=True, job="third"),
    ]
    said = cronherd("status").out
    running, _, waiting = said.partition("\nWaiting\n")
    assert "running (forced)" in running.partition("\nRunning\n")[2]
    assert "second" in waiting
    assert "waiting (pool db)" in waiting


def test_nodes_are_listed(cronherd: Shell):
    assert "web-1  alive" in cronherd("node", "list").out


def test_doctor_fails_when_it_finds_an_error(cronherd: Shell):
    said = cronherd("doctor")
    assert said.code == 1
    assert "error  clock   it is an hour off" in said.out


def test_what_runs_for_long_is_left_to_the_host_with_its_exit_code(
    cronherd: Shell, fleet: FakeFleet
):
    host = FakeHost(fleet)
    assert cronherd("up", "--no-apply", host=host).code == 0
    assert cronherd("agent", host=host).code == 7
    assert host.calls == ["up apply=False", "agent"]
    assert cronherd("db", "upgrade").out == "the schema is up to date\n"


def test_what_runs_for_long_names_the_files_it_was_configured_by(cronherd: Shell, tmp_path: Path):
    assert "configuration" not in cronherd("up").err
    file = tmp_path / "cronherd.yaml"
    file.write_text("log_level: info\n")
    for command in ("up", "agent"):
        assert cronherd(command).err == f"cronherd: configuration: {file}\n"


def test_the_configuration_is_shown_with_its_origins(cronherd: Shell):
    document = json.loads(cronherd("config", "show", "-o", "json").out)
    assert document["settings"]["drain_timeout"] == {"value": "30s", "origin": "default"}


def test_the_next_times_of_an_expression_need_no_fleet(cronherd: Shell, fleet: FakeFleet):
    host = FakeHost(fleet)
    said = cronherd(
        "next", "30 2 * * *", "-n", "2", "--timezone", "Europe/Berlin", "--from",
        "2027-03-27 12:00", "-o", "json", host=host,
    )  # fmt: skip
    assert json.loads(said.out)["slots"] == ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]
    assert cronherd("next", "every", "10m", "-n", "1", host=host).code == 0
    assert host.calls == []


def test_the_next_times_of_a_job_are_the_fleets(cronherd: Shell):
    cronherd("job", "create", "backup", "-s", "30 2 * * *", "-c", "true")
    said = cronherd("next", "backup", "-o", "name")
    assert said.out == "2026-11-22T02:30:00Z\n"


def test_completion_is_a_script_and_completes(cronherd: Shell, process: Process):
    assert "_CRONHERD_COMPLETE" in cronherd("completion", "bash").out
    done = process(
        environ={
            "_CRONHERD_COMPLETE": "bash_complete",
            "COMP_WORDS": "cronherd job l",
            "COMP_CWORD": "2",
        }
    )
    assert done.stdout.decode().split() == ["plain,list"]


def test_a_run_is_asked_for_with_parameters(cronherd: Shell, fleet: FakeFleet):
    cronherd("job", "create", "backup", "-c", "true")
    cronherd("job", "run", "backup", "--param", "to=a=b", "--param", "note=", "--param", "n=5")
    assert fleet.calls[-1] == "run backup by local to=a=b note= n=5"
    said = cronherd("job", "run", "backup", "--param", "to")
    assert said.code == 2
    assert "'to' is not of the form NAME=VALUE" in said.err
    said = cronherd("job", "run", "backup", "--param", "to=a", "--param", "to=b")
    assert (said.code, "'to' is said twice" in said.err) == (2, True)
    cronherd("job", "run", "backup")
    assert fleet.calls[-1] == "run backup by local"


def test_a_run_shows_what_it_was_given(cronherd: Shell, fleet: FakeFleet):
    fleet.started["params"] = {"size": 5, "to": "a b", "dry": True}
    said = cronherd("run", "show", "000000").out
    assert 'params:    size=5 to="a b" dry=true' in said
    fleet.started["params"] = {}
    assert "params:" not in cronherd("run", "show", "000000").out
