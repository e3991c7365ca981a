"""The process of a Python task, from its environment to its exit code.

0 when the function returned; 1 for an exception; what it gave to sys.exit; 127 when there is no
such module or function; 126 when it cannot be called so; 128 and the signal when it was ended.
"""

import importlib
import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from cronherd.domain.telling import DEPTH, RESULT_BYTES, TRACEBACK_BYTES, parse_line
from cronherd.engine.clock import SystemClock
from cronherd.task import Context
from cronherd.taskrun.channel import DESCRIPTOR, Channel, Meter, line_of
from cronherd.taskrun.command import end_alike, run_command
from cronherd.taskrun.hooks import Hooks
from cronherd.taskrun.stop import FAILED, Stop
from cronherd.taskrun.target import Refused, call

ORDER = "CRONHERD_TASK"
"""The variable with what to do, as JSON; the task and its children do not see it."""
PARAM = "PARAM_"
MESSAGE_LENGTH = 2_000
SENTENCE_LENGTH = 200
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs 5 ms


def main() -> int:
    """Call the task that argv names, before the run's arguments if it has any. The exit code.

    An empty name: what follows is a command, and only its hooks are called.
    """
    sys.argv = sys.argv[1:]
    target = sys.argv[0]
    if sys.path and not sys.path[0]:
        sys.path[0] = os.getcwd()  # noqa: PTH109 - as with python -m, wherever the task goes later
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # so logs are live
    told = os.environ.pop(ORDER, None)
    order = json.loads(told) if told else {}
    stop = Stop(order.get("signal", signal.SIGTERM))
    channel = Channel(DESCRIPTOR if order else None)
    try:
        return end_alike(_run(target, order, channel, stop))
    finally:
        channel.close()


def _run(target: str, order: Mapping[str, Any], channel: Channel, stop: Stop) -> int:
    """The exit code, minus a signal that ended the command."""
    meter = Meter(channel, SystemClock().boot_us)
    context = context_of(os.environ, meter, stop)

    def work() -> int:
        if not target:
            stop.watch()  # the command gets the signal by itself
            return run_command(sys.argv[1:])
        try:
            value = call(target, order.get("args"), context)
            if inspect.isawaitable(value):
                value = stop.run(value)
        finally:
            stop.watch()
            meter.flush()
        tell_result(channel, value)
        return 0

    if "hooks" not in order:
        return _caught(work, channel, stop)
    hooks = Hooks(order["hooks"], context, stop.run)
    code, asked = _begin(hooks, channel, stop), None
    if code is not None:
        return code
    try:
        code = _caught(lambda: _prepared(hooks, work), channel, stop)
    except SystemExit as wanted:
        code, asked = _code_of(wanted), wanted
    stop.watch()
    success = code in order["success"] and not stop.asked
    for name, error in hooks.after(success=success):
        _tell_hook(channel, name, error)
    if asked is not None:
        raise asked
    return code


def _begin(hooks: Hooks, channel: Channel, stop: Stop) -> int | None:
    """An exit code when nothing is to be started: somebody said no, or could not be asked."""
    said = ""

    def ask() -> int:
        nonlocal said
        said = hooks.refusal()
        return 0

    try:
        code = _caught(ask, channel, stop)
    except SystemExit as wanted:  # it says neither yes nor no
        _tell_error(channel, "", f"a hook ended with exit code {_code_of(wanted)}", "")
        return _code_of(wanted) or FAILED
    if said:
        _write(f"cronherd: skipped, {_clean(said)}\n")
        channel.say("skipped", _clean(said))
    return code if said or code else None


def _prepared(hooks: Hooks, work: Callable[[], int]) -> int:
    hooks.before()
    return work()


def _caught(work: Callable[[], int], channel: Channel, stop: Stop) -> int:
    """The exit code; what is raised is told and becomes one. Raises SystemExit."""
    try:
        return work()
    except Refused as refused:
        _write(f"cronherd: {refused}\n")
        _tell_error(channel, "", str(refused), "")
        return refused.exit_code
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is its failure
        _report_error(channel, error)
        return stop.exit_code(error)


def _code_of(asked: SystemExit) -> int:
    """What Python makes of it."""
    if asked.code is None:
        return 0
    return asked.code if isinstance(asked.code, int) else FAILED


def _tell_hook(channel: Channel, name: str, error: BaseException) -> None:
    """A hook that fails afterwards changes nothing: the work is done, and must not be repeated."""
    error.with_traceback(_of_task(error.__traceback__))
    _write("".join(traceback.format_exception(error)))
    words = f"{type(error).__qualname__}: {_words(error)}"[:SENTENCE_LENGTH]
    channel.say("note", _clean(f"{name} failed: {words}"))


def context_of(environ: Mapping[str, str], meter: Meter, stop: Stop) -> Context:
    """The context of this process."""
    slot = environ.get("CRONHERD_SCHEDULED_AT", "")
    return Context(
        run_id=environ.get("CRONHERD_RUN_ID", ""),
        job=environ.get("CRONHERD_JOB_NAME", ""),
        scheduled_at=datetime.fromisoformat(slot).astimezone(UTC) if slot else None,
        attempt=int(environ.get("CRONHERD_ATTEMPT", "1")),
        fence=int(environ.get("CRONHERD_FENCE", "0")),
        node=environ.get("CRONHERD_NODE", ""),
        params=_params(environ, sys.argv[1:]),
        _report=meter.report,
        _watch=stop.watch,
        _cancelled=stop.event,
    )


def _params(environ: Mapping[str, str], arguments: Sequence[str]) -> dict[str, str]:
    """The parameters of the run, whether they came as variables or as arguments."""
    pairs = [argument.removeprefix("--").split("=", 1) for argument in arguments]
    given = {pair[0].replace("-", "_"): pair[1] for pair in pairs if len(pair) == 2}
    given |= {name[len(PARAM) :]: text for name, text in environ.items() if name.startswith(PARAM)}
    return {name.lower(): text for name, text in given.items()}


def tell_result(channel: Channel, value: Any) -> None:
    """What the function returned; a result that cannot be kept fails nobody, a note says so."""
    if value is None:
        return None
    try:
        line = line_of("result", value)
    except Exception as error:  # noqa: BLE001 - a value of a task may do anything when it is read
        return _tell_unkept(channel, f"it is no JSON: {_words(error)}")
    if len(line) - len(line_of("result", 0)) + 1 > RESULT_BYTES:
        return _tell_unkept(channel, f"it is longer than {RESULT_BYTES:,} bytes as JSON")
    if parse_line(line) is None:
        return _tell_unkept(channel, f"it is nested deeper than {DEPTH}")
    channel.say("result", value)
    return None


def _tell_unkept(channel: Channel, why: str) -> None:
    sentence = f"the result was not kept: {why[:SENTENCE_LENGTH]}"
    _write(f"cronherd: {_clean(sentence)}\n")
    channel.say("note", _clean(sentence))


def _report_error(channel: Channel, error: BaseException) -> None:
    """On standard error, and told."""
    error.with_traceback(_of_task(error.__traceback__))
    text = "".join(traceback.format_exception(error))
    _write(text)
    _tell_error(channel, type(error).__qualname__, _words(error), text)


def _tell_error(channel: Channel, kind: str, message: str, text: str) -> None:
    told = {
        "type": _clean(kind[:SENTENCE_LENGTH]),
        "message": _clean(message[:MESSAGE_LENGTH]),
        "traceback": _middle_cut(_clean(text)),
    }
    channel.say("error", told)


def _write(text: str) -> None:
    """On standard error, where the task left one."""
    with suppress(OSError, ValueError, AttributeError):  # gone, closed, or None
        sys.stderr.write(text)


def _of_task(frames: TracebackType | None) -> TracebackType | None:
    """Without the frames in which this program called the task."""
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_ours(file: str) -> bool:
    return file.startswith((_HERE, importlib.__file__, "<frozen importlib"))


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - an exception may be as broken as what it tells of
        return f"({type(second).__name__} while its words were asked for)"


def _clean(text: str) -> str:
    """No half of a surrogate pair and no control characters."""
    sound = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in sound)


def _middle_cut(text: str) -> str:
    """Where it began and where it was raised say most."""
    raw = text.encode()
    if len(raw) <= TRACEBACK_BYTES:
        return text
    head, gap = TRACEBACK_BYTES // 4, b"\n  ...\n"
    tail = TRACEBACK_BYTES - head - len(gap)
    return (raw[:head] + gap + raw[-tail:]).decode("utf-8", "ignore")
