# ruff: noqa: PTH120 -- pathlib would cost this process 5 ms of its birth
"""What a start asks for beside a command: its files, another user, limits, niceness.

A plain start goes straight to posix_spawn. Another user, limits and niceness need the launcher,
a script that becomes the command (see launcher.py): 10 ms more, and only for who asks for them.
"""

import errno
import os
import resource
from typing import TYPE_CHECKING

from cronherd.supervisor import allow
from cronherd.supervisor.files import Files, remove
from cronherd.supervisor.launching import DIED, Launching, launcher, plan, refused_of, unlaunched
from cronherd.supervisor.mask import hide
from cronherd.supervisor.spawn import MORE_DESCRIPTORS, Room, Spawned, SpawnError, in_memory, spawn

if TYPE_CHECKING:
    from cronherd.supervisor.order import Order

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
    return spawn(
        order.argv, order.cwd, order.env, order.stdin, room, task=order.task, lock=order.lock
    )


def _launch(order: "Order", room: Room, files: list[str]) -> Spawned:
    told = in_memory("plan", _plan_of(order, files))
    status, status_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(status, False)
    first = 3 + order.task + order.lock
    argv = launcher(first, first + 1)
    marks = {name: order.env[name] for name in _MARKS if name in order.env}
    try:
        spawned = spawn(
            argv, "/", marks, order.stdin, room,
            task=order.task, lock=order.lock, more=(told, status_end),
        )  # fmt: skip
    except SpawnError as error:
        os.close(status)
        raise unlaunched(error) from None
    finally:
        os.close(told)
        os.close(status_end)
    spawned.launching = Launching(status)
    return spawned


def _plan_of(order: "Order", files: list[str]) -> bytes:
    """What the launcher is to do. Raises SpawnError for what cannot be a command."""
    if not order.argv or not order.argv[0]:
        raise SpawnError("not_found", "the command is empty")
    if not order.cwd.startswith("/"):
        raise SpawnError("cwd_missing", f"the working directory {order.cwd!r} is not absolute")
    first, last = _limits(order.limits)
    return plan(
        order.argv, order.env, order.cwd,
        nice=order.nice, user=order.user, group=order.group,
        files=files if order.user or order.group else [],
        limits=first, last_limits=last,
    )  # fmt: skip


def refusal_of(launching: Launching, order: "Order") -> SpawnError | None:
    """Why nothing was executed; None when it was. Only once it is decided."""
    if (said := launching.refused()) is None:
        return None
    error = _refusal(order, *said)
    return SpawnError(error.code, hide(error.text, order.masks))


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


def _refusal(order: "Order", stage: str, number: int, text: str) -> SpawnError:
    if stage in ("exec", "path", DIED):
        return refused_of(order.argv, stage, number, text)
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
