"""Runs end by themselves before anybody may take them over, without a word from the agent."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from cronherd.engine.clock import FakeClock, SystemClock
from cronherd.supervisor import wire
from cronherd.supervisor.base import Ended, Start
from cronherd.supervisor.guard import Guard
from cronherd.supervisor.launch import Means
from cronherd.supervisor.order import Order, message_of
from cronherd.supervisor.outbox import Outbox
from cronherd.supervisor.runs import EXIT, Runs
from cronherd.supervisor.server import Server
from cronherd.supervisor.spool import Spool
from cronherd.supervisor.timers import SPARE, Limits, Timers
from tests.supervisor.host import Host, text_of, wait_for_death

SLEEPER = ("/bin/sh", "-c", "echo up; exec sleep 60")
FENCE: dict[str, Any] = {"fence_us": 1_000_000, "grace_us": 300_000}
TERM_US = 700_000
LATE_US = 1_500_000
"""A loaded machine may be late, though never early."""


def watch(host: Host, until_us: int, *, renew: bool = False) -> list[Ended]:
    """What ends until then, with or without a renewal at each look."""
    ends: list[Ended] = []
    while host.clock.boot_us() < until_us:
        if renew:
            host.supervisor.renewed(host.clock.boot_us())
        batch, _ = host.supervisor.reports(0.05)
        ends += [report for report in batch if isinstance(report, Ended)]
    return ends


def fenced_after(host: Host, since_us: int) -> Ended:
    """The end of the only run, which comes when its fence of one second says so."""
    (end,), _ = host.until_ended(1)
    now_us = host.clock.boot_us()
    assert end.killed_by == "fenced"
    assert now_us >= since_us + TERM_US
    assert now_us < since_us + FENCE["fence_us"] + LATE_US
    return end


def test_it_kills_a_run_whose_node_never_renews(host: Host) -> None:
    since_us = host.clock.boot_us()
    host.supervisor.start([host.order(*SLEEPER, **FENCE)])
    assert fenced_after(host, since_us).signal == signal.SIGTERM


def test_it_lets_a_run_live_as_long_as_its_node_renews(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER, **FENCE)])
    assert watch(host, host.clock.boot_us() + 2_500_000, renew=True) == []
    last_us = host.clock.boot_us()
    host.supervisor.renewed(last_us)
    fenced_after(host, last_us)


def test_it_fences_nothing_while_the_fleet_holds(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER, **FENCE)])
    host.supervisor.renewed(host.clock.boot_us())
    host.supervisor.renewed(None)
    host.supervisor.start([host.order("/bin/sleep", "60", run_id="later", **FENCE)])
    assert watch(host, host.clock.boot_us() + 2_000_000) == []
    last_us = host.clock.boot_us()
    host.supervisor.renewed(last_us)
    ends, _ = host.until_ended(2)
    assert {(end.run_id, end.killed_by) for end in ends} == {("r1", "fenced"), ("later", "fenced")}
    assert host.clock.boot_us() >= last_us + TERM_US


def marked() -> tuple[str, dict[str, str]]:
    """A run whose processes can be found, and no other test's."""
    run_id = uuid4().hex
    path = "/usr/bin:/bin"
    return run_id, {"PATH": path, "CRONHERD_RUN_ID": run_id, "CRONHERD_ATTEMPT": "1"}


STUBBORN = (
    "trap '' TERM; (trap '' TERM; exec sleep 60) & echo $!; "
    "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & echo $$; while :; do sleep 60; done"
)


def test_it_leaves_nothing_alive_at_the_instant(host: Host) -> None:
    since_us = host.clock.boot_us()
    run_id, env = marked()
    host.supervisor.start([host.order("/bin/sh", "-c", STUBBORN, run_id=run_id, env=env, **FENCE)])
    got = host.wait(lambda reports: text_of(reports).count(b"\n") == 3)
    pids = [int(line) for line in text_of(got).split()]
    end = fenced_after(host, since_us)
    assert end.signal == signal.SIGKILL
    assert host.clock.boot_us() >= since_us + FENCE["fence_us"]
    for pid in pids:
        wait_for_death(pid)


def test_it_ends_a_stray_of_a_run_that_obeys(host: Host) -> None:
    script = "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & exec sleep 60"
    run_id, env = marked()
    host.supervisor.start([host.order("/bin/sh", "-c", script, run_id=run_id, env=env, **FENCE)])
    stray = int(text_of(host.wait(lambda reports: b"\n" in text_of(reports))))
    (end,), _ = host.until_ended(1)
    assert (end.killed_by, end.signal) == ("fenced", signal.SIGTERM)
    wait_for_death(stray)


def test_it_wakes_a_stopped_command_to_let_it_clean_up(host: Host) -> None:
    script = "trap 'echo bye; exit 5' TERM; kill -STOP $$; echo never"
    host.supervisor.start([host.order("/bin/sh", "-c", script, **FENCE)])
    (end,), output = host.until_ended(1)
    assert (end.killed_by, end.exit_code) == ("fenced", 5)
    assert text_of(output).startswith(b"bye\n")


def test_it_lets_runs_without_a_fence_live_on(host: Host) -> None:
    since_us = host.clock.boot_us()
    host.supervisor.start([host.order(*SLEEPER), host.order(*SLEEPER, run_id="fenced", **FENCE)])
    host.supervisor.renewed(since_us)
    ends = watch(host, since_us + 2_500_000)
    assert [(end.run_id, end.killed_by) for end in ends] == [("fenced", "fenced")]
    host.supervisor.cancel("r1", 1)
    (end,), _ = host.until_ended(1)
    assert (end.run_id, end.killed_by) == ("r1", "cancel")


def test_it_hears_first_what_came_while_it_was_stopped_itself(host: Host) -> None:
    host.supervisor.start([host.order(*SLEEPER, **FENCE)])
    host.until_written(b"up")
    os.kill(host.supervisor.pid, signal.SIGSTOP)
    assert watch(host, host.clock.boot_us() + 1_200_000) == []
    last_us = host.clock.boot_us()
    host.supervisor.renewed(last_us)
    os.kill(host.supervisor.pid, signal.SIGCONT)
    fenced_after(host, last_us)


HANGING_AGENT = """
import os, signal, sys
from pathlib import Path
from cronherd.engine.clock import SystemClock
from cronherd.supervisor.base import Start
from cronherd.supervisor.client import launch
folder, command = Path(sys.argv[1]), sys.argv[2:]
supervisor = launch(folder / "state", folder / "run", SystemClock())
supervisor.start([Start(run_id="r1", attempt=1, token="t", argv=tuple(command), cwd="/", env={},
    fence_us=1_000_000, grace_us=300_000)])
supervisor.renewed(SystemClock().boot_us())
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_it_does_not_need_an_agent_that_is_awake(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"echo $$ >{note}.new; mv {note}.new {note}; exec sleep 60"
    agent = subprocess.Popen(
        [sys.executable, "-c", HANGING_AGENT, str(tmp_path), "/bin/sh", "-c", script],
        env={"PYTHONPATH": str(Path(wire.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )
    try:
        os.waitid(os.P_PID, agent.pid, os.WSTOPPED | os.WNOWAIT)
        clock = SystemClock()
        give_up_us = clock.boot_us() + 5_000_000
        while not note.exists():
            assert clock.boot_us() < give_up_us, "the command never ran"
            select.poll().poll(10)
        wait_for_death(int(note.read_text()))
    finally:
        agent.kill()
        agent.wait()
    heir = Host(tmp_path)
    (end,), _ = heir.until_ended(1)
    heir.leave()
    assert (end.killed_by, end.signal) == ("fenced", signal.SIGTERM)


# With a clock that the test moves: Runs without its server.


class StillLimits(Limits):
    """Limits that note the signals they send."""

    sent: list[tuple[str, int]]

    def _signal(self, child: Any, number: int) -> None:
        self.sent.append((child.run_id, number))
        super()._signal(child, number)


class Still:
    """Real commands under a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.timers = Timers()
        self.epoll = select.epoll()
        spool = Spool(str(folder / "spool"))
        self.outbox = Outbox(spool)
        means = Means(str(folder / "socket"))
        self.runs = Runs(self.clock, spool, self.outbox, self.timers, self.epoll, means)
        self.runs.guard = cast("Guard", self)
        self.runs.limits = self.limits = StillLimits(self.clock, self.timers)
        self.limits.sent = []

    def start(self, run_id: str = "a", **more: Any) -> None:
        fields = {"fence_us": 60_000_000, "grace_us": 10_000_000} | more
        start = Start(
            run_id=run_id, attempt=1, token="t", argv=("/bin/sleep", "600"), cwd="/", env={},
            **fields,
        )  # fmt: skip
        self.runs.accept([Order(message_of(start), b"")])
        self.runs.spawn_some()

    def renewed(self, ago_s: float = 0) -> None:
        self.runs.renewed(self.clock.boot_us() - round(ago_s * 1e6))

    def sent_after(self, seconds: float) -> list[int]:
        """Let time pass in steps of a tenth; the signals it brought."""
        before = len(self.limits.sent)
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.timers.fire(self.clock.boot_us())
        return [number for _, number in self.limits.sent[before:]]

    def sent_after_jump(self, seconds: float) -> list[int]:
        before = len(self.limits.sent)
        self.clock.advance(seconds)
        self.timers.fire(self.clock.boot_us())
        return [number for _, number in self.limits.sent[before:]]

    def said(self) -> list[Any]:
        return [report for report in self.outbox._reports if report[0] == "ended"]

    def reap(self) -> None:
        """Until all that was killed has been reaped."""
        while len(self.runs):
            for descriptor, _ in self.epoll.poll(0.01):
                watch_ = self.runs.watched.get(descriptor)
                if watch_ is not None and watch_[0] == EXIT:
                    self.runs.leave(watch_[1], self.clock.boot_us(), self.clock.now_us())
                elif watch_ is not None:
                    self.runs.read(*watch_, self.clock.boot_us(), self.clock.now_us())
            self.clock.advance(0.002)
            self.runs.hunt_on(self.clock.boot_us(), self.clock.now_us())


ASKED = [signal.SIGTERM, signal.SIGCONT]


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Still]:
    place = Still(tmp_path)
    yield place
    place.runs.kill_all("shutdown")
    place.reap()
    place.epoll.close()


def test_the_fence_counts_from_the_order_until_a_renewal_is_told(still: Still) -> None:
    still.start()
    assert still.sent_after(49.9) == []
    assert still.sent_after(0.1) == ASKED
    assert still.sent_after(9.9) == []
    assert still.sent_after(0.1) == [signal.SIGKILL] * 2  # at the instant, and after its grace
    still.reap()
    assert [report[8] for report in still.said()] == ["fenced"]


def test_the_fence_counts_from_the_last_renewal_even_for_a_later_order(still: Still) -> None:
    still.renewed()
    assert still.sent_after(20) == []
    still.start()
    assert still.sent_after(29.9) == []
    assert still.sent_after(0.1) == ASKED


def test_the_first_renewal_may_lie_before_the_order(still: Still) -> None:
    still.start()
    still.renewed(ago_s=20)
    assert still.sent_after(29.9) == []
    assert still.sent_after(0.1) == ASKED


def test_a_renewal_moves_all_fences_and_never_back(still: Still) -> None:
    still.start("a")
    still.start("b", grace_us=20_000_000)
    assert still.sent_after(30) == []
    still.renewed()
    still.renewed(ago_s=25)
    assert still.sent_after(39.9) == []
    assert still.sent_after(0.1) == ASKED
    assert still.sent_after(9.9) == []
    assert still.sent_after(0.1) == ASKED
    assert [run_id for run_id, _ in still.limits.sent] == ["b", "b", "a", "a"]


def test_a_renewal_begins_never_later_than_now(still: Still) -> None:
    still.start()
    still.renewed(ago_s=-3600)
    assert still.sent_after(50) == ASKED


def test_a_renewal_after_term_does_not_undo_it(still: Still) -> None:
    still.start()
    assert still.sent_after(50) == ASKED
    still.renewed()
    assert still.sent_after(10) == [signal.SIGKILL] * 2


def test_a_hold_after_term_does_not_undo_it(still: Still) -> None:
    still.start()
    assert still.sent_after(50) == ASKED
    still.runs.renewed(None)
    still.renewed()
    assert still.sent_after(10) == [signal.SIGKILL] * 2
    assert still.sent_after(100) == []


def test_a_hold_suspends_and_the_next_renewal_resumes(still: Still) -> None:
    still.start()
    still.runs.renewed(None)
    still.start("b")
    assert still.sent_after(500) == []
    still.renewed()
    assert still.sent_after(49.9) == []
    assert still.sent_after(0.1) == ASKED * 2


def test_a_suspended_host_kills_at_once_when_it_wakes_up(still: Still) -> None:
    still.start()
    still.renewed()
    assert still.sent_after_jump(3600) == [*ASKED, signal.SIGKILL]
    still.reap()


def test_a_time_limit_has_no_grace_left_after_a_suspend(still: Still) -> None:
    still.start(fence_us=None, timeout_us=30_000_000)
    assert still.sent_after_jump(45) == [*ASKED, signal.SIGKILL]
    still.reap()


def test_a_suspend_that_ends_within_the_grace_leaves_what_is_left_of_it(still: Still) -> None:
    still.start()
    assert still.sent_after_jump(57) == ASKED
    assert still.sent_after(2.9) == []
    assert still.sent_after(0.1) == [signal.SIGKILL]


def test_what_is_being_cancelled_is_dead_at_the_instant_too(still: Still) -> None:
    still.start(grace_us=90_000_000)
    assert still.sent_after(5) == []
    still.runs.cancel(("a", 1))
    assert [number for _, number in still.limits.sent] == ASKED
    assert still.sent_after(54.9) == []
    assert still.sent_after(0.1) == [signal.SIGKILL]
    still.reap()
    assert [report[8] for report in still.said()] == ["cancel"]


def test_a_grace_longer_than_the_fence_does_not_end_the_run_at_once(still: Still) -> None:
    still.start(grace_us=90_000_000)
    for _ in range(20):
        assert still.sent_after(5) == []
        still.renewed()
    assert still.sent_after(29.9) == []
    assert still.sent_after(0.1) == ASKED
    assert still.sent_after(29.9) == []
    assert still.sent_after(0.1) == [signal.SIGKILL]


def test_an_order_behind_its_fence_is_void(still: Still) -> None:
    still.renewed(ago_s=51)
    still.start()
    assert len(still.runs) == 0
    (said,) = still.said()
    killed_by, error, text = said[8:11]
    assert (killed_by, error) == ("", "void")
    assert "renewed" in text
    still.runs.renewed(None)
    still.start("b")
    assert len(still.runs) == 1


def test_renewals_and_holds_do_not_pile_up_timers(still: Still) -> None:
    for number in range(20):
        still.start(f"r{number}")
    before = len(still.timers._heap)
    for _ in range(100):
        still.renewed()
        still.clock.advance(0.001)
        still.runs.renewed(None)
    assert len(still.timers._heap) == before < SPARE


def test_a_timer_that_an_earlier_one_made_needless_lapses(still: Still) -> None:
    still.start()
    still.renewed(ago_s=20)  # nearer than the timer that was set with the order
    for _ in range(20):
        assert still.sent_after(10) == []
        still.renewed()
    assert len([timer for timer in still.timers._heap if timer[0] > still.clock.boot_us()]) == 1


def test_the_loop_wakes_up_to_look_again_for_what_is_hunted(still: Still) -> None:
    class Asleep:
        _runs = still.runs
        _timers = still.timers
        _clock = still.clock
        _retry_us = _give_up_us = _alone_us = None

    server = cast("Server", Asleep)
    assert Server._sleep_s(server) == -1
    still.limits.hunt.next_us = still.clock.boot_us() + 10_000
    assert Server._sleep_s(server) == 0.01


@pytest.mark.parametrize("message", [["renewed"], ["renewed", "soon"], ["renewed", [1]]])
def test_a_renewal_that_is_no_number_ends_the_connection(host: Host, message: list[object]) -> None:
    host.supervisor._send(wire.pack([message]))
    host.all_reports()
    wait_for_death(host.supervisor.pid)


def test_a_fence_that_is_no_number_is_refused() -> None:
    start = Start(run_id="a", attempt=1, token="t", argv=("x",), cwd="/", env={}, fence_us=5)
    message = message_of(start)
    assert Order(message, b"").fence_us == 5
    message[-3] = "soon"
    with pytest.raises(wire.WireError, match="no number"):
        Order(message, b"")
