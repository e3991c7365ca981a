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
"""Kept of stream 3, what a task says of itself, as it comes. A task that tells more than that keeps
its end as well:"""
TASK_TAIL_BYTES = 262_144
"""so much that the longest result, an error and what is said after them are in it."""
TASK = 3

Piece = tuple[int, int, int, int, bytes]
"""seq, stream (1, 2 or 3), at_us, bytes dropped right before it, chunk."""


class _Chunk:
    __slots__ = ("at_us", "body", "stream")

    def __init__(self, stream: int, at_us: int, body: bytes | bytearray) -> None:
        self.stream = stream
        self.at_us = at_us
        self.body = body


class _Tail:
    """The last bytes of what does not fit, and how many went before them."""

    __slots__ = ("_bytes", "_most", "chunks", "dropped")

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self.chunks: deque[_Chunk] = deque()
        self.dropped = 0

    def take(self, stream: int, chunk: bytes, at_us: int) -> None:
        chunks = self.chunks
        if not chunks or not _joined(chunks[-1], stream, chunk):
            chunks.append(_Chunk(stream, at_us, chunk))
        self._bytes += len(chunk)
        while self._bytes > self._most or len(chunks) > RING_CHUNKS:
            self._drop_oldest()

    def empty(self) -> None:
        """Forget all of it."""
        self.chunks.clear()
        self.dropped += self._bytes
        self._bytes = 0

    def _drop_oldest(self) -> None:
        oldest = self.chunks[0]
        size = len(oldest.body)
        excess = self._bytes - self._most
        if 0 < excess < size:
            oldest.body = oldest.body[excess:]
            size = excess
        else:
            self.chunks.popleft()
        self._bytes -= size
        self.dropped += size


class Capture:
    """The output of one attempt, all streams in the order in which they were read.

    Stream 3 has a cap of its own: what a task says is not lost in a flood of what it prints, and
    what is dropped of it is no output.
    """

    __slots__ = ("_fresh", "_head_left", "_seq", "_tail", "_task_left", "_task_tail")

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_left = head_bytes
        self._fresh: list[_Chunk] = []
        self._tail = _Tail(tail_bytes)
        self._seq = 0
        self._task_left = TASK_BYTES
        self._task_tail = _Tail(TASK_TAIL_BYTES)

    @property
    def dropped(self) -> int:
        """Bytes of output that are not kept; without those of stream 3."""
        return self._tail.dropped

    @property
    def task_dropped(self) -> int:
        """Bytes of stream 3 that are not kept."""
        return self._task_tail.dropped

    def take(self, stream: int, chunk: bytes, at_us: int) -> bool:
        """Keep what fits. True when there is something new to send at once."""
        is_task = stream == TASK
        left = self._task_left if is_task else self._head_left
        if len(chunk) > left:
            tail = self._task_tail if is_task else self._tail
            tail.take(stream, chunk[left:] if left else chunk, at_us)
            if not left:
                return False
            chunk = chunk[:left]
        if is_task:
            self._task_left = left - len(chunk)
        else:
            self._head_left = left - len(chunk)
        self._append(stream, chunk, at_us)
        return True

    def fresh(self) -> list[Piece]:
        """The part of the head that came since the last call."""
        chunks, self._fresh = self._fresh, []
        return [self._piece(chunk, 0) for chunk in chunks]

    def rest(self) -> list[Piece]:
        """The tails, at the end of the run. All that was dropped, was dropped before them."""
        pieces = []
        for tail in (self._tail, self._task_tail):
            gap = tail.dropped
            for chunk in tail.chunks:
                pieces.append(self._piece(chunk, gap))
                gap = 0
            tail.chunks.clear()
        return pieces

    def discard(self) -> None:
        """Forget what was not handed out yet: the spool's disk is full and so is memory."""
        for chunk in self._fresh:
            tail = self._task_tail if chunk.stream == TASK else self._tail
            tail.dropped += len(chunk.body)
        self._fresh = []
        self._tail.empty()
        self._task_tail.empty()

    def _append(self, stream: int, chunk: bytes, at_us: int) -> None:
        """To the newest chunk of its stream where that one is near the end; or as a new one."""
        fresh = self._fresh
        last = fresh[-1] if fresh else None
        if last is not None and last.stream != stream and len(fresh) >= FRESH_CHUNKS:
            last = next((each for each in fresh[-2:-4:-1] if each.stream == stream), None)
        if last is None or not _joined(last, stream, chunk):
            fresh.append(_Chunk(stream, at_us, chunk))

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
