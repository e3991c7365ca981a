# ruff: noqa: PTH208 -- pathlib would cost the supervisor 5 ms of its birth
"""Finding the processes of a run by what they carry: CRONHERD_RUN_ID in their environment.

The guardian kills the groups it was told of. Two holes are left, and the next supervisor closes
them before it says that a run is gone: a command that was just being executed when the supervisor
was killed is in no table yet, and a guardian that is killed together with it kills nobody.
"""

import os
import select
from collections.abc import Collection, Iterator

MARK = b"CRONHERD_RUN_ID="
KILL = 9
LOOK_MS = 10
LOOKS = 500
"""Five seconds: a process that is not gone by then hangs in the kernel."""


def sweep(run_ids: Collection[str]) -> bool:
    """SIGKILL whatever belongs to these runs until nothing does; False when something stays."""
    marks = {MARK + run_id.encode("ascii", "replace") for run_id in run_ids}
    for _ in range(LOOKS if marks else 0):
        found = list(_carriers(marks))
        if not found:
            return True
        for pid in found:
            _kill(pid)
        select.poll().poll(LOOK_MS)
    return not marks


def _carriers(marks: set[bytes]) -> Iterator[int]:
    """Living processes with one of the marks; a zombie's environment is empty."""
    for name in os.listdir("/proc"):
        if name.isdigit() and not marks.isdisjoint(_environment(name)):
            yield int(name)


def _environment(name: str) -> list[bytes]:
    try:
        descriptor = os.open(f"/proc/{name}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        text = b""
        while part := os.read(descriptor, 65_536):
            text += part
        return text.split(b"\0")
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _kill(pid: int) -> None:
    """With its group, which it leads or was born into: unless that is our own."""
    try:
        group = os.getpgid(pid)
        if group > 1 and group != os.getpgrp():
            os.killpg(group, KILL)
        else:
            os.kill(pid, KILL)
    except (ProcessLookupError, PermissionError):
        pass  # gone meanwhile, or not ours to kill: the next look tells
