# ruff: noqa: PTH102, PTH106, PTH108, PTH112, PTH119, PTH208 -- pathlib would cost 5 ms of our birth
"""A control group (version 2) for each run that lasts.

No fork leads out of it, and one write kills all of it, also what is just being forked. Below the
group that this process is in itself lies `cronherd-<state>`, and in it a leaf `<run>-<attempt>`
for each run. Only root, or whom a service manager gave its group, can make them.
Elsewhere a run is killed by its group, its session and what it carries, and `Tree.fact` says why.

Measured: a leaf costs 100 us of our CPU, and a move into it waits for the kernel, 8 to 20 ms if it
comes alone and 50 us if it follows another. So nobody is born in one (bursts would lose a fifth):
a run gets its leaf when it has lasted a while, together with others, or when it is to be ended.
What had forked by then is moved along.
"""

import os
import select
from contextlib import suppress

from cronherd.supervisor.guardian import is_populated, kill_tree, remove_tree
from cronherd.supervisor.sweep import LOOK_MS, LOOKS, is_alive, read, sessions

PREFIX = "cronherd-"
OWN = "/proc/self/cgroup"
MOUNTS = "/proc/self/mountinfo"
ROUNDS = 20
"""Looks at who is still outside, or still inside: what forks faster than we move is not waited for.
"""
TOGETHER_US = 1_000_000
"""From one batch of moves to the next: the first move of each makes us wait for up to 20 ms."""
WARM_US = 50_000
"""Soon after a move the next one costs little, so a batch may go on."""
MOVES_PER_TURN = 32
"""Between two looks at pipes and exits: about 10 ms."""
FRESH_US = 10_000
"""For so long a look at all sessions counts: of many that are cancelled at once not each takes its
own. Whom it missed is found by the hunt."""


class Tree:
    """The control groups of this supervisor's runs; `path` is "" where there can be none."""

    __slots__ = (
        "_batch_us", "_home", "_late", "_leaves", "_moves", "_note", "_sessions", "_sessions_us",
        "_turn_us", "fact", "path",
    )  # fmt: skip

    def __init__(self) -> None:
        self.path = ""
        self.fact = "no control groups"
        self._home = ""
        self._note = ""
        self._leaves: dict[int, str] = {}
        """By the number of the run's leader."""
        self._late: list[str] = []
        """Leaves that were not empty when they were to go."""
        self._batch_us = self._turn_us = -TOGETHER_US
        self._moves = 0
        self._sessions: dict[int, list[int]] = {}
        self._sessions_us = -FRESH_US

    def plant(self, state: str, note: str) -> bool:
        """Make our directory, and end what an earlier life left in its own.

        `state` names the state directory; the file `note` remembers where that other one was.
        False: something in there does not die.
        """
        name = PREFIX + state
        earlier = read(note).decode("utf-8", "replace")
        if os.path.basename(earlier) == name and not clear(earlier):
            return False
        try:
            self._home = own_group()
            path = f"{self._home}/{name}"
            if not clear(path):
                return False
            _make(self._home, path)
            self._note = note
            _write(note, path.encode(), os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            self.fact = f"no control groups: {error.strerror} ({error.filename or OWN})"
            remove_tree(f"{self._home}/{name}")
            return True
        self.path = path
        self.fact = f"control groups below {path}"
        return True

    def uproot(self) -> None:
        """Take all of it away, as far as it is empty."""
        if self.path and remove_tree(self.path):
            with suppress(OSError):
                os.unlink(self._note)

    def may_enter_us(self, boot_us: int) -> int:
        """When a run that lasts may enter: now, which counts it as a move, or later."""
        if boot_us != self._turn_us:
            next_us = self._batch_us + TOGETHER_US
            if self._turn_us + WARM_US <= boot_us < next_us:
                return next_us
            if boot_us >= next_us:
                self._batch_us = boot_us
            self._turn_us = boot_us
            self._moves = 0
        elif self._moves >= MOVES_PER_TURN:
            return boot_us + 1  # in the next turn of the loop
        self._moves += 1
        return boot_us

    def enter(self, leader: int, name: str, boot_us: int) -> None:
        """Give a run a leaf: its leader, what that has started, and all of its session."""
        if not self.path or leader in self._leaves or not _is_name(name):
            return
        leaf = f"{self.path}/{name}"
        try:
            os.mkdir(leaf)
            self._leaves[leader] = leaf
            self._gather(leaf, {leader, *self._session(leader, boot_us)})
        except OSError as error:
            self.fact = f"a run is in no control group: {error.strerror} ({leaf})"
            self.leave(leader)

    def kill(self, leader: int) -> bool:
        """SIGKILL all of the run's leaf. False: it has none."""
        leaf = self._leaves.get(leader)
        if leaf is None:
            return False
        try:
            _write(f"{leaf}/cgroup.kill", b"1")
        except OSError:
            return False
        return True

    def is_held(self, leader: int) -> bool:
        """Something lives in the run's leaf. It may fork so fast that nobody ever sees it."""
        leaf = self._leaves.get(leader)
        return leaf is not None and is_populated(leaf)

    def members(self, leader: int) -> list[int]:
        """What is seen in the run's leaf."""
        leaf = self._leaves.get(leader)
        return _members(leaf) if leaf and is_populated(leaf) else []

    def leave(self, leader: int) -> int | None:
        """Take the run's leaf away; how many lived in it. They live on, outside. None: no leaf."""
        leaf = self._leaves.pop(leader, None)
        if leaf is None:
            return None
        self._late = [late for late in self._late if not remove_tree(late)]
        try:
            os.rmdir(leaf)
        except OSError:
            left = self._release(leaf)
            if not remove_tree(leaf):
                self._late.append(leaf)
            return left
        return 0

    def _session(self, leader: int, boot_us: int) -> list[int]:
        """Its members."""
        if boot_us >= self._sessions_us + FRESH_US:
            self._sessions_us = boot_us
            self._sessions = sessions()
        return self._sessions.get(leader, [])

    def _gather(self, leaf: str, outside: set[int]) -> None:
        """Move them and their children in, until everybody's children are inside.

        What one of them forks after its own move is born inside.
        """
        moved: set[int] = set()
        for _ in range(ROUNDS):
            for pid in outside:
                with suppress(ProcessLookupError):
                    _write(f"{leaf}/cgroup.procs", b"%d" % pid)
            moved |= outside
            inside = set(_members(leaf))
            outside = {child for pid in inside for child in _children(pid)} - inside - moved
            if not outside:
                break

    def _release(self, leaf: str) -> int:
        """Move all of it out to where we are ourselves; how many that were."""
        released: set[int] = set()
        for _ in range(ROUNDS):
            left = [pid for pid in _members(leaf) if is_alive(pid)]
            if not left:
                break
            for pid in left:
                with suppress(OSError):
                    _write(f"{self._home}/cgroup.procs", b"%d" % pid)
            released.update(left)
        return len(released)


def own_group() -> str:
    """The directory of the control group that we are in. Raises OSError when there is none."""
    lines = read(OWN).decode("utf-8", "replace").splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::/")), "")
    for line in read(MOUNTS).decode("utf-8", "replace").splitlines():
        before, _, after = line.partition(" - ")
        if own and "/.." not in own and after.startswith("cgroup2 "):
            root, point = (_plain(field) for field in before.split(" ")[3:5])
            if root == "/":
                return (point + own).rstrip("/")
            if f"{own}/".startswith(f"{root}/"):
                return (point + own[len(root) :]).rstrip("/")
    raise _refusal("no hierarchy of version 2 is mounted", MOUNTS)


def planted(note: str) -> str:
    """Where the supervisor that wrote `note` has its groups; "" when there is none, or it has none.

    For others than the supervisor: its directory goes with it.
    """
    path = read(note).decode("utf-8", "replace")
    return path if path and os.path.isdir(path) else ""


def attempt() -> str:
    """Where a supervisor started from here would have its groups. Raises OSError: nowhere."""
    home = own_group()
    path = f"{home}/{PREFIX}look-{os.getpid()}"
    try:
        _make(home, path)
    finally:
        remove_tree(path)
    return home


def _make(home: str, path: str) -> None:
    """A group below `home`. Raises OSError, also where we may make one and not use it."""
    os.mkdir(path)
    for file in (f"{path}/cgroup.kill", f"{path}/cgroup.procs", f"{home}/cgroup.procs"):
        os.close(os.open(file, os.O_WRONLY | os.O_CLOEXEC))
    if read(f"{path}/cgroup.type").strip() != b"domain":
        raise _refusal("it is no domain", path)


def clear(path: str) -> bool:
    """Kill all that is in the group at `path` and take it away. False: something does not die."""
    for _ in range(LOOKS):
        if not is_populated(path):
            return remove_tree(path)
        kill_tree(path)
        select.poll().poll(LOOK_MS)
    return False


def _refusal(why: str, path: str) -> OSError:
    return OSError(0, why, path)


def _is_name(name: str) -> bool:
    return name.replace("-", "").isalnum() and name.isascii()


def _plain(field: str) -> str:
    """A field of mountinfo, where a space is written as its octal number."""
    for code, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, plain)
    return field


def _members(leaf: str) -> list[int]:
    """What is in the group and in those below it."""
    folders = [folder for folder, _, _ in os.walk(leaf)]
    return [int(pid) for each in folders for pid in read(f"{each}/cgroup.procs").split()]


def _children(pid: int) -> list[int]:
    """Those that it has started and that it is still the parent of."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    lists = (read(f"/proc/{pid}/task/{thread}/children") for thread in threads)
    return [int(child) for each in lists for child in each.split()]


def _write(path: str, text: bytes, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
