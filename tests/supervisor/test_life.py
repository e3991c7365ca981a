"""Births and deaths of the supervisor, and what the next life knows."""

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cronherd.supervisor import client as client_module
from cronherd.supervisor import wire
from cronherd.supervisor.base import Ended, Started, SupervisorGone
from cronherd.supervisor.client import SOCKET_NAME, SupervisorClient, connect, launch
from cronherd.supervisor.order import message_of
from cronherd.supervisor.sweep import sweep
from tests.supervisor.host import Host, children_of, gone_of, text_of, wait_for_death

SLEEPER = ("/bin/sh", "-c", "echo up; exec sleep 60")


def spool_bytes(host: Host) -> int:
    return sum(path.stat().st_size for path in (host.state / "spool").iterdir())


def raw_link(host: Host) -> socket.socket:
    link = connect(host.sockets / SOCKET_NAME)
    link.settimeout(5)
    return link


def answer(link: socket.socket) -> str:
    received = b""
    while chunk := link.recv(65536):
        received += chunk
    return received.decode("latin-1")


def patient(host: Host, **more: Any) -> Path:
    """A command that says up, and then what it is told."""
    fifo = host.state.parent / "fifo"
    os.mkfifo(fifo)
    host.supervisor.start([host.order("/bin/sh", "-c", f"echo up; cat {fifo}", **more)])
    return fifo


def test_a_run_goes_on_without_an_agent_and_the_next_one_hears_all_of_it(host: Host) -> None:
    fifo = patient(host)
    pid = host.until_written(b"up")
    life = host.supervisor.incarnation
    host.reconnect()
    assert host.supervisor.incarnation == life
    assert host.supervisor.live == {("r1", 1, "t-r1")}
    fifo.write_text("and on")
    (end,), output = host.until_ended(1)
    assert (end.exit_code, end.killed_by, text_of(output)) == (0, "", b"up\nand on")
    wait_for_death(pid)


def test_what_ended_without_an_agent_is_told_to_the_next_one(host: Host) -> None:
    fifo = patient(host)
    pid = host.until_written(b"up")
    host.supervisor.close()
    fifo.write_text("the end")
    wait_for_death(pid)
    host.reconnect()
    (end,), output = host.until_ended(1)
    assert (end.exit_code, text_of(output)) == (0, b"up\nthe end")


def test_what_the_last_agent_ordered_comes_before_the_next_ones_hello(host: Host) -> None:
    orders = [host.order("/bin/true", run_id=f"r{n}") for n in range(500)]
    host.supervisor.start(orders)
    host.reconnect()
    known = {run_id for run_id, _, _ in host.supervisor.live}
    replayed: set[str] = set()
    while host.supervisor._position < host.supervisor.replay_until:
        replayed |= {report.run_id for report in host.supervisor.reports(0.5)[0]}
    assert known | replayed == {order.run_id for order in orders}


def test_without_agent_and_runs_it_leaves(host: Host) -> None:
    host.sh("exit 0")
    pid = host.supervisor.pid
    host.supervisor.close()
    wait_for_death(pid)


def test_an_idle_one_of_another_version_is_replaced(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = host.supervisor.incarnation
    monkeypatch.setattr(client_module, "__version__", "999")
    fifo = patient(host)
    host.until_written(b"up")
    host.reconnect()
    assert host.supervisor.incarnation == life, "its run would have died"
    fifo.write_text("x")
    host.until_ended(1)
    host.reconnect()
    assert host.supervisor.incarnation != life


def test_one_of_another_directory_is_not_ours(host: Host) -> None:
    life = host.supervisor.incarnation
    host.supervisor.close()
    other = launch(host.state.with_name("other"), host.sockets, host.clock)
    assert other.incarnation != life
    other.shutdown()
    other.close()


def test_it_says_gone_after_a_kill_nine_once_the_guardian_has_killed(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER, run_id="a"), host.order("/bin/true", run_id="b")])
    got = host.wait(
        lambda reports: b"up" in text_of(reports) and any(isinstance(r, Ended) for r in reports)
    )
    pid = next(r.pid for r in got if isinstance(r, Started) and r.run_id == "a")
    guardian, *_ = children_of(host.supervisor.pid)
    os.kill(host.supervisor.pid, signal.SIGKILL)
    host.launch()
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    wait_for_death(guardian)
    reports = host.wait(lambda all_: bool(gone_of(all_)))
    assert gone_of(reports) == ["a"]


def test_no_command_lives_two_seconds_after_its_supervisor_was_killed(host: Host) -> None:
    script = "trap '' TERM HUP; echo $$; sleep 60 & echo $!; wait; sleep 60"
    host.supervisor.start([host.order("/bin/sh", "-c", script, run_id=f"n{n}") for n in range(20)])
    got = host.wait(lambda reports: text_of(reports).count(b"\n") == 40)
    pids = [int(pid) for pid in text_of(got).split()]
    killed_us = host.clock.boot_us()
    os.kill(host.supervisor.pid, signal.SIGKILL)
    for pid in pids:
        wait_for_death(pid)
    assert host.clock.boot_us() - killed_us < 2_000_000


def test_it_says_gone_only_once(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER)])
    host.until_written(b"up")
    os.kill(host.supervisor.pid, signal.SIGKILL)
    host.launch()
    host.wait(lambda all_: bool(gone_of(all_)))
    host.supervisor.shutdown()
    host.launch()
    assert len(gone_of(host.wait(lambda all_: bool(gone_of(all_))))) == 1


def test_it_raises_gone_when_the_supervisor_dies(host: Host) -> None:
    os.kill(host.supervisor.pid, signal.SIGKILL)
    with pytest.raises(SupervisorGone):
        host.supervisor.reports(5)
    with pytest.raises(SupervisorGone):
        host.supervisor.start([host.order("/bin/true")])
    host.supervisor.cancel("r1", 1)
    host.supervisor.ack(1)


def test_it_gets_a_new_guardian_when_the_guardian_dies(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER)])
    pid = host.until_written(b"up")
    guardian = next(child for child in children_of(host.supervisor.pid) if child != pid)
    os.kill(guardian, signal.SIGKILL)
    give_up_us = host.clock.boot_us() + 5_000_000
    while guardian in children_of(host.supervisor.pid):
        assert host.clock.boot_us() < give_up_us, "the dead guardian was not replaced"
        select.poll().poll(10)
    assert host.sh("exit 0", run_id="r2")[0].exit_code == 0
    os.kill(host.supervisor.pid, signal.SIGKILL)
    wait_for_death(pid)


def test_it_lets_the_guardian_outlive_a_sigterm_to_everybody(host: Host) -> None:
    (guardian,) = children_of(host.supervisor.pid)
    os.kill(guardian, signal.SIGTERM)
    host.sh("exit 0")
    assert children_of(host.supervisor.pid) == [guardian]


@pytest.mark.parametrize("way", ["shutdown", "sigterm"])
def test_it_kills_what_runs_at_a_clean_end_and_reports_it(host: Host, way: str) -> None:
    host.supervisor.start([host.order(*SLEEPER)])
    pid = host.until_written(b"up")
    if way == "sigterm":
        os.kill(host.supervisor.pid, signal.SIGTERM)
    else:
        host.supervisor.shutdown()
    ends = [report for report in host.all_reports() if isinstance(report, Ended)]
    assert [(end.killed_by, end.signal) for end in ends] == [("shutdown", 9)]
    wait_for_death(pid)
    wait_for_death(host.supervisor.pid)


def test_it_starts_nothing_after_shutdown_was_said(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER)])
    host.until_written(b"up")
    late = wire.pack([["shutdown"], [*message_of(host.order("/bin/true", run_id="late"))]])
    host.supervisor._send(late)
    ends = {end.run_id: end for end in host.all_reports() if isinstance(end, Ended)}
    assert ends["late"].started_us is None
    assert {end.killed_by for end in ends.values()} == {"shutdown"}


def test_it_replays_what_was_not_acked(host: Host) -> None:
    host.sh("echo kept")
    host.supervisor.shutdown()
    host.launch()
    ends, output = host.until_ended(1)
    assert (ends[0].exit_code, text_of(output)) == (0, b"kept\n")


def test_it_forgets_what_was_acked(host: Host) -> None:
    host.supervisor.start(
        [host.order("/bin/sh", "-c", "echo x", run_id=f"n{i}") for i in range(99)]
    )
    host.until_ended(99, ack=True)
    _, position = host.supervisor.reports(0)
    host.supervisor.ack(position)
    host.sh("head -c 100000 /dev/zero", run_id="large")
    _, position = host.supervisor.reports(0)
    assert host.supervisor.spool_bytes() > 100_000
    host.supervisor.ack(position)
    host.sh("exit 0", run_id="after")
    assert spool_bytes(host) < 5_000
    assert host.supervisor.spool_bytes() < 5_000


def test_it_reads_a_spool_with_a_torn_tail(host: Host) -> None:
    host.sh("echo whole")
    host.supervisor.shutdown()
    (segment,) = (host.state / "spool").iterdir()
    for torn in (b"\0\0\1\0torn", os.urandom(300), b"\0" * 4000):
        with segment.open("ab") as file:
            file.write(torn)
        host.launch()
        ends, output = host.until_ended(1)
        assert (ends[0].exit_code, text_of(output)) == (0, b"whole\n")
        host.supervisor.shutdown()


def test_it_waits_for_a_predecessor_that_is_dying(host: Host) -> None:
    host.supervisor.shutdown()
    lock = os.open(host.state / "supervisor.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    holder = subprocess.Popen(["/bin/sleep", "0.3"], pass_fds=(lock,))
    os.close(lock)  # the sleeping process holds it now
    host.launch()
    assert holder.wait() == 0
    assert host.sh("exit 0")[0].exit_code == 0


def test_it_refuses_a_second_supervisor(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cronherd.supervisor.client._BOOT", IMPATIENT)
    with pytest.raises(SupervisorGone, match="another supervisor holds"):
        launch(host.state, host.sockets.parent / "other", host.clock)
    assert host.sh("exit 0")[0].exit_code == 0


IMPATIENT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cronherd.supervisor.server as s; "
    "s.LOCK_WAIT_S = 0.1; from cronherd.supervise import main; sys.exit(main(sys.argv[1:]))"
)


def test_the_agent_that_came_last_is_served(host: Host) -> None:
    first = host.supervisor
    host.supervisor = SupervisorClient(raw_link(host))
    with pytest.raises(SupervisorGone):
        first.reports(5)
    first.close()
    assert host.sh("exit 0")[0].exit_code == 0


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A supervisor to which nobody has spoken yet."""
    source = Path(wire.__file__).parents[2]
    ready, ready_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "cronherd.supervise", "--state", str(tmp_path / "state"),
         "--socket", str(tmp_path / "run" / SOCKET_NAME), "--ready-fd", str(ready_end)],
        env={"PYTHONPATH": str(source)}, pass_fds=(ready_end,),
    )  # fmt: skip
    os.close(ready_end)
    assert os.read(ready, 100).startswith(b"ready")
    os.close(ready)
    yield process
    process.terminate()
    process.wait()


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (wire.pack([["hello", {"wire": 99, "min_wire": 98}]]), "speaks wire versions 98 to 99"),
        (wire.pack([["hello", {"wire": 0}]]), "speaks wire versions 0 to 0"),
        (wire.pack([["hello", {}]]), "names no wire version"),
        (wire.pack([["start"]]), "no hello"),
        (wire.pack([]), "no hello"),
        (wire.HEADER.pack(3, 0) + b"{[}", "no JSON"),
        (wire.HEADER.pack(2, 0) + b"42", "no array"),
        (wire.HEADER.pack(6, 0) + b"[1, 2]", "begins with its kind"),
        (wire.HEADER.pack(1 << 30, 0), "too large"),
        (wire.HEADER.pack(200_000, 0) + b"[" * 200_000, "no JSON"),
        (b"GET / HTTP/1.1\r\n\r\n", "too large"),
    ],
    ids=range(11),
)
def test_it_refuses_who_does_not_speak_its_language(
    lonely: "subprocess.Popen[bytes]", tmp_path: Path, sent: bytes, sentence: str
) -> None:
    path = tmp_path / "run" / SOCKET_NAME
    with connect(path) as link:
        link.settimeout(5)
        link.sendall(sent)
        said = answer(link)
    assert "refused" in said
    assert sentence in said
    client = SupervisorClient(connect(path))  # the next one is served
    client.shutdown()
    assert lonely.wait(5) == 0
    client.close()


@pytest.mark.parametrize(
    "message",
    [["start", 1, 2], ["cancel"], ["dance"], ["ack", None], ["ack", "x"], ["start"] * 14],
)
def test_it_drops_an_agent_that_breaks_the_protocol(host: Host, message: list[object]) -> None:
    host.supervisor.start([host.order(*SLEEPER)])
    host.until_written(b"up")
    host.supervisor._send(wire.pack([message]))
    host.all_reports()
    host.reconnect()
    assert len(host.supervisor.live) == 1


def test_it_keeps_socket_and_state_private(host: Host) -> None:
    assert host.sockets.stat().st_mode & 0o777 == 0o700
    assert (host.sockets / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    assert (host.state / "spool").stat().st_mode & 0o777 == 0o700
    assert host.state.stat().st_mode & 0o777 == 0o700


def test_it_listens_at_a_path_of_any_length(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    place = Host(deep)
    assert place.sh("exit 0")[0].exit_code == 0
    place.leave()


def test_it_lives_in_a_session_of_its_own(host: Host) -> None:
    assert os.getsid(host.supervisor.pid) == host.supervisor.pid
    assert os.getsid(0) != host.supervisor.pid


def test_it_ends_what_two_kills_left_before_it_says_gone(host: Host) -> None:
    """Supervisor and guardian die together: nobody is left to kill, so the next one does."""
    script = "setsid sh -c 'echo $$; exec sleep 300' & echo $$; exec sleep 300"
    env = {"PATH": "/usr/bin:/bin", "CRONHERD_RUN_ID": "a"}
    host.supervisor.start([host.order("/bin/sh", "-c", script, run_id="a", env=env)])
    got = host.wait(lambda reports: text_of(reports).count(b"\n") == 2)
    pids = [int(line) for line in text_of(got).split()]
    guardian, *_ = children_of(host.supervisor.pid)
    os.kill(host.supervisor.pid, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    os.kill(host.supervisor.pid, signal.SIGKILL)
    host.launch()
    assert [pid for pid in pids if _lives(pid)] == []
    assert gone_of(host.wait(lambda all_: bool(gone_of(all_)))) == ["a"]


def test_it_leaves_alone_what_carries_another_mark(host: Host) -> None:
    assert sweep(set())
    with subprocess.Popen(["/bin/sleep", "300"], env={"CRONHERD_RUN_ID": "ab"}) as other:
        try:
            assert sweep({"a", "b"})
            assert other.poll() is None
        finally:
            other.kill()


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
