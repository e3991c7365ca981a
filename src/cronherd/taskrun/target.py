"""From `package.module:function` and its args to a call."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cronherd.task import Context

NOT_FOUND = 127
NOT_CALLABLE = 126

Args = Sequence[Any] | Mapping[str, Any] | None
Function = Callable[..., Any]


class Refused(Exception):
    """The task cannot be called; the exit code is the one a shell would give."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def call(target: str, args: Args, context: Context) -> Any:
    """What the function returns, which may be a coroutine. Raises Refused before it is called."""
    function = find(target)
    positional, named = arguments(function, args, context)
    return function(*positional, **named)


def find(target: str) -> Function:
    """The function. Raises Refused where there is none, and whatever its module raises."""
    path, colon, name = target.partition(":")
    if not (path and colon and name):
        raise Refused(NOT_FOUND, f"'{target}' names no task: write package.module:function")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        # A module that the target's own module misses is a fault of that one.
        missing = error.name or ""
        if missing != path and not path.startswith(f"{missing}."):
            raise
        raise Refused(NOT_FOUND, _no_module(path, name, missing)) from None
    function: Any = module
    for part in name.split("."):
        owner, function = function, getattr(function, part, None)
        if function is None:
            raise Refused(NOT_FOUND, f"'{path}' has no function '{name}'{_meant(part, owner)}")
    if not callable(function):
        raise Refused(NOT_CALLABLE, f"'{name}' of '{path}' is no function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise Refused(NOT_CALLABLE, f"'{target}' yields: a task returns, nobody asks for more")
    found: Function = function
    return found


def _no_module(path: str, name: str, missing: str) -> str:
    if path.endswith(".py"):
        return f"'{path}' is a file and no module: write {path.removesuffix('.py')}:{name}"
    where = sys.path[0] if sys.path else "its directory"
    return (
        f"there is no module '{missing}', neither in {where} nor where Python has its packages: "
        "the job's cwd says where to look"
    )


def arguments(function: Function, args: Args, context: Context) -> tuple[list[Any], dict[str, Any]]:
    """What to call it with. Raises Refused when it does not take that."""
    positional = [] if args is None or isinstance(args, Mapping) else list(args)
    named = dict(args) if isinstance(args, Mapping) else {}
    shape = _signature(function)
    if shape is None:  # one in C that does not say
        return positional, named
    first = next(iter(shape.parameters.values()), None)
    if first is not None and _wants_context(first, named):
        if first.kind is inspect.Parameter.KEYWORD_ONLY:
            named[first.name] = context
        else:
            positional.insert(0, context)
    try:
        shape.bind(*positional, **named)
    except TypeError as error:
        name = getattr(function, "__name__", "it")
        sentence = f"the args do not fit: {error} (it is {name}{shape})"
        raise Refused(NOT_CALLABLE, sentence) from None
    return positional, named


def _wants_context(first: inspect.Parameter, named: Mapping[str, Any]) -> bool:
    if first.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        return False
    kind = first.annotation
    if isinstance(kind, str):
        return kind.rpartition(".")[2] == "Context"
    return kind is Context or (first.name == "context" and "context" not in named)


def _signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001 - annotations may name what only a type checker imports
        return _plain_signature(function)


def _plain_signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _meant(name: str, module: object) -> str:
    import difflib  # noqa: PLC0415 - only for whoever mistyped a name

    close = difflib.get_close_matches(name, [n for n in dir(module) if n[0] != "_"], 1)
    return f"; did you mean '{close[0]}'?" if close else ""
