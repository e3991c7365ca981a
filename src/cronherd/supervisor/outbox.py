"""Reports on their way: gathered during one turn of the loop, spooled, then sent.

Nothing is sent that was not spooled before, except while the disk is full: then reports are held
in memory (bounded), sent at once, and sent again when the disk took them. The agent reads at its
own pace: what it has not taken yet lies in the spool, not in memory.
"""

from typing import Any, Protocol

from cronherd.supervisor import wire
from cronherd.supervisor.spool import REPORTS, Attempt, Spool

FRAME_BYTES = 1 << 20
FRAME_REPORTS = 1000
"""A frame is closed at either: the agent stores about that much in one transaction."""
HELD_BYTES = 16 << 20
"""Reports in memory while the disk is full; beyond it output is dropped, and counted."""


class Sink(Protocol):
    """Where frames go: the agent's connection."""

    def send(self, frame: bytes) -> None: ...

    def has_room(self) -> bool: ...


class Outbox:
    """Posts reports to the spool and from there to the agent."""

    __slots__ = (
        "_blob_bytes", "_blobs", "_closed", "_cursor", "_ended", "_held", "_held_bytes",
        "_reports", "_spool",
    )  # fmt: skip

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._cursor = spool.start
        self._reports: list[wire.Message] = []
        self._blobs: list[bytes] = []
        self._blob_bytes = 0
        self._ended: list[Attempt] = []
        self._closed: list[tuple[bytes, list[Attempt]]] = []
        self._held: list[tuple[bytes, list[Attempt]]] = []
        self._held_bytes = 0

    @property
    def blocked(self) -> bool:
        """The spool's disk is full: start nothing."""
        return bool(self._held)

    @property
    def overfull(self) -> bool:
        """The disk is full and so is the memory for it."""
        return self._held_bytes > HELD_BYTES

    def post(self, report: wire.Message) -> None:
        """Take one report; it leaves with `flush`."""
        self._reports.append(report)

    def post_output(self, report: wire.Message, chunk: bytes) -> None:
        """Take one piece of output."""
        self._reports.append(report)
        self._blobs.append(chunk)
        self._blob_bytes += len(chunk)
        if self._blob_bytes > FRAME_BYTES:
            self._close_frame()

    def post_end(self, report: wire.Message) -> None:
        """Take the last report of an attempt."""
        self._reports.append(report)
        self._ended.append((report[1], report[2], report[3]))
        if len(self._reports) > FRAME_REPORTS:
            self._close_frame()

    def untold(self) -> list[Attempt]:
        """Attempts whose last report is posted but not spooled: no replay has it yet."""
        frames = [ended for _, ended in (*self._held, *self._closed)]
        return [attempt for ended in (*frames, self._ended) for attempt in ended]

    def flush(self, sink: Sink | None) -> None:
        """Spool what was posted, usually as one frame, and send it if the agent can take it."""
        if self._reports:
            self._close_frame()
        elif not self._closed:
            return
        closed, self._closed = self._closed, []
        for frame, ended in closed:
            self._keep(frame, ended, sink)

    def pump(self, sink: Sink | None) -> None:
        """Send from the spool what the agent has not got yet, as far as it takes it."""
        while sink is not None and sink.has_room():
            record = self._spool.read(self._cursor)
            if record is None:
                return
            kind, frame, after = record
            if kind == REPORTS:
                self._send(sink, frame, after)
            else:
                self._cursor = after

    def retry(self, sink: Sink | None) -> None:
        """Try again to spool what is held."""
        while self._held:
            frame, ended = self._held[0]
            if not self._spool.append_reports(frame, ended):
                return
            del self._held[0]
            self._held_bytes -= len(frame)
        self.pump(sink)

    def rewind(self) -> None:
        """Begin again with the oldest report: another agent listens."""
        self._cursor = self._spool.acked

    def is_delivered(self) -> bool:
        """Everything is spooled and sent."""
        if self._reports or self._closed or self._held:
            return False
        record = self._spool.read(self._cursor)
        while record is not None and record[0] != REPORTS:
            record = self._spool.read(record[2])
        return record is None

    def _close_frame(self) -> None:
        self._closed.append((wire.pack(self._reports, self._blobs), self._ended))
        self._reports, self._blobs, self._ended, self._blob_bytes = [], [], [], 0

    def _keep(self, frame: bytes, ended: list[Attempt], sink: Sink | None) -> None:
        before = self._spool.end
        if self._held or not self._spool.append_reports(frame, ended):
            self._hold(frame, ended, sink)
        elif sink is not None and self._cursor == before and sink.has_room():
            self._send(sink, frame, self._spool.end)
        else:
            self.pump(sink)

    def _hold(self, frame: bytes, ended: list[Attempt], sink: Sink | None) -> None:
        self._held.append((frame, ended))
        self._held_bytes += len(frame)
        if sink is not None and sink.has_room():
            sink.send(wire.with_position(frame, self._cursor, self._spool.size()))

    def _send(self, sink: Sink, frame: bytes, after: int) -> None:
        self._cursor = after
        sink.send(wire.with_position(frame, after, self._spool.size()))


def started(child: Any) -> wire.Message:
    """The wire's form of base.Started."""
    return (
        "started", child.run_id, child.attempt, child.token, child.pid, child.started_us
    )  # fmt: skip


def ended(child: Any) -> wire.Message:
    """The wire's form of base.Ended for a process that ran; of its command, if that is another."""
    error, text = child.verdict()
    code, signal = (SHELL_CODES.get(error), None) if error else (child.exit_code(), child.signal())
    return (
        "ended", child.run_id, child.attempt, child.token, child.started_us, child.ended_us,
        code, signal, child.killed_by, error, text, child.dropped,
        child.cpu_us, child.peak_rss_bytes, child.read_bytes, child.written_bytes, child.pid,
        child.how, child.leaked,
    )  # fmt: skip


SHELL_CODES = {"not_found": 127, "not_executable": 126}
"""What a shell, and so cron, would have reported."""


def never(order: Any, at_us: int, killed_by: str, error: str, text: str) -> wire.Message:
    """The wire's form of base.Ended for a command that was never executed."""
    return (
        "ended", order.run_id, order.attempt, order.token, None, at_us, SHELL_CODES.get(error),
        None, killed_by, error, text, 0, 0, 0, 0, 0, 0, "", 0,
    )  # fmt: skip
