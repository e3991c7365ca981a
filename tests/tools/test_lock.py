"""`cronherd lock` (row D3.4), as a program: exit codes, signals, and who keeps the lock."""

import fcntl
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from tests.conftest import Record, needing_server
from tests.servers.engines import wait_for
from tests.servers.handles import PrivateServer, Servers, is_alive

CRONHERD = (sys.executable, "-m", "cronherd", "lock")
Done = subprocess.CompletedProcess[str]


def lock(*words: str) -> Done:
    return subprocess.run([*CRONHERD, *words], capture_output=True, text=True, check=False)


def start(*words: str) -> subprocess.Popen[str]:
    """A command that says its pid when it has begun, as its first line."""
    return subprocess.Popen([*CRONHERD, *words], stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


SLEEPER = ("sh", "-c", "echo $$; exec sleep 30")


@pytest.fixture
def taken(file: Path):
    """The file, which somebody else has."""
    process = start(str(file), *SLEEPER)
    first_line(process)
    yield file
    process.terminate()
    process.communicate()


# ------------------------------------------------------------------ exit codes


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["--", "sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["no-such-command-at-all"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_the_command_s_own_d3_4(file: Path, command: list[str], code: int):
    done = lock(str(file), *command)
    assert done.returncode == code
    assert bool(done.stderr) == (code in {126, 127})


@pytest.mark.parametrize(
    ("options", "code", "speaks"),
    [
        (["-n"], 1, True),
        (["-nq"], 1, False),
        (["-n", "-m", "0"], 0, True),
        (["-w", "0.2", "-m", "75"], 75, True),
        (["-n", "--shared"], 1, True),
    ],
)
def test_who_does_not_get_the_lock_is_told_d3_4(
    taken: Path, tmp_path: Path, options: list[str], code: int, *, speaks: bool
):
    done = lock(*options, str(taken), "touch", str(tmp_path / "ran"))
    assert done.returncode == code
    assert ("is locked by somebody else" in done.stderr) == speaks
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["file"],
        ["--url", "redis://host/x"],
        ["-n", "-w", "3", "file", "true"],
        ["-e", "a b", "file", "true"],
        ["-w", "soon", "file", "true"],
        ["-m", "256", "file", "true"],
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str]):
    done = lock(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("cronherd: ")


def test_a_file_that_cannot_be_made_is_said(tmp_path: Path):
    done = lock(str(tmp_path / "none" / "lock"), "true")
    assert done.returncode == 125
    assert "No such file" in done.stderr


# ------------------------------------------------------------------ who keeps it


def test_the_lock_is_held_while_the_command_runs_and_no_longer(file: Path):
    """Laravel's defect: a command in the background gave its lock back at once."""
    process = start(str(file), "sh", "-c", "echo begun; exec sleep 30")
    assert first_line(process) == "begun"
    assert is_locked(file)
    process.terminate()
    process.communicate()
    assert not is_locked(file)


def test_no_descendant_of_the_command_keeps_the_lock(file: Path):
    process = start(str(file), "sh", "-c", "sleep 20 >/dev/null & echo $!")
    left_behind = int(first_line(process))
    process.communicate()
    assert process.returncode == 0
    assert is_alive(left_behind)
    assert not is_locked(file)
    os.kill(left_behind, signal.SIGKILL)


def test_the_command_sees_what_the_caller_had_open_and_no_more(file: Path):
    program = "import os; seen = os.listdir('/proc/self/fd'); print("
    program += "[int(fd) for fd in seen if int(fd) > 2 and os.path.exists('/proc/self/fd/' + fd)])"
    reader, writer = os.pipe()
    argv = [*CRONHERD, str(file), sys.executable, "-c", program]
    done = subprocess.run(argv, pass_fds=[writer], capture_output=True, text=True, check=False)
    os.close(reader)
    os.close(writer)
    assert done.stdout == f"[{writer}]\n"


def test_a_killed_holder_takes_its_command_with_it(file: Path):
    process = start(str(file), *SLEEPER)
    command = int(first_line(process))
    process.kill()
    process.wait()
    assert wait_for(lambda: not is_alive(command), 10)
    assert not is_locked(file)
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_the_command_s(file: Path, number: signal.Signals):
    process = start(str(file), "sh", "-c", f"trap 'exit 9' {number}; echo up; while :; do :; done")
    assert first_line(process) == "up"
    process.send_signal(number)
    try:
        assert process.wait(10) == 9
    finally:
        process.kill()  # its command dies with it
        process.communicate()


def test_a_command_begins_with_the_signals_of_the_caller(file: Path):
    done = lock(str(file), "grep", "SigBlk", "/proc/self/status")
    assert re.fullmatch(r"SigBlk:\s+0+\n", done.stdout)


def test_a_signal_ends_the_wait(taken: Path):
    process = subprocess.Popen([*CRONHERD, "--log", "verbose", str(taken), "true"], stderr=-1)
    assert process.stderr is not None
    assert b"asked for" in process.stderr.readline()
    process.terminate()
    process.communicate()
    assert process.returncode == 143


def test_shared_means_several_at_once(file: Path):
    first = start("-s", str(file), *SLEEPER)
    first_line(first)
    assert lock("-sn", str(file), "true").returncode == 0
    assert lock("-n", str(file), "true").returncode == 1
    first.terminate()
    first.communicate()


# ------------------------------------------------------------------ the rest of lockrun


def test_the_environment_names_the_holder_d3_4(file: Path):
    show = ("sh", "-c", 'echo "$PPID|$LOCKRUNPID|$MINE"')
    parent, holder, mine = lock(str(file), *show).stdout.strip().split("|")
    assert (holder, mine) == (parent, "")
    parent, holder, mine = lock("-e", "MINE", "-a", "X", str(file), *show).stdout.strip().split("|")
    assert (holder, mine) == ("", f"X{parent}")


def test_a_script_may_lock_itself_d3_4(tmp_path: Path):
    script = tmp_path / "script"
    script.write_text(
        f'#!/bin/sh\n[ "M$PPID" = "$LOCKRUNPID" ] || exec {" ".join(CRONHERD)}'
        f' -qna M {tmp_path}/lock "$0" "$@" || exit 1\necho "once $1"\n'
    )
    script.chmod(0o755)
    done = subprocess.run([script, "me"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("once me\n", 0)


def test_neither_configuration_nor_home_is_needed(file: Path, tmp_path: Path):
    (tmp_path / "cronherd.yaml").write_text("this: [is wrong")
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [*CRONHERD, str(file), "true"], env={"PYTHONPATH": path}, cwd=tmp_path, check=False
    )
    assert done.returncode == 0


def test_the_help_shows_examples():
    done = lock("--help")
    assert done.stdout.count("cronherd lock ") >= 4


# ------------------------------------------------------------------ on a server


@pytest.fixture(params=["redis", "memcached"])
def url(request: pytest.FixtureRequest, servers: Servers, record_property: Record) -> str:
    with needing_server(request.param, record_property):
        return f"{servers.url(request.param)}/{secrets.token_hex(8)}"


def is_free(url: str) -> bool:
    lock = open_lock(url, SystemClock(), {})
    try:
        return lock.holder() is None
    finally:
        lock.close()


def test_a_lock_of_the_fleet_is_held_and_given_back_d3_4(url: str):
    process = start("--url", url, "sh", "-c", "echo $CRONHERD_LOCK_FENCE; exec sleep 30")
    assert first_line(process).isdigit() == url.startswith("redis")
    assert not is_free(url)
    assert lock("-n", url, "true").returncode == 1
    process.terminate()
    assert process.wait(10) == 143
    process.communicate()
    assert is_free(url)


def test_a_lock_that_was_taken_for_nothing_is_given_back(url: str):
    """Laravel's defect: it was taken, then a filter refused the run, and it stayed for an hour."""
    assert lock(url, "no-such-command-at-all").returncode == 127
    assert is_free(url)


def test_a_command_longer_than_the_expiry_keeps_the_lock_d2_4(url: str):
    process = start("--expiry", "1s", "--url", url, *SLEEPER)
    first_line(process)
    assert lock("-w", "4", url, "true").returncode == 1
    process.terminate()
    process.communicate()


@pytest.mark.parametrize("kind", ["redis", "memcached"])
def test_a_command_whose_lock_was_lost_is_ended(
    kind: str, own_server: Callable[[str], PrivateServer]
):
    server = own_server(kind)
    process = start("--expiry", "2s", "--url", f"{server.url}/x", *SLEEPER)
    command = int(first_line(process))
    server.kill()
    server.restart()
    assert process.wait(20) == 125
    assert not is_alive(command)
    process.communicate()


@pytest.mark.parametrize("kind", ["redis", "memcached"])
def test_a_command_whose_server_stays_away_is_ended_before_the_expiry(
    kind: str, own_server: Callable[[str], PrivateServer]
):
    server = own_server(kind)
    process = start("--expiry", "2s", "--url", f"{server.url}/x", *SLEEPER)
    command = int(first_line(process))
    server.kill()
    assert process.wait(20) == 125
    assert not is_alive(command)
    process.communicate()


def test_no_command_runs_when_the_server_cannot_be_asked(tmp_path: Path):
    done = lock("redis://127.0.0.1:1/x", "touch", str(tmp_path / "ran"))
    assert done.returncode == 125
    assert "cannot be asked" in done.stderr
    assert not (tmp_path / "ran").exists()
