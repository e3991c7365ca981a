"""Descriptor 3: what a task tells of itself, one line of JSON each (domain/telling.py)."""

import json
import os
import select
import threading
from collections.abc import Callable
from typing import Any

DESCRIPTOR = 3
PERIOD_US = 500_000
# Of a long task each report is as good as one in so many; the supervisor passes on 1 MiB at once.
SHARE = 240
PROGRESS_BYTES = 640_000
TEXT_LENGTH = 200

Mark = tuple[int, int]


class Channel:
    """The pipe to the supervisor, as long as it still is the one that this process was given.

    It is none of a child's business: it closes itself where the task executes something or forks.
    Nothing here ever fails a task; what cannot be told is not told.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._mark = _mark(descriptor)
        if self._mark is None:
            self._descriptor = None
        elif descriptor is not None:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 (its only form)
            os.register_at_fork(after_in_child=self._leave_child)

    def say(self, kind: str, value: Any) -> bool:
        """All of a line, even if that takes a while. Raises ValueError or TypeError for no JSON."""
        rest = line_of(kind, value)
        with self._lock:
            while rest and self._is_ours():
                assert self._descriptor is not None
                rest = rest[self._write(self._descriptor, rest) :]
        return True

    def hint(self, kind: str, value: Any) -> bool:
        """A short line, if there is room for it at once."""
        line = line_of(kind, value)
        with self._lock:
            if not self._is_ours():
                return True  # nobody listens: it was told as well as it can be
            assert self._descriptor is not None
            return _has_room(self._descriptor, 0) and self._write(self._descriptor, line) > 0

    def close(self) -> None:
        """The end of it: the supervisor reads the end of the file."""
        with self._lock:
            if self._is_ours():
                assert self._descriptor is not None
                os.close(self._descriptor)
            self._descriptor = None

    def _write(self, descriptor: int, line: bytes) -> int:
        """How much was taken; a broken pipe takes all of it."""
        try:
            _has_room(descriptor, None)  # somebody may have made it non-blocking
            return os.write(descriptor, line)
        except BlockingIOError:
            return 0
        except OSError:
            self._descriptor = None
            return len(line)

    def _is_ours(self) -> bool:
        """A task may have closed it, and opened a file of its own in that place."""
        if self._descriptor is not None and _mark(self._descriptor) != self._mark:
            self._descriptor = None
        return self._descriptor is not None

    def _leave_child(self) -> None:
        self._lock = threading.RLock()  # whoever held it is not here
        self.close()


class Meter:
    """Passes progress on about twice a second, and the last one always.

    After two minutes it is less often: each time when 1/240 of the time so far has passed again.
    """

    def __init__(self, channel: Channel, boot_us: Callable[[], int]) -> None:
        self._channel = channel
        self._boot_us = boot_us
        self._lock = threading.RLock()
        self._latest: list[Any] | None = None
        self._began_us = self._next_us = boot_us()
        self._left = PROGRESS_BYTES
        self._timer: threading.Timer | None = None
        os.register_at_fork(after_in_child=self._leave_child)

    def report(self, done: float, total: float | None, text: str) -> None:
        """What Context.progress hands on."""
        with self._lock:
            self._latest = [done, total, text[:TEXT_LENGTH]]
            left_us = self._next_us - self._boot_us()
            if left_us <= 0:
                self._send(self._channel.hint)
            elif self._timer is None and self._left > 0:
                self._timer = _started_timer(left_us / 1_000_000, self._send_late)

    def flush(self) -> None:
        """The last one, now, and even if that takes a while."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            self._send(self._channel.say)

    def _send_late(self) -> None:
        with self._lock:
            self._timer = None
            self._send(self._channel.hint)

    def _send(self, tell: Callable[[str, Any], bool]) -> None:
        if self._latest is None or (self._left <= 0 and tell != self._channel.say):
            return
        try:
            if not tell("progress", self._latest):
                return
            self._left -= len(line_of("progress", self._latest))
        except ValueError:  # infinite: there is nothing to be shown
            pass
        self._latest = None
        now_us = self._boot_us()
        self._next_us = now_us + max(PERIOD_US, (now_us - self._began_us) // SHARE)

    def _leave_child(self) -> None:
        self._lock = threading.RLock()
        self._timer = None
        self._latest = None


def line_of(kind: str, value: Any) -> bytes:
    """One line of the channel. Raises ValueError or TypeError for what is no JSON."""
    return json.dumps({kind: value}, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _mark(descriptor: int | None) -> Mark | None:
    """What a descriptor leads to, None when it is closed."""
    if descriptor is None:
        return None
    try:
        seen = os.fstat(descriptor)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _has_room(descriptor: int, wait_ms: int | None) -> bool:
    """Whether a short line is taken at once. A pipe says so when 4 KiB are free."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(wait_ms))


def _started_timer(seconds: float, act: Callable[[], None]) -> threading.Timer | None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:  # no thread to be had: the next report or the end passes it on
        return None
    return timer
