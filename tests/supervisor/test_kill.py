"""A kill leaves nothing behind, says what it took, and an ordinary end says what was left."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cronherd.supervisor import wire
from cronherd.supervisor.base import Ended
from cronherd.supervisor.cgroup import Tree
from cronherd.supervisor.client import SOCKET_NAME, connect
from cronherd.supervisor.runs import LASTING_US
from tests.supervisor.host import Host, children_of, gone_of, text_of, wait_for_death

BARE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cronherd.supervisor.cgroup as c; "
    "c.MOUNTS = '/dev/null'; from cronherd.supervise import main; sys.exit(main(sys.argv[1:]))"
)
"""A supervisor on a host where it can make no control groups."""


def can_group(folder: Path) -> bool:
    tree = Tree()
    tree.plant(uuid4().hex, str(folder / "cgroup"))
    tree.uproot()
    return bool(tree.path)


@pytest.fixture(params=["cgroup", "bare"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    """A host with control groups, and one without."""
    if request.param == "bare":
        monkeypatch.setattr("cronherd.supervisor.client._BOOT", BARE)
    elif not can_group(tmp_path):
        pytest.skip("we may make no control groups here")
    host = Host(tmp_path)
    yield host
    host.leave()


@pytest.fixture
def grouped(tmp_path: Path) -> Iterator[Host]:
    if not can_group(tmp_path):
        pytest.skip("we may make no control groups here")
    host = Host(tmp_path)
    yield host
    host.leave()


def marked(**more: Any) -> dict[str, Any]:
    """Fields of a run whose processes can be found, and no other test's."""
    run_id = uuid4().hex
    env = {"PATH": "/usr/bin:/bin", "CRONHERD_RUN_ID": run_id, "CRONHERD_ATTEMPT": "1"}
    return {"run_id": run_id, "env": env, "grace_us": 200_000} | more


def start(host: Host, script: str, lines: int, **more: Any) -> tuple[str, list[int]]:
    """A run, and the numbers of the processes that it says it has."""
    order = host.order("/bin/sh", "-c", script, **marked(**more))
    host.supervisor.start([order])
    got = host.wait(lambda reports: text_of(reports).count(b"\n") >= lines)
    return order.run_id, [int(line) for line in text_of(got).split()]


def cancel(host: Host, run_id: str) -> Ended:
    host.supervisor.cancel(run_id, 1)
    (end,), _ = host.until_ended(1)
    assert end.killed_by == "cancel"
    return end


def hard_way(host: Host) -> str:
    """What `how` says of a run that needed more than TERM."""
    return "cgroup" if (host.state / "cgroup").exists() else "kill"


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until_grouped(host: Host, run_id: str) -> Path:
    """A run that lasts gets its leaf."""
    leaf = Path((host.state / "cgroup").read_text()) / f"{run_id}-1"
    procs = leaf / "cgroup.procs"
    wait_for(host, lambda: leaf.exists() and procs.read_text(), LASTING_US + 5_000_000)
    return leaf


def wait_for(host: Host, condition: Any, patience_us: int = 5_000_000) -> None:
    give_up_us = host.clock.boot_us() + patience_us
    while not condition():
        assert host.clock.boot_us() < give_up_us, "waited in vain"
        select.poll().poll(5)


SETSID = "setsid sh -c 'echo $$; exec sleep 60' & "
DAEMON = "(setsid sh -c '(echo $$; sleep 60; :) & echo $$; exec sleep 60' &); "
REST = "exec sleep 60"
OWN_GROUP = (
    "python3 -ISc 'import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); "
    "time.sleep(60)' & "
)
DEAF = "trap '' TERM HUP INT; "
ESCAPES = {
    "a child": ("sh -c 'echo $$; exec sleep 60' & " + REST, 1),
    "a deaf child": ("(" + DEAF + "echo $$; exec sleep 60) & " + REST, 1),
    "setsid": (SETSID + REST, 1),
    "deaf and setsid": (DEAF + SETSID + "echo $$; while :; do sleep 60; done", 2),
    "a double fork": (DAEMON + REST, 2),
    "a group of its own": (OWN_GROUP + REST, 1),
    "a group of its own, without a mark": ("env -i PATH=/usr/bin:/bin " + OWN_GROUP + REST, 1),
    "a stopped stray": ("setsid sh -c 'echo $$; kill -STOP $$' & " + REST, 1),
}


@pytest.mark.parametrize("escape", ESCAPES)
def test_nothing_lives_when_a_cancel_has_ended_a_run(place: Host, escape: str) -> None:
    script, count = ESCAPES[escape]
    run_id, pids = start(place, script, count)
    end = cancel(place, run_id)
    assert [pid for pid in pids if lives(pid)] == []
    assert end.leaked == 0


@pytest.mark.parametrize("escape", ["setsid", "a double fork"])
def test_nothing_lives_when_a_time_limit_has_ended_a_run(place: Host, escape: str) -> None:
    script, count = ESCAPES[escape]
    _, pids = start(place, script, count, timeout_us=400_000)
    (end,), _ = place.until_ended(1)
    assert (end.killed_by, end.signal, end.leaked) == ("timeout", 15, 0)
    assert [pid for pid in pids if lives(pid)] == []


@pytest.mark.parametrize("escape", ["setsid", "a double fork"])
def test_nothing_lives_when_a_shutdown_has_ended_a_run(place: Host, escape: str) -> None:
    script, count = ESCAPES[escape]
    _, pids = start(place, script, count)
    place.supervisor.shutdown()
    assert [pid for pid in pids if lives(pid)] == []
    ends = [report for report in place.all_reports() if isinstance(report, Ended)]
    assert [(end.killed_by, end.leaked) for end in ends] == [("shutdown", 0)]


def test_another_attempt_of_the_run_is_left_alone(place: Host) -> None:
    fields = marked()
    fields["env"] |= {"CRONHERD_ATTEMPT": "2"}
    argv = ["/bin/sleep", "300"]
    with subprocess.Popen(argv, env=fields["env"], start_new_session=True) as other:
        try:
            script, count = ESCAPES["setsid"]
            again = {"CRONHERD_RUN_ID": fields["run_id"], "CRONHERD_ATTEMPT": "1"}
            env = {"PATH": "/usr/bin:/bin", **again}
            run_id, pids = start(place, script, count, run_id=fields["run_id"], env=env)
            cancel(place, run_id)
            assert [pid for pid in pids if lives(pid)] == []
            assert other.poll() is None
        finally:
            other.kill()


# What it took


def test_it_says_that_term_was_enough(place: Host) -> None:
    run_id, _ = start(place, "echo $$; exec sleep 60", 1)
    end = cancel(place, run_id)
    assert (end.how, end.signal, end.leaked) == ("term", 15, 0)


def test_it_says_that_term_was_enough_for_a_command_that_cleaned_up(place: Host) -> None:
    run_id, _ = start(place, "trap 'exit 5' TERM; sleep 60 & sleep 0.2; echo $$; wait", 1)
    end = cancel(place, run_id)
    assert (end.how, end.exit_code) == ("term", 5)


def test_it_says_what_it_took_to_end_a_command_that_ignores_term(place: Host) -> None:
    run_id, _ = start(place, DEAF + "echo $$; while :; do sleep 60; done", 1)
    end = cancel(place, run_id)
    assert (end.how, end.signal) == (hard_way(place), 9)


def test_it_says_what_it_took_to_end_a_stray(place: Host) -> None:
    script, count = ESCAPES["setsid"]
    run_id, _ = start(place, script, count)
    end = cancel(place, run_id)
    assert (end.how, end.signal) == (hard_way(place), 15)


def test_it_says_nothing_of_the_kind_when_nobody_killed(place: Host) -> None:
    end, _ = place.sh("exec sleep 0.05")
    assert (end.how, end.leaked, end.killed_by) == ("", 0, "")


# What an ordinary end leaves behind


def test_it_counts_what_a_short_run_left_in_its_session(place: Host) -> None:
    end, output = place.sh("for i in 1 2 3; do sleep 60 >/dev/null 2>&1 & echo $!; done")
    pids = [int(line) for line in text_of(output).split()]
    try:
        assert (end.exit_code, end.killed_by, end.how, end.leaked) == (0, "", "", 3)
        assert all(map(lives, pids))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


LEAVING = (
    "echo up; read go <{fifo}; (setsid sh -c 'echo $$; exec sleep 60' &); read go <{fifo}; exit 7"
)


def test_it_counts_all_that_a_lasting_run_left_and_lets_it_go(
    grouped: Host, tmp_path: Path
) -> None:
    """Out of the group: when the supervisor dies, only what still runs is to die with it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fields = marked()
    order = grouped.order("/bin/sh", "-c", LEAVING.format(fifo=fifo), **fields)
    grouped.supervisor.start([order])
    grouped.until_written(b"up")
    leaf = wait_until_grouped(grouped, order.run_id)
    fifo.write_text("go\n")
    stray = int(text_of(grouped.wait(lambda reports: b"\n" in text_of(reports))))
    try:
        fifo.write_text("go\n")
        (end,), _ = grouped.until_ended(1)
        assert (end.exit_code, end.how, end.leaked) == (7, "", 1)
        assert not leaf.exists()
        guardian, *_ = children_of(grouped.supervisor.pid)
        os.kill(grouped.supervisor.pid, signal.SIGKILL)
        wait_for_death(guardian)
        assert lives(stray)
    finally:
        os.kill(stray, signal.SIGKILL)


# What only a control group can end


BLANK_DAEMON = "(env -i setsid sh -c '(sleep 60; :) & echo $! $$; exec sleep 60' &); " + REST
"""In no session of ours, without a parent and without any mark: nothing tells whose it is."""


def test_a_control_group_ends_what_has_left_everything_else(grouped: Host) -> None:
    run_id, pids = start(grouped, "sleep 1; " + BLANK_DAEMON, 1)
    end = cancel(grouped, run_id)
    assert (end.how, end.leaked) == ("cgroup", 0)
    assert len(pids) == 2
    assert [pid for pid in pids if lives(pid)] == []


def test_a_young_run_is_gathered_before_it_is_asked_to_end(grouped: Host) -> None:
    """Once its parent is dead, nothing tells whose this child is."""
    run_id, pids = start(grouped, "env -i setsid sh -c 'echo $$; exec sleep 60' & " + REST, 1)
    end = cancel(grouped, run_id)
    assert (end.how, end.signal, end.leaked) == ("cgroup", 15, 0)
    assert [pid for pid in pids if lives(pid)] == []


COMET = """
import os, sys, time
trail = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while sys.argv[2] not in open("/proc/self/cgroup").read():
    time.sleep(0.01)
print("up", flush=True)
if os.fork():
    os.execv("/bin/sleep", ["sleep", "60"])
os.setsid()
for _ in range(20_000):
    os.write(trail, b".")
    if os.fork():
        os._exit(0)
"""


def test_a_control_group_ends_what_is_never_the_same_process(grouped: Host, tmp_path: Path) -> None:
    """Each fork is gone before anybody can look at it; it carries the run's id all the time."""
    trail = tmp_path / "trail"
    fields = marked()
    argv = ("/usr/bin/env", "python3", "-ISc", COMET, str(trail), fields["run_id"])
    grouped.supervisor.start([grouped.order(*argv, **fields)])
    grouped.until_written(b"up")
    hops = trail.stat().st_size
    wait_for(grouped, lambda: trail.stat().st_size > hops + 100)
    end = cancel(grouped, fields["run_id"])
    assert (end.how, end.leaked) == ("cgroup", 0)
    hops = trail.stat().st_size
    select.poll().poll(100)
    assert trail.stat().st_size == hops


@pytest.mark.parametrize("alone", ["", "os.setsid();"])
def test_five_hundred_children_die_with_their_run(place: Host, alone: str) -> None:
    script = (
        "import os, time\nfor _ in range(500):\n    if not os.fork():\n"
        f"        {alone} time.sleep(30); os._exit(0)\nprint('up', flush=True)\ntime.sleep(30)"
    )
    fields = marked()
    place.supervisor.start([place.order("/usr/bin/env", "python3", "-ISc", script, **fields)])
    place.until_written(b"up")
    mark = f"CRONHERD_RUN_ID={fields['run_id']}".encode()
    assert len(carriers(mark)) == 501
    end = cancel(place, fields["run_id"])
    assert (end.killed_by, end.leaked) == ("cancel", 0)
    assert carriers(mark) == []


def carriers(mark: bytes) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            pass
    return found


# When the supervisor dies


def test_a_supervisor_that_leaves_takes_its_groups_away(grouped: Host) -> None:
    run_id, _ = start(grouped, "echo $$; exec sleep 60", 1)
    leaf = wait_until_grouped(grouped, run_id)
    grouped.supervisor.shutdown()
    assert not leaf.parent.exists()
    assert not (grouped.state / "cgroup").exists()


def test_its_hello_says_whether_it_has_control_groups(place: Host) -> None:
    reader = wire.Reader()
    frames: list[wire.Frame] = []
    with connect(place.sockets / SOCKET_NAME) as link:
        link.settimeout(5)
        link.sendall(wire.greeting())
        while not frames:
            frames = reader.feed(link.recv(65_536))
    fact = wire.greeted(frames[0][0])["cgroups"]
    begins = "control groups below /" if hard_way(place) == "cgroup" else "no control groups: "
    assert fact.startswith(begins)


def test_the_guardian_ends_what_has_left_everything_but_its_control_group(grouped: Host) -> None:
    run_id, pids = start(grouped, "sleep 1.5; " + BLANK_DAEMON, 1)
    leaf = wait_until_grouped(grouped, run_id)
    guardian = children_of(grouped.supervisor.pid)[0]
    os.kill(grouped.supervisor.pid, signal.SIGKILL)
    wait_for_death(guardian)
    assert [pid for pid in pids if lives(pid)] == []
    assert not leaf.parent.exists()


def test_the_next_life_ends_what_the_guardian_could_not(grouped: Host) -> None:
    run_id, pids = start(grouped, "sleep 1.5; " + BLANK_DAEMON, 1)
    leaf = wait_until_grouped(grouped, run_id)
    guardian = children_of(grouped.supervisor.pid)[0]
    os.kill(grouped.supervisor.pid, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    os.kill(grouped.supervisor.pid, signal.SIGKILL)
    grouped.launch()
    assert [pid for pid in pids if lives(pid)] == []
    assert not leaf.exists()
    assert gone_of(grouped.wait(lambda all_: bool(gone_of(all_)))) == [run_id]
