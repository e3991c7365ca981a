"""D3.6: what a power cut leaves: ext4 in a file, which is copied while `publish` writes into it.

A copy counts only if no write to the device ended while it was made: then it holds all writes
that had ended and perhaps parts of the others, as a disk does that lost its power. What a disk
loses because it said "written" too early is beyond this test, as it is beyond every program. Then
the journal of the copy is replayed, as a mount does, and its file must be whole.
"""

import mmap
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.publisher import content

PROGRAMS = ("unshare", "mount", "mkfs.ext4", "e2fsck", "debugfs")
MIB = 1 << 20
COPIES = 60
PATIENCE_S = 60
REPAIRED = 1
"""e2fsck: the journal was replayed, or files without a name were freed. More is a fault of ours."""


ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cut:
    """What a copy holds. `least` was published before it was made, `most` perhaps begun."""

    least: int
    most: int
    page: bytes
    backup: bytes
    names: str

    @property
    def version(self) -> int:
        """-1: of no version, or of a part."""
        return version_of(self.page)

    @property
    def fault(self) -> str:
        if self.version < 0:
            return f"torn: {len(self.page)} bytes"
        if version_of(self.backup) < 0 and self.least > 1:
            return f"a torn backup: {len(self.backup)} bytes"
        if self.version < self.least:
            return f"{self.version} although {self.least} was published"
        return "" if self.version <= self.most else "from nowhere"


def version_of(text: bytes) -> int:
    version = int(text[:8]) if text[:8].isdigit() else -1
    return version if version >= 0 and text == content(version) else -1


class Disk:
    """An image with a publisher that has it mounted, in a namespace of its own."""

    def __init__(self, folder: Path, left_out: str = "") -> None:
        self.folder = folder
        self.image = folder / "image"
        with self.image.open("wb") as file:
            file.truncate(6 * MIB)
        make = ["mkfs.ext4", "-q", "-b", "1024", "-N", "64", "-J", "size=1", str(self.image)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        (folder / "mounted").mkdir()
        counters = folder / "counters"
        counters.write_bytes(bytes(16))
        with counters.open("r+b") as shared:
            self.counters = memoryview(mmap.mmap(shared.fileno(), 16)).cast("Q")
        # With the last process of the namespace its mount goes, and so does the loop device.
        self.process = subprocess.Popen(
            [
                "unshare", "--mount", "--fork", "--kill-child", sys.executable, "-m",
                "tests.tools.publisher", str(self.image), str(folder / "mounted"), str(counters),
                *([left_out] if left_out else []),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        )  # fmt: skip
        self.stat = Path(self.answer())

    def ask(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline().strip()
        if not line:
            _, why = self.process.communicate(timeout=PATIENCE_S)
            pytest.fail(f"it published nothing: {why}")
        return line

    def cut(self) -> Cut:
        """What the disk would hold if the power went now."""
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            least, before = self.counters[1], self._written()
            copy = self.image.read_bytes()
            if self._written() == before:
                return self._look(copy, least, self.counters[0])
        pytest.fail("it never stops writing")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _written(self) -> str:
        """How many writes have ended."""
        return self.stat.read_text().split()[4]

    def _look(self, copy: bytes, least: int, most: int) -> Cut:
        path = self.folder / "copy"
        path.write_bytes(copy)
        mended = subprocess.run(
            ["e2fsck", "-f", "-p", str(path)], capture_output=True, text=True, check=False
        )
        assert mended.returncode <= REPAIRED, mended.stdout
        names = self._ask(path, "ls -p /").decode()
        return Cut(least, most, self._ask(path, "cat /page"), self._ask(path, "cat /page~"), names)

    def _ask(self, path: Path, question: str) -> bytes:
        argv = ["debugfs", "-R", question, str(path)]
        return subprocess.run(argv, capture_output=True, check=True).stdout


Make = Callable[..., Disk]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Make]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount an image")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not Path("/dev/loop-control").exists():
        pytest.skip("this kernel, or this container, has no loop devices")
    disks: list[Disk] = []

    def make(left_out: str = "") -> Disk:
        disks.append(Disk(tmp_path, left_out))
        return disks[-1]

    yield make
    for each in disks:
        each.close()


def cuts(disk: Disk, count: int) -> Iterator[Cut]:
    """At any moments of a loop that publishes: it goes on while we look at a copy."""
    disk.ask("loop")
    for _ in range(count):
        yield disk.cut()
    disk.ask("")


@pytest.mark.timeout(180)
def test_a_power_cut_leaves_the_old_one_or_the_new_one(disk: Make):
    """D3.6: whole, not older than the last one published, and so is the backup."""
    found = list(cuts(disk(), COPIES))
    assert [cut.fault for cut in found if cut.fault] == []
    assert len({cut.version for cut in found}) > COPIES / 6
    midst = [cut for cut in found if cut.most > cut.least]
    assert any(".tmp" in cut.names for cut in midst)
    assert any(cut.version == cut.least for cut in midst)


@pytest.mark.timeout(180)
def test_what_was_published_is_there_after_a_power_cut(disk: Make):
    """D3.6: by the real command, when it has ended."""
    made = disk()
    for _ in range(5):
        made.ask("command")
        assert made.answer() == "done"
        cut = made.cut()
        assert cut.fault == ""
        assert cut.version == cut.least == cut.most


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("left_out", "fault"), [("file", "torn"), ("folder", "although")])
def test_a_power_cut_would_show_what_is_not_synced(disk: Make, left_out: str, fault: str):
    """The two tests above can fail: on this file system both syncs are needed."""
    assert any(fault in cut.fault for cut in cuts(disk(left_out), COPIES))
