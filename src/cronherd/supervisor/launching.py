# ruff: noqa: PTH100, PTH118, PTH120 -- pathlib would cost this process 5 ms of its birth
"""How the launcher is started and heard, whoever starts it: the supervisor, or a tool.

A tool asks it for a command that is not to outlive its holder. It stands apart from launch.py
because each start of such a tool reads it.
"""

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from marshal import dumps
from typing import Any

from cronherd.supervisor.spawn import (
    DEFAULT_PATH,
    Spawned,
    SpawnError,
    in_memory,
    refusal,
    spawn_beside,
)

DIED = "died"
"""In place of a stage: it said nothing more."""
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
_TOLD_BYTES = 4096


class Launching:
    """What a launcher says on its pipe, until it became the command or died."""

    __slots__ = ("_descriptor", "_said")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._said = b""

    def is_decided(self) -> bool:
        """It is known whether the command was executed; asks without waiting."""
        while self._descriptor >= 0:
            try:
                part = os.read(self._descriptor, _TOLD_BYTES)
            except BlockingIOError:
                return False
            self._said += part
            if not part:
                os.close(self._descriptor)
                self._descriptor = -1
        return True

    @property
    def ids(self) -> tuple[int, ...]:
        """uid, gid and groups of the command; empty when they are our own."""
        first = self._said.partition(b"\n")[0].split()
        return tuple(map(int, first[1:])) if first[:1] == [b"ids"] else ()

    def refused(self) -> tuple[str, int, str] | None:
        """Why nothing was executed: the stage, an errno or 0, a text; None when it was.

        Only once it is decided.
        """
        before, refused, why = self._said.partition(b"refused ")
        if refused:
            stage, number, text = why.decode("utf-8", "surrogateescape").split(" ", 2)
            return stage, int(number), text
        return None if b"exec\n" in before else (DIED, 0, "")


def spawn_bound(argv: list[str], env: Mapping[str, str], ends: Sequence[int]) -> Spawned:
    """As `spawn_beside`, of a command that the kernel kills when this process dies.

    Waits until it is executed. Raises SpawnError: then nothing was, and nothing is left.
    """
    told = in_memory("plan", plan(argv, env, "", holder=os.getpid()))
    status, status_end = os.pipe2(os.O_CLOEXEC)
    kept = (told, status_end)
    try:
        spawned = spawn_beside(launcher(*kept), env, ends, kept=kept)
    except SpawnError as error:
        os.close(status)
        raise unlaunched(error) from None
    finally:
        os.close(told)
        os.close(status_end)
    launching = Launching(status)
    launching.is_decided()  # its pipe waits
    if (said := launching.refused()) is None:
        return spawned
    os.waitpid(spawned.pid, 0)
    os.close(spawned.pidfd)
    raise refused_of(argv, *said)


def launcher(plan: int, status: int) -> list[str]:
    """Its command, told the numbers of its two descriptors."""
    return [sys.executable, "-I", "-S", "-X", "utf8", _SCRIPT, str(plan), str(status)]


def unlaunched(error: SpawnError) -> SpawnError:
    return SpawnError("spawn_failed", f"cannot start its launcher: {error.text}")


def plan(argv: list[str], env: Mapping[str, str], cwd: str, **more: Any) -> bytes:
    """The launcher's plan; `cwd` "" is where it is born."""
    return dumps(
        {
            "argv": argv, "env": dict(env), "cwd": cwd, "path": env.get("PATH", DEFAULT_PATH),
            "nice": 0, "holder": 0, "user": "", "group": "", "files": [],
            "limits": [], "last_limits": [], **more,
        }
    )  # fmt: skip


def refused_of(argv: list[str], stage: str, number: int, text: str) -> SpawnError:
    """The launcher's word as a code and a sentence, where the plan was a command only."""
    reason = os.strerror(number) if number else text
    if stage == "exec":
        return refusal(OSError(number, reason) if number else ValueError(text), argv)
    if stage == "path":
        return SpawnError("not_found" if number == errno.ENOENT else "not_executable", text)
    if stage == DIED:
        text = "its launcher died before the command was executed"
    return SpawnError("spawn_failed", text)
