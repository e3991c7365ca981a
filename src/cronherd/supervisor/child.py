"""One spawned command until its end was reported."""

import os
from typing import TYPE_CHECKING

from cronherd.supervisor.capture import Capture

if TYPE_CHECKING:
    from cronherd.supervisor.order import Order
    from cronherd.supervisor.spawn import Spawned

READ_BYTES = 65_536
"""A pipe's usual capacity: one read empties it."""
BLOCK_BYTES = 512
"""The unit of ru_inblock and ru_oublock, whatever the disk's is."""
DRAIN_READS = 16
"""Reads per pipe after the exit: 1 MiB, the largest pipe an unprivileged process can make. What
a grandchild writes beyond that is read in later turns of the loop."""


class Child:
    """The process, its pipes (-1 once closed), what is kept of its output, how it ended."""

    __slots__ = (
        "arrived_us", "attempt", "capture", "cpu_us", "done", "ended_us", "err", "fence_look_us",
        "fence_us", "fenced", "flush_armed", "grace_us", "how", "killed_by", "leaked",
        "listening", "out", "peak_rss_bytes", "pid", "pidfd", "place", "quiet_until_us",
        "read_bytes", "reaped", "run_id", "started_us", "status", "stop_signal", "token",
        "written_bytes",
    )  # fmt: skip

    def __init__(self, order: "Order", spawned: "Spawned", place: int, started_us: int) -> None:
        self.run_id = order.run_id
        self.attempt = order.attempt
        self.token = order.token
        self.grace_us = order.grace_us
        self.fence_us = order.fence_us
        self.stop_signal = order.stop_signal
        self.arrived_us = order.arrived_us
        self.fence_look_us: int | None = None
        self.fenced = False
        self.pid = spawned.pid
        self.place = place
        self.pidfd = spawned.pidfd
        self.out = spawned.out
        self.err = spawned.err
        self.capture = Capture(order.head_bytes, order.tail_bytes)
        self.started_us = started_us
        self.ended_us = 0
        self.killed_by = ""
        self.listening = False
        self.reaped = False
        self.done = False
        self.status = 0
        self.cpu_us = 0
        self.peak_rss_bytes = 0
        self.read_bytes = 0
        self.written_bytes = 0
        self.how = ""
        self.leaked = 0
        self.quiet_until_us = 0
        self.flush_armed = False

    def reap(self, now_us: int) -> None:
        """Collect the exit status and what it cost. Only after its pidfd said it ended."""
        _, self.status, usage = os.wait4(self.pid, 0)
        self.ended_us = now_us
        self.cpu_us = round((usage.ru_utime + usage.ru_stime) * 1_000_000)
        self.peak_rss_bytes = usage.ru_maxrss * 1024
        self.read_bytes = usage.ru_inblock * BLOCK_BYTES
        self.written_bytes = usage.ru_oublock * BLOCK_BYTES
        self.reaped = True

    def drain(self, stream: int, at_us: int, reads: int) -> tuple[bool, bool]:
        """Read what is there, at most `reads` times: (end of file, something new to send)."""
        descriptor = self.out if stream == 1 else self.err
        news = False
        for _ in range(reads):
            try:
                chunk = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return False, news
            if not chunk:
                return True, news
            news |= self.capture.take(stream, chunk, at_us)
        return False, news

    def exit_code(self) -> int | None:
        """None when a signal ended it."""
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None

    def signal(self) -> int | None:
        """The signal that ended it, if one did."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None
