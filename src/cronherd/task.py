"""What a Python task may use: `from cronherd.task import Context`, and `from cronherd import task`.

A task is a function that a job names: `task: "shop.reports:nightly"`. When its first parameter is
called `context`, or annotated as Context, it gets one; docs/tasks.md has the whole of it. For a
test of your own, `Context()` works anywhere: it tells nobody anything.

`@task` gives a function a name that people and schedules may use. The module itself may be called
too, so that `from cronherd import task` is the decorator whoever imported what before.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, TypeVar, overload

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


Function = Callable[..., Any]
_F = TypeVar("_F", bound=Function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A function that has a name; `target` is how the process of a run finds it."""

    name: str
    target: str
    function: Function


_TASKS: dict[str, Task] = {}


@overload
def task(function: _F, /) -> _F: ...


@overload
def task(*, name: str) -> Callable[[_F], _F]: ...


def task(function: _F | None = None, /, *, name: str = "") -> _F | Callable[[_F], _F]:
    """Give a function a name, its own or another one; the function itself stays as it is.

    Raises TypeError for what the process of a run could not find, ValueError for a taken name.
    """
    if function is None:
        return lambda found: _register(found, name)
    return _register(function, name)


def find(wanted: Function | str) -> Task | None:
    """The task of a name, or of a function."""
    if isinstance(wanted, str):
        return _TASKS.get(wanted)
    return next((known for known in _TASKS.values() if known.function is wanted), None)


def registered() -> list[Task]:
    """All tasks of the modules that were imported, by name."""
    return [_TASKS[name] for name in sorted(_TASKS)]


def _register(function: _F, name: str) -> _F:
    target = f"{function.__module__}:{function.__qualname__}" if _is_plain(function) else ""
    if not target:
        raise TypeError("@task stands before a function at the top level of a module")
    name = name or function.__name__
    if not name.strip() or ":" in name:
        raise ValueError(f"'{name}' cannot be the name of a task")
    known = _TASKS.get(name)
    if known is not None and known.target != target:
        raise ValueError(f"the task '{name}' is {known.target} already: @task(name=...)")
    _TASKS[name] = Task(name=name, target=target, function=function)
    return function


def _is_plain(function: Any) -> bool:
    return callable(function) and "<" not in getattr(function, "__qualname__", "<")


class _Decorator(ModuleType):
    """The kind of this module, which may be called as `task` may."""

    def __call__(self, function: Any = None, /, *, name: str = "") -> Any:
        return task(name=name) if function is None else _register(function, name)


sys.modules[__name__].__class__ = _Decorator
