"""Timeouts, cancels and what dies with a run."""

import os
from pathlib import Path

from tests.supervisor.host import Host, text_of, wait_for_death

STUBBORN = "trap '' TERM; (trap '' TERM; echo $$ >/dev/null; exec sleep 60) & echo $!; wait; wait"


def test_it_ends_a_command_at_its_timeout(host: Host) -> None:
    end, _ = host.run("/bin/sleep", "60", timeout_us=50_000)
    assert (end.signal, end.killed_by) == (15, "timeout")
    assert end.started_us is not None
    assert end.ended_us - end.started_us >= 50_000


def test_it_lets_a_command_clean_up_at_its_timeout(host: Host) -> None:
    end, output = host.sh("trap 'echo bye; exit 5' TERM; sleep 60 & wait", timeout_us=100_000)
    assert (end.exit_code, end.killed_by, text_of(output)) == (5, "timeout", b"bye\n")


def test_it_kills_a_command_that_ignores_term_and_its_group(host: Host) -> None:
    host.supervisor.start(
        [host.order("/bin/sh", "-c", STUBBORN, timeout_us=100_000, grace_us=100_000)]
    )
    ends, output = host.until_ended(1)
    assert (ends[0].signal, ends[0].killed_by) == (9, "timeout")
    wait_for_death(int(text_of(output)))


def test_it_kills_the_rest_of_the_group_when_the_leader_obeys(host: Host) -> None:
    script = "(trap '' TERM; exec sleep 60) & echo $!; exec sleep 60"
    host.supervisor.start([host.order("/bin/sh", "-c", script)])
    got = host.wait(lambda reports: b"\n" in text_of(reports))
    host.supervisor.cancel("r1", 1)
    (end,), _ = host.until_ended(1)
    assert (end.signal, end.killed_by) == (15, "cancel")
    wait_for_death(int(text_of(got)))


def test_it_cancels_a_running_command(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sh", "-c", "echo up; exec sleep 60")])
    host.until_written(b"up")
    host.supervisor.cancel("r1", 1)
    (end,), _ = host.until_ended(1)
    assert (end.signal, end.killed_by) == (15, "cancel")


def test_it_cancels_a_stopped_command(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sh", "-c", "echo up; kill -STOP $$; echo never")])
    host.until_written(b"up")
    host.supervisor.cancel("r1", 1)
    (end,), output = host.until_ended(1)
    assert (end.signal, end.killed_by, text_of(output)) == (15, "cancel", b"")


def test_it_never_spawns_what_was_cancelled_before(host: Host, tmp_path: Path) -> None:
    first = [host.order("/bin/true", run_id=f"n{number}") for number in range(100)]
    last = host.order("/usr/bin/touch", str(tmp_path / "ran"), run_id="last")
    host.supervisor.start([*first, last])
    host.supervisor.cancel("last", 1)
    ends, _ = host.until_ended(101)
    end = next(end for end in ends if end.run_id == "last")
    if end.started_us is None:  # the cancel may come late on a loaded machine
        assert (end.killed_by, end.error, end.exit_code) == ("cancel", "", None)
        assert not (tmp_path / "ran").exists()
    assert len(ends) == 101


def test_it_ignores_the_cancel_of_what_it_does_not_know(host: Host) -> None:
    host.supervisor.cancel("nobody", 1)
    host.sh("exit 0")
    host.supervisor.cancel("r1", 1)
    assert host.sh("exit 0", run_id="r2")[0].killed_by == ""


def test_it_lets_background_children_live_on_after_a_normal_end(host: Host) -> None:
    end, output = host.sh("sleep 60 >/dev/null 2>&1 & echo $!")
    leftover = int(text_of(output))
    assert end.exit_code == 0
    os.kill(leftover, 9)  # raises when it did not live on


def test_it_keeps_an_early_end_free_of_its_timeout(host: Host) -> None:
    end, _ = host.sh("exit 0", timeout_us=10_000_000)
    assert (end.exit_code, end.killed_by) == (0, "")
