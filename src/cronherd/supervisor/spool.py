# ruff: noqa: PTH103 -- pathlib would cost this process 5 ms of its birth
"""What the supervisor must not forget: starts before they are spawned, reports until acked.

An append-only log. A position is a count of bytes since the log began. The next life of the
supervisor reads it: reports are sent again, starts without an end are answered with Gone.
"""

import os
from collections.abc import Iterable

from cronherd.supervisor import segment, wire
from cronherd.supervisor.segment import Segment

REPORTS, STARTS, OPEN = 1, 2, 3
"""Kinds of records: a frame of reports; starts about to be spawned; all starts still open."""

SEGMENT_BYTES = 16 << 20
"""A segment is deleted as a whole: small enough to give space back early, few files at 1 GiB."""
IDLE_BYTES = 4 << 10
"""Below this an idle spool is not truncated: it would cost a rename for every small run."""
BUSY_BYTES = 1 << 20
"""With runs open the log moves to a new segment from here on, once all is acked."""

Key = tuple[str, int]
Attempt = tuple[str, int, str]
"""run_id, attempt, token"""


class Spool:
    """The log in one directory. Only the holder of the supervisor's lock may open it."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self.open: dict[Key, str] = {}
        """(run_id, attempt) -> token of each start without an end."""
        self.reports_end = 0
        """The position after the newest report (not of a start); 0 when none is kept."""
        self._segments = segment.segments(folder) or [Segment(folder, 0)]
        for piece in self._segments:
            self._recover(piece)
        self._acked = self.start

    @property
    def start(self) -> int:
        """The position of the oldest byte kept."""
        return self._segments[0].start

    @property
    def end(self) -> int:
        """The position after the newest record."""
        return self._segments[-1].end

    @property
    def acked(self) -> int:
        """Up to here everything is safe elsewhere; a life begins with what is kept."""
        return self._acked

    @property
    def replay_until(self) -> int:
        """The position after the newest report that somebody may still need; 0 without any."""
        return self.reports_end if self.reports_end > self._acked else 0

    def size(self) -> int:
        """What it takes on disk."""
        return sum(piece.size for piece in self._segments)

    def is_acked(self) -> bool:
        """Nothing is kept that the agent still needs."""
        return self._acked == self.end

    def append_starts(self, starts: Iterable[tuple[str, int, str]]) -> bool:
        """Write ahead that these will be spawned. False: the disk is full, do not spawn them."""
        rows = list(starts)
        if not self._append(STARTS, wire.pack(rows)):
            return False
        self.open.update(((run_id, attempt), token) for run_id, attempt, token in rows)
        return True

    def append_reports(self, frame: bytes, ended: Iterable[Attempt]) -> bool:
        """Keep a frame of reports, in which `ended` came to their end. False: disk full."""
        if not self._append(REPORTS, frame):
            return False
        self.reports_end = self.end
        for run_id, attempt, _ in ended:
            self.open.pop((run_id, attempt), None)
        return True

    def read(self, position: int) -> tuple[int, bytes, int] | None:
        """(kind, frame, next position) of the record at or after `position`; None at the end."""
        for piece in self._segments:
            if position < piece.end:
                record = piece.read(max(position, piece.start) - piece.start)
                if record is not None:
                    kind, body, size = record
                    return kind, body, max(position, piece.start) + size
        return None

    def ack(self, position: int) -> None:
        """Reports up to `position` are safe elsewhere: give their space back."""
        self._acked = max(self._acked, min(position, self.end))
        segments = self._segments
        while len(segments) > 1 and segments[0].end <= self._acked:
            segments.pop(0).remove()
        if self._acked != self.end:
            return
        last = segments[-1]
        if not self.open and last.size > IDLE_BYTES:
            last.empty(last.end)
        elif last.size > BUSY_BYTES and self._rotate():
            segments.pop(0).remove()
            self._acked = self.end

    def _append(self, kind: int, frame: bytes) -> bool:
        if self._segments[-1].size > SEGMENT_BYTES and not self._rotate():
            return False
        return self._segments[-1].append(kind, frame)

    def _rotate(self) -> bool:
        """Go on in a new segment. It repeats the open starts, so that the old one may go."""
        try:
            piece = Segment(self._folder, self.end)
        except OSError:
            return False
        rows = [[run_id, attempt, token] for (run_id, attempt), token in self.open.items()]
        if not piece.append(OPEN, wire.pack(rows)):
            piece.remove()
            return False
        self._segments.append(piece)
        return True

    def _recover(self, piece: Segment) -> None:
        """Learn which starts are open; cut what a dying writer left half written."""
        offset = 0
        while record := piece.read(offset):
            kind, body, size = record
            try:
                self._learn(kind, wire.unpack(body)[0])
            except (wire.WireError, IndexError, ValueError):
                break
            offset += size
            if kind == REPORTS:
                self.reports_end = piece.start + offset
        piece.cut(offset)

    def _learn(self, kind: int, rows: list[list[object]]) -> None:
        if kind == OPEN:
            self.open.clear()
        for row in rows:
            if kind != REPORTS:
                run_id, attempt, token = row
                self.open[str(run_id), int(str(attempt))] = str(token)
            elif row[0] in ("ended", "gone"):
                self.open.pop((str(row[1]), int(str(row[2]))), None)
