"""A process that publishes on a file system of its own, while somebody copies its image.

    unshare --mount ... python -m tests.tools.publisher IMAGE FOLDER COUNTERS [LEFT OUT]

Each line of standard input makes it publish: `loop` as fast as it can until its input ends,
`command` once, by the real command. LEFT OUT: `file` or `folder`, which then is not synced, to
see that it would be noticed. COUNTERS: two numbers of 8 bytes, the last version that was begun
and the last one that is published.
"""

import mmap
import os
import select
import stat
import subprocess
import sys
from pathlib import Path

from cronherd.tools.publication import Manner, Publication

MOUNT = ("mount", "-o", "loop,noauto_da_alloc")
"""ext4 guesses at who forgot to sync, and repairs; without that it keeps to what POSIX says."""


def content(version: int) -> bytes:
    """Of another length each time; whole or not can be seen by looking at it."""
    return f"{version:08d}\n".encode() * (50 + version * 37 % 3_000)


class Publisher:
    def __init__(self, folder: Path, counters: Path) -> None:
        self.page = folder / "page"
        with counters.open("r+b") as file:
            self.counters = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")

    def publish(self) -> None:
        """In this process."""
        version = self._begin()
        publication = Publication(str(self.page), Manner(backup=True))
        try:
            publication.open()
            publication.write(content(version))
            publication.commit()
        finally:
            publication.close()
        self.counters[1] = version

    def command(self) -> None:
        version = self._begin()
        argv = [sys.executable, "-m", "cronherd", "publish", "--backup", str(self.page)]
        subprocess.run(argv, input=content(version), check=True)
        self.counters[1] = version

    def _begin(self) -> int:
        self.counters[0] += 1
        return self.counters[0]


def leave_out(kind: str) -> None:
    """Make fsync do nothing for files or for folders."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if is_folder != (kind == "folder"):
            real(descriptor)

    os.fsync = fsync  # type: ignore[assignment] # of what we call it with


def main(image: str, folder: str, counters: str, left_out: str = "") -> None:
    subprocess.run([*MOUNT, image, folder], check=True)
    device = Path(folder).stat().st_dev
    publisher = Publisher(Path(folder), Path(counters))
    publisher.publish()
    os.sync()
    if left_out:
        leave_out(left_out)
    sys.stdout.write(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line == "loop\n":
            while not select.select([0], [], [], 0)[0]:
                publisher.publish()
        elif line == "command\n":
            publisher.command()
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
