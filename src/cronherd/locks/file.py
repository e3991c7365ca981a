"""A lock on a local file. The kernel keeps it, and frees it when its holder ends, however."""

import contextlib
import fcntl
import os
import stat

from cronherd.domain.errors import Invalid, Unavailable
from cronherd.locks.base import Clock, Hold, Holder, await_turn

_GONE_AT_ONCE = 100  # times that somebody may replace the file while we lock it


class FileHeld:
    fence = None

    def __init__(self, descriptor: int, *, shared: bool) -> None:
        self._descriptor = descriptor
        self.shared = shared

    def renew(self) -> bool:
        return self._descriptor >= 0

    def release(self, *, gap_us: int = 0) -> bool:
        if gap_us:
            raise Invalid("a lock on a file keeps no gap", code="no_gap", hint="use a server")
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return False
        os.close(descriptor)
        return True

    def __del__(self) -> None:
        """A forgotten hold ends with its object, as a file does."""
        self.release()


class FileLock:
    """flock(2) on `path`; made when it is not there, never removed.

    Removing it would let two processes lock two files of one name. No command inherits the lock:
    the descriptor is closed when a program is executed.
    """

    expiry_us = None

    def __init__(self, path: str, clock: Clock) -> None:
        self.name = path
        self._clock = clock

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> FileHeld | None:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if wait_us is None:  # the kernel wakes us at once, and keeps the order
            return self._locked(how, shared=shared)

        def attempt() -> FileHeld | None:
            return self._locked(how | fcntl.LOCK_NB, shared=shared)

        return await_turn(attempt, self._clock, wait_us)

    def holder(self) -> Holder | None:
        return None

    def holds(self) -> list[Hold]:
        raise Invalid(
            "a lock on a file does not tell who holds it",
            code="no_lock_list",
            hint=f"fuser {self.name}",
        )

    def clear(self, actor: str) -> list[Hold]:
        del actor
        raise Invalid(
            "a lock on a file is free when its holder ends, and not before",
            code="no_lock_clear",
            hint=f"look for it with: fuser {self.name}",
        )

    def close(self) -> None:
        """There is no connection."""

    def _locked(self, how: int, *, shared: bool) -> FileHeld | None:
        try:
            for _ in range(_GONE_AT_ONCE):
                descriptor = self._taken(how)
                if self._is_still(descriptor):
                    return FileHeld(descriptor, shared=shared)
                os.close(descriptor)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Unavailable(
                f"cannot lock {self.name}: {error.strerror}", code="lock_unavailable"
            ) from None
        raise Unavailable(
            f"cannot lock {self.name}: it is replaced all the time",
            code="lock_unavailable",
            hint="whoever replaces it must not",
        )

    def _taken(self, how: int) -> int:
        """A descriptor with the lock. None is left to a destructor, where a signal gets lost."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _open(self) -> int:
        flags = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # a pipe must not make us wait
        with contextlib.suppress(PermissionError, IsADirectoryError):
            return os.open(self.name, os.O_RDWR | os.O_CREAT | flags, 0o666)
        # A folder, or somebody else's file that may only be read: both can be locked.
        return os.open(self.name, os.O_RDONLY | flags)

    def _is_still(self, descriptor: int) -> bool:
        """Whether the name still means what was locked: it may have been replaced meanwhile."""
        try:
            named = os.stat(self.name)  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return False
        ours = os.fstat(descriptor)
        return os.path.samestat(named, ours) or not stat.S_ISREG(named.st_mode)
