"""A real node through its life: drain, second signal, death of parts, one per place."""

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import Host, wait_until


def _job(name: str, command: str | list[str], **more: object) -> dict[str, object]:
    return {"name": name, "command": command, "cwd": "/", **more}


def _runs(host: Host, job: str) -> list[dict[str, Any]]:
    return list(host.client.list_runs(job=job)["items"])


def _start(host: Host, definition: dict[str, object]) -> str:
    """Make the job, ask for a run, and wait until its process lives."""
    host.client.create_job(definition, "local")
    run_id = str(host.client.run_job(str(definition["name"]), "local")["run"]["id"])
    wait_until(lambda: host.client.show_run(run_id)["state"] == "running", "it never started")
    return run_id


def _ended(host: Host, run_id: str) -> dict[str, Any]:
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def _take_over(host: Host) -> None:
    """Somebody swears that this host is dead, while its supervisor goes on."""
    (node,) = _nodes(host)
    with closing(sqlite3.connect(host.state / "cronherd.db")) as book, book:
        book.execute("UPDATE node SET lease_us = 0")
    done = host.run("node", "remove", node, "--confirm-dead")
    assert done.returncode == 0, done.stderr


def _nodes(host: Host) -> list[str]:
    with closing(sqlite3.connect(host.state / "cronherd.db")) as book:
        return [name for (name,) in book.execute("SELECT name FROM node")]


def test_it_runs_a_job_and_keeps_its_output_bytes(host: Host) -> None:
    host.up()
    host.client.create_job(_job("loud", r"printf 'a\0b\377'; echo oops >&2; exit 3"), "local")
    run = _ended(host, host.client.run_job("loud", "local")["run"]["id"])
    assert (run["outcome"], run["exit_code"], run["cause"]) == ("failed", 3, "manual")
    pieces = host.client.run_output(run["id"])["items"]
    told = {piece["stream"]: piece["bytes"].encode("latin-1") for piece in pieces}
    assert told == {"stdout": b"a\0b\xff", "stderr": b"oops\n"}


def test_it_gives_a_command_its_own_environment_only(host: Host) -> None:
    host.up()
    host.client.create_job(_job("env", ["/usr/bin/env"], env={"COLOUR": "blue"}), "local")
    run = _ended(host, host.client.run_job("env", "local")["run"]["id"])
    text = "".join(piece["bytes"] for piece in host.client.run_output(run["id"])["items"])
    names = {line.split("=", 1)[0] for line in text.splitlines()}
    ours = "RUN_ID JOB_NAME SCHEDULED_AT ATTEMPT NODE CAUSE FENCE"
    wanted = {f"CRONHERD_{name}" for name in ours.split()}
    assert names == wanted | {"PATH", "HOME", "LOGNAME", "USER", "SHELL", "COLOUR"}


def test_the_first_signal_waits_for_runs_and_starts_nothing_new(host: Host) -> None:
    host.write_config("drain_timeout: 20s\n")
    host.up()
    gate = host.evidence
    run_id = _start(host, _job("patient", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo end"))
    assert host.process is not None
    host.process.send_signal(signal.SIGINT)
    wait_until(
        lambda: b"waiting for 1 run" in host.log.read_bytes(), "it does not say what it does"
    )
    gate.touch()
    assert host.process.wait(20) == 0
    host.up()
    assert host.client.show_run(run_id)["outcome"] == "succeeded"


def test_the_second_signal_cancels_what_still_runs(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("endless", "sleep 300", grace="1s"))
    assert host.process is not None
    host.process.send_signal(signal.SIGINT)
    wait_until(
        lambda: b"waiting for 1 run" in host.log.read_bytes(), "it does not say what it does"
    )
    host.process.send_signal(signal.SIGINT)
    assert host.process.wait(20) == 0
    assert not host.supervisors()
    host.up()
    assert host.client.show_run(run_id)["outcome"] == "cancelled"


def test_a_run_outlives_a_killed_agent_and_the_next_one_takes_it_over(host: Host) -> None:
    host.up()
    command = f"echo before; until test -e {host.evidence}; do sleep 0.05; done; echo after; exit 3"
    run_id = _start(host, _job("orphan", command))
    host.kill()
    host.up()
    run = host.client.show_run(run_id)
    assert (run["state"], run["attempt"]) == ("running", 1)
    host.evidence.touch()
    run = _ended(host, run_id)
    assert (run["outcome"], run["exit_code"], run["attempt"]) == ("failed", 3, 1)
    assert [piece["bytes"] for piece in host.client.run_output(run_id)["items"]] == [
        "before\n",
        "after\n",
    ]


def test_what_ended_while_no_agent_lived_is_recorded_as_it_was(host: Host) -> None:
    host.up()
    command = f"until test -e {host.evidence}; do sleep 0.05; done; echo the end; exit 3"
    run_id = _start(host, _job("orphan", command))
    host.kill()
    host.evidence.touch()
    wait_until(lambda: not host.supervisors(), "the supervisor stays for nobody")
    host.up()
    run = _ended(host, run_id)
    assert (run["outcome"], run["exit_code"]) == ("failed", 3)
    text = "".join(piece["bytes"] for piece in host.client.run_output(run_id)["items"])
    assert text == "the end\n"


def test_a_service_manager_ends_the_agent_and_no_run(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("going on", f"until test -e {host.evidence}; do sleep 0.05; done"))
    assert host.stop(signal.SIGTERM) == 0
    host.up()
    assert host.client.show_run(run_id)["state"] == "running"
    host.evidence.touch()
    assert _ended(host, run_id)["outcome"] == "succeeded"


def test_a_reload_begins_again_and_touches_no_run(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("going on", f"until test -e {host.evidence}; do sleep 0.05; done"))
    host.write_config("node: {capacity: 7}\n")
    done = host.run("agent", "reload")
    assert (done.returncode, "its runs go on" in done.stdout + done.stderr) == (0, True)
    wait_until(lambda: host.log.read_text().count(" is up, ") == 2, "it never came back")
    assert host.client.list_nodes()["items"][0]["capacity"] == 7
    host.evidence.touch()
    assert _ended(host, run_id)["outcome"] == "succeeded"
    host.stop()
    gone = host.run("agent", "reload")
    assert (gone.returncode, "no agent runs" in gone.stderr) == (1, True)


def test_a_run_that_was_taken_over_meanwhile_is_ended(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("taken", f"echo $$ > {host.evidence}; exec sleep 300"))
    pid = int(host.evidence.read_text())
    host.kill()
    _take_over(host)
    host.up()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "two may run at once")
    assert host.client.show_run(run_id)["outcome"] == "lost"


def test_supervisor_and_agent_killed_at_once_leave_nothing_running(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("doomed", f"echo $$ > {host.evidence}; exec sleep 300"))
    pid = int(host.evidence.read_text())
    (supervisor,) = host.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    host.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the child outlived its supervisor")
    host.up()
    run = host.client.show_run(run_id)
    assert (run["outcome"], run["attempt"]) == ("lost", 1)


def test_an_at_least_once_run_is_tried_again_after_a_loss(host: Host) -> None:
    host.up()
    command = f"test -e {host.evidence} && exit 0; touch {host.evidence}; exec sleep 300"
    run_id = _start(host, _job("again", command, delivery="at_least_once"))
    wait_until(host.evidence.exists, "it never ran")
    (supervisor,) = host.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    run = _ended(host, run_id)
    assert (run["outcome"], run["attempt"]) == ("succeeded", 2)
    assert [attempt["killed_by"] for attempt in run["attempts"]] == ["gone", ""]


def test_it_goes_on_with_another_supervisor_when_its_own_is_killed(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("unlucky", "sleep 300"))
    (supervisor,) = host.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    assert _ended(host, run_id)["outcome"] == "lost"
    host.client.create_job(_job("next", "echo fine"), "local")
    run = _ended(host, host.client.run_job("next", "local")["run"]["id"])
    assert run["outcome"] == "succeeded"


def test_cancel_kills_the_group_and_says_so(host: Host) -> None:
    host.up()
    run_id = _start(host, _job("stubborn", "trap '' TERM; sleep 300 & wait; wait", grace="0.2s"))
    host.client.cancel_run(run_id, "local")
    run = _ended(host, run_id)
    assert (run["outcome"], run["attempts"][0]["killed_by"]) == ("cancelled", "cancel")


def test_a_time_limit_ends_the_command(host: Host) -> None:
    host.up()
    host.client.create_job(_job("slow", "sleep 300", timeout="0.3s", grace="0.2s"), "local")
    run = _ended(host, host.client.run_job("slow", "local")["run"]["id"])
    assert run["outcome"] == "timed_out"


def test_a_failed_run_is_tried_again_after_its_backoff(host: Host) -> None:
    host.up()
    retries = {"max": 2, "backoff": "0.1s", "jitter": 0}
    command = 'echo "try $CRONHERD_ATTEMPT"; test "$CRONHERD_ATTEMPT" = 2'
    host.client.create_job(_job("flaky", command, retries=retries), "local")
    run = _ended(host, host.client.run_job("flaky", "local")["run"]["id"])
    assert (run["outcome"], run["attempt"]) == ("succeeded", 2)
    pieces = list(host.client.follow_output(run["id"]))
    assert [piece.get("bytes") for piece in pieces] == ["try 1\n", "try 2\n", None]


def test_what_cannot_be_started_says_why(host: Host) -> None:
    host.up()
    table: list[tuple[dict[str, object], str]] = [
        ({"command": ["/no/such/thing"]}, "not_found"),
        ({"command": "true", "cwd": "/no/such/place"}, "cwd_missing"),
        ({"command": "true", "user": "somebody-else"}, "not_executable"),
    ]
    for number, (definition, error) in enumerate(table):
        host.client.create_job({"name": f"job-{number}", **definition}, "local")
        run = _ended(host, host.client.run_job(f"job-{number}", "local")["run"]["id"])
        assert run["outcome"] == "not_started"
        assert run["attempts"][0]["error"] == error
        assert run["error"]


def test_one_unreadable_job_does_not_stop_the_others(host: Host) -> None:
    host.up()
    for name in ("broken", "sound"):
        host.client.create_job(_job(name, "true", schedule="every 1s"), "local")
    with sqlite3.connect(host.state / "cronherd.db") as database:
        sql = "UPDATE job SET spec = '{\"name\": 5}', version = 7 WHERE name = 'broken'"
        database.execute(sql)
        (broken,) = database.execute("SELECT id FROM job WHERE key = 'broken'").fetchone()
        database.execute("UPDATE job_due SET version = 7 WHERE job_id = ?", (broken,))
    wait_until(lambda: "job_poisoned" in _event_kinds(host), "nobody says that it is broken")
    before = len(_runs(host, "sound"))
    wait_until(lambda: len(_runs(host, "sound")) > before, "the sound one stopped")


def _event_kinds(host: Host) -> set[str]:
    return {event["kind"] for event in host.client.list_events()["items"]}


def test_a_second_up_is_refused_in_a_sentence(host: Host, tmp_path: Path) -> None:
    host.up()
    same_state = host.run("up")
    assert same_state.returncode == 1
    assert "another cronherd runs with the state directory" in same_state.stderr
    other = Host(tmp_path)
    other.state = tmp_path / "other"
    same_file = other.run("--database", f"sqlite:///{host.state / 'cronherd.db'}", "up")
    assert same_file.returncode == 1
    assert "another process works with" in same_file.stderr
    assert "Traceback" not in same_state.stderr + same_file.stderr


def test_tick_runs_what_is_due_and_ends(host: Host) -> None:
    host.write_config("drain_timeout: 5s\n")
    assert host.run("db", "upgrade").returncode == 0
    done = host.run("job", "create", "once", "--command", f"echo done > {host.evidence}")
    assert done.returncode == 0, done.stderr
    assert host.run("job", "run", "once").returncode == 0
    assert host.run("tick").returncode == 0
    assert host.evidence.read_text() == "done\n"
    assert "succeeded" in host.run("run", "list").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_a_sentence_and_loses_nothing(host: Host, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "cronherd-test", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (small / "filler").write_bytes(b"x" * 2_000_000)
        refused = host.run("--state", str(small / "state"), "up")
        assert refused.returncode == 1
        assert "full" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_end_of_the_terminal_is_a_first_signal(host: Host) -> None:
    host.up()
    _start(host, _job("patient", f"while [ ! -e {host.evidence} ]; do sleep 0.05; done"))
    assert host.process is not None
    host.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: b"waiting for 1 run" in host.log.read_bytes(), "it does not say what it does"
    )
    host.evidence.touch()
    assert host.process.wait(20) == 0


def test_what_it_makes_is_readable_by_nobody_else(host: Host) -> None:
    host.state.mkdir(mode=0o755)
    host.up()
    made = [path for path in host.state.rglob("*") if not path.is_dir()]
    assert len(made) >= 5
    for path in made:
        assert path.stat().st_mode & 0o077 == 0, path
    host.client.create_job(_job("mask", "umask"), "local")
    run = _ended(host, host.client.run_job("mask", "local")["run"]["id"])
    assert host.client.run_output(run["id"])["items"][0]["bytes"] == "0022\n"


def test_it_ends_when_its_state_directory_is_replaced(host: Host) -> None:
    host.up()
    host.state.rename(host.state.with_name("moved-away"))
    assert host.process is not None
    assert host.process.wait(30) == 0
    assert "was removed or replaced" in host.log.read_text()


def test_the_runs_of_a_deleted_job_are_still_found_by_its_name(host: Host) -> None:
    host.up()
    host.client.create_job(_job("brief", "true"), "local")
    run_id = host.client.run_job("brief", "local")["run"]["id"]
    _ended(host, run_id)
    host.client.delete_job("brief", "local")
    assert [run["id"] for run in _runs(host, "brief")] == [run_id]


def test_doctor_says_when_the_agent_does_not_answer(host: Host) -> None:
    host.up()
    assert host.run("doctor").returncode == 0
    assert host.process is not None
    host.process.send_signal(signal.SIGSTOP)
    try:
        told = host.run("doctor")
    finally:
        host.process.send_signal(signal.SIGCONT)
    assert told.returncode == 1
    assert "does not answer" in told.stdout + told.stderr


def test_tick_works_off_a_queue_before_it_ends(host: Host) -> None:
    host.write_config(
        "jobs:\n  - {name: line, command: 'echo x >> "
        f"{host.evidence}', overlap: queue}}\n  - {{name: often, command: 'true', "
        "schedule: every 1s, catchup: none}\n"
    )
    assert host.run("db", "upgrade").returncode == 0
    assert host.run("apply", "--yes").returncode == 0
    for _ in range(4):
        assert host.run("job", "run", "line").returncode == 0
    told = host.run("tick")
    assert told.returncode == 0, told.stderr
    assert host.evidence.read_text() == "x\n" * 4


def test_a_drain_ends_by_itself_when_its_time_is_up(host: Host) -> None:
    host.write_config("drain_timeout: 1s\n")
    host.up()
    run_id = _start(host, _job("endless", "sleep 300", grace="0.5s"))
    assert host.process is not None
    host.process.send_signal(signal.SIGINT)
    assert host.process.wait(20) == 0
    host.up()
    assert host.client.show_run(run_id)["outcome"] == "cancelled"


def test_the_next_in_line_starts_when_the_one_before_ends(host: Host) -> None:
    host.up()
    gate = host.evidence
    job = _job("line", f"while [ ! -e {gate} ]; do sleep 0.02; done", overlap="queue")
    _start(host, job)
    second = host.client.run_job("line", "local")["run"]
    assert second["state"] == "waiting"
    gate.touch()
    assert _ended(host, second["id"])["outcome"] == "succeeded"
