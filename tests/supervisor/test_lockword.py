"""The words of what holds a run's lock, and what becomes of a run whose holder died."""

import os
import signal
from pathlib import Path

import pytest

from cronherd.supervisor.base import Ended, Started
from cronherd.supervisor.lockword import LockWord
from tests.servers.handles import is_alive
from tests.supervisor.host import Host, text_of

SECRET = "hunter2hunter2"


def verdict(said: bytes) -> tuple[str, str]:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.write(theirs, said)
    os.close(theirs)
    word = LockWord(ours)
    word.close()
    word.close()
    return word.verdict()


DIED = ("lock_unavailable", "what takes the lock was killed before the command was executed")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"ran\nended\n", ("", "")),
        (b"ran\n", ("", "")),
        (b"", DIED),
        (b"ra", DIED),
        (b"refused locked held by web1\n", ("locked", "held by web1")),
        (b"refused not_found no such\n", ("not_found", "no such")),
        (b"ran\nlost its lock was lost\n", ("lock_lost", "its lock was lost")),
        (b"refused anything at all\n", DIED),
        (b"refused locked " + 500 * b"x" + b"\n", ("locked", 400 * "x")),
        (b"ran\n\xff\xfe\nended\n", ("", "")),
        (b"refused locked \xff\n", ("locked", "\ufffd")),
    ],
)
def test_what_was_said_is_what_became_of_it(said: bytes, told: tuple[str, str]):
    assert verdict(said) == told


@pytest.mark.parametrize("more", [{}, {"nice": 1}, {"task": True}, {"task": True, "nice": 1}])
def test_a_run_with_a_lock_has_one_pipe_more(host: Host, more: dict[str, object]):
    number = 4 if "task" in more else 3
    end, output = host.python(
        f"import os; print(sorted(map(int, os.listdir('/proc/self/fd'))), flush=True);"
        f"os.write({number}, b'ran\\nended\\n'); os._exit(9)",
        lock=True,
        **more,
    )
    assert (end.exit_code, end.error, end.error_text) == (9, "", "")
    # One of those that os.listdir sees is its own.
    assert text_of(output, 1).decode() == f"{list(range(number + 2))}\n"


def test_a_refused_command_was_started_and_never_executed(host: Host):
    order = host.order("/bin/sh", "-c", "sleep 0.1; echo refused locked by web1 >&3", lock=True)
    host.supervisor.start([order])
    reports = host.wait(lambda all_: any(isinstance(each, Ended) for each in all_))
    started, end = reports
    assert isinstance(started, Started)
    assert isinstance(end, Ended)
    assert (end.exit_code, end.signal) == (None, None)
    assert (end.error, end.error_text, end.started_us) == ("locked", "by web1", started.at_us)


@pytest.mark.parametrize(("code", "number"), [("not_found", 127), ("not_executable", 126)])
def test_a_command_that_cannot_be_executed_has_the_code_of_a_shell(
    host: Host, code: str, number: int
):
    end, _ = host.sh(f"echo refused {code} why >&3", lock=True)
    assert (end.error, end.exit_code) == (code, number)


def test_a_sentence_repeats_no_secret(host: Host):
    end, _ = host.sh(f"echo refused locked {SECRET} >&3", lock=True, masks=(SECRET,))
    assert end.error_text == "***"


def test_what_a_killed_holder_had_started_is_killed(host: Host, tmp_path: Path):
    script = "echo ran >&3; setsid sleep 300 & echo $! > pids; exec 3>&-; touch up; kill -9 $$"
    marks = {"CRONHERD_RUN_ID": "r1", "CRONHERD_ATTEMPT": "1"}
    env = {"PATH": "/usr/bin:/bin", **marks}
    end, _ = host.sh(script, lock=True, cwd=str(tmp_path), env=env)
    assert (end.signal, end.error, end.killed_by) == (9, "", "")
    assert not is_alive(int((tmp_path / "pids").read_text()))


def test_what_a_command_leaves_behind_is_left_when_its_holder_said_so(host: Host, tmp_path: Path):
    script = "setsid sleep 30 >/dev/null 2>&1 3>&- & echo $! > pids; printf 'ran\\nended\\n' >&3"
    end, _ = host.sh(script, lock=True, cwd=str(tmp_path))
    pid = int((tmp_path / "pids").read_text())
    assert (end.exit_code, is_alive(pid)) == (0, True)
    os.kill(pid, signal.SIGKILL)


def test_a_cancel_says_that_the_command_was_not_executed(host: Host):
    script = "trap 'echo refused locked it waited >&3; exit 125' TERM; echo up; sleep 30 & wait"
    host.supervisor.start([host.order("/bin/sh", "-c", script, lock=True)])
    host.until_written(b"up")
    host.supervisor.cancel("r1", 1)
    (end,), _ = host.until_ended(1)
    assert (end.killed_by, end.error, end.error_text) == ("cancel", "", "it waited")


def test_many_runs_with_locks_leave_no_descriptor_open(host: Host):
    def count() -> int:
        return len(list(Path(f"/proc/{host.supervisor.pid}/fd").iterdir()))

    host.sh("true", lock=True, nice=1, run_id="r0")
    before = count()
    for n in range(5):
        host.sh(
            "printf 'ran\\nended\\n' >&3", lock=True, task=bool(n % 2), nice=n % 3, run_id=f"a{n}"
        )
    assert count() == before
