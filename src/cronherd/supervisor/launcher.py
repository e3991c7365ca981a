# ruff: noqa: PTH101, PTH116, PTH120 -- pathlib would cost 10 ms, as much as all the rest
"""The launcher: it becomes a command that asks for what posix_spawn cannot give.

Another user or group, limits, niceness, a holder to die with. A script of its own, which imports
as little as it can, run for those starts only; all of it at once, because another user may not
read our Python. It is born as the command is to be, in a session and group of its own, with the
command's descriptors: what becomes of it is what becomes of the command. It has two more, whose
numbers are its arguments: its plan, a file in memory (see `launch`), and a pipe on which it says
how far it came:

    ids UID GID GROUP ...           whom it runs as from here on
    exec                            written right before execve: from here on, who knows
    refused STAGE ERRNO TEXT        nothing was executed; TEXT, to the end, may have several lines

The pipe closes with execve. It ends without "exec" when the launcher died before: no command ran.
"""

import grp
import os
import pwd
import sys
from _signal import SIG_DFL, SIGKILL, signal  # type: ignore[import-not-found] # `signal` costs 7 ms
from errno import EACCES, ENOENT, ENOEXEC, EPERM, ESRCH
from marshal import loads
from resource import RLIM_INFINITY, getrlimit, setrlimit

TYPE_CHECKING = False  # `typing` would cost 10 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RESET = (2, 13, 25)
"""INT, PIPE and XFSZ: Python handles or ignores them, and what is ignored survives execve."""
DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG, which is kept over execve."""
REFUSED = 125
"""Nobody judges by it: what counts is on the pipe."""
FILE_TYPE, REGULAR = 0o170000, 0o100000


def look_up(name: str, path: str) -> str:
    """As execvp: the first executable file; a file that may not be executed is remembered.

    Raises OSError, its text a sentence. Both sides use it: only the user knows what it may do.
    """
    refused = ""
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        try:
            mode = os.stat(candidate).st_mode
        except (OSError, ValueError):
            continue
        if mode & FILE_TYPE == REGULAR:
            if os.access(candidate, os.X_OK):
                return candidate
            refused = refused or candidate
    if refused:
        raise OSError(EACCES, f"{refused} may not be executed")
    raise OSError(ENOENT, f"no {name!r} in PATH {path!r}")


def limit(wanted: "list[tuple[str, int, int, int]]") -> None:
    """Set each (name, number, soft, hard). Raises OSError with the name as its text."""
    for name, number, soft, hard in wanted:
        ceiling = getrlimit(number)[1]
        is_free = ceiling == RLIM_INFINITY or soft > ceiling
        try:
            setrlimit(number, (soft, hard if is_free else min(hard, ceiling)))
        except (OSError, ValueError, OverflowError) as error:
            raise OSError(getattr(error, "errno", None) or EACCES, name) from None


def become(user: str, group: str, files: "list[str]", status: int) -> None:
    """Take the ids of `user`, for ever; its files become its own before."""
    if not user and not group:
        return
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError as unknown:
        raise OSError(0, unknown.args[0]) from None
    if files:
        folder = os.path.dirname(files[0])
        for path in files:
            os.chown(path, entry.pw_uid, gid, follow_symlinks=False)
        # It may pass through and add nothing.
        os.chown(folder, -1, gid, follow_symlinks=False)
        os.chmod(folder, 0o710)  # noqa: S103 (its group is the run's, to pass through)
    os.initgroups(entry.pw_name, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    ids = [entry.pw_uid, gid, *os.getgroups()]
    os.write(status, f"ids {' '.join(map(str, ids))}\n".encode())
    for path in files:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def die_with(holder: int) -> None:
    """Let the kernel kill what this becomes when its parent dies. Raises OSError."""
    # `ctypes`, which is made of these, costs 4 ms, and `cronherd lock` starts each command so.
    from _ctypes import call_function, dlopen, dlsym  # noqa: PLC0415 - for who asks for it

    prctl = dlsym(dlopen(None, 0), "prctl")  # type: ignore[arg-type] # None is this program
    if call_function(prctl, (DEATH_SIGNAL, SIGKILL, 0, 0, 0)):
        raise OSError(EPERM, "the kernel does not let it")
    if os.getppid() != holder:
        raise OSError(ESRCH, "it died before")


def execute(path: str, argv: "list[str]", env: "Mapping[str, str]") -> None:
    """Become the command; a script without #! is the shell's, as execvp has it."""
    try:
        os.execve(path, argv, env)  # noqa: S606 (starting commands is the trade of this project)
    except OSError as error:
        if error.errno != ENOEXEC:
            raise
    os.execve("/bin/sh", ["/bin/sh", path, *argv[1:]], env)  # noqa: S606


def follow(plan: "Mapping[str, Any]", status: int) -> None:
    """Step by step; the name of the one that fails goes into the pipe. Does not return."""
    stage = "nice"
    try:
        if plan["nice"]:
            os.nice(plan["nice"])
        stage = "holder"
        if plan["holder"]:
            die_with(plan["holder"])
        stage = "limits"
        limit(plan["limits"])
        stage = "user"
        become(plan["user"], plan["group"], plan["files"], status)
        stage = "cwd"
        if plan["cwd"]:
            os.chdir(plan["cwd"])
        stage = "path"
        name = plan["argv"][0]
        path = name if "/" in name else look_up(name, plan["path"])
        stage = "limits"
        limit(plan["last_limits"])  # From here on memory may be short.
        stage = "exec"
        os.write(status, b"exec\n")
        execute(path, plan["argv"], plan["env"])
    except (OSError, ValueError, TypeError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        text = getattr(error, "strerror", None) or str(error)
        os.write(status, f"refused {stage} {number} {text}".encode("utf-8", "surrogateescape"))
    except MemoryError:
        os.write(status, b"refused memory 12 -")


def main() -> None:
    """Read the plan, be as a fresh process, and follow it."""
    plan, status = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(status, False)  # noqa: FBT003 (its only form)
    for number in RESET:
        signal(number, SIG_DFL)
    text = os.pread(plan, os.fstat(plan).st_size, 0)
    os.close(plan)
    follow(loads(text), status)  # noqa: S302 (our supervisor wrote it, into memory)
    os._exit(REFUSED)


if __name__ == "__main__":
    main()
