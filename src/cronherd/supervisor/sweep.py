# ruff: noqa: PTH208 -- pathlib would cost the supervisor 5 ms of its birth
"""Finding the processes of a run by what they carry: CRONHERD_RUN_ID in their environment.

The guardian kills the groups it was told of. Two holes are left, and the next supervisor closes
them before it says that a run is gone: a command that was just being executed when the supervisor
was killed is in no table yet, and a guardian that is killed together with it kills nobody.

What left its group is found in the same way when a run was fenced: then nothing of it may live.
"""

import os
import select
from collections.abc import Collection, Iterator

MARK = b"CRONHERD_RUN_ID="
ATTEMPT = b"CRONHERD_ATTEMPT="
KILL = 9
LOOK_MS = 10
LOOKS = 500
"""Five seconds: a process that is not gone by then hangs in the kernel."""
GIVE_UP_US = 1_000_000
"""The same for strays, well before anybody may take the run over."""


def sweep(run_ids: Collection[str]) -> bool:
    """SIGKILL whatever belongs to these runs until nothing does; False when something stays."""
    marks = {_mark(run_id) for run_id in run_ids}
    for _ in range(LOOKS if marks else 0):
        found = [pid for pid, _ in _carriers(marks)]
        if not found:
            return True
        for pid in found:
            _kill(pid)
        select.poll().poll(LOOK_MS)
    return not marks


class Strays:
    """What is left of attempts that were fenced: looked for turn by turn, without waiting.

    Another attempt of the same run, here or of another node on this host, is left alone.
    """

    __slots__ = ("_wanted", "next_us")

    def __init__(self) -> None:
        self._wanted: dict[bytes, tuple[bytes, int]] = {}
        """mark of a run -> (mark of its attempt, until when it is looked for)."""
        self.next_us: int | None = None
        """When to look again, if anything is looked for."""

    def want(self, run_id: str, attempt: int, boot_us: int) -> None:
        """Kill what carries both marks until nothing does."""
        self._wanted[_mark(run_id)] = (ATTEMPT + b"%d" % attempt, boot_us + GIVE_UP_US)
        self.next_us = boot_us

    def look(self, boot_us: int) -> None:
        """Kill what is found, and look again soon; what is dying is found as well."""
        if self.next_us is None or boot_us < self.next_us:
            return
        wanted = self._wanted
        left: dict[bytes, tuple[bytes, int]] = {}
        for pid, marks in _carriers(wanted):
            run = next(mark for mark in marks if mark in wanted)
            attempt, give_up_us = wanted[run]
            if attempt in marks and boot_us < give_up_us:
                left[run] = wanted[run]
                _kill(pid)
        self._wanted = left
        self.next_us = boot_us + 1_000 * LOOK_MS if left else None


def _mark(run_id: str) -> bytes:
    return MARK + run_id.encode("ascii", "replace")


def _carriers(marks: Collection[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Living processes with one of the marks, and all they carry; a zombie carries nothing."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            carried = _environment(name)
            if any(mark in marks for mark in carried):
                yield int(name), carried


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
