"""What a job's `hooks` are called for, around its command or task, in the process of its run."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from cronherd.task import Context
from cronherd.taskrun.target import call

Wait = Callable[[Awaitable[Any]], Any]


class Hooks:
    """Functions by when they are called. Each is called as a task without args is."""

    def __init__(
        self, functions: Mapping[str, Sequence[str]], context: Context, wait: Wait
    ) -> None:
        self._functions = functions
        self._context = context
        self._wait = wait

    def refusal(self) -> str:
        """Who says no and what was asked, as a sentence; '' when all say yes."""
        for kind, wanted in (("when", True), ("skip", False)):
            for name in self._functions.get(kind, ()):
                if bool(self._call(name)) is not wanted:
                    return f"{kind}: {name} said {'no' if wanted else 'yes'}"
        return ""

    def before(self) -> None:
        """Raises what the first of them raises; the others are not called then."""
        for name in self._functions.get("before", ()):
            self._call(name)

    def after(self, *, success: bool) -> Iterable[tuple[str, BaseException]]:
        """Call all that come after; those that raise, each with what it raised."""
        kinds = ("on_success" if success else "on_failure", "after")
        for kind in kinds:
            for name in self._functions.get(kind, ()):
                try:
                    self._call(name)
                except BaseException as error:  # noqa: BLE001 - SystemExit too: the end is known
                    yield f"{kind}: {name}", error

    def _call(self, name: str) -> Any:
        value = call(name, None, self._context)
        return self._wait(value) if inspect.isawaitable(value) else value
