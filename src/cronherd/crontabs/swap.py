"""A file is changed as a whole or not at all: a new one takes its place in one step."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from cronherd.domain.errors import Conflict, Unavailable

_OURS = ".cronherd-new"  # begins with a dot in its folder: no cron reads such a name


def read_bytes(file: Path) -> bytes:
    """The whole file. Raises Unavailable."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None


def check_writable(file: Path) -> None:
    """Raise Unavailable where the file could not be replaced, before anything is done."""
    target = Path(os.path.realpath(file))
    if not os.access(target.parent, os.W_OK | os.X_OK) or not os.access(target, os.R_OK | os.W_OK):
        raise Unavailable(
            f"cannot change {file}", code="not_writable", hint="root may: repeat it as root"
        )


def replace_bytes(file: Path, old: bytes, new: bytes) -> None:
    """Put `new` where `old` is: owner, mode and attributes stay, and so does a link to it.

    Raises Conflict when the file is not `old` any more, Unavailable when it cannot be written.
    """
    target = Path(os.path.realpath(file))
    fresh = target.parent / f".{target.name}{_OURS}"
    try:
        fresh.unlink(missing_ok=True)  # of a life that ended in the midst of this
        _write_like(target, fresh, new)
        if target.read_bytes() != old:  # as late as can be: an editor may have been faster
            fresh.unlink()
            raise Conflict(
                f"{file} was changed just now by somebody else",
                code="file_changed",
                hint="repeat the command",
            )
        # This also moves the time of the folder: cron looks at that before it looks at the files.
        fresh.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise _unwritable(file, error) from None


def write_private(file: Path, raw: bytes, *, owner: os.stat_result | None = None) -> None:
    """A file of mode 0600 that is on disk when this returns; `owner` is whose it is to be."""
    fresh = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            if owner is not None and os.geteuid() == 0:
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise _unwritable(file, error) from None


def sync_folder(folder: Path) -> None:
    """Names on disk, not only bytes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_like(target: Path, fresh: Path, new: bytes) -> None:
    seen = target.stat()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, 0o600), "wb") as stream:
        if (seen.st_uid, seen.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(stream.fileno(), seen.st_uid, seen.st_gid)
        os.fchmod(stream.fileno(), stat.S_IMODE(seen.st_mode))
        for name in os.listxattr(target):  # labels of SELinux, access lists
            os.setxattr(stream.fileno(), name, os.getxattr(target, name))
        stream.write(new)
        stream.flush()
        os.fsync(stream.fileno())


def _unreadable(file: Path, error: OSError) -> Unavailable:
    return Unavailable(f"cannot read {file}: {error.strerror}", code="not_readable")


def _unwritable(file: Path, error: OSError) -> Unavailable:
    return Unavailable(f"cannot write {file}: {error.strerror}", code="not_writable")
