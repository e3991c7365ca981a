"""What asks a task to end, and what that does to it."""

import _thread
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any

FAILED = 1


class Stop:
    """A signal: an interrupt as by Ctrl-C, unless the task looks by itself."""

    def __init__(self, number: int) -> None:
        self.event = threading.Event()
        self._number = number
        self._asked = False
        self._watched = False
        self._cancel: Callable[[], bool] | None = None
        with suppress(OSError, ValueError):  # not every signal can be caught
            signal.signal(number, self._ask)

    def watch(self) -> None:
        """The task looks at the event, or is over: from now on nothing is interrupted."""
        self._watched = True

    def run(self, awaited: Awaitable[Any]) -> Any:
        """What a coroutine returns; it is cancelled where it waits, and interrupted where not."""
        import asyncio  # noqa: PLC0415 - most tasks do without, and it takes 50 ms

        async def wait() -> Any:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None

            def cancel() -> bool:
                waits = asyncio.current_task(loop) is None
                if waits:
                    loop.call_soon_threadsafe(task.cancel)
                return waits

            self._cancel = cancel
            try:
                return await awaited
            finally:
                self._cancel = None

        return asyncio.run(wait())

    def exit_code(self, error: BaseException) -> int:
        """Of a task that ended with this."""
        if isinstance(error, Exception):
            return FAILED
        if self._asked:
            return 128 + self._number
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else FAILED

    @property
    def asked(self) -> bool:
        """Whether the run was asked to end."""
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """Once: what cleans up is not interrupted by a second signal."""
        del number, frame
        again, self._asked = self._asked, True
        if again:
            return
        try:
            # From another thread: this one may hold the event's lock at the moment.
            _thread.start_new_thread(self.event.set, ())
        except RuntimeError:
            self.event.set()
        if not self._watched and not (self._cancel is not None and self._cancel()):
            raise KeyboardInterrupt
