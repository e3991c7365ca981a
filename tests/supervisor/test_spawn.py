"""How a command starts: what it gets, and what is said when it cannot start."""

import os
import resource
from pathlib import Path

import pytest

from cronherd.supervisor.base import Ended, Output, Started
from tests.supervisor.host import Host, children_of, text_of


@pytest.mark.parametrize("code", [0, 3, 255])
def test_it_reports_the_exit_code(host: Host, code: int) -> None:
    end, _ = host.sh(f"exit {code}")
    assert (end.exit_code, end.signal, end.error, end.killed_by) == (code, None, "", "")
    assert end.started_us is not None
    assert end.started_us <= end.ended_us
    assert end.cpu_us >= 0


def test_it_reports_the_start_before_the_end_with_the_same_token(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sleep", "0.1")])
    first, *_, last = host.wait(lambda got: len(got) >= 2)
    assert isinstance(first, Started)
    assert first.pid > 1
    assert first.token == last.token == "t-r1"


def test_it_tells_only_the_end_of_a_short_command(host: Host) -> None:
    host.supervisor.start([host.order("/bin/true")])
    (end,) = host.wait(lambda got: len(got) >= 1)
    assert isinstance(end, Ended)
    assert end.started_us is not None


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("SEGV", 11), ("PIPE", 13)])
def test_it_reports_death_by_a_signal(host: Host, name: str, number: int) -> None:
    end, _ = host.sh(f"kill -{name} $$")
    assert (end.exit_code, end.signal) == (None, number)


def test_it_says_not_found_as_a_shell_does(host: Host) -> None:
    for name in ("no-such-command", "/no/such/command", ""):
        end, _ = host.run(name)
        assert (end.error, end.exit_code, end.started_us) == ("not_found", 127, None)
        assert end.error_text


def test_it_says_not_executable_as_a_shell_does(host: Host, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("hello")
    for name, env in ((str(plain), {}), (str(tmp_path), {}), ("plain", {"PATH": str(tmp_path)})):
        end, _ = host.run(name, env=env)
        assert (end.error, end.exit_code, end.started_us) == ("not_executable", 126, None)


def test_it_says_too_long_when_the_kernel_does(host: Host) -> None:
    end, _ = host.run("/bin/true", "x" * 3_000_000)
    assert (end.error, end.exit_code, end.started_us) == ("too_long", None, None)


def test_it_says_cwd_missing(host: Host, tmp_path: Path) -> None:
    for folder in (str(tmp_path / "nowhere"), "relative", ""):
        end, _ = host.run("/bin/true", cwd=folder)
        assert (end.error, end.started_us) == ("cwd_missing", None)


def test_it_refuses_what_is_no_command(host: Host) -> None:
    for order in (
        host.order("/bin/true", "nul\0inside"),
        host.order("/bin/true", env={"a=b\0": "c"}),
        host.order("/bin/true", env={"": "c"}),
    ):
        host.supervisor.start([order])
        (end,), _ = host.until_ended(1)
        assert (end.error, end.started_us) == ("spawn_failed", None)


def test_it_goes_on_after_a_command_that_cannot_start(host: Host) -> None:
    bad, good = host.order("nothing", run_id="bad"), host.order("true", run_id="good")
    host.supervisor.start([bad, good])
    ends, _ = host.until_ended(2)
    assert [(end.run_id, end.error) for end in ends] == [("bad", "not_found"), ("good", "")]


def test_it_looks_up_a_bare_name_in_the_path_of_the_command(host: Host, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho mine $0\n")
    tool.chmod(0o755)
    end, output = host.run("tool", env={"PATH": f"/nowhere:{tmp_path}:/bin"})
    assert end.exit_code == 0
    assert text_of(output) == f"mine {tool}\n".encode()


def test_it_gives_a_script_without_an_interpreter_line_to_the_shell(
    host: Host, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("echo $0 $1\n")
    script.chmod(0o755)
    _, output = host.run(str(script), "one")
    assert text_of(output) == f"{script} one\n".encode()


def test_it_runs_in_the_directory_given(host: Host, tmp_path: Path) -> None:
    _, output = host.run("/bin/pwd", cwd=str(tmp_path))
    assert text_of(output) == os.fsencode(tmp_path) + b"\n"
    assert Path(f"/proc/{host.supervisor.pid}/cwd").readlink() == Path("/")


def test_it_gives_exactly_the_environment_asked_for(host: Host) -> None:
    env = {"A": "1", "ÄÖ": "ü \udcff", "EMPTY": ""}
    _, output = host.run("/usr/bin/env", "-0", env=env)
    pairs = sorted(os.fsencode(f"{name}={value}") for name, value in env.items())
    assert sorted(text_of(output).split(b"\0")[:-1]) == pairs


def test_it_lets_the_command_see_three_descriptors_only(host: Host) -> None:
    _, output = host.python("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))")
    assert text_of(output) == b"[0, 1, 2, 3]\n"  # 3 is the listing itself


def test_it_leads_a_session_and_group_of_its_own(host: Host) -> None:
    _, output = host.python("import os; print(os.getpid() == os.getsid(0) == os.getpgrp())")
    assert text_of(output) == b"True\n"


def test_it_starts_with_default_signals_and_an_empty_mask(host: Host) -> None:
    _, output = host.run("/bin/cat", "/proc/self/status")
    lines = [line.split() for line in text_of(output).splitlines()]
    masks = [int(words[1], 16) for words in lines if words[0] in (b"SigBlk:", b"SigIgn:")]
    internal = 3 << 31  # 32 and 33: the C library's own, which its posix_spawn ignores
    assert [mask & ~internal for mask in masks] == [0, 0]


def test_it_sets_the_umask_of_cron(host: Host) -> None:
    assert text_of(host.sh("umask")[1]) == b"0022\n"


def test_it_reads_its_stdin_and_finds_the_end_of_it(host: Host) -> None:
    _, output = host.run("/bin/cat", stdin=b"in\0\xff\n" * 40_000)
    assert text_of(output) == b"in\0\xff\n" * 40_000


def test_it_reads_nothing_when_no_stdin_is_given(host: Host) -> None:
    _, output = host.sh("cat; readlink /proc/self/fd/0")
    assert text_of(output) == b"/dev/null\n"


def test_it_never_spawns_a_start_that_is_void(host: Host, tmp_path: Path) -> None:
    late = host.clock.boot_us() - 1
    end, _ = host.run("/usr/bin/touch", str(tmp_path / "ran"), valid_until_boot_us=late)
    assert (end.error, end.started_us, end.exit_code) == ("void", None, None)
    assert not (tmp_path / "ran").exists()


def test_it_spawns_a_start_that_is_still_valid(host: Host) -> None:
    end, _ = host.run("/bin/true", valid_until_boot_us=host.clock.boot_us() + 5_000_000)
    assert end.exit_code == 0


def test_it_refuses_a_stdin_above_the_limit_before_sending_anything(host: Host) -> None:
    with pytest.raises(ValueError, match="stdin"):
        host.supervisor.start([host.order("/bin/cat", stdin=bytes(9 << 20))])
    assert host.sh("exit 0")[0].exit_code == 0


def test_it_starts_a_double_order_once(host: Host) -> None:
    order = host.order("/bin/sh", "-c", "echo once; exec sleep 60")
    host.supervisor.start([order, order])
    host.supervisor.start([order])
    got = host.wait(lambda reports: text_of(reports) == b"once\n")
    host.supervisor.cancel("r1", 1)
    got += host.wait(lambda reports: any(isinstance(report, Ended) for report in reports))
    end, output = host.run("/bin/true", run_id="r2")
    assert [type(report) for report in got] == [Started, Output, Ended]
    assert (end.run_id, output) == ("r2", [])


def test_it_leaves_no_descriptor_and_no_zombie_behind(host: Host) -> None:
    host.sh("true")
    descriptors = Path(f"/proc/{host.supervisor.pid}/fd")
    before = len(list(descriptors.iterdir()))
    orders = [host.order("/bin/true", run_id=f"n{number}") for number in range(480)]
    orders += [host.order("nothing", run_id=f"m{number}", stdin=b"x") for number in range(20)]
    host.supervisor.start(orders)
    ends, _ = host.until_ended(500, ack=True)
    assert len({end.run_id for end in ends}) == 500
    assert len(list(descriptors.iterdir())) == before
    assert len(children_of(host.supervisor.pid)) == 1  # the guardian


def test_it_runs_more_at_once_than_the_usual_limit_of_descriptors(host: Host) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 1024:
        pytest.skip("the hard limit of descriptors is too low here")
    limit = host.launch_with(256)
    orders = [
        host.order("/bin/sh", "-c", "ulimit -Sn; exec sleep 60", run_id=f"n{number}")
        for number in range(120)
    ]
    host.supervisor.start(orders)
    got = host.wait(lambda reports: text_of(reports) == f"{limit}\n".encode() * 120)
    for order in orders:
        host.supervisor.cancel(order.run_id, 1)
    host.wait(lambda reports: sum(isinstance(report, Ended) for report in reports) == 120)
    assert sum(isinstance(report, Started) for report in got) == 120


def test_it_stays_small(host: Host) -> None:
    host.sh("head -c 3000000 /dev/zero")
    (guardian,) = children_of(host.supervisor.pid)
    for pid in (host.supervisor.pid, guardian):
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        assert resident_pages * os.sysconf("SC_PAGESIZE") < 20 << 20


@pytest.mark.parametrize("more", [{}, {"nice": 1}])
def test_it_tells_how_much_memory_a_command_took_and_not_how_much_it_took_itself(
    host: Host, more: dict[str, int]
) -> None:
    """A command begins with the peak of whoever spawned it, which is no fact about the command."""
    assert host.sh("exit 0", **more)[0].peak_rss_bytes == 0
    end, _ = host.python("bytearray(80 << 20)", run_id="r2", **more)
    assert 80 << 20 < end.peak_rss_bytes < 200 << 20
    assert host.sh("exit 0", run_id="r3", **more)[0].peak_rss_bytes == 0
