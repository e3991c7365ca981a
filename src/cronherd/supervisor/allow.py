"""Whom commands may run as on this host: a list that only its root can write.

Nothing in the database can widen it. It is read for each start: a change counts at once.
"""

import os
import stat

from cronherd.supervisor.spawn import SpawnError

ALLOW = "/etc/cronherd/run-as.allow"
LIST_BYTES = 64 << 10


def check(path: str, user: str, group: str) -> None:
    """Raises SpawnError, not_allowed, unless this host lets its supervisor run that."""
    wanted = f"{user or 'root'}:{group}" if group else user
    if os.geteuid():
        raise _refusal(wanted, "the supervisor of this host does not run as root")
    try:
        lines = _lines(path)
    except OSError as error:
        advice = f"root writes a line '{wanted}' there to allow it"
        raise _refusal(wanted, f"cannot use {path}: {error.strerror}; {advice}") from None
    except ValueError as error:
        raise _refusal(wanted, str(error)) from None
    if wanted not in lines:
        raise _refusal(wanted, f"{path} has no line '{wanted}'; root adds one to allow it")


def user_refusal(user: str) -> str:
    """Why this host would not run commands as that user, '' when it would: for who asks before."""
    import pwd  # noqa: PLC0415 - the supervisor has its own way to look users up

    try:
        pwd.getpwnam(user)
        check(ALLOW, user, "")
    except KeyError:
        return f"this host has no user '{user}'"
    except SpawnError as refused:
        return refused.text
    return ""


def _lines(path: str) -> set[str]:
    """The names in the list. Raises ValueError when others than root may write it."""
    folder = os.path.dirname(path)  # noqa: PTH120 (pathlib would cost this process 5 ms)
    _trust(folder, os.stat(folder))  # noqa: PTH116
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise ValueError(f"{path} is not a regular file")
        _trust(path, seen)
        if seen.st_size > LIST_BYTES:
            raise ValueError(f"{path} is longer than {LIST_BYTES} bytes")
        text = os.read(descriptor, LIST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
    named = (line.partition("#")[0].strip() for line in text.splitlines())
    return {name for name in named if name}


def _trust(path: str, seen: os.stat_result) -> None:
    if seen.st_uid != 0:
        raise ValueError(f"{path} does not belong to root: chown root:root {path}")
    if seen.st_mode & 0o022:
        raise ValueError(f"{path} may be written by others than root: chmod go-w {path}")


def _refusal(wanted: str, why: str) -> SpawnError:
    return SpawnError("not_allowed", f"may not run as '{wanted}': {why}")
