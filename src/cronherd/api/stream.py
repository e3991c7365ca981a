"""Streams of JSON documents, one a line, out of plain generators that may wait."""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from threading import BoundedSemaphore, Event
from typing import Any

from anyio import CapacityLimiter, to_thread

from cronherd.api.problem import dump, problem_of
from cronherd.domain.errors import CronherdError, Unavailable

LINES = "application/x-ndjson"
STREAMS = 64  # each holds a thread while it waits

Lines = Generator[bytes, None, None]

_END = b""


class Seats:
    """Room for streams beside the thread pool of requests, which they would use up."""

    def __init__(self, streams: int = STREAMS) -> None:
        self._free = BoundedSemaphore(streams)
        self.threads = CapacityLimiter(streams)

    def lines(self, documents: Iterator[dict[str, Any]]) -> Lines:
        """Documents as lines; takes a seat now, gives it back when the stream ends."""
        if not self._free.acquire(blocking=False):
            raise Unavailable(
                "too many outputs are being followed", code="too_many_streams", hint="try later"
            )
        lines = self._lines(documents)
        next(lines)  # to stand within `try`: a generator that never began gives nothing back
        return lines

    def _lines(self, documents: Iterator[dict[str, Any]]) -> Lines:
        try:
            yield b"\n"
            for document in documents:
                # An empty document says that nothing is new: a chance to see who has left.
                yield dump(document) + b"\n" if document else b"\n"
        except CronherdError as error:  # the status was sent long ago
            yield dump({"problem": problem_of(error)}) + b"\n"
        finally:
            self._free.release()


async def read_in_threads(lines: Lines, seats: Seats) -> AsyncIterator[bytes]:
    """Lines as they come, each waited for in a thread.

    Neither a reader who leaves nor a server that stops waits for the thread: that gives the seat
    back itself, at the next line it would have sent.
    """
    gone = Event()

    def step() -> bytes:
        line = next(lines, _END)
        if gone.is_set():
            _close(lines)
        return line

    try:
        yield b"\n"
        while line := await to_thread.run_sync(step, abandon_on_cancel=True, limiter=seats.threads):
            yield line
    finally:
        gone.set()
        _close(lines)


def _close(lines: Lines) -> None:
    with suppress(ValueError):  # it is at work in the other thread, which will see `gone`
        lines.close()
