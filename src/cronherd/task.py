"""What a Python task may use: `from cronherd.task import Context`.

A task is a function that a job names: `task: "shop.reports:nightly"`. When its first parameter is
called `context`, or annotated as Context, it gets one; docs/tasks.md has the whole of it. For a
test of your own, `Context()` works anywhere: it tells nobody anything.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Number = int | float
Report = Callable[[Number, Number | None, str], None]


def _tell_nobody(done: Number, total: Number | None, text: str) -> None:
    """Outside of a run there is nobody to be told."""


def _nothing() -> None:
    """Outside of a run nothing asks a task to end."""


@dataclass(slots=True, kw_only=True)
class Context:
    """One attempt of a run, as the task sees it."""

    run_id: str = ""
    job: str = ""
    scheduled_at: datetime | None = None
    """The slot, in UTC; None for a run that somebody asked for."""
    attempt: int = 1
    fence: int = 0
    """Grows with each claim of the job: what remembers the highest can refuse a late writer."""
    node: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    """The parameters of the run as texts, by name in lower case with _ for -."""
    _report: Report = field(default=_tell_nobody, repr=False)
    _watch: Callable[[], None] = field(default=_nothing, repr=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    def progress(self, done: Number, total: Number | None = None, text: str = "") -> None:
        """Say how far it is: `progress(37, 100, "customers")`. As often as you like.

        About two a second are passed on, of a long task fewer, and the last one always. Raises
        TypeError for what is no number.
        """
        numbers: tuple[object, ...] = (done, 0 if total is None else total)
        for number in numbers:
            if not isinstance(number, int | float) or isinstance(number, bool):
                raise TypeError(f"progress is told in numbers, not in {type(number).__name__}")
        self._report(done, total, str(text))

    @property
    def cancelled(self) -> threading.Event:
        """Set when the run is to end: cancelled, over its time limit, or the host is stopped.

        Whoever looks at it once is no longer interrupted, and has the job's `grace` to return.
        """
        self._watch()
        return self._cancelled

    @property
    def logger(self) -> logging.Logger:
        """Writes to standard error, from INFO upwards."""
        logger = logging.getLogger("cronherd.task")
        if not logger.handlers:
            stderr = logging.StreamHandler()
            stderr.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
            logger.addHandler(stderr)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        return logger
