"""Where code says something, and what the functions it gives are called elsewhere."""

import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from cronherd.domain.errors import Invalid

_OURS = str(Path(__file__).resolve().parent)
_MAIN = "__main__"
_TASK_HINT = "write a function with def at the top level of a module, and give that"


def caller() -> str:
    """`shop/schedule.py:12`: the nearest line that is not of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.stack() reads the sources of all frames
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return spot(frame.f_code.co_filename, frame.f_lineno)


def spot(file: str, line: int | None) -> str:
    """A line of a file, below the working directory in short."""
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line or 1}"


def refuse(text: str, *, hint: str = "", code: str = "", where: str = "") -> Invalid:
    """What is wrong with the step that is being taken, with its line."""
    where = where or caller()
    if not code:
        return Invalid(text, code="bad_step", hint=hint, where=where)
    return Invalid(text, code=code, hint=hint, where=where)


def function_name(function: object) -> str:
    """`shop.reports:nightly`: how another process finds the function. Raises Invalid."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(name, str):
        raise refuse(
            f"{type(function).__name__} is no function with a name of its own",
            hint=_TASK_HINT,
            code="bad_function",
        )
    if "<" in name:
        what = "a lambda" if name.endswith("<lambda>") else f"'{name}', made in a function,"
        raise refuse(
            f"{what} cannot be found by the process of a run", hint=_TASK_HINT, code="bad_function"
        )
    if not isinstance(module, str) or module == _MAIN:
        raise refuse(
            f"'{name}' belongs to the program itself and to no module",
            hint="put it in a module, and load the schedule with --app module:object",
            code="bad_function",
        )
    if _found(module, name) not in {id(function), None}:
        raise refuse(
            f"{module}:{name} names something else by now",
            hint="give the function that the name stands for",
            code="bad_function",
        )
    return f"{module}:{name}"


def _found(module: str, name: str) -> int | None:
    """What the name leads to; None where it is not there yet."""
    try:
        found: Any = reduce(getattr, name.split("."), sys.modules.get(module))
    except AttributeError:
        return None
    return id(getattr(found, "__func__", found)) if isinstance(found, Callable) else id(found)  # type: ignore[arg-type]
