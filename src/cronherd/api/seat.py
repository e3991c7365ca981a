"""One live view: what it watches, how far it has read, and what waits to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from cronherd.domain.pulse import Watched

MESSAGES_MAX = 64
# Output waits in the database, not here: it is read on when there is room again.
ROOM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a view is told: `content` is JSON, made once for all who are told.

    Of those with the same `topic` only the newest is kept for a view, when there is one.
    """

    kind: str
    content: bytes
    number: int = 0
    topic: str = ""
    place: tuple[int, int] | None = None
    """Of output: attempt and number of the last piece."""


class Seat:
    """Where a view waits. The hub puts from its thread, the event loop takes."""

    def __init__(
        self, topics: frozenset[str], *, seen: int = 0, watched: Watched | None = None
    ) -> None:
        self.topics = topics
        self.seen = seen
        self.watched = watched
        self.run: dict[str, Any] | None = None  # as it was last told
        self.loop = asyncio.get_running_loop()
        self.ready = asyncio.Event()
        self.ended = False
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._lock = Lock()

    def put(self, message: Message) -> bool:
        """Whether there was room; without any the view is over: it is to be loaded again."""
        with self._lock:
            if self.ended:
                return False
            if message.topic:
                self._waiting = deque(m for m in self._waiting if m.topic != message.topic)
            self._waiting.append(message)
            self._bytes = sum(len(one.content) for one in self._waiting)
            if len(self._waiting) <= MESSAGES_MAX:
                return True
            self._waiting = deque([RELOAD])
            self.ended = True
            return False

    def has_room(self) -> bool:
        """Whether more output may be read for it."""
        return self._bytes < ROOM_BYTES and len(self._waiting) < MESSAGES_MAX // 2

    def has_news(self) -> bool:
        return bool(self._waiting) or self.ended

    def end(self) -> None:
        """Nothing more comes; what waits is still sent."""
        with self._lock:
            self.ended = True

    def take(self) -> tuple[Sequence[Message], bool]:
        """What waits, and whether that is the end. In the event loop only."""
        with self._lock:
            self.ready.clear()
            found, self._waiting, self._bytes = self._waiting, deque(), 0
            return found, self.ended


RELOAD = Message(kind="reload", content=b'{"reason":"slow"}')
