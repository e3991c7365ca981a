"""One command becomes one process, the vfork way: no fork, no preexec_fn, no helper process.

Measured: `os.posix_spawn` costs 60 us whatever the size of this process; anything that really
forks costs 600 us and more. Every descriptor of the supervisor is close-on-exec, so that the
child sees 0, 1 and 2 only.
"""

import errno
import fcntl
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cronherd.supervisor.launcher import look_up

if TYPE_CHECKING:
    from cronherd.supervisor.launching import Launching

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a bare name is looked up when the environment given has no PATH."""

RUN_DESCRIPTORS = 3
"""Two pipes and a pidfd."""
MORE_DESCRIPTORS = 7
"""As well two more pipes, one of the launcher, and a copy; once a run had any of them."""
OWN_DESCRIPTORS = 128
"""What the supervisor has open beside its runs: segments, connections, the ends of a spawn."""

_NOT_FOUND = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_NOT_EXECUTABLE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOEXEC, errno.ETXTBSY}
_NOT_EXECUTABLE |= {errno.ELIBBAD, errno.EINVAL}

_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python itself ignores; whatever else is ignored was so before us, as by nohup."""
_LOW_FROM, _LOW_TO = 10, 17
"""Where a child's ends lie while they are not 0, 1 and 2: beyond all that it may have (0 to 6)."""


class SpawnError(Exception):
    """Proof that nothing was executed: a machine code and one sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Room:
    """What every spawn needs: /dev/null, the signals to reset, and room for descriptors.

    Many runs at once must not raise the limit of the commands. A usual soft limit of 1,024 is
    enough for 340 runs; beyond it ours is raised to the hard one, and put back for the instant of
    each spawn, because a child inherits it.
    """

    __slots__ = ("_cwd", "_given", "_low", "_raised", "_used", "ignored", "null", "per_run")

    def __init__(self) -> None:
        self.ignored = _ignored_signals()
        self._cwd = ""
        self.null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        low = range(_LOW_FROM, _LOW_TO)
        self._low = [fcntl.fcntl(self.null, fcntl.F_DUPFD_CLOEXEC, least) for least in low]
        self._used = False
        self.per_run = RUN_DESCRIPTORS
        self._given = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._raised = False

    def enter(self, cwd: str) -> None:
        """Go there, unless the last spawn of this turn did."""
        if cwd != self._cwd:
            self._cwd = ""
            os.chdir(cwd)
            self._cwd = cwd

    def leave(self) -> None:
        """Stay in nobody's directory: it could not be unmounted."""
        if self._cwd:
            self._cwd = ""
            os.chdir("/")

    def make(self, runs: int) -> None:
        """See to room for one more run beside `runs` others."""
        if not self._raised and (runs + 1) * self.per_run + OWN_DESCRIPTORS > self._given[0]:
            self._raised = True
            self.widen()

    def widen(self) -> None:
        """Our own limit, after a spawn; no end of a pipe stays open here."""
        if self._used:
            self._used = False
            for low in self._low:
                os.dup2(self.null, low, inheritable=False)
        if self._raised:
            hard = self._given[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def narrow(self, ends: Sequence[int]) -> Sequence[int]:
        """The limit we were given, for a spawn, and `ends` below it.

        The C library's file actions refuse numbers that the limit excludes, open or not. More
        than the usual three might be numbers that others of them are to get.
        """
        if not self._raised and len(ends) == 3:
            return ends
        self._used = True
        for end, low in zip(ends, self._low, strict=False):
            os.dup2(end, low, inheritable=False)
        if self._raised:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._given)
        return self._low[: len(ends)]


class Spawned:
    """A process that was executed: it leads its own session and group, both named by its pid."""

    __slots__ = ("err", "folder", "launching", "lock", "out", "pid", "pidfd", "said")

    def __init__(self, pid: int, pidfd: int, pipes: Sequence[int], *, task: bool = False) -> None:
        """`pipes`: our ends of its stdout, stderr, of a task's own one, and of its lock's."""
        self.pid = pid
        self.pidfd = pidfd
        self.out = pipes[0]
        self.err = pipes[1]
        more = list(pipes[2:])
        self.said = more.pop(0) if task else -1
        self.lock = more.pop(0) if more else -1
        self.folder = ""
        self.launching: Launching | None = None


def spawn(
    argv: list[str],
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes,
    room: Room,
    *,
    task: bool = False,
    lock: bool = False,
    more: Sequence[int] = (),
) -> Spawned:
    """Execute `argv`. Raises SpawnError: then nothing was executed.

    Its descriptors: 0, 1, 2, with `task` and with `lock` a further pipe each, then `more`. Leaves
    this process in `cwd`: it has one thread and uses absolute paths only.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        path = _resolve(argv, cwd, env, room)
        theirs.append(in_memory("stdin", stdin) if stdin else room.null)
        for _ in range(2 + task + lock):
            end, their_end = os.pipe2(os.O_CLOEXEC)
            ours.append(end)
            theirs.append(their_end)
            os.set_blocking(end, False)
        ends = room.narrow((*theirs, *more))
        pid = _execute(path, argv, env, ends, room.ignored)
    except (OSError, ValueError, TypeError) as error:
        _close(ours)
        raise refusal(error, argv) from None
    except SpawnError:
        _close(ours)
        raise
    finally:
        room.widen()
        _close([end for end in theirs if end != room.null])
    return Spawned(pid, _pidfd(pid, ours), ours, task=task)


def spawn_beside(
    argv: list[str], env: Mapping[str, str], ends: Sequence[int], *, kept: Sequence[int] = ()
) -> Spawned:
    """Execute `argv` where we are, with `ends` as its 0, 1 and 2. Raises SpawnError.

    For the tools of one host, whose commands read and write what the tool itself was given.
    `kept` are open in it under the numbers that they have here.
    """
    try:
        path = find(argv, env)
        pid = _execute(path, argv, env, ends, list(_PYTHONS), kept)
    except (OSError, ValueError, TypeError) as error:
        raise refusal(error, argv) from None
    return Spawned(pid, _pidfd(pid, []), (-1, -1))


def _execute(
    path: str,
    argv: list[str],
    env: Mapping[str, str],
    ends: Sequence[int],
    ignored: list[signal.Signals],
    kept: Sequence[int] = (),
) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends)]
    actions += [(os.POSIX_SPAWN_DUP2, end, end) for end in kept]  # closed by exec no more
    try:
        return os.posix_spawn(
            path, argv, env,
            file_actions=actions, setsid=True, setsigmask=(), setsigdef=ignored,
        )  # fmt: skip
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without #!: execvp and every shell hand it to /bin/sh.
    return os.posix_spawn(
        "/bin/sh", ["/bin/sh", path, *argv[1:]], env,
        file_actions=actions, setsid=True, setsigmask=(), setsigdef=ignored,
    )  # fmt: skip


def _ignored_signals() -> list[signal.Signals]:
    """What this process ignores, a child would ignore for ever; exec resets handlers by itself."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return sorted(n for n in numbers if signal.getsignal(n) is signal.SIG_IGN)


def _pidfd(pid: int, pipes: list[int]) -> int:
    """A descriptor that says when `pid` ends. Without one the child must not live on."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        _close(pipes)
        raise SpawnError("spawn_failed", f"no pidfd for the new process: {error}") from None


def _resolve(argv: list[str], cwd: str, env: Mapping[str, str], room: Room) -> str:
    """Go to `cwd` and find the file to execute, by the child's PATH and not by ours."""
    if not cwd.startswith("/"):
        raise SpawnError("cwd_missing", f"the working directory {cwd!r} is not absolute")
    try:
        room.enter(cwd)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpawnError("cwd_missing", f"cannot enter {cwd!r}: {reason}") from None
    return find(argv, env)


def find(argv: list[str], env: Mapping[str, str]) -> str:
    """The file to execute, which is looked up as execvp does. Raises SpawnError."""
    if not argv or not argv[0]:
        raise SpawnError("not_found", "the command is empty")
    name = argv[0]
    if "/" in name:
        return name
    try:
        return look_up(name, env.get("PATH", DEFAULT_PATH))
    except OSError as error:
        code = "not_found" if error.errno == errno.ENOENT else "not_executable"
        raise SpawnError(code, error.strerror or "") from None


def in_memory(name: str, content: bytes) -> int:
    """The bytes as a file in memory: no writer to wait for, and it can be read again."""
    source = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(source, view) :]
        os.lseek(source, 0, os.SEEK_SET)
    except OSError:
        os.close(source)
        raise
    return source


def refusal(error: Exception, argv: list[str]) -> SpawnError:
    """What it means that executing `argv` failed so."""
    if not isinstance(error, OSError):
        return SpawnError("spawn_failed", f"not a command that can be executed: {error}")
    name = argv[0]
    if error.errno == errno.E2BIG:
        return SpawnError("too_long", "arguments and environment are longer than the host allows")
    if error.errno in _NOT_FOUND:
        return SpawnError("not_found", f"cannot execute {name!r}: {error.strerror}")
    if error.errno in _NOT_EXECUTABLE:
        return SpawnError("not_executable", f"cannot execute {name!r}: {error.strerror}")
    return SpawnError("spawn_failed", f"cannot start a process: {error.strerror}")


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
