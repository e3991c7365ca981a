"""D3.4: the command under a lock is started and killed as those of the other tools."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cronherd.supervisor.launching import spawn_bound
from cronherd.supervisor.spawn import SpawnError
from tests.servers.handles import PrivateServer
from tests.tools.conftest import Run, lives, until

LOCK = f"exec {shlex.quote(sys.executable)} -m cronherd lock ./file"


def pid_in(path: Path) -> int:
    """Of a process that writes its own, and a newline behind it."""
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_the_lock_being_lost_nothing_of_the_command_is_left(
    run: Run, tmp_path: Path, own_server: Callable[[str], PrivateServer]
):
    """D3.4: neither its group, nor what hears no TERM, nor what fled its session."""
    server = own_server("redis")
    script = (
        "trap '' TERM; sleep 25 & echo $! > group;"
        " setsid sh -c 'trap \"\" TERM; echo $$ > fled; exec sleep 25' & sleep 25"
    )
    tool = run("lock", "--expiry", "2s", "--url", f"{server.url}/x", "bash", "-c", script)
    left = [pid_in(tmp_path / "group"), pid_in(tmp_path / "fled")]
    server.kill()
    # The patience between TERM and KILL is ten seconds; the leader goes with the group before.
    code, _, err = tool.end()
    assert code == 125
    assert "the lock was lost" in err
    assert not any(map(lives, left))


def test_a_signal_reaches_the_whole_group(run: Run, tmp_path: Path):
    """D3.4: not the direct child alone."""
    member = "trap 'echo group; exit' TERM; : > up; while :; do sleep 0.05; done"
    script = f"trap : TERM; ({member}) & wait; wait"
    tool = run("lock", "./file", "bash", "-c", script)
    until((tmp_path / "up").exists)
    tool.send(signal.SIGTERM)
    assert tool.end()[1] == "group\n"


def test_a_key_at_the_terminal_does_not_stop_who_must_renew(run: Run, tmp_path: Path):
    """D3.4: a holder that was stopped would lose a lock on a server behind its command's back."""
    tool = run("lock", "./file", "sh", "-c", "trap 'echo told' TSTP; : > up; sleep 1 & wait; wait")
    until((tmp_path / "up").exists)
    tool.send(signal.SIGTSTP)
    assert tool.end()[:2] == (0, "told\n")


def test_what_the_caller_ignores_is_ignored(run: Run, tmp_path: Path):
    """D3.4: under nohup the command lives on."""
    tool = run("timeout", "20", "sh", "-c", f"trap '' HUP; {LOCK} sh -c ': > up; cat; echo end'")
    until((tmp_path / "up").exists)
    holder = next(
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if b"\0lock\0./file\0sh" in _command_of(path) and _parent_of(path) == tool.process.pid
    )
    os.kill(holder, signal.SIGHUP)
    assert tool.end()[:2] == (0, "end\n")


def _command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _parent_of(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["no-such-program"], "not_found"),
        (["./no-such-program"], "not_found"),
        (["/etc/passwd"], "not_executable"),
        ([""], "not_found"),
        (["true", "x" * 3_000_000], "too_long"),
    ],
)
def test_what_is_not_executed_leaves_nothing(argv: list[str], code: str):
    def ours() -> tuple[list[str], str]:
        own = Path("/proc/self")
        open_ones = sorted(path.name for path in (own / "fd").iterdir())
        return open_ones, (own / f"task/{os.getpid()}/children").read_text()

    before = ours()
    with pytest.raises(SpawnError) as refused:
        spawn_bound(argv, {"PATH": os.environ["PATH"]}, (0, 1, 2))
    assert refused.value.code == code
    assert ours() == before
