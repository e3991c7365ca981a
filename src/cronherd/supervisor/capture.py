"""What is kept of a command's output: the first bytes as they come, then only the last ones.

Pure: takes chunks, gives chunks. It never grows beyond head + tail, however much is written.
"""

from collections import deque

from cronherd.supervisor.wire import CHUNK_LIMIT

RING_CHUNKS = 4096
"""Chunks in the tail. A command that switches streams at every byte would otherwise cost 100
bytes of memory for each byte kept; beyond this the oldest chunk is dropped, and counted."""

FRESH_CHUNKS = 64
"""Chunks in one flush. A command that switches streams more often within it gets its switches
merged, each stream still in order: every chunk becomes a row of the database."""

TASK_BYTES = 1 << 20
"""Kept of stream 3, what a task says of itself; the rest is dropped."""
TASK = 3

Piece = tuple[int, int, int, int, bytes]
"""seq, stream (1, 2 or 3), at_us, bytes dropped right before it, chunk."""


class _Chunk:
    __slots__ = ("at_us", "body", "stream")

    def __init__(self, stream: int, at_us: int, body: bytes | bytearray) -> None:
        self.stream = stream
        self.at_us = at_us
        self.body = body


class Capture:
    """The output of one attempt, all streams in the order in which they were read.

    Stream 3 has a cap of its own: what a task says is not lost in a flood of what it prints.
    """

    __slots__ = (
        "_fresh", "_head_left", "_ring", "_ring_bytes", "_seq", "_tail_bytes", "_task_left",
        "dropped", "task_dropped",
    )  # fmt: skip

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_left = head_bytes
        self._tail_bytes = tail_bytes
        self._fresh: list[_Chunk] = []
        self._ring: deque[_Chunk] | None = None
        self._ring_bytes = 0
        self._seq = 0
        self._task_left = TASK_BYTES
        self.dropped = 0
        self.task_dropped = 0
        """Of stream 3; `dropped` is of the others."""

    def take(self, stream: int, chunk: bytes, at_us: int) -> bool:
        """Keep what fits. True when there is something new to send at once."""
        if stream == TASK:
            return self._take_task(chunk, at_us)
        left = self._head_left
        if not left:
            self._take_tail(stream, chunk, at_us)
            return False
        if len(chunk) > left:
            self._take_tail(stream, chunk[left:], at_us)
            chunk = chunk[:left]
        self._head_left = left - len(chunk)
        self._append(stream, chunk, at_us)
        return True

    def fresh(self) -> list[Piece]:
        """The part of the head that came since the last call."""
        chunks, self._fresh = self._fresh, []
        return [self._piece(chunk, 0) for chunk in chunks]

    def rest(self) -> list[Piece]:
        """The tail, at the end of the run. All that was dropped, was dropped before it."""
        ring, self._ring = self._ring, None
        pieces = []
        gap = self.dropped
        for chunk in ring or ():
            pieces.append(self._piece(chunk, gap))
            gap = 0
        return pieces

    def discard(self) -> None:
        """Forget what was not handed out yet: the spool's disk is full and so is memory."""
        self.dropped += self._ring_bytes + sum(len(chunk.body) for chunk in self._fresh)
        self._fresh = []
        self._ring = None
        self._ring_bytes = 0

    def _take_task(self, chunk: bytes, at_us: int) -> bool:
        left = self._task_left
        if len(chunk) > left:
            self.task_dropped += len(chunk) - left
            chunk = chunk[:left]
        self._task_left = left - len(chunk)
        if chunk:
            self._append(TASK, chunk, at_us)
        return bool(chunk)

    def _append(self, stream: int, chunk: bytes, at_us: int) -> None:
        """To the newest chunk of its stream where that one is near the end; or as a new one."""
        fresh = self._fresh
        last = fresh[-1] if fresh else None
        if last is not None and last.stream != stream and len(fresh) >= FRESH_CHUNKS:
            last = next((each for each in fresh[-2:-4:-1] if each.stream == stream), None)
        if last is None or not _joined(last, stream, chunk):
            fresh.append(_Chunk(stream, at_us, chunk))

    def _take_tail(self, stream: int, chunk: bytes, at_us: int) -> None:
        ring = self._ring
        if ring is None:
            ring = self._ring = deque()
        if not ring or not _joined(ring[-1], stream, chunk):
            ring.append(_Chunk(stream, at_us, chunk))
        self._ring_bytes += len(chunk)
        while self._ring_bytes > self._tail_bytes or len(ring) > RING_CHUNKS:
            self._drop_oldest(ring)

    def _drop_oldest(self, ring: deque[_Chunk]) -> None:
        oldest = ring[0]
        size = len(oldest.body)
        excess = self._ring_bytes - self._tail_bytes
        if 0 < excess < size:
            oldest.body = oldest.body[excess:]
            size = excess
        else:
            ring.popleft()
        self._ring_bytes -= size
        self.dropped += size

    def _piece(self, chunk: _Chunk, dropped: int) -> Piece:
        seq = self._seq
        self._seq = seq + 1
        return seq, chunk.stream, chunk.at_us, dropped, bytes(chunk.body)


def _joined(last: _Chunk, stream: int, chunk: bytes) -> bool:
    """Append to the last chunk where that keeps the order: few rows for many small writes."""
    body = last.body
    if last.stream != stream or len(body) + len(chunk) > CHUNK_LIMIT:
        return False
    if isinstance(body, bytes):
        last.body = body = bytearray(body)
    body += chunk
    return True
