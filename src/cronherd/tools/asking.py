"""Questions to a fleet that may take their time: asked by threads, answered in the loop."""

import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from cronherd.domain.errors import CronherdError, Unavailable

Answer = dict[str, Any] | CronherdError
Then = Callable[[Answer], None]


class Fleet(Protocol):
    """Of what one may ask a fleet, what a worker does."""

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> dict[str, Any]: ...

    def run_delivered(
        self, run: str, attempt: int, token: str, code: int | None
    ) -> dict[str, Any]: ...


Question = Callable[[], dict[str, Any]]


class Asking:
    """`descriptor` is ready when there are answers; `settle` passes them on."""

    def __init__(self, threads: int = 4) -> None:
        self.descriptor, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._questions: queue.SimpleQueue[tuple[Question, Then]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Then, Answer]] = queue.SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, question: Question, then: Then) -> None:
        """`then` is called by `settle`, with the answer or with what was raised."""
        self._questions.put((question, then))

    def settle(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.descriptor, 65_536)
        while True:
            try:
                then, answer = self._answers.get_nowait()
            except queue.Empty:
                return
            then(answer)

    def _serve(self) -> None:
        while True:
            question, then = self._questions.get()
            try:
                answer: Answer = question()
            except CronherdError as error:
                answer = error
            except Exception as error:  # noqa: BLE001 - the loop must hear of its end, whatever it was
                answer = Unavailable(f"the fleet could not be asked: {error!r}")
            self._answers.put((then, answer))
            with suppress(BlockingIOError):  # it is full of bells
                os.write(self._bell, b"!")
