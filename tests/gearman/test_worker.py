"""`cronherd gearman worker` and `submit` as people use them, at real job servers."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cronherd.domain.gearmanconf import Conf
from cronherd.domain.jobserver import Server
from cronherd.engine.clock import SystemClock
from cronherd.gearman.admin import Admin
from cronherd.gearman.client import Client, Fate, Request
from cronherd.tools import gearmansubmit
from tests.gearman.conftest import PATIENCE_S, PATIENCE_US, ConfWorker, Helper, JobServer, command
from tests.tools.conftest import lives, until

Make = Callable[..., ConfWorker]
Submit = Callable[..., subprocess.CompletedProcess[str]]


def functions(server: JobServer) -> dict[str, int]:
    """How many workers each function has."""
    admin = Admin(server.server)
    found = {row.function: row.workers for row in admin.status() if row.workers}
    admin.close()
    return found


def ready(worker: ConfWorker, *words: str) -> ConfWorker:
    worker.start(*words)
    until(lambda: all("runJob" in functions(each) for each in worker.servers))
    return worker


# ------------------------------------------------------------------ D4.1, D4.3: tasks


def test_a_task_is_a_function_whose_script_runs(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    """D4.3: one function for each task, and the one of old."""
    worker = ready(script_worker([job_server], {"one": "echo $CRONHERD_GEARMAN_TASK; cat"}))
    done = submit([job_server], "one", "--payload", "given")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ngiven", "")
    assert functions(job_server) == {"one": 1, "runJob": 1}
    assert worker.end()[0] == 0


def test_a_large_payload_and_output_pass(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    ready(script_worker([job_server], {"copy": "cat"}))
    text = "0123456789abcdef" * 65_536
    done = submit([job_server], "copy", "--payload", "-", given=text)
    assert (done.returncode, done.stdout == text) == (0, True)


def test_old_clients_and_the_gearman_command_are_served(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    """D4.3, D4.7: The function of old is runJob, and its payload the name of a task."""
    ready(script_worker([job_server], {"one": "echo ran; exit $(wc -c)"}))
    assert command(job_server, "-f", "runJob", given="one").stdout == "ran\n"
    assert command(job_server, "-f", "one", "-s").stdout == "ran\n"
    done = submit([job_server], "one", "--legacy")
    assert (done.returncode, done.stdout) == (0, "ran\n")


def test_our_client_is_served_by_a_worker_of_old(
    job_server: JobServer, offer: Callable[..., Helper], submit: Submit
):
    old = offer([job_server], runJob=lambda _: b"1")
    done = submit([job_server], "a", "b", "--legacy")
    assert (done.returncode, old.took) == (0, [b"a", b"b"])


def test_an_unknown_task_is_left_for_a_worker_that_knows_it(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    """D4.3: Of old a worker took it, and it was lost."""
    ready(script_worker([job_server], {"mine": "echo mine"}))
    waiting = submit([job_server], "theirs", "--timeout", "0.3")
    assert waiting.returncode == 1
    assert waiting.stderr == ("cronherd: theirs is not done in time; no worker has its function\n")
    asked = Client([job_server.server], SystemClock())
    ticket = asked.submit(Request(function=b"runJob", payload=b"theirs"))
    assert not asked.wait([ticket], SystemClock().boot_us() + 300_000)
    # What that worker knows it still does.
    assert submit([job_server], "mine").returncode == 0
    ready(script_worker([job_server], {"theirs": "echo theirs"}, "other"))
    assert asked.wait([ticket], SystemClock().boot_us() + PATIENCE_US)
    assert ticket.fate is Fate.DONE
    asked.close()


def test_an_edit_counts_without_a_restart(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    worker = ready(script_worker([job_server], {"one": "echo before", "gone": "true"}))
    assert submit([job_server], "one").stdout == "before\n"
    worker.write({"one": "echo after", "new": "echo new"})
    until(lambda: functions(job_server) == {"one": 1, "new": 1, "runJob": 1})
    assert submit([job_server], "one", "new").stdout == "after\nnew\n"


def test_an_edit_leaves_alone_what_runs(
    job_server: JobServer, script_worker: Make, submit: Submit, tmp_path: Path
):
    """gearmand delivers a job anew when its worker retracts the function."""
    ran, go = tmp_path / "ran", tmp_path / "go"
    script = f"echo x >> {ran}; until [ -e {go} ]; do sleep 0.01; done"
    worker = ready(script_worker([job_server], {"slow": script}), "--at-once", "3")
    asked = Client([job_server.server], SystemClock())
    ticket = asked.submit(Request(function=b"slow"))
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and ran.exists())
    worker.write({"new": "true"})
    assert submit([job_server], "new").returncode == 0
    go.touch()
    assert asked.wait([ticket], SystemClock().boot_us() + PATIENCE_US)
    assert (ticket.fate, ran.read_text()) == (Fate.DONE, "x\n")
    until(lambda: functions(job_server) == {"new": 1, "runJob": 1})
    asked.close()


def test_an_edit_may_name_other_servers(
    two: tuple[JobServer, JobServer], script_worker: Make, submit: Submit
):
    """D4.1: edits are picked up, job servers included."""
    worker = ready(script_worker([two[0]], {"one": "echo here"}))
    worker.servers = [two[1]]
    worker.write({"one": "echo here"})
    until(lambda: functions(two[0]) == {} and "one" in functions(two[1]))
    assert submit([two[1]], "one").stdout == "here\n"


def test_a_malformed_edit_changes_nothing_and_is_told(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    worker = ready(script_worker([job_server], {"one": "echo before"}))
    worker.conf.write_text("{")
    assert submit([job_server], "one").stdout == "before\n"
    worker.conf.unlink()
    assert submit([job_server], "one").stdout == "before\n"
    code, _, said = worker.end()
    assert code == 0
    lines = said.splitlines()
    assert len(lines) == 2
    assert f"{worker.conf}: line 1, column 2: is not JSON" in lines[0]
    assert f"{worker.conf}: cannot be read" in lines[1]
    assert all("what it said before still holds" in line for line in lines)


def test_without_a_conf_there_is_no_worker(job_server: JobServer, script_worker: Make):
    worker = script_worker([job_server], {})
    code, _, said = worker.start().end()
    assert (code, "has no tasks" in said) == (1, True)


# ------------------------------------------------------------------ D4.4: ends


def test_a_script_that_fails_fails_everywhere(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    """D4.4: Of old the worker said 1, which is success, and the client's exit code was always 0."""
    ready(script_worker([job_server], {"bad": "echo half; exit 3", "good": "true", "no": "/none"}))
    failed = submit([job_server], "bad", "good")
    assert (failed.returncode, failed.stdout) == (1, "half\n")
    assert failed.stderr == "cronherd: bad failed: exit code 3\n"
    assert command(job_server, "-f", "bad", "-s").returncode != 0
    assert command(job_server, "-f", "runJob", given="bad").returncode != 0
    assert submit([job_server], "bad", "--legacy").returncode == 1
    assert "no failed: exit code 127" in submit([job_server], "no").stderr
    asked = Client([job_server.server], SystemClock())
    ticket = asked.submit(Request(function=b"bad"))
    assert asked.wait([ticket], SystemClock().boot_us() + PATIENCE_US)
    assert (ticket.fate, ticket.why) == (Fate.FAILED, b"exit code 3")
    asked.close()


def test_a_script_that_dies_by_a_signal_has_failed(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    ready(script_worker([job_server], {"dies": "kill -9 $$"}))
    assert "exit code 137" in submit([job_server], "dies").stderr


def test_a_lost_server_is_tried_again_while_the_others_go_on(
    two: tuple[JobServer, JobServer], script_worker: Make, submit: Submit
):
    """D4.4: what is lost is retried, the others go on."""
    worker = ready(script_worker(two, {"one": "echo ran"}))
    two[0].private.kill()
    assert submit([two[1]], "one").stdout == "ran\n"
    assert submit(two, "one").stdout == "ran\n"
    two[0].private.restart()
    assert submit([two[0]], "one").stdout == "ran\n"
    _, _, said = worker.end()
    assert re.findall(r"(\S+) is (lost|back)", said) == [
        (str(two[0]), "lost"), (str(two[0]), "back"),
    ]  # fmt: skip


def test_what_runs_while_its_server_is_lost_is_not_started_twice(
    job_server: JobServer, script_worker: Make, tmp_path: Path
):
    """The job comes again with the same unique id, and finds itself running."""
    ran, go = tmp_path / "ran", tmp_path / "go"
    script = f"echo x >> {ran}; until [ -e {go} ]; do sleep 0.01; done; echo end"
    worker = ready(script_worker([job_server], {"slow": script}), "--at-once", "2")
    heard: list[bytes] = []
    asked = Client(
        [job_server.server],
        SystemClock(),
        again=True,
        news=lambda _, __, piece: heard.append(piece),
    )
    ticket = asked.submit(Request(function=b"slow", unique=b"one"))
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and ran.exists())
    job_server.private.kill()
    job_server.private.restart()
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and ticket.handed_in == 2)
    admin = Admin(job_server.server)
    rows = {}

    def running() -> int:
        rows.update({row.function: row.running for row in admin.status()})
        return rows.get("slow", 0)

    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and running())
    go.touch()
    assert asked.wait([ticket], SystemClock().boot_us() + PATIENCE_US)
    assert (ticket.fate, ran.read_text(), heard[0]) == (Fate.DONE, "x\n", b"end\n")
    admin.close()
    asked.close()
    assert worker.end()[0] == 0


# ------------------------------------------------------------------ the end of a worker


def test_nothing_is_left_of_a_worker_that_is_ended(
    job_server: JobServer, script_worker: Make, submit: Submit, tmp_path: Path
):
    pid = tmp_path / "pid"
    script = f"setsid sleep 30 & echo $! > {pid}; wait"
    worker = ready(script_worker([job_server], {"slow": script}))
    assert submit([job_server], "slow", "--background").returncode == 0
    until(lambda: pid.exists() and pid.read_text().strip())
    code, _, _ = worker.end(signal.SIGTERM)
    assert (code, lives(int(pid.read_text()))) == (0, False)


def test_an_ended_worker_says_that_its_scripts_failed(
    job_server: JobServer, script_worker: Make, tmp_path: Path
):
    worker = ready(script_worker([job_server], {"slow": f"touch {tmp_path}/on; sleep 30"}))
    asked = Client([job_server.server], SystemClock())
    ticket = asked.submit(Request(function=b"slow"))
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and (tmp_path / "on").exists())
    worker.end(signal.SIGTERM)
    assert asked.wait([ticket], SystemClock().boot_us() + PATIENCE_US)
    assert (ticket.fate, ticket.why) == (Fate.FAILED, b"exit code 143")
    asked.close()


def test_hup_ends_it_behind_its_last_job(
    job_server: JobServer, script_worker: Make, tmp_path: Path
):
    go = tmp_path / "go"
    script = f"touch {tmp_path}/on; until [ -e {go} ]; do sleep 0.01; done"
    worker = ready(script_worker([job_server], {"slow": script}))
    asked = Client([job_server.server], SystemClock())
    first = asked.submit(Request(function=b"slow"))
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and (tmp_path / "on").exists())
    assert worker.tool is not None
    worker.tool.send(signal.SIGHUP)
    second = asked.submit(Request(function=b"slow"))
    until(lambda: asked.turn(SystemClock().boot_us() + 10_000) == [] and second.handle)
    go.touch()
    assert worker.tool.end()[0] == 0
    assert asked.wait([first], SystemClock().boot_us() + PATIENCE_US)
    assert (first.fate, second.fate) == (Fate.DONE, None)
    asked.close()


# ------------------------------------------------------------------ D4.2: submit


def test_tasks_run_in_turn_or_at_once(
    job_server: JobServer, script_worker: Make, submit: Submit, tmp_path: Path
):
    """D4.2: Each waits for the other one: in turn they cannot both end."""
    meet = "touch {0}; n=0; until [ -e {1} ] || [ $n = 40 ]; do sleep 0.05; n=$((n+1)); done"
    tasks = {
        name: f"cd {tmp_path}; {meet.format(name, other)}; [ -e {other} ]"
        for name, other in (("a", "b"), ("b", "a"))
    }
    ready(script_worker([job_server], tasks), "--at-once", "2")
    assert submit([job_server], "a", "b", "--parallel").returncode == 0
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    assert submit([job_server], "a", "b").returncode == 1


def test_a_timeout_is_a_failure(job_server: JobServer, script_worker: Make, submit: Submit):
    """D4.2: a timeout, and the exit code that tells it."""
    ready(script_worker([job_server], {"slow": "sleep 20"}))
    done = submit([job_server], "slow", "--timeout", "0.2")
    assert (done.returncode, "is not done in time" in done.stderr) == (1, True)


def test_who_waits_for_nobody_is_told_so(
    job_server: JobServer, offer: Callable[..., Helper], monkeypatch: pytest.MonkeyPatch
):
    """A slip in the name of a task waited for ever, and said nothing."""
    monkeypatch.setattr(gearmansubmit, "NOTICE_US", 50_000)
    go = threading.Event()
    offer([job_server], slow=lambda _: b"" if go.wait(PATIENCE_S) else "")
    until(lambda: "slow" in functions(job_server))
    conf, said = Conf(servers=(job_server.server,)), list[str]()
    wishes = gearmansubmit.Wishes(tasks=("solw", "slow"), parallel=True, timeout_us=600_000)
    assert gearmansubmit.submit(conf, wishes, clock=SystemClock(), say=said.append) == 1
    go.set()
    assert said == [
        f"no worker of {job_server} has the function 'solw': the task waits there",
        "solw is not done in time; no worker has its function",
        "slow is not done in time; its job server still has it",
    ]


def test_no_server_is_a_failure(submit: Submit):
    class Nowhere:
        port = 1

    done = submit([Nowhere()], "a", "--timeout", "0.3")
    assert (done.returncode, "no job server took it in time" in done.stderr) == (1, True)


def test_in_the_background_it_is_enough_that_they_were_accepted(
    job_server: JobServer, submit: Submit
):
    """D4.2: in the background."""
    assert submit([job_server], "a", "b", "--background", "--priority", "low").returncode == 0
    admin = Admin(job_server.server)
    assert {row.function: row.queued for row in admin.status()} == {"a": 1, "b": 1}
    admin.close()


def test_a_unique_id_is_handed_on(job_server: JobServer, submit: Submit):
    for _ in range(2):
        submit([job_server], "a", "--background", "--unique", "once")
    admin = Admin(job_server.server)
    assert [row.queued for row in admin.status()] == [1]
    admin.close()


# ------------------------------------------------------------------ D4.5: syslog


def test_debug_tells_syslog_the_task_its_outcome_and_its_time(
    job_server: JobServer, script_worker: Make, submit: Submit, tmp_path: Path
):
    """D4.5: facility user, priority info."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(path))
        syslog.settimeout(PATIENCE_US / 1_000_000)
        tasks = {"good": "true", "bad": "exit 3"}
        worker = script_worker([job_server], tasks)
        worker.write(tasks, debug="true")
        ready(worker, "--syslog", str(path))
        submit([job_server], "good", "bad")
        said = [syslog.recv(2_000).decode() for _ in range(2)]
    assert worker.tool is not None
    pid = worker.tool.process.pid
    day = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"
    head = rf"<14>\w{{3}} [ \d]\d \d\d:\d\d:\d\d cronherd\[{pid}\]: "
    good = rf"{head}Task good executed successfully in \d+\.\d{{3}} s at {day}"
    bad = rf"{head}Task bad not executed successfully \(exit code 3\) in \d+\.\d{{3}} s at {day}"
    assert re.fullmatch(good, said[0]), said[0]
    assert re.fullmatch(bad, said[1]), said[1]


def test_without_debug_syslog_hears_nothing(
    job_server: JobServer, script_worker: Make, submit: Submit, tmp_path: Path
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "log"))
        syslog.settimeout(0)
        worker = ready(script_worker([job_server], {"a": "true"}), "--syslog", f"{tmp_path}/log")
        submit([job_server], "a")
        worker.end()
        heard = b""
        try:
            heard = syslog.recv(100)
        except BlockingIOError:
            heard = b"nothing"
    assert heard == b"nothing"


# ------------------------------------------------------------------ status


def test_status_shows_what_waits_and_who_works(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    ready(script_worker([job_server], {"a": "true"}))
    submit([job_server], "left", "--background")
    ours = ["cronherd", "gearman", "status", str(job_server), "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", *ours], capture_output=True, text=True, check=False
    )
    (item,) = json.loads(done.stdout)["items"]
    rows = {row["function"]: row for row in item["functions"]}
    assert (done.returncode, item["server"]) == (0, str(Server("127.0.0.1", job_server.port)))
    assert (rows["left"]["waiting"], rows["a"]["workers"]) == (1, 1)


def test_no_end_is_missed_of_many_short_scripts(
    job_server: JobServer, script_worker: Make, submit: Submit
):
    """The number of a pipe that was closed may at once be that of the next command's end."""
    ready(script_worker([job_server], {"a": "echo a"}), "--at-once", "20")
    done = submit([job_server], *["a"] * 300, "--parallel")
    assert (done.returncode, done.stdout) == (0, "a\n" * 300)
