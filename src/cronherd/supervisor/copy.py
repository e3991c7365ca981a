"""All of a run's output, under no cap, appended to a file of this host.

Whatever goes wrong with it is no business of the run: it is said once on our stderr, and the bytes
that are missing are counted. The file is opened, and renamed, with the rights of the run's user.
"""

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cronherd.supervisor.mask import hide
from cronherd.supervisor.trail import Trail

Ids = tuple[int, ...]
"""uid, gid, and the groups beside."""


class Copy:
    """The copy of one attempt. Opened with the first output."""

    __slots__ = (
        "_fd",
        "_fresh",
        "_gap",
        "_limit",
        "_masks",
        "_path",
        "_run",
        "_said",
        "ids",
        "missing",
    )

    def __init__(
        self, path: str, limit: int, run: str, masks: list[str], *, fresh: bool = False
    ) -> None:
        """`limit`: bytes after which a new file is begun, 0 for never; `fresh`: empty it first.

        `run` and `masks`: for sentences.
        """
        self._masks = masks
        self._path = path
        self._limit = limit
        self._fresh = fresh
        self._run = run
        self._fd = -1
        self._gap = 0
        self._said = False
        self.ids: Ids | None = ()
        """Whose rights count; empty: our own. None: not known yet, and nothing is opened."""
        self.missing = 0
        """Bytes that are not in the file."""

    def add(self, chunk: bytes) -> None:
        """Append it. What the file does not take is missing, and where, it is said there."""
        left = memoryview(chunk)
        try:
            self._prepare()
            if self._gap:
                os.write(self._fd, b"\n[cronherd: %d bytes are missing here]\n" % self._gap)
                self._gap = 0
            while left:
                left = left[os.write(self._fd, left) :]
        except (OSError, ValueError) as error:
            self._gap += len(left)
            self.missing += len(left)
            self._complain(error)

    def close(self) -> None:
        """The run has ended."""
        if self._fresh and self.ids is not None:  # it wrote nothing
            self.add(b"")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self.missing:
            say(f"{self.missing} bytes are missing in the copy of {self._run}")

    def _prepare(self) -> None:
        """Be sure of an open file that has not reached its limit. Others may write it as well."""
        if self._fd < 0:
            self._open()
        if self._limit and os.fstat(self._fd).st_size >= self._limit:
            self._rotate()

    def _open(self) -> None:
        if not self._path.startswith("/"):
            raise ValueError("its path is not absolute")
        if self.ids is None:
            raise ValueError("the rights of its user are not known")
        with rights_of(self.ids), _trail(self._path) as trail:
            self._fd = _open_ours(trail)
        if self._fresh:
            self._fresh = False
            os.ftruncate(self._fd, 0)

    def _rotate(self) -> None:
        """Go on in a new file. Another run that writes the same copy may have done it before."""
        with rights_of(self.ids or ()), _trail(self._path) as trail:
            if _is_at(trail, self._fd):
                folder, name = trail.folder, trail.name
                os.rename(name, f"{name}.1", src_dir_fd=folder, dst_dir_fd=folder)
        os.close(self._fd)
        self._fd = -1
        self._open()

    def _complain(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            reason = getattr(error, "strerror", None) or str(error)
            text = f"the copy of {self._run} to {self._path!r} is not complete: {reason}"
            say(hide(text, self._masks))


@contextmanager
def rights_of(ids: Ids) -> Iterator[None]:
    """What is opened meanwhile is opened as that user could. This process has one thread."""
    if not ids:
        yield
        return
    own, groups = (os.geteuid(), os.getegid()), os.getgroups()
    uid, gid, *others = ids
    try:
        os.setgroups(others)
        os.setegid(gid)
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(own[0])
        os.setegid(own[1])
        os.setgroups(groups)


def say(text: str) -> None:
    """One line on our stderr, unless nobody takes it: an agent that hangs must not hold us."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        with suppress(OSError):
            os.write(2, f"cronherd supervisor: {text}\n".encode("utf-8", "backslashreplace")[:4096])


@contextmanager
def _trail(path: str) -> Iterator[Trail]:
    """The way there. Raises OSError, and ValueError where somebody else could have bent it."""
    trail = Trail(path, last=False)
    try:
        if trail.strangers:
            raise ValueError("a link that belongs to another user leads there")
        yield trail
    finally:
        trail.close()


def _open_ours(trail: Trail) -> int:
    """For appending: a regular file of whom we are now, and by no second name. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(trail.name, flags, 0o600, dir_fd=trail.folder)
    seen = os.fstat(descriptor)
    reason = ""
    if not stat.S_ISREG(seen.st_mode):
        reason = "it is not a regular file"
    elif seen.st_uid != os.geteuid():
        reason = "the file belongs to another user"
    elif seen.st_nlink != 1:
        reason = "the file has a second name"
    if reason:
        os.close(descriptor)
        raise ValueError(reason)
    return descriptor


def _is_at(trail: Trail, descriptor: int) -> bool:
    try:
        there = os.stat(trail.name, dir_fd=trail.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
