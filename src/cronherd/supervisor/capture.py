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

Piece = tuple[int, int, int, int, bytes]
"""seq, stream (1 or 2), at_us, bytes dropped right before it, chunk."""


class _Chunk:
    __slots__ = ("at_us", "body", "stream")

    def __init__(self, stream: int, at_us: int, body: bytes | bytearray) -> None:
        self.stream = stream
        self.at_us = at_us
        self.body = body


class Capture:
    """The output of one attempt, both streams in the order in which they were read."""

    __slots__ = ("_fresh", "_head_left", "_ring", "_ring_bytes", "_seq", "_tail_bytes", "dropped")

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_left = head_bytes
        self._tail_bytes = tail_bytes
        self._fresh: list[_Chunk] = []
        self._ring: deque[_Chunk] | None = None
        self._ring_bytes = 0
        self._seq = 0
        self.dropped = 0

    def take(self, stream: int, chunk: bytes, at_us: int) -> bool:
        """Keep what fits. True when there is something new to send at once."""
        left = self._head_left
        if not left:
            self._take_tail(stream, chunk, at_us)
            return False
        if len(chunk) > left:
            self._take_tail(stream, chunk[left:], at_us)
            chunk = chunk[:left]
        self._head_left = left - len(chunk)
        fresh = self._fresh
        if not (fresh and _joined(fresh[-1], stream, chunk)) and not (
            len(fresh) >= FRESH_CHUNKS and _joined(fresh[-2], stream, chunk)
        ):
            fresh.append(_Chunk(stream, at_us, chunk))
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
