"""The way to a file, step by step, for whoever has more rights than those who own a part of it.

A link that another user laid leads where that user wants: root, who follows it, opens for them
what they may not. Nothing here waits, and nothing changes between a look and the next step.
"""

import errno
import os
import stat
from contextlib import suppress

LINKS = 40
"""So many a kernel follows; more are a circle."""
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Trail:
    """Where an absolute path ends: `folder`, a descriptor, and in it `name`.

    `strangers`: whose links led there, uids beside root's and our own. Raises OSError.
    """

    __slots__ = ("folder", "name", "strangers")

    def __init__(self, path: str, *, last: bool) -> None:
        """`last`: follow the last part too, if it is a link; then the file has to exist."""
        self.strangers: set[int] = set()
        self.name = "."
        with suppress(OSError):
            os.stat(path)  # noqa: PTH116 - only this mounts what is mounted when it is used
        self.folder = _root()
        try:
            self._walk(path, last)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The descriptor."""
        os.close(self.folder)

    def _walk(self, path: str, last: bool) -> None:  # noqa: FBT001 - the word of our own __init__
        parts = [part for part in path.split("/") if part][::-1]
        links = 0
        while parts:
            name = parts.pop()
            if not parts and not last:
                self.name = name
                return
            step = os.open(name, _STEP, dir_fd=self.folder)
            try:
                seen = os.fstat(step)
                if stat.S_ISLNK(seen.st_mode):
                    links += 1
                    if links > LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    self._note(seen.st_uid)
                    target = os.readlink("", dir_fd=step)
                    parts += [part for part in target.split("/") if part][::-1]
                    if target.startswith("/"):
                        self._enter(_root())
                elif parts:
                    self._enter(os.dup(step))
                else:
                    self.name = name
            finally:
                os.close(step)

    def _note(self, uid: int) -> None:
        if uid not in {0, os.geteuid()}:
            self.strangers.add(uid)

    def _enter(self, folder: int) -> None:
        os.close(self.folder)
        self.folder = folder


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
