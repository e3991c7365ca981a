"""Tasks for the tests of the runner; started as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cronherd.task import Context

shelf: dict[str, object] = {"no": "function"}


def say(words: str) -> None:
    """As print does; the runner makes each line a write of its own."""
    sys.stdout.write(f"{words}\n")


def nothing() -> None:
    """Returns nothing."""


def echo(*values: Any, **named: Any) -> Any:
    return {"values": list(values), "named": named}


def add(first: int, second: int = 2) -> int:
    return first + second


async def later(context: Context, value: str) -> str:
    await asyncio.sleep(0)
    context.progress(1, 1)
    return value.upper()


def who(context: Context) -> dict[str, Any]:
    context.logger.info("hello from %s", context.job)
    return {
        "run_id": context.run_id,
        "job": context.job,
        "scheduled_at": context.scheduled_at and context.scheduled_at.isoformat(),
        "attempt": context.attempt,
        "fence": context.fence,
        "node": context.node,
        "params": dict(context.params),
        "argv": sys.argv,
        "path": sys.path[0],
        "seen": "CRONHERD_TASK" in os.environ,
    }


def told(steps: int, context: Context | None = None) -> int:
    """Its first parameter is no context."""
    assert context is None
    return steps


def steps(context: Context, count: int) -> None:
    for number in range(count):
        context.progress(number + 1, count, f"step {number + 1}")


def endless(context: Context) -> None:
    context.progress(float("inf"))
    context.progress(float("nan"), 3)


def fail(words: str) -> None:
    raise ValueError(words)


def chained() -> None:
    try:
        fail("first")
    except ValueError as error:
        raise KeyError("second") from error


def deep(left: int = 10_000) -> int:
    return deep(left - 1) + 1


def mute() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise MuteError


def leave(code: int | str | None) -> None:
    say("before")
    sys.exit(code)


def deaf(words: str) -> None:
    sys.stderr.close()
    raise ValueError(words)


def odd(kind: str) -> Any:
    return {
        "object": object(),
        "nan": float("nan"),
        "half": "\ud800",
        "long": "x" * 65_535,
        "most": "x" * 65_534,
        "tuple": (1, {2: 3}),
        "deep": __import__("functools").reduce(lambda inner, _: [inner], range(60), 1),
    }[kind]


def pages() -> Iterator[int]:
    yield 1


class Shop:
    @staticmethod
    def close() -> str:
        return "closed"


def fork(context: Context) -> str:
    """A child that lives on has neither the descriptor nor a word to say on it."""
    child = os.fork()
    if child == 0:
        context.progress(99, 99)
        open_there = Path("/proc/self/fd/3").exists()
        os._exit(7 if open_there else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    listed = subprocess.run(
        ["/bin/ls", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False
    )
    return listed.stdout


def take_over() -> str:
    """Closes descriptor 3 and opens a file there, as a program does that becomes a daemon."""
    os.closerange(3, 20)
    file = Path(os.environ["MINE"]).open("w")  # noqa: SIM115 - it stays open on purpose
    shelf["file"] = file
    assert file.fileno() == 3
    return "told nobody"


def interrupted(wait_s: float = 30) -> None:
    try:
        say("ready")
        threading.Event().wait(wait_s)
    finally:
        say("tidied up")


def watching(context: Context) -> str:
    assert not context.cancelled.is_set()
    say("ready")
    context.cancelled.wait(30)
    return "stopped by itself"


async def sleeper() -> None:
    try:
        asyncio.get_running_loop().call_later(0.2, say, "ready")
        await asyncio.sleep(30)
    finally:
        say("tidied up")


async def blocking() -> None:
    """No good citizen: nothing else of its loop runs meanwhile."""
    try:
        say("ready")
        threading.Event().wait(30)
    finally:
        say("tidied up")


async def forgiving() -> str:
    try:
        asyncio.get_running_loop().call_later(0.2, say, "ready")
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "as you like"
    return "never"


def stubborn() -> None:
    """A second signal does not interrupt what the first one made it do."""
    try:
        say("ready")
        threading.Event().wait(30)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(0.2)
        say("tidied up")
