# ruff: noqa: PTH100, PTH118, PTH120 -- pathlib would cost this process 5 ms of its birth
"""What a start asks for beside a command: its files, another user, limits, niceness.

A plain start goes straight to posix_spawn. Another user, limits and niceness need the launcher,
a script that becomes the command (see launcher.py): 10 ms more, and only for who asks for them.
So does a command that is not to outlive the tool that started it.
"""

import errno
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from marshal import dumps
from typing import TYPE_CHECKING, Any

from cronherd.supervisor import allow
from cronherd.supervisor.files import Files, remove
from cronherd.supervisor.mask import hide
from cronherd.supervisor.spawn import (
    DEFAULT_PATH,
    MORE_DESCRIPTORS,
    Room,
    Spawned,
    SpawnError,
    in_memory,
    refusal,
    spawn,
    spawn_beside,
)

if TYPE_CHECKING:
    from cronherd.supervisor.order import Order

_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
_MARKS = ("CRONHERD_RUN_ID", "CRONHERD_ATTEMPT")
"""All that the launcher itself gets as environment: it may be root, and the rest is the job's."""
RESOURCES = {
    "cpu": resource.RLIMIT_CPU,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
    "memory": resource.RLIMIT_AS,
}
"""In the order in which they are set: with little memory nothing else can be done."""
CPU_GRACE_S = 1
"""From XCPU, by which a command dies unless it cares, to KILL."""
_TOLD_BYTES = 4096
_DIED = "died"
"""In place of a stage: it said nothing more."""

Limit = tuple[str, int, int, int]
"""name, number of the resource, soft, hard."""


class Means:
    """What this supervisor has for runs that ask for more."""

    __slots__ = ("allow", "files")

    def __init__(self, socket_path: str, allow_list: str = allow.ALLOW) -> None:
        """Called when nothing of an earlier life runs: its files go."""
        self.allow = allow_list
        self.files = Files(socket_path)


def begin(order: "Order", room: Room, means: Means) -> Spawned:
    """Make a process of `order`. Raises SpawnError: then nothing was executed and nothing is left.

    By the launcher, the proof comes later: see `Launching`.
    """
    if order.plain:
        return spawn(order.argv, order.cwd, order.env, order.stdin, room)
    try:
        return _begin(order, room, means)
    except SpawnError as error:
        raise SpawnError(error.code, hide(error.text, order.masks)) from None


def limits_by(*, root: bool) -> dict[str, str]:
    """What enforces each limit for commands of root or of another user; "" when nothing does.

    Control groups would count a run as a whole; no kernel's are used yet. A resource limit counts
    one process (memory, open_files, cpu) or all of a user's (processes, which root has no limit
    of).
    """
    by = dict.fromkeys(RESOURCES, "rlimit")
    if root:
        by["processes"] = ""
    return by


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

    def refusal(self, order: "Order") -> SpawnError | None:
        """Why nothing was executed; None when it was. Only once it is decided."""
        if (said := self.refused()) is None:
            return None
        error = _refusal(order, *said)
        return SpawnError(error.code, hide(error.text, order.masks))

    def refused(self) -> tuple[str, int, str] | None:
        """As `refusal`, in the launcher's own words: the stage, an errno or 0, a text."""
        before, refused, why = self._said.partition(b"refused ")
        if refused:
            stage, number, text = why.decode("utf-8", "surrogateescape").split(" ", 2)
            return stage, int(number), text
        return None if b"exec\n" in before else (_DIED, 0, "")


def spawn_bound(argv: list[str], env: Mapping[str, str], ends: Sequence[int]) -> Spawned:
    """As `spawn_beside`, of a command that the kernel kills when this process dies.

    Waits until it is executed. Raises SpawnError: then nothing was, and nothing is left.
    """
    plan = in_memory("plan", _plan(argv, env, "", holder=os.getpid()))
    status, status_end = os.pipe2(os.O_CLOEXEC)
    kept = (plan, status_end)
    try:
        spawned = spawn_beside(_launcher(*kept), env, ends, kept=kept)
    except SpawnError as error:
        os.close(status)
        raise _unlaunched(error) from None
    finally:
        os.close(plan)
        os.close(status_end)
    launching = Launching(status)
    launching.is_decided()  # its pipe waits
    if (said := launching.refused()) is None:
        return spawned
    os.waitpid(spawned.pid, 0)
    os.close(spawned.pidfd)
    raise _refused(argv, *said)


def _begin(order: "Order", room: Room, means: Means) -> Spawned:
    room.per_run = MORE_DESCRIPTORS
    another = bool(order.user or order.group)
    if another:
        allow.check(means.allow, order.user, order.group)
    if not order.files:
        return _spawn(order, room, [])
    paths = means.files.put(order.files, for_user=another)
    order.env.update(paths)
    folder = os.path.dirname(next(iter(paths.values())))
    try:
        spawned = _spawn(order, room, list(paths.values()))
    except SpawnError:
        remove(folder)
        raise
    spawned.folder = folder
    return spawned


def _spawn(order: "Order", room: Room, files: list[str]) -> Spawned:
    if order.user or order.group or order.nice or order.limits:
        return _launch(order, room, files)
    return spawn(order.argv, order.cwd, order.env, order.stdin, room, task=order.task)


def _launch(order: "Order", room: Room, files: list[str]) -> Spawned:
    plan = in_memory("plan", _plan_of(order, files))
    status, status_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(status, False)
    first = 4 if order.task else 3
    argv = _launcher(first, first + 1)
    marks = {name: order.env[name] for name in _MARKS if name in order.env}
    try:
        spawned = spawn(
            argv, "/", marks, order.stdin, room, task=order.task, more=(plan, status_end)
        )
    except SpawnError as error:
        os.close(status)
        raise _unlaunched(error) from None
    finally:
        os.close(plan)
        os.close(status_end)
    spawned.launching = Launching(status)
    return spawned


def _launcher(plan: int, status: int) -> list[str]:
    """Its command, told the numbers of its two descriptors."""
    return [sys.executable, "-I", "-S", "-X", "utf8", _SCRIPT, str(plan), str(status)]


def _unlaunched(error: SpawnError) -> SpawnError:
    return SpawnError("spawn_failed", f"cannot start its launcher: {error.text}")


def _plan_of(order: "Order", files: list[str]) -> bytes:
    """What the launcher is to do. Raises SpawnError for what cannot be a command."""
    if not order.argv or not order.argv[0]:
        raise SpawnError("not_found", "the command is empty")
    if not order.cwd.startswith("/"):
        raise SpawnError("cwd_missing", f"the working directory {order.cwd!r} is not absolute")
    first, last = _limits(order.limits)
    return _plan(
        order.argv, order.env, order.cwd,
        nice=order.nice, user=order.user, group=order.group,
        files=files if order.user or order.group else [],
        limits=first, last_limits=last,
    )  # fmt: skip


def _plan(argv: list[str], env: Mapping[str, str], cwd: str, **more: Any) -> bytes:
    """The launcher's plan; `cwd` "" is where it is born."""
    return dumps(
        {
            "argv": argv, "env": dict(env), "cwd": cwd, "path": env.get("PATH", DEFAULT_PATH),
            "nice": 0, "holder": 0, "user": "", "group": "", "files": [],
            "limits": [], "last_limits": [], **more,
        }
    )  # fmt: skip


def _limits(wanted: dict[str, int]) -> tuple[list[Limit], list[Limit]]:
    """Those above our own need our rights and come first.

    All others come last: the launcher has work to do that they would hinder.
    """
    first: list[Limit] = []
    last: list[Limit] = []
    for name, number in RESOURCES.items():
        if name in wanted:
            soft = wanted[name]
            hard = soft + CPU_GRACE_S if name == "cpu" else soft
            ceiling = resource.getrlimit(number)[1]
            is_above = ceiling != resource.RLIM_INFINITY and soft > ceiling
            (first if is_above else last).append((name, number, soft, hard))
    return first, last


def _refused(argv: list[str], stage: str, number: int, text: str) -> SpawnError:
    """The launcher's word as a code and a sentence, where the plan was a command only."""
    reason = os.strerror(number) if number else text
    if stage == "exec":
        return refusal(OSError(number, reason) if number else ValueError(text), argv)
    if stage == "path":
        return SpawnError("not_found" if number == errno.ENOENT else "not_executable", text)
    if stage == _DIED:
        text = "its launcher died before the command was executed"
    return SpawnError("spawn_failed", text)


def _refusal(order: "Order", stage: str, number: int, text: str) -> SpawnError:
    if stage in ("exec", "path", _DIED):
        return _refused(order.argv, stage, number, text)
    reason = os.strerror(number) if number else text
    if stage == "cwd":
        return SpawnError("cwd_missing", f"cannot enter {order.cwd!r}: {reason}")
    who = f"{order.user}:{order.group}" if order.group else order.user
    denied = number in (errno.EPERM, errno.EACCES)
    why = "that is above what this supervisor was given itself" if denied else reason
    sentences = {
        "nice": f"cannot change its niceness by {order.nice}: {reason}",
        "limits": f"cannot limit {text} to {order.limits.get(text)}: {why}",
        "user": f"cannot run as '{who}' on this host: {reason}",
        "memory": "its memory limit is too low to execute anything",
    }
    unknown = stage == "user" and not number
    return SpawnError("not_allowed" if denied or unknown else "spawn_failed", sentences[stage])
