"""D3.6: `cronherd publish`: a reader sees the old file or the new one, never less."""

import os
import signal
import stat
import sys
import threading
from pathlib import Path

import pytest

from cronherd.domain.errors import CronherdError
from cronherd.tools.publication import Manner, Publication
from tests.tools.conftest import Run, until

READS = 10_000


def publish(run: Run, *words: str, given: str = "") -> tuple[int, str]:
    code, _, err = run("publish", *words).end(given.encode())
    return code, err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_standard_input_becomes_the_file(run: Run, tmp_path: Path):
    """D3.6: and nothing else is left in the directory."""
    assert publish(run, "page", given="one\n")[0] == 0
    assert publish(run, "page", given="two\n")[0] == 0
    assert (tmp_path / "page").read_text() == "two\n"
    assert names(tmp_path) == ["page"]


def test_readers_never_miss_it_nor_see_a_part(tmp_path: Path):
    """D3.6: 10,000 reads while it is replaced again and again, with a backup each time."""
    path = tmp_path / "cache"
    size = 40_000
    path.write_bytes(b"a" * size)
    faults: list[str] = []
    reads = [0] * 4
    published = 0

    def read(reader: int) -> None:
        while sum(reads) < READS and not faults:
            for name in (path, tmp_path / "cache~"):
                try:
                    text = name.read_bytes()
                except FileNotFoundError:
                    if name == path or published > 1:
                        faults.append(f"{name.name} was missing")
                    continue
                if len(text) != size or text.count(text[:1]) != size:
                    faults.append(f"{name.name} was torn: {len(text)} bytes")
            reads[reader] += 1

    readers = [threading.Thread(target=read, args=(reader,)) for reader in range(len(reads))]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        publication = Publication(str(path), Manner(backup=True))
        publication.open()
        for _ in range(4):
            publication.write(bytes([97 + published % 26]) * (size // 4))
        assert publication.commit()
        publication.close()
        published += 1
    assert not faults
    assert sum(reads) >= READS
    assert published > 20


def test_real_replacements_under_a_reader(run: Run, tmp_path: Path):
    """D3.6: the whole program, as often as it can be started in a moment."""
    path = tmp_path / "cache"
    path.write_text("0" * 9_000)
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 6):
        assert publish(run, "cache", given=str(number) * 9_000)[0] == 0
    stop.set()
    reader.join()
    assert seen <= {str(number) * 9_000 for number in range(6)}


def test_only_success_is_published(run: Run, tmp_path: Path):
    """D3.6: the cache recipe: the last good result stays, the exit code is the command's."""
    (tmp_path / "cache").write_text("good\n")
    failing = ("cache", "--if-success", "--", "sh", "-c")
    for script, code in (("echo bad; exit 3", 3), ("echo bad; kill -9 $$", 137)):
        assert publish(run, *failing, script)[0] == code
        assert (tmp_path / "cache").read_text() == "good\n"
    assert publish(run, "cache", "--if-success", "--", "no-such-program")[0] == 127
    assert publish(run, *failing, "seq 100000")[0] == 0
    assert (tmp_path / "cache").read_text() == "".join(f"{n}\n" for n in range(1, 100_001))
    assert names(tmp_path) == ["cache"]


def test_what_is_left_behind_cannot_write_into_it(run: Run, tmp_path: Path):
    """D3.6: the descriptor of a published file is in nobody's hands."""
    script = (
        "trap '' PIPE; (until [ -e go ]; do sleep 0.05; done; echo late; : > gone) 2>/dev/null &"
        " echo now"
    )
    assert publish(run, "page", "--if-success", "--", "sh", "-c", script)[0] == 0
    (tmp_path / "go").touch()
    until((tmp_path / "gone").exists)
    assert (tmp_path / "page").read_text() == "now\n"


def test_what_writes_on_for_ever_is_not_waited_for(run: Run, tmp_path: Path):
    """D3.6: the command's end is the end."""
    script = "yes 2>/dev/null & exit 0"
    assert publish(run, "page", "--if-success", "--", "sh", "-c", script)[0] == 0
    assert (tmp_path / "page").stat().st_size <= 2 << 20


def test_the_old_one_is_kept_as_a_backup(run: Run, tmp_path: Path):
    """D3.6: under a second name; the first one is never without a file."""
    for text in ("one", "two", "three"):
        assert publish(run, "--backup", "page", given=text)[0] == 0
    assert (tmp_path / "page").read_text() == "three"
    assert (tmp_path / "page~").read_text() == "two"
    assert names(tmp_path) == ["page", "page~"]


def test_no_clobber_replaces_nothing(run: Run, tmp_path: Path):
    """D3.6: also when the file came while we wrote."""
    assert publish(run, "--no-clobber", "page", given="one")[0] == 0
    code, err = publish(run, "--no-clobber", "page", given="two")
    assert code == 1
    assert "exists" in err
    late = Publication(str(tmp_path / "race"), Manner(no_clobber=True))
    late.open()
    (tmp_path / "race").write_text("theirs")
    with pytest.raises(CronherdError, match="exists"):
        late.commit()
    late.close()
    assert (tmp_path / "race").read_text() == "theirs"
    assert (tmp_path / "page").read_text() == "one"
    assert names(tmp_path) == ["page", "race"]


def test_nothing_is_no_new_content_when_asked(run: Run, tmp_path: Path):
    """D3.6: --keep-on-empty; without it an empty file is a file."""
    (tmp_path / "page").write_text("one")
    assert publish(run, "--keep-on-empty", "page")[0] == 0
    assert (tmp_path / "page").read_text() == "one"
    assert publish(run, "page")[0] == 0
    assert (tmp_path / "page").read_text() == ""


def test_a_finished_file_is_published(run: Run, tmp_path: Path):
    """D3.6: a temporary file becomes FILE; one that is not published stays whose it is."""
    (tmp_path / "new").write_text("new")
    assert publish(run, "page", "--from", "new")[0] == 0
    assert (tmp_path / "page").read_text() == "new"
    (tmp_path / "empty").touch()
    assert publish(run, "page", "--from", "empty", "--keep-on-empty")[0] == 0
    assert names(tmp_path) == ["empty", "page"]
    assert publish(run, "page", "--from", "nowhere")[0] == 1


def test_a_finished_file_of_another_file_system(run: Run, tmp_path: Path):
    """D3.6: a rename cannot lead from there, so it is copied, and goes when that is published."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system only")
    source = shared / f"publish-{os.getpid()}"
    source.write_text("from afar")
    try:
        assert publish(run, "page", "--from", str(source))[0] == 0
        assert not source.exists()
    finally:
        source.unlink(missing_ok=True)
    assert (tmp_path / "page").read_text() == "from afar"


def test_mode_and_links_stay(run: Run, tmp_path: Path):
    """D3.6: a file keeps its mode, a first one has that of any new file."""
    (tmp_path / "page").write_text("one")
    (tmp_path / "page").chmod(0o640)
    (tmp_path / "link").symlink_to("page")
    assert publish(run, "link", given="two")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "page").stat().st_mode) == 0o640
    publish(run, "fresh", given="x")
    (tmp_path / "plain").touch()
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_both_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """D3.6: the content before the rename, the name after it."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def put(source: str, target: str) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", put)
    publication = Publication(str(tmp_path / "page"), Manner())
    publication.open()
    publication.write(b"x")
    publication.commit()
    publication.close()
    assert done[0].startswith(f"{tmp_path}/.page.")
    assert done[1:] == ["rename", str(tmp_path)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_the_old_one_and_no_temporary_file(
    run: Run, tmp_path: Path, number: signal.Signals
):
    (tmp_path / "page").write_text("one")
    for words in (("page",), ("page", "--if-success", "--", "sh", "-c", "echo x; exec sleep 25")):
        tool = run("publish", *words)
        until(lambda: len(names(tmp_path)) == 2)
        tool.send(number)
        assert tool.process.wait(20) == 128 + number
        assert names(tmp_path) == ["page"]
    assert (tmp_path / "page").read_text() == "one"


def test_what_cannot_be_written_is_said(run: Run, tmp_path: Path):
    """D3.6: 1, a sentence, and the command is not left running."""
    assert publish(run, "nowhere/page", given="x")[0] == 1
    code, err = publish(run, ".", given="x")
    assert code == 1
    assert "no file" in err
    for words in (("page", "true"), ("page", "--if-success"), ("--backup", "--no-clobber", "page")):
        assert publish(run, *words)[0] == 2


def test_a_full_disk_leaves_the_old_one(run: Run, tmp_path: Path):
    """D3.6: also for a command, which is ended."""
    (tmp_path / "page").write_text("one")
    limited = 'ulimit -f 64; exec "$0" -m cronherd publish page --if-success -- yes'
    tool = run("timeout", "15", "--", "bash", "-c", limited, sys.executable)
    code, _, err = tool.end()
    assert code == 1, err
    assert "as it was" in err
    assert names(tmp_path) == ["page"]
