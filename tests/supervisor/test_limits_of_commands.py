"""Niceness and limits: what the launcher gives, and that it leaves the same facts as a spawn."""

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from cronherd.supervisor.base import Ended, Started
from cronherd.supervisor.launch import RESOURCES, limits_by
from cronherd.supervisor.order import LIMITS, Order, message_of
from cronherd.supervisor.wire import WireError
from tests.supervisor.host import Host, text_of

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
SLOW = {"PATH": "/x:" * 300_000}
"""The launcher looks into each of these folders: 0.3 s in which no command was executed."""


def may_raise_limits() -> bool:
    """CAP_SYS_RESOURCE: root in a container often has not."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> 24 & 1)


def test_it_adds_to_the_niceness(host: Host) -> None:
    own = int(text_of(host.sh("nice")[1]))
    assert int(text_of(host.sh("nice", nice=7, run_id="r2")[1])) == own + 7


@AS_ROOT
def test_it_makes_a_command_less_nice_when_it_may(host: Host) -> None:
    own = int(text_of(host.sh("nice")[1]))
    assert int(text_of(host.sh("nice", nice=-3, run_id="r2")[1])) == max(own - 3, -20)


def test_it_limits_open_files_and_memory(host: Host) -> None:
    limits = {"open_files": 77, "memory": 300 << 20}
    _, output = host.sh("ulimit -Sn; ulimit -Hn; ulimit -Sv; ulimit -Hv", limits=limits)
    assert text_of(output).split() == [b"77", b"77", b"307200", b"307200"]


def test_it_limits_processes(host: Host) -> None:
    script = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC))"
    _, output = host.python(script, limits={"processes": 99})
    assert text_of(output) == b"(99, 99)\n"


def test_it_leaves_what_is_not_limited_as_it_is(host: Host) -> None:
    script = "ulimit -n; ulimit -u; ulimit -v; ulimit -t"
    plain = text_of(host.run("/bin/bash", "-c", script)[1]).split()
    limited = text_of(host.run("/bin/bash", "-c", script, limits={"cpu": 9}, run_id="r2")[1])
    assert limited.split() == [*plain[:3], b"9"]


def test_it_stops_a_command_that_takes_too_much_memory(host: Host) -> None:
    script = "try: bytes(400 << 20)\nexcept MemoryError: print('refused')"
    assert text_of(host.python(script, limits={"memory": 200 << 20})[1]) == b"refused\n"


def test_it_ends_a_command_that_takes_too_much_cpu(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.supervisor.host.PATIENCE_S", 50.0)  # a whole second on a busy host
    end, _ = host.sh("while :; do :; done", limits={"cpu": 1})
    assert (end.signal, end.error) == (24, "")  # XCPU
    assert end.cpu_us > 300_000  # the limit counts ticks


def test_it_says_when_there_is_too_little_memory_to_begin_with(host: Host) -> None:
    end, output = host.sh("echo hi", limits={"memory": 4096})
    assert output == []
    assert (end.error, end.exit_code) in {("", None), ("spawn_failed", None)}
    assert end.error or end.signal


def test_it_refuses_a_limit_it_does_not_know(host: Host) -> None:
    end, _ = host.sh("exit 0", limits={"luck": 1})
    assert (end.error, end.started_us) == ("spawn_failed", None)
    assert "'luck'" in end.error_text


def test_it_gives_more_than_it_was_given_only_when_it_may(host: Host) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    end, output = host.sh("ulimit -Hn", limits={"open_files": hard + 1})
    if may_raise_limits():
        assert (end.error, text_of(output)) == ("", b"%d\n" % (hard + 1))
    else:
        assert (end.error, end.started_us, output) == ("not_allowed", None, [])
        assert f"cannot limit open_files to {hard + 1}" in end.error_text


@pytest.mark.parametrize(
    "extras",
    [
        {"masks": [1]},
        {"masks": "secret"},
        {"files": {"A": 1}},
        {"limits": {"memory": "1G"}},
        {"limits": {"memory": True}},
        {"limits": {"memory": -1}},
        {"nice": True},
        {"task": 1},
        {"user": None},
    ],
)
def test_it_takes_no_order_of_a_wrong_shape(host: Host, extras: dict[str, Any]) -> None:
    message = message_of(host.order("/bin/true"))
    message[-2] = extras
    with pytest.raises(WireError):
        Order(message, b"")


def test_it_refuses_numbers_beyond_all_reason(host: Host) -> None:
    beyond: list[dict[str, Any]] = [{"limits": {"memory": 1 << 80}}, {"nice": 1 << 80}]
    for number, more in enumerate(beyond):
        end, output = host.sh("echo ran", run_id=f"r{number}", **more)
        assert (end.started_us, output) == (None, [])
        assert "cannot" in end.error_text


def test_it_gives_less_than_it_was_given(host: Host) -> None:
    low = resource.getrlimit(resource.RLIMIT_CPU)[1]
    assert low == resource.RLIM_INFINITY
    resource.prlimit(host.supervisor.pid, resource.RLIMIT_CPU, (5000, 5000))
    end, output = host.run("/bin/bash", "-c", "ulimit -Ht", limits={"cpu": 5000})
    assert (end.error, text_of(output)) == ("", b"5000\n")


def test_it_says_what_enforces_each_limit() -> None:
    assert set(limits_by(root=True)) == set(limits_by(root=False)) == set(RESOURCES) == set(LIMITS)
    assert limits_by(root=False)["processes"] == "rlimit"
    assert limits_by(root=True)["processes"] == ""


# The same facts as without a launcher


def test_it_leaves_the_facts_of_a_plain_spawn(host: Host, tmp_path: Path) -> None:
    script = (
        "import os\n"
        "status = open('/proc/self/status').read().splitlines()\n"
        "print(os.getpid() == os.getsid(0) == os.getpgrp(), os.getcwd(), sorted(os.environb))\n"
        "print(sorted(map(int, os.listdir('/proc/self/fd'))), oct(os.umask(0)), os.read(0, 9))\n"
        "print([line for line in status if line[:6] in ('Groups', 'NoNewP', 'CapEff', 'CapInh')])"
    )
    more = {"cwd": str(tmp_path), "env": {"A": "1", "ÄÖ": "ü \udcff"}, "stdin": b"in"}
    plain = host.python(script, **more)[1]
    launched = host.python(script, nice=1, run_id="r2", **more)[1]
    assert text_of(plain, 1).startswith(b"True ")
    assert text_of(launched) == text_of(plain)


def test_it_starts_with_default_signals_and_an_empty_mask(host: Host) -> None:
    _, output = host.run("/bin/cat", "/proc/self/status", nice=1)
    lines = [line.split() for line in text_of(output).splitlines()]
    masks = [int(words[1], 16) for words in lines if words[0] in (b"SigBlk:", b"SigIgn:")]
    assert [mask & ~(3 << 31) for mask in masks] == [0, 0]


def test_it_reports_the_exit_code_and_the_signal(host: Host) -> None:
    assert host.sh("exit 125", nice=1)[0].exit_code == 125
    assert host.sh("kill -SEGV $$", nice=1, run_id="r2")[0].signal == 11


def test_it_reports_the_start_and_then_the_end(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sh", "-c", "echo $$; exec sleep 0.2", nice=1)])
    got = host.wait(lambda reports: any(isinstance(report, Ended) for report in reports))
    assert isinstance(got[0], Started)
    assert text_of(got) == b"%d\n" % got[0].pid


def test_it_finds_and_refuses_commands_as_a_plain_spawn_does(host: Host, tmp_path: Path) -> None:
    plain, script = tmp_path / "plain", tmp_path / "script"
    plain.write_text("hello")
    script.write_text("echo $0 $1\n")
    script.chmod(0o755)
    path = {"PATH": f"/nowhere:{tmp_path}:/bin"}
    for number, order in enumerate(
        (
            host.order("no-such-command"),
            host.order("/no/such/command"),
            host.order(""),
            host.order(str(plain)),
            host.order(str(tmp_path)),
            host.order("plain", env={"PATH": str(tmp_path)}),
            host.order("script", "one", env=path),
            host.order("/bin/true", "x" * 3_000_000),
            host.order("/bin/true", cwd=str(tmp_path / "nowhere")),
            host.order("/bin/true", cwd="relative"),
            host.order("/bin/true", cwd=""),
            host.order("/bin/true", "nul\0inside"),
            host.order("/bin/true", env={"a=b\0": "c"}),
            host.order("/bin/true", env={"": "c"}),
        )
    ):
        told = []
        for nice in (0, 1):
            fields = {name: getattr(order, name) for name in ("cwd", "env")}
            end, output = host.run(*order.argv, run_id=f"n{number}-{nice}", nice=nice, **fields)
            told.append((end.error, end.exit_code, end.started_us is None, text_of(output)))
            assert bool(end.error) == bool(end.error_text)
        assert told[0] == told[1], order


def test_it_runs_more_at_once_than_its_own_limit_of_descriptors(host: Host) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1024:
        pytest.skip("the hard limit of descriptors is too low here")
    limit = host.launch_with(256)
    count = limit // 5
    script = 'echo "$(ulimit -Sn) $(ls /proc/self/fd | wc -w)"; exec sleep 60'
    more = {"nice": 1, "task": True, "copy": str(host.state / "log")}
    orders = [
        host.order("/bin/sh", "-c", script, run_id=f"n{number}", **more) for number in range(count)
    ]
    host.supervisor.start(orders)
    host.wait(lambda reports: text_of(reports, 1).count(f"{limit} 5\n".encode()) == count)
    for order in orders:
        host.supervisor.cancel(order.run_id, 1)
    host.wait(lambda reports: sum(isinstance(report, Ended) for report in reports) == count)


# Before the command is executed


def test_it_reports_no_start_of_what_is_not_executed(host: Host) -> None:
    host.supervisor.start([host.order("nothing", env=SLOW, nice=1)])
    (end,) = host.wait(lambda got: len(got) >= 1)
    assert isinstance(end, Ended)
    assert (end.error, end.exit_code, end.started_us, end.pid) == ("not_found", 127, None, 0)


def test_it_says_that_a_run_was_cancelled_before_it_began(host: Host) -> None:
    host.supervisor.start([host.order("nothing", env=SLOW, nice=1)])
    assert host.sh("exit 0", run_id="r2")[0].exit_code == 0  # that one was spawned after it
    host.supervisor.cancel("r1", 1)
    (end,), output = host.until_ended(1)
    assert (end.killed_by, end.error, end.started_us, output) == ("cancel", "", None, [])


def test_it_enforces_a_time_limit_before_the_command_is_executed(host: Host) -> None:
    end, _ = host.run("nothing", env=SLOW, nice=1, timeout_us=50_000)
    assert (end.killed_by, end.error, end.started_us) == ("timeout", "", None)


def test_it_never_takes_the_death_of_the_launcher_for_an_end_of_the_command(host: Host) -> None:
    host.supervisor.start([host.order("nothing", env=SLOW, nice=1)])
    assert host.sh("exit 0", run_id="r2")[0].exit_code == 0
    children = Path(f"/proc/{host.supervisor.pid}/task/{host.supervisor.pid}/children")
    pid = max(map(int, children.read_text().split()))
    os.kill(pid, 9)
    (end,), _ = host.until_ended(1)
    assert (end.error, end.started_us, end.signal) == ("spawn_failed", None, None)
    assert "launcher" in end.error_text


def test_its_launcher_carries_the_marks_of_the_run_and_no_more(host: Host) -> None:
    marks = {"CRONHERD_RUN_ID": "r1", "CRONHERD_ATTEMPT": "1"}
    env = SLOW | marks | {"LD_PRELOAD": "/evil.so", "PYTHONPATH": "/evil"}
    host.supervisor.start([host.order("nothing", env=env, nice=1)])
    host.sh("exit 0", run_id="r2")
    children = Path(f"/proc/{host.supervisor.pid}/task/{host.supervisor.pid}/children")
    pid = max(map(int, children.read_text().split()))
    carried = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert sorted(filter(None, carried)) == [b"CRONHERD_ATTEMPT=1", b"CRONHERD_RUN_ID=r1"]
    host.until_ended(1)


# What it cost


def test_it_counts_what_was_read_from_and_written_to_disks(host: Host, tmp_path: Path) -> None:
    if os.major(tmp_path.stat().st_dev) == 0:
        pytest.skip("no disk under the temporary directory")
    size = 4 << 20
    block = tmp_path / "block"
    end, _ = host.sh(f"head -c {size} /dev/urandom > {block}; sync {block}")
    assert size <= end.written_bytes < 2 * size
    script = (
        f"import os; f = os.open({str(block)!r}, 0); os.fsync(f)\n"
        "os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)\nwhile os.read(f, 1 << 20): pass"
    )
    end, _ = host.python(script, run_id="r2")
    assert size <= end.read_bytes < 2 * size
    # Not 0: a system may note when a file was read, and the pages of that count as written.
    assert end.written_bytes < size
    assert host.run("/bin/cat", str(block), run_id="r3")[0].read_bytes < size  # from memory
