# ruff: noqa: PTH105, PTH108, PTH116 -- paths are the text that a person gave; pathlib adds nothing
"""New content for one file: written beside it, then put in its place by one rename."""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from cronherd.domain.errors import CronherdError, Invalid

PIECE = 65_536
BACKUP = "~"
NAME_ROOM = 200
"""Of the name, in bytes: with what is put around it, a name may have 255."""
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}


class Unpublished(CronherdError):
    """The file is as it was; the sentence says why."""

    default_code = "not_published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a file is replaced."""

    backup: bool = False
    """The old one stays beside it, under its name and `~`."""
    no_clobber: bool = False
    """Only where there is none."""
    keep_on_empty: bool = False
    """Nothing is no new content."""


class Publication:
    """New content for one file: written beside it, then put in its place."""

    def __init__(self, path: str, manner: Manner) -> None:
        """Raises Unpublished where no file can be."""
        self._path = os.path.realpath(path)  # a link stays, and what it names is replaced
        self._manner = manner
        self._folder, self._name = os.path.split(self._path)
        self._old = self._look()
        self._temporary = ""
        self._source = ""
        """Of another file system: to be taken away when its copy is published."""
        self._is_lent = False
        """The temporary file is somebody's, who keeps it unless it is published."""
        self.descriptor = -1

    def open(self) -> None:
        """Make the temporary file. Raises Unpublished."""
        self._temporary = self._beside()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise self._failed(error, self._folder) from None

    def take(self, source: str) -> None:
        """A finished file is the temporary one, or a copy of it where a rename cannot lead from."""
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise self._failed(error, source) from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise Unpublished(f"{source} is no file, and only a file can be published")
            if found.st_dev == os.stat(self._folder).st_dev:
                self._temporary, self._is_lent = source, True
                self.descriptor, descriptor = descriptor, -1
                return
            self.open()
            self._source = source
            while piece := os.read(descriptor, PIECE):
                self.write(piece)
        except OSError as error:
            raise self._failed(error, source) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def write(self, piece: bytes) -> None:
        """Raises Unpublished, where the disk is full for example."""
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError as error:
            raise self._failed(error, self._folder) from None

    def commit(self) -> bool:
        """Put it in its place, on the disk too. False: it was empty, and the old one is kept.

        Raises Unpublished.
        """
        try:
            if self._manner.keep_on_empty and not os.fstat(self.descriptor).st_size:
                return False
            self._dress()
            os.fsync(self.descriptor)
            if self._manner.backup and self._old is not None:
                self._back_up()
            self._replace()
            _sync_folder(self._folder)
            if self._source:
                os.unlink(self._source)
        except OSError as error:
            raise self._failed(error, self._path) from None
        return True

    def close(self) -> None:
        """Take away what was not published."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._temporary and not self._is_lent:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = ""

    def _look(self) -> os.stat_result | None:
        try:
            old = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, self._path) from None
        if not stat.S_ISREG(old.st_mode):
            raise Unpublished(f"{self._path} is no file, and only a file can be replaced")
        if self._manner.no_clobber:
            raise _exists(self._path)
        return old

    def _beside(self) -> str:
        """A free name in the same directory, so that the last step is a rename."""
        short = os.fsdecode(os.fsencode(self._name)[:NAME_ROOM])
        return f"{self._folder}/.{short}.{os.urandom(6).hex()}.tmp"

    def _dress(self) -> None:
        """As the old one was; a first one as any new file of this process."""
        if self._old is None:
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(self.descriptor, 0o666 & ~mask)
            return
        with suppress(PermissionError):  # only root may give files away
            os.fchown(self.descriptor, self._old.st_uid, self._old.st_gid)
        os.fchmod(self.descriptor, stat.S_IMODE(self._old.st_mode))

    def _back_up(self) -> None:
        """A second name for the old one; at no moment has the file none."""
        name = self._beside()
        try:
            os.link(self._path, name)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._copy_old(name)
        try:
            os.replace(name, f"{self._path}{BACKUP}")
        finally:
            with suppress(FileNotFoundError):  # still there if both were one file already
                os.unlink(name)

    def _copy_old(self, name: str) -> None:
        """Where a file can have one name only."""
        assert self._old is not None
        old = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while piece := os.read(old, PIECE):
                view = memoryview(piece)
                while view:
                    view = view[os.write(new, view) :]
            os.fchmod(new, stat.S_IMODE(self._old.st_mode))
            os.fsync(new)
        finally:
            os.close(old)
            os.close(new)

    def _replace(self) -> None:
        if not self._manner.no_clobber:
            os.replace(self._temporary, self._path)
            self._temporary = ""
            return
        try:
            os.link(self._temporary, self._path)  # unlike a rename it refuses to replace
        except FileExistsError:
            raise _exists(self._path) from None
        os.unlink(self._temporary)
        self._temporary = ""

    def _failed(self, error: OSError, path: str) -> Unpublished:
        return Unpublished(f"{path}: {error.strerror}; {self._path} is as it was")


def _exists(path: str) -> Invalid:
    return Invalid(
        f"{path} exists already", code="file_exists", hint="without --no-clobber it is replaced"
    )


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
