# ruff: noqa: PTH116 -- pathlib would cost this process 5 ms of its birth
"""One command becomes one process, the vfork way: no fork, no preexec_fn, no helper process.

Measured: `os.posix_spawn` costs 60 us whatever the size of this process; anything that really
forks costs 600 us and more. Every descriptor of the supervisor is close-on-exec, so that the
child sees 0, 1 and 2 only.
"""

import errno
import os
import resource
import signal
import stat
from collections.abc import Mapping

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a bare name is looked up when the environment given has no PATH."""

RUN_DESCRIPTORS = 3
"""Two pipes and a pidfd."""
OWN_DESCRIPTORS = 128
"""What the supervisor has open beside its runs: segments, connections, the ends of a spawn."""

_NOT_FOUND = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_NOT_EXECUTABLE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOEXEC, errno.ETXTBSY}
_NOT_EXECUTABLE |= {errno.ELIBBAD, errno.EINVAL}


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

    __slots__ = ("_cwd", "_given", "_low", "_raised", "ignored", "null")

    def __init__(self) -> None:
        self.ignored = _ignored_signals()
        self._cwd = ""
        self.null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._low = [os.dup(self.null) for _ in range(3)]
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
        if not self._raised and (runs + 1) * RUN_DESCRIPTORS + OWN_DESCRIPTORS > self._given[0]:
            self._raised = True
            self.widen()

    def widen(self) -> None:
        """Our own limit, after a spawn."""
        if self._raised:
            for low in self._low:
                os.dup2(self.null, low, inheritable=False)
            hard = self._given[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def narrow(self, ends: tuple[int, int, int]) -> tuple[int, ...]:
        """The limit we were given, for a spawn, and `ends` below it.

        The C library's file actions refuse numbers that the limit excludes, open or not.
        """
        if not self._raised:
            return ends
        for end, low in zip(ends, self._low, strict=True):
            os.dup2(end, low, inheritable=False)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._given)
        return tuple(self._low)


class Spawned:
    """A process that was executed: it leads its own session and group, both named by its pid."""

    __slots__ = ("err", "out", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, out: int, err: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.out = out
        self.err = err


def spawn(argv: list[str], cwd: str, env: Mapping[str, str], stdin: bytes, room: Room) -> Spawned:
    """Execute `argv`. Raises SpawnError: then nothing was executed.

    Leaves this process in `cwd`: it has one thread and uses absolute paths only.
    """
    opened: list[int] = []
    try:
        path = _resolve(argv, cwd, env, room)
        out, out_end = os.pipe2(os.O_CLOEXEC)
        opened += (out, out_end)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        opened += (err, err_end)
        source = room.null
        if stdin:
            source = _stdin(stdin)
            opened.append(source)
        os.set_blocking(out, False)
        os.set_blocking(err, False)
        ends = room.narrow((source, out_end, err_end))
        pid = _execute(path, argv, env, ends, room.ignored)
    except (OSError, ValueError, TypeError) as error:
        _close(opened)
        raise _refusal(error, argv) from None
    except SpawnError:
        _close(opened)
        raise
    finally:
        room.widen()
    _close(opened[1::2] if source == room.null else [out_end, err_end, source])
    return Spawned(pid, _pidfd(pid, out, err), out, err)


def _execute(
    path: str,
    argv: list[str],
    env: Mapping[str, str],
    ends: tuple[int, ...],
    ignored: list[signal.Signals],
) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends)]
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


def _pidfd(pid: int, out: int, err: int) -> int:
    """A descriptor that says when `pid` ends. Without one the child must not live on."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        _close([out, err])
        raise SpawnError("spawn_failed", f"no pidfd for the new process: {error}") from None


def _resolve(argv: list[str], cwd: str, env: Mapping[str, str], room: Room) -> str:
    """Go to `cwd` and find the file to execute, by the child's PATH and not by ours."""
    if not argv or not argv[0]:
        raise SpawnError("not_found", "the command is empty")
    if not cwd.startswith("/"):
        raise SpawnError("cwd_missing", f"the working directory {cwd!r} is not absolute")
    try:
        room.enter(cwd)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpawnError("cwd_missing", f"cannot enter {cwd!r}: {reason}") from None
    name = argv[0]
    return name if "/" in name else _look_up(name, env.get("PATH", DEFAULT_PATH))


def _look_up(name: str, path: str) -> str:
    """As execvp: the first executable file; a file that may not be executed is remembered."""
    refused = ""
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = refused or candidate
    if refused:
        raise SpawnError("not_executable", f"{refused} may not be executed")
    raise SpawnError("not_found", f"no {name!r} in PATH {path!r}")


def _stdin(content: bytes) -> int:
    """The bytes as a file in memory: no writer to wait for, and it can be read again."""
    source = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(source, view) :]
        os.lseek(source, 0, os.SEEK_SET)
    except OSError:
        os.close(source)
        raise
    return source


def _refusal(error: Exception, argv: list[str]) -> SpawnError:
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
