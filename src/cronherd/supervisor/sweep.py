# ruff: noqa: PTH208 -- pathlib would cost the supervisor 5 ms of its birth
"""Finding the processes of a run: by its session, and by what they carry in their environment.

The guardian kills the groups and control groups it was told of. Two holes are left, and the next
supervisor closes them before it says that a run is gone: a command that was just being executed
when the supervisor was killed is in no table yet, and a guardian that is killed together with it
kills nobody.

What left its group is found in the same way when a run is killed: then nothing of it may live.
"""

import os
import select
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.supervisor.cgroup import Tree
    from cronherd.supervisor.child import Child

MARK = b"CRONHERD_RUN_ID="
ATTEMPT = b"CRONHERD_ATTEMPT="
TOOL = b"CRONHERD_TOOL="
"""What the tools of one host start carries their ids: of a tool within a tool both, with a colon.
"""
KILL = 9
LOOK_MS = 10
LOOKS = 500
"""Five seconds: a process that is not gone by then hangs in the kernel."""
STUCK_US = 5_000_000
"""The same for a run that is killed: then its end is told, and how many would not die."""
HELD = "the kernel holds it (state D in ps): 5 s after SIGKILL it had not ended"
PAUSE_US = 2_000
"""Between the first two looks: a killed process needs about a millisecond. Twice as long each
time, because one that hangs in the kernel must not cost us a look at every process of the host."""
PAUSE_LIMIT_US = 512_000


def sweep(run_ids: Collection[str]) -> bool:
    """SIGKILL whatever belongs to these runs until nothing does; False when something stays."""
    marks = {_mark(run_id) for run_id in run_ids}
    for _ in range(LOOKS if marks else 0):
        found = [name for name in _processes() if marks.intersection(_environment(name))]
        if not found:
            return True
        for name in found:
            strike(int(name))
        select.poll().poll(LOOK_MS)
    return not marks


class Prey:
    """A run that is being killed. Its leader is not reaped, so that its number stays its own."""

    __slots__ = ("child", "ended", "give_up_us", "marks", "pause_us")

    def __init__(self, child: "Child") -> None:
        self.child = child
        self.marks = _marks(child)
        self.ended = False
        self.give_up_us: int | None = None
        """From the first look on: before it a host may have been suspended for long."""
        self.pause_us = PAUSE_US


class Hunt:
    """What is left of runs that are being killed: looked for turn by turn, without waiting.

    A process is theirs when it is in their control group, of their session, or carries their id
    and their attempt. Another attempt of the same run, here or of another node on this host, is
    left alone.
    """

    __slots__ = ("_preys", "_tree", "next_us")

    def __init__(self, tree: "Tree") -> None:
        self._tree = tree
        self._preys: dict[int, Prey] = {}
        """By the number of its leader."""
        self.next_us: int | None = None
        """When to look again, if anything is hunted."""

    def begin(self, child: "Child", boot_us: int, *, ended: bool) -> None:
        """Kill what is left of it until nothing is; `ended`: its leader is dead.

        Then the others have a moment to die of what it died of: it would be called a kill.
        """
        prey = self._preys.get(child.pid)
        if prey is None:
            prey = self._preys[child.pid] = Prey(child)
        prey.ended |= ended
        due_us = boot_us + PAUSE_US if ended else boot_us
        self.next_us = due_us if self.next_us is None else min(self.next_us, due_us)

    def has_ended(self, child: "Child") -> bool:
        """It is hunted, and its leader is dead."""
        prey = self._preys.get(child.pid)
        return prey is not None and prey.ended

    def look(self, boot_us: int) -> list[tuple["Child", bool]]:
        """Kill what is found. Those whose hunt is over, and whether the leader of each is dead.

        Nothing is left of them, or what is left hangs in the kernel: `leaked` says how much.
        """
        if self.next_us is None or boot_us < self.next_us:
            return []
        found = self._find()
        over = []
        for pid, prey in list(self._preys.items()):
            left = found[pid]
            prey.give_up_us = prey.give_up_us or boot_us + STUCK_US
            if boot_us >= prey.give_up_us:
                prey.child.leaked = len(left) + (not prey.ended and pid not in left)
            elif self._strike(prey, left) or not prey.ended:
                prey.pause_us = min(2 * prey.pause_us, PAUSE_LIMIT_US)
                continue
            del self._preys[pid]
            over.append((prey.child, prey.ended))
        pauses = [prey.pause_us for prey in self._preys.values()]
        self.next_us = boot_us + min(pauses) if pauses else None
        return over

    def _strike(self, prey: Prey, left: set[int]) -> bool:
        """Kill them and whatever its control group holds, seen or not. False: there was nothing."""
        child = prey.child
        held = self._tree.is_held(child.pid)
        if held and self._tree.kill(child.pid):
            child.how = "cgroup"
        for pid in left:
            strike(pid)
            child.how = child.how or "kill"
        return held or bool(left)

    def _find(self) -> dict[int, set[int]]:
        """What lives of each: by the number of its leader."""
        preys = self._preys
        by_mark = {prey.marks: pid for pid, prey in preys.items()}
        found = {pid: set(filter(is_alive, self._tree.members(pid))) for pid in preys}
        for name in _processes():
            leader = _session(name)
            if leader not in preys or not is_alive(int(name)):
                leader = _marked(name, by_mark)
            if leader:
                found[leader].add(int(name))
        return found


def sessions() -> dict[int, list[int]]:
    """Who is of which session, zombies too."""
    found: dict[int, list[int]] = {}
    for name in _processes():
        found.setdefault(_session(name), []).append(int(name))
    return found


def count_left(group: int) -> int:
    """How many live in a group whose leader is gone, or in its session if there are any."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass
    return sum(is_alive(pid) for pid in sessions().get(group, ()))


def is_alive(pid: int) -> bool:
    """A zombie is not, nor is what nobody may look at."""
    # After the command's name, which may hold anything: state, ppid, pgrp.
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def strike(pid: int) -> None:
    """SIGKILL with its group, which it leads or was born into: unless that is our own."""
    try:
        group = os.getpgid(pid)
        if group > 1 and group != os.getpgrp():
            os.killpg(group, KILL)
        else:
            os.kill(pid, KILL)
    except (ProcessLookupError, PermissionError):
        pass  # gone meanwhile, or not ours to kill: the next look tells


def _mark(run_id: str) -> bytes:
    return MARK + run_id.encode("ascii", "replace")


def _marks(child: "Child") -> tuple[bytes, bytes]:
    """What its processes carry. What a tool started is no attempt of anything."""
    if not child.attempt:
        return TOOL, child.run_id.encode("ascii")
    return _mark(child.run_id), ATTEMPT + b"%d" % child.attempt


def _marked(name: str, by_mark: dict[tuple[bytes, bytes], int]) -> int:
    """Whose marks it carries; a zombie carries nothing."""
    carried = _environment(name)
    runs = [each for each in carried if each.startswith(MARK)]
    attempts = [each for each in carried if each.startswith(ATTEMPT)]
    owners = [by_mark.get((run, attempt), 0) for run in runs for attempt in attempts]
    for each in carried:
        if each.startswith(TOOL):
            ids = each.removeprefix(TOOL).split(b":")
            owners += [by_mark.get((TOOL, tool), 0) for tool in ids]
    return max(owners, default=0)


def _processes() -> list[str]:
    """All but ourselves."""
    own = str(os.getpid())
    return [name for name in os.listdir("/proc") if name.isdigit() and name != own]


def _session(name: str) -> int:
    try:
        return os.getsid(int(name))
    except OSError:
        return 0


def _environment(name: str) -> list[bytes]:
    """What it carries, if that is anything of ours."""
    text = read(f"/proc/{name}/environ")
    return text.split(b"\0") if MARK in text or TOOL in text else []


def read(path: str) -> bytes:
    """All of a small file; b"" when it is gone or not ours to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        text = b""
        while part := os.read(descriptor, 65_536):
            text += part
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return text
