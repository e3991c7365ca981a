"""Runs of the fleet at job servers: handed in once, started once, ended as the worker says."""

import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cronherd.engine.clock import SystemClock
from cronherd.gearman.client import Client, Fate, Request
from cronherd.gearman.packet import Decoder, Kind, Packet, encode
from tests.engine.host import Host, wait_until
from tests.gearman.conftest import PATIENCE_US, ConfWorker, JobServer
from tests.gearman.test_worker import Make, ready
from tests.tools.conftest import lives, until

Json = dict[str, Any]
CLOCK = SystemClock()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as living:
        made = Host(tmp_path / "host")
        living.callback(made.clear_away)
        made.up()
        yield made


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()


@pytest.fixture
def fleet_worker(host: Host, script_worker: Make) -> Callable[..., ConfWorker]:
    """A worker that asks the fleet."""

    def make(servers: list[JobServer], tasks: dict[str, str], *words: str) -> ConfWorker:
        worker = script_worker(servers, tasks)
        return ready(worker, "--fleet", "--state", str(host.state), *words)

    return make


def make(host: Host, function: str, *servers: JobServer, name: str = "", **more: Any) -> None:
    gearman = {"function": function, "servers": [str(each) for each in servers]}
    gearman |= more.pop("gearman", {})
    host.client.create_job({"name": name or function, "gearman": gearman, **more}, "me")


def begin(host: Host, name: str, request_id: str | None = None) -> str:
    return str(host.client.run_job(name, "local", request_id=request_id)["run"]["id"])


def end(host: Host, run_id: str) -> Json:
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def output(host: Host, run_id: str) -> dict[str, str]:
    written: dict[str, str] = {}
    for piece in host.client.run_output(run_id)["items"]:
        written[piece["stream"]] = written.get(piece["stream"], "") + piece["bytes"]
    return written


def test_a_run_is_handed_in_and_ends_as_the_worker_says(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker]
):
    """D4.6: handed in once, its unique id is the id of the run."""
    tasks = {"good": "cat; echo $CRONHERD_GEARMAN_UNIQUE", "bad": "echo half; exit 3"}
    fleet_worker([job_server], tasks)
    make(host, "good", job_server, gearman={"payload": "given "})
    make(host, "bad", job_server)
    good = end(host, begin(host, "good"))
    assert (good["outcome"], good["exit_code"]) == ("succeeded", 0)
    assert output(host, good["id"]) == {"stdout": f"given {good['id']}\n"}
    bad = end(host, begin(host, "bad"))
    assert (bad["outcome"], bad["exit_code"], bad["error"]) == ("failed", 3, "exit code 3")
    assert output(host, bad["id"]) == {"stdout": "half\n"}


def test_what_is_delivered_twice_is_started_once(
    host: Host,
    two: tuple[JobServer, JobServer],
    fleet_worker: Callable[..., ConfWorker],
    tmp_path: Path,
):
    """D4.6: the worker first wins the run in the database."""
    ran, go = tmp_path / "ran", tmp_path / "go"
    script = f"echo x >> {ran}; until [ -e {go} ]; do sleep 0.01; done; exit 4"
    fleet_worker(list(two), {"slow": script}, "--at-once", "3")
    make(host, "slow", two[0])
    run = begin(host, "slow")
    until(ran.exists)
    asked = Client([two[1].server], CLOCK)
    again = asked.submit(Request(function=b"slow", unique=run.encode()))
    assert not asked.wait([again], CLOCK.boot_us() + 1_500_000)
    go.touch()
    assert asked.wait([again], CLOCK.boot_us() + PATIENCE_US)
    assert (again.fate, again.why) == (Fate.FAILED, b"exit code 4")  # the end of the first one
    assert end(host, run)["exit_code"] == 4
    late = asked.submit(Request(function=b"slow", unique=run.encode()))
    assert asked.wait([late], CLOCK.boot_us() + PATIENCE_US)
    assert (late.fate, ran.read_text()) == (Fate.FAILED, "x\n")
    asked.close()


def test_each_attempt_is_a_job_of_its_own(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker], tmp_path: Path
):
    ran = tmp_path / "ran"
    script = f"echo $CRONHERD_GEARMAN_UNIQUE >> {ran}; [ $(wc -l < {ran}) = 2 ]"
    fleet_worker([job_server], {"fickle": script})
    retries = {"max": 1, "backoff": "100ms", "jitter": 0}
    make(host, "fickle", job_server, retries=retries)
    run = end(host, begin(host, "fickle"))
    assert (run["outcome"], run["attempt"]) == ("succeeded", 2)
    assert ran.read_text().split() == [run["id"], f"{run['id']}:2"]


def test_a_cancel_reaches_the_script(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker], tmp_path: Path
):
    pid = tmp_path / "pid"
    fleet_worker([job_server], {"slow": f"echo $$ > {pid}; sleep 50"})
    make(host, "slow", job_server)
    run = begin(host, "slow")
    until(lambda: pid.exists() and pid.read_text().strip())
    host.client.cancel_run(run, "me")
    assert end(host, run)["outcome"] == "cancelled"
    until(lambda: not lives(int(pid.read_text())))


def test_a_cancelled_run_that_still_waits_at_a_server_is_never_started(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker], tmp_path: Path
):
    """Of gearmand alone a job whose client has left is delivered all the same."""
    make(host, "slow", job_server, stop_signal="KILL")  # it cannot take its job back
    run = begin(host, "slow")
    asked = Client([job_server.server], CLOCK)
    other = asked.submit(Request(function=b"slow", unique=run.encode()))
    until(lambda: asked.turn(CLOCK.boot_us() + 10_000) == [] and other.handle)
    host.client.cancel_run(run, "me")
    assert end(host, run)["outcome"] == "cancelled"
    fleet_worker([job_server], {"slow": f"touch {tmp_path}/ran"})
    assert asked.wait([other], CLOCK.boot_us() + PATIENCE_US)
    assert (other.fate, other.why) == (Fate.FAILED, b"this attempt of the run is over")
    assert not (tmp_path / "ran").exists()
    asked.close()


def test_servers_that_are_down_are_waited_for(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker]
):
    job_server.private.kill()
    make(host, "late", job_server)
    run = begin(host, "late")
    wait_until(lambda: host.client.show_run(run)["state"] == "running", "it never started")
    job_server.private.restart()
    fleet_worker([job_server], {"late": "echo done"})
    assert end(host, run)["outcome"] == "succeeded"


def test_the_time_limit_ends_the_waiting(host: Host, job_server: JobServer):
    job_server.private.kill()
    make(host, "late", job_server, timeout="1s")
    assert end(host, begin(host, "late"))["outcome"] == "timed_out"


def test_what_no_server_takes_before_its_start_deadline_has_failed(
    host: Host, job_server: JobServer
):
    job_server.private.kill()
    make(host, "late", job_server, schedule="every 1s", start_deadline="3s", overlap="skip")
    wait_until(lambda: bool(host.client.list_runs("late", None, "failed")["items"]), "no failure")
    run = host.client.list_runs("late", None, "failed")["items"][-1]
    assert run["exit_code"] == 75
    assert run["error"] == "no job server took it before its start_deadline"


def test_a_worker_of_somebody_else_serves_too(host: Host, job_server: JobServer):
    make(host, "wc", job_server, gearman={"payload": "12345"})
    port = str(job_server.port)
    theirs = subprocess.Popen(
        ["gearman", "-h", "127.0.0.1", "-p", port, "-w", "-f", "wc", "--", "wc", "-c"],
        stdout=subprocess.DEVNULL,
    )
    run = end(host, begin(host, "wc"))
    theirs.kill()
    theirs.wait()
    assert (run["outcome"], output(host, run["id"])["stdout"].strip()) == ("succeeded", "5")


def test_a_worker_that_finds_no_fleet_says_so(
    host: Host, job_server: JobServer, script_worker: Make, tmp_path: Path
):
    worker = script_worker([job_server], {"one": f"touch {tmp_path}/ran"})
    ready(worker, "--fleet", "--state", str(tmp_path / "elsewhere"))
    make(host, "one", job_server)
    run = begin(host, "one")
    assert worker.tool is not None
    assert worker.tool.process.stderr is not None
    said = worker.tool.process.stderr.readline().decode()
    assert f"no cronherd runs with {tmp_path}/elsewhere" in said
    assert "a run waits to be asked for, for a minute at most" in said
    host.client.cancel_run(run, "me")
    assert end(host, run)["outcome"] == "cancelled"
    assert worker.end()[2].count("a run waits") == 0  # it is said once
    assert not (tmp_path / "ran").exists()


def test_an_exception_at_a_worker_of_somebody_else_is_the_error_of_the_run(
    host: Host, job_server: JobServer
):
    """D4.4: WORK_EXCEPTION is a failure, as WORK_FAIL is, and what it says is kept."""
    make(host, "raises", job_server)
    with socket.create_connection(("127.0.0.1", job_server.port), 20) as theirs:
        theirs.sendall(encode(Kind.CAN_DO, b"raises"))
        run = begin(host, "raises")
        decoder, found = Decoder(), list[Packet]()
        while not found:
            theirs.sendall(encode(Kind.GRAB_JOB))
            found = [p for p in decoder.feed(theirs.recv(4_096)) if p.kind == Kind.JOB_ASSIGN]
        theirs.sendall(encode(Kind.WORK_EXCEPTION, found[0].arguments[0], b"no more paper"))
        ended = end(host, run)
    assert (ended["outcome"], ended["exit_code"]) == ("failed", 1)
    assert ended["error"] == "no more paper"


def test_a_worker_that_cannot_ask_starts_nothing(
    host: Host, job_server: JobServer, fleet_worker: Callable[..., ConfWorker], tmp_path: Path
):
    worker = fleet_worker([job_server], {"one": f"echo x >> {tmp_path}/ran"})
    make(host, "one", job_server)
    host.kill()  # its run goes on to be asked for when it is back
    asked = Client([job_server.server], CLOCK)
    plain = asked.submit(Request(function=b"one"))
    assert asked.wait([plain], CLOCK.boot_us() + PATIENCE_US)  # no run of the fleet
    host.up()
    run = begin(host, "one")
    assert end(host, run)["outcome"] == "succeeded"
    assert (tmp_path / "ran").read_text() == "x\nx\n"
    assert worker.end()[0] == 0
    asked.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.full)])
def test_each_run_ends_once_while_a_server_is_killed_and_restarted(
    host: Host,
    two: tuple[JobServer, JobServer],
    fleet_worker: Callable[..., ConfWorker],
    tmp_path: Path,
    count: int,
):
    """D4.6: every job ends exactly once in our records."""
    ran = tmp_path / "ran"
    tasks = {"mark": f"echo $CRONHERD_GEARMAN_UNIQUE >> {ran}; sleep 0.05"}
    worker = fleet_worker(list(two), tasks, "--at-once", "6")
    make(host, "mark", *two, overlap="allow")
    runs = [begin(host, "mark", f"r{number}") for number in range(count)]

    def started() -> int:
        return len(ran.read_text().split()) if ran.exists() else 0

    wait_until(lambda: started() >= count // 4, "nothing starts", 200)
    two[0].private.kill()
    wait_until(lambda: started() >= count // 2, "nothing goes on", 300)
    two[0].private.restart()
    wait_until(lambda: started() == count, "some never start", 300)
    found = [end(host, run) for run in runs]
    assert len(host.client.list_runs("mark", None, None, None, count)["items"]) == count
    assert sorted(run["id"] for run in found) == sorted(runs)
    assert Counter((run["outcome"], run["attempt"]) for run in found) == {("succeeded", 1): count}
    assert Counter(ran.read_text().split()) == dict.fromkeys(runs, 1)
    assert worker.end(signal.SIGTERM)[0] == 0
