"""One spawned command until its end was reported."""

import os
from typing import TYPE_CHECKING

from cronherd.supervisor.capture import TASK, Capture
from cronherd.supervisor.copy import Copy
from cronherd.supervisor.files import remove
from cronherd.supervisor.launch import refusal_of
from cronherd.supervisor.lockword import LockWord
from cronherd.supervisor.mask import Sieve, hide, masks_of

if TYPE_CHECKING:
    from cronherd.supervisor.order import Order
    from cronherd.supervisor.spawn import Spawned, SpawnError

READ_BYTES = 65_536
"""A pipe's usual capacity: one read empties it."""
SLACK_KIB = 512
"""By so much the kernel's count of pages may be off, where each processor counts for itself."""
BLOCK_BYTES = 512
"""The unit of ru_inblock and ru_oublock, whatever the disk's is."""
DRAIN_READS = 16
"""Reads per pipe after the exit: 1 MiB, the largest pipe an unprivileged process can make. What
a grandchild writes beyond that is read in later turns of the loop."""


OUT, ERR, SAID = 1, 2, TASK
"""The pipes, by the stream that each one is."""


class Child:
    """The process, its pipes (-1 once closed), what is kept of its output, how it ended."""

    __slots__ = (
        "_masks", "_order", "_sieves", "_special", "arrived_us", "attempt", "capture", "copy",
        "cpu_us", "done", "ended_us", "err", "fence_look_us", "fence_us", "fenced", "flush_armed",
        "folder", "grace_us", "how", "killed_by", "launching", "leaked", "listening", "lock", "out",
        "peak_rss_bytes", "pid", "pidfd", "place", "quiet_until_us", "read_bytes", "reaped",
        "run_id", "said", "started_us", "status", "stop_signal", "token", "written_bytes",
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
        self.said = spawned.said
        self.capture = Capture(order.head_bytes, order.tail_bytes)
        self._sieves: dict[int, Sieve] | None = None
        self.copy: Copy | None = None
        self.lock = LockWord(spawned.lock) if spawned.lock >= 0 else None
        self.folder = spawned.folder
        self.launching = spawned.launching
        self._masks = order.masks
        self._order: Order | None = None
        self._special = not order.plain
        if self._special:
            self._take_more(order)
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
        self.peak_rss_bytes = _peak(usage.ru_maxrss) * 1024
        self.read_bytes = usage.ru_inblock * BLOCK_BYTES
        self.written_bytes = usage.ru_oublock * BLOCK_BYTES
        self.reaped = True
        self.is_decided()

    def is_decided(self) -> bool:
        """It is known whether the command was executed: of most, from the spawn on."""
        if self.launching is None:
            return True
        decided = self.launching.is_decided()
        if decided and self.copy is not None:
            self.copy.ids = self.launching.ids or self.copy.ids
        return decided

    def refusal(self) -> "SpawnError | None":
        """Why it never became the command, if it did not. Only of one that was reaped."""
        if self.launching is None or self._order is None:
            return None
        return refusal_of(self.launching, self._order)

    def pipes(self) -> list[tuple[int, int]]:
        """(stream, descriptor) of those that are open."""
        every = ((OUT, self.out), (ERR, self.err), (SAID, self.said))
        return [(stream, descriptor) for stream, descriptor in every if descriptor >= 0]

    def is_silent(self) -> bool:
        """All of its pipes are closed."""
        return self.out < 0 and self.err < 0 and self.said < 0

    def forget(self, stream: int) -> int:
        """Mark a pipe as closed; its descriptor, which is to be closed now."""
        descriptor = self.out if stream == OUT else self.err if stream == ERR else self.said
        if stream == OUT:
            self.out = -1
        elif stream == ERR:
            self.err = -1
        else:
            self.said = -1
        return descriptor

    def drain(self, stream: int, at_us: int, reads: int) -> tuple[bool, bool]:
        """Read what is there, at most `reads` times: (end of file, something new to send)."""
        descriptor = self.out if stream == OUT else self.err if stream == ERR else self.said
        take = self._take if self._special else self.capture.take
        news = False
        for _ in range(reads):
            try:
                chunk = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return False, news
            if not chunk:
                return True, news
            news |= take(stream, chunk, at_us)
        return False, news

    def leave_nothing(self) -> None:
        """At its end: what the masks held back, its files, its copy, its lock's pipe."""
        if self.lock is not None:
            self.lock.close()
        for stream, sieve in (self._sieves or {}).items():
            self._keep(stream, sieve.rest(), self.ended_us)
        if self.copy is not None:
            self.copy.close()
        if self.folder:
            remove(self.folder)

    def is_orphaned(self) -> bool:
        """What held its lock has died, and the command may go on without it."""
        return self.lock is not None and not self.lock.is_over()

    def verdict(self) -> tuple[str, str]:
        """Why its command was not executed, or was ended for its lock: a code and a sentence."""
        error, text = ("", "") if self.lock is None else self.lock.verdict()
        if text and self._masks:
            text = hide(text, self._masks)
        return ("" if self.killed_by else error), text

    @property
    def dropped(self) -> int:
        """Bytes of all streams that were not kept."""
        return self.capture.dropped

    def exit_code(self) -> int | None:
        """None when a signal ended it."""
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None

    def signal(self) -> int | None:
        """The signal that ended it, if one did."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    def _take_more(self, order: "Order") -> None:
        if self.launching is not None:
            self._order = order  # For a sentence, if it is refused.
            order.stdin = b""
        masks = masks_of(order.masks)
        if masks:
            self._sieves = {stream: Sieve(masks) for stream in (OUT, ERR, SAID)}
        if order.copy:
            run = f"run {order.run_id}"
            fresh = order.copy_fresh
            self.copy = Copy(order.copy, order.copy_bytes, run, order.masks, fresh=fresh)
            if order.user or order.group:
                self.copy.ids = None

    def _take(self, stream: int, chunk: bytes, at_us: int) -> bool:
        """Mask first: nothing else ever sees a secret."""
        if self._sieves is not None:
            chunk = self._sieves[stream].feed(chunk)
        return self._keep(stream, chunk, at_us)

    def _keep(self, stream: int, chunk: bytes, at_us: int) -> bool:
        if not chunk:
            return False
        if self.copy is not None and stream != SAID:
            self.copy.add(chunk)
        return self.capture.take(stream, chunk, at_us)


_own_peak_kib = 0
"""As it was when last read; it only grows."""


def _peak(kib: int) -> int:
    """What a command itself had in memory at most, in KiB; 0 when nobody knows.

    It is born in our memory, and execve leaves it our own peak so far to begin with: below that
    nothing can be told. A read costs 17 us, so it is done for those that seem to have had more.
    """
    global _own_peak_kib  # noqa: PLW0603 - one number of this process
    if kib > _own_peak_kib + SLACK_KIB:
        _own_peak_kib = max(_own_peak_kib, _read_peak())
    return kib if kib > _own_peak_kib + SLACK_KIB else 0


def _read_peak() -> int:
    """The most this process ever had in memory, in KiB."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 1 << 62  # unknown, so is that of every command
    try:
        text = os.read(descriptor, 8192)
    finally:
        os.close(descriptor)
    words = text.partition(b"VmHWM:")[2].split(None, 1)
    return int(words[0]) if words else 1 << 62
