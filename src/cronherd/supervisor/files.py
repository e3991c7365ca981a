# ruff: noqa: PTH102, PTH106, PTH108, PTH120, PTH208 -- pathlib would cost this process 5 ms
"""Secrets as files: written before the spawn, gone when the run is.

They lie beside the socket, which is memory where /run is; those of a run of another user lie in
/run, because that user may not pass through our own directories.
"""

import os
import stat
from contextlib import suppress
from zlib import crc32

from cronherd.supervisor.spawn import SpawnError

USERS_PLACE = "/run/cronherd-files"


class Files:
    """The directories of one supervisor, one in them for each run that has files."""

    __slots__ = ("_others", "_own", "_users")

    def __init__(self, socket_path: str, users: str = USERS_PLACE) -> None:
        """Remove what an earlier life left: nothing of it runs any more."""
        self._own = f"{socket_path}.files"
        self._users = users
        self._others = f"{users}/{crc32(os.fsencode(socket_path)):08x}"
        for base in (self._own, self._others):
            with suppress(OSError):
                for name in os.listdir(base):
                    remove(f"{base}/{name}")

    def put(self, files: dict[str, str], *, for_user: bool) -> dict[str, str]:
        """Write each; its path by its name. Raises SpawnError: then nothing is left.

        The launcher gives them to the user.
        """
        folder = ""
        try:
            folder = self._make_folder(for_user=for_user)
            return {name: _write(folder, name, files[name]) for name in files}
        except (OSError, ValueError) as error:
            if folder:
                remove(folder)
            reason = getattr(error, "strerror", None) or str(error)
            raise SpawnError("spawn_failed", f"cannot write its files: {reason}") from None

    def _make_folder(self, *, for_user: bool) -> str:
        base = self._others if for_user else self._own
        if for_user:
            _make(self._users, 0o711)
        _make(base, 0o711 if for_user else 0o700)
        folder = f"{base}/{os.urandom(8).hex()}"
        os.mkdir(folder, 0o700)
        return folder


def remove(folder: str) -> None:
    """Delete a run's directory, and the one above with the last of them.

    Nobody but us may write there, so there are only files.
    """
    with suppress(OSError):  # The next birth tries again.
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
        os.rmdir(os.path.dirname(folder))


def _make(folder: str, mode: int) -> None:
    """Make it, or be sure that it is ours alone. Raises OSError."""
    with suppress(FileExistsError):
        os.mkdir(folder, mode)
    seen = os.lstat(folder)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a directory that only we may write to")
    if stat.S_IMODE(seen.st_mode) != mode:
        os.chmod(folder, mode)  # noqa: PTH101


def _write(folder: str, name: str, content: str) -> str:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"{name!r} is no name for a file")
    path = f"{folder}/{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(content.encode("utf-8", "surrogateescape"))
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
    return path
