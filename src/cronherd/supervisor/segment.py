# ruff: noqa: PTH104, PTH108, PTH208 -- pathlib would cost this process 5 ms of its birth
"""One file of the spool: records one after another, the last of which may be torn."""

import os
from struct import Struct
from zlib import crc32

from cronherd.supervisor.wire import HEADER

RECORD = Struct("!IIB")
"""Length of the body, its crc32 (seeded with the kind), and the kind of the record."""
RECORD_LIMIT = 64 << 20
"""Above the largest frame; a longer length is the garbage of a torn write."""

SUFFIX = ".spool"

Record = tuple[int, bytes, int]
"""kind, body, size on disk."""


class Segment:
    """A file named by the spool position of its first byte."""

    __slots__ = ("_folder", "fd", "size", "start")

    def __init__(self, folder: str, start: int) -> None:
        self._folder = folder
        self.start = start
        self.fd = os.open(self._path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self.fd).st_size

    @property
    def end(self) -> int:
        """The position after its last record."""
        return self.start + self.size

    def append(self, kind: int, body: bytes) -> bool:
        """Write one record at the end. False when the disk does not take it: nothing changed.

        No fsync: what must survive is the kill -9 of any process, and the page cache does. When
        the host itself dies, so did the runs. A short write is overwritten by the next try.
        """
        record = RECORD.pack(len(body), crc32(body, kind), kind) + body
        try:
            written = os.pwrite(self.fd, record, self.size)
        except OSError:
            return False
        if written != len(record):
            return False
        self.size += written
        return True

    def read(self, offset: int) -> Record | None:
        """The record at `offset`, or None at the end and before a torn or damaged one."""
        front = os.pread(self.fd, RECORD.size, offset)
        if len(front) < RECORD.size:
            return None
        length, checksum, kind = RECORD.unpack(front)
        if not HEADER.size <= length <= RECORD_LIMIT:
            return None  # Garbage; a run of zeros, too, which has the right checksum.
        body = os.pread(self.fd, length, offset + RECORD.size)
        if len(body) != length or crc32(body, kind) != checksum:
            return None
        return kind, body, RECORD.size + length

    def cut(self, size: int) -> None:
        """Forget what lies behind `size`: the torn tail of an earlier life."""
        os.ftruncate(self.fd, size)
        self.size = size

    def empty(self, start: int) -> None:
        """Begin again at `start` with no record, keeping the file.

        Truncated before it is renamed: dying between the two leaves an empty file.
        """
        os.ftruncate(self.fd, 0)
        self.size = 0
        old = self._path()
        self.start = start
        os.rename(old, self._path())

    def remove(self) -> None:
        """Delete the file."""
        os.close(self.fd)
        os.unlink(self._path())

    def _path(self) -> str:
        return f"{self._folder}/{self.start:020d}{SUFFIX}"


def segments(folder: str) -> list[Segment]:
    """The segments in `folder`, oldest first."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    return [Segment(folder, int(name.removesuffix(SUFFIX))) for name in names]
