"""The copy of all output in a file of this host, and that its faults are no faults of the run."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronherd.supervisor.base import Start
from cronherd.supervisor.child import Child
from cronherd.supervisor.copy import Copy, say
from cronherd.supervisor.launching import Launching
from cronherd.supervisor.order import Order, message_of
from cronherd.supervisor.spawn import Spawned
from tests.supervisor.host import Host, text_of
from tests.supervisor.roothost import AS_ROOT, NOBODY, RootHost, open_folder

__all__ = ["open_folder"]

SECRET = "hunter2-of-the-day"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr("cronherd.supervisor.copy.say", lines.append)
    return lines


def copy_of(path: Path, limit: int = 0, masks: list[str] | None = None) -> Copy:
    return Copy(str(path), limit, "run r1", masks or [])


def test_it_copies_all_output_in_the_order_of_reading(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    script = "for i in 1 2 3; do echo o$i; sleep 0.02; echo e$i >&2; sleep 0.02; done"
    host.sh(script, copy=str(path), head_bytes=3, tail_bytes=0)
    assert path.read_text() == "before\no1\ne1\no2\ne2\no3\ne3\n"


def test_a_fresh_one_is_emptied_once_by_each_attempt(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    host.sh("echo one; sleep 0.1; echo two", copy=str(path), copy_fresh=True)
    assert path.read_text() == "one\ntwo\n"
    host.sh("true", copy=str(path), copy_fresh=True)
    assert path.read_text() == ""


def test_a_fresh_one_is_not_emptied_again_where_it_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    copy = Copy(str(path), 4, "run r1", [], fresh=True)
    for chunk in (b"1234", b"5678", b"9"):
        copy.add(chunk)
    copy.close()
    assert (path.read_text(), (tmp_path / "log.1").read_text()) == ("9", "5678")


def test_it_makes_a_file_that_only_we_read(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    host.sh("echo hi", copy=str(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_copies_nothing_that_is_masked_nor_what_a_task_says(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    script = f"echo task >&3; printf hunter2; sleep 0.2; echo -of-the-day; echo {SECRET[:9]}"
    host.sh(script, copy=str(path), masks=(SECRET,), task=True)
    assert path.read_text() == f"***\n{SECRET[:9]}\n"


def test_it_copies_all_of_a_flood(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    end, _ = host.sh("seq 1 2000000", copy=str(path))
    whole = b"".join(b"%d\n" % number for number in range(1, 2_000_001))
    assert path.read_bytes() == whole
    assert end.dropped == len(whole) - 2 * 262_144


def test_it_begins_a_new_file_at_the_limit_and_keeps_one(host: Host, tmp_path: Path) -> None:
    path, before = tmp_path / "log", tmp_path / "log.1"
    limit = 100_000
    host.sh("seq 1 200000", copy=str(path), copy_bytes=limit)
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    kept = before.read_bytes() + path.read_bytes()
    assert whole.endswith(kept)
    for each in (path, before):
        assert each.stat().st_size <= limit + 65_536
    assert before.stat().st_size >= limit
    assert sorted(tmp_path.glob("log*")) == [path, before]


def test_two_runs_may_write_the_same_copy(tmp_path: Path) -> None:
    path, before = tmp_path / "log", tmp_path / "log.1"
    copies = [copy_of(path, 100), copy_of(path, 100)]
    for number in range(40):
        copies[number % 2].add(b"%09d\n" % number)
    for copy in copies:
        copy.close()
        assert copy.missing == 0
    numbers = [int(line) for line in (before.read_text() + path.read_text()).split()]
    assert numbers == list(range(numbers[0], 40))
    assert before.stat().st_size >= 100  # the second one to notice did not rotate again


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "second name", "no parent", "relative"])
def test_it_opens_only_a_file_of_its_own(
    tmp_path: Path, said: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = -1
    path, target = tmp_path / "log", tmp_path / "target"
    target.write_text("")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    elif kind == "second name":
        path.hardlink_to(target)
    elif kind == "no parent":
        path = tmp_path / "none" / "log"
    copy = copy_of(Path("log") if kind == "relative" else path)
    copy.add(b"hello")
    copy.add(b"hello")
    copy.close()
    assert copy.missing == 10
    assert len(said) == 2  # the reason, once, and the figure
    assert target.read_text() == ""
    if reader >= 0:
        os.close(reader)


@AS_ROOT
def test_it_appends_to_no_file_of_another_user(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "log"
    path.write_text("")
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    copy = copy_of(path)
    copy.add(b"hello")
    assert (copy.missing, path.read_text()) == (5, "")
    assert "another user" in said[0]


@AS_ROOT
@pytest.mark.parametrize("when", ["opened", "rotated"])
def test_no_link_of_another_user_leads_it_elsewhere(
    tmp_path: Path, said: list[str], when: str
) -> None:
    """Root's copy in a user's folder, who turns a part of the way into a link."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    way = theirs / "logs"
    copy = copy_of(way / "log", limit=4)
    if when == "rotated":
        way.mkdir()
        copy.add(b"first")
        way.rename(theirs / "before")
        (theirs / "before" / "log").rename(ours / "log")  # even if it is the very file
    way.symlink_to(ours)
    os.lchown(way, NOBODY.pw_uid, NOBODY.pw_gid)
    before = sorted(ours.iterdir())
    copy.add(b"second")
    copy.close()
    assert sorted(ours.iterdir()) == before
    assert copy.missing == 6
    assert "a link that belongs to another user" in said[0]


@AS_ROOT
def test_links_of_root_and_of_its_own_user_lead_it(open_folder: Path) -> None:
    theirs = open_folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
    (open_folder / "by-root").symlink_to("theirs")
    (open_folder / "by-user").symlink_to("theirs")
    os.lchown(open_folder / "by-user", NOBODY.pw_uid, NOBODY.pw_gid)
    for number, way in enumerate(("by-root", "by-user", "by-root/../by-user/.")):
        copy = copy_of(open_folder / way / f"log{number}", limit=4)
        copy.ids = (NOBODY.pw_uid, NOBODY.pw_gid)
        copy.add(b"first")
        copy.add(b"then")
        copy.close()
        assert copy.missing == 0
        assert (theirs / f"log{number}.1").read_bytes() == b"first"


def test_it_opens_nothing_before_it_knows_whose_rights_count(
    tmp_path: Path, said: list[str]
) -> None:
    copy = copy_of(tmp_path / "log")
    copy.ids = None
    copy.add(b"hello")
    assert (copy.missing, list(tmp_path.iterdir())) == (5, [])


def test_it_opens_nothing_of_ours_for_a_launcher_that_died(tmp_path: Path, said: list[str]) -> None:
    """Its last words would be output, and whose rights count nobody knows."""
    start = Start(
        run_id="r1", attempt=1, token="t", argv=("true",), cwd="/", env={}, user="nobody",
        copy=str(tmp_path / "log"),
    )  # fmt: skip
    spawned = Spawned(1, -1, (-1, -1))
    spawned.launching = Launching(os.open("/dev/null", os.O_RDONLY))
    child = Child(Order(message_of(start), b""), spawned, 0, 0)
    assert child.is_decided()
    child._take(2, b"Traceback", 1)
    child.leave_nothing()
    assert "not known" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_it_says_no_secret_when_it_complains(tmp_path: Path, said: list[str]) -> None:
    copy = copy_of(tmp_path / SECRET / "log", masks=[SECRET])
    copy.add(b"hello")
    copy.close()
    assert said
    assert SECRET not in "".join(said)


def test_it_goes_on_when_the_disk_has_room_again_and_says_what_is_missing(
    tmp_path: Path, said: list[str], full_at: int
) -> None:
    path = tmp_path / "log"
    copy = copy_of(path)
    copy.add(b"x" * (full_at - 4))
    copy.add(b"0123456789")
    copy.add(b"lost")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    copy.add(b"again")
    copy.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert b"x0123\n[cronherd: 10 bytes" in path.read_bytes()
    assert path.read_bytes().endswith(b"here]\nagain")
    assert copy.missing == 10
    assert len(said) == 2


@pytest.fixture
def full_at() -> Iterator[int]:
    """A limit of file sizes stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_wrong_with_it_is_no_fault_of_the_run(host: Host, tmp_path: Path) -> None:
    end, output = host.sh("echo hi; exit 3", copy=str(tmp_path / "none" / "log"))
    assert (end.exit_code, end.error, text_of(output)) == (3, "", b"hi\n")


def test_it_says_it_once_on_the_stderr_of_the_supervisor(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("uses the supervisor of test_users")
    host = RootHost(open_folder)
    try:
        host.sh("echo hi; sleep 0.05; echo ho", copy="/nowhere/log")
    finally:
        host.leave()
    lines = (open_folder / "stderr").read_text().splitlines()
    assert [line for line in lines if "copy" in line] == [
        (
            "cronherd supervisor: the copy of run r1 to '/nowhere/log' is not complete: "
            "No such file or directory"
        ),
        "cronherd supervisor: 6 bytes are missing in the copy of run r1",
    ]


def test_it_says_nothing_to_an_agent_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, bytes(65_536))
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    before = os.dup(2)
    os.dup2(writer, 2)
    try:
        speaking = threading.Thread(target=say, args=("nobody hears this",), daemon=True)
        speaking.start()
        speaking.join(5)
        hangs = speaking.is_alive()
    finally:
        os.dup2(before, 2)
        os.close(reader)
        os.close(writer)
        os.close(before)
    assert not hangs


# Of another user


@pytest.fixture
def root_host(open_folder: Path) -> Iterator[RootHost]:
    host = RootHost(open_folder, "nobody\n")
    yield host
    host.leave()


@AS_ROOT
def test_it_opens_and_rotates_with_the_rights_of_the_user(
    root_host: RootHost, open_folder: Path
) -> None:
    own, closed = open_folder / "own", open_folder / "closed"
    own.mkdir()
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    closed.mkdir()
    own_log, closed_log = own / "log", closed / "log"
    for number, path in enumerate((own_log, closed_log)):
        end, _ = root_host.sh(
            "seq 1 60000", user="nobody", copy=str(path), copy_bytes=100_000, run_id=f"r{number}"
        )
        assert end.exit_code == 0
    assert {path.owner() for path in own.iterdir()} == {"nobody"}
    assert sorted(path.name for path in own.iterdir()) == ["log", "log.1"]
    assert list(closed.iterdir()) == []
    status = Path(f"/proc/{root_host.supervisor.pid}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in status
    assert "Gid:\t0\t0\t0\t0" in status


@AS_ROOT
def test_it_rotates_no_file_that_the_user_could_not(root_host: RootHost, open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir()
    log, other = closed / "log", closed / "log.1"
    for path in (log, other):
        path.write_text("before")
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    root_host.sh("seq 1 60000", user="nobody", copy=str(log), copy_bytes=100)
    assert other.read_text() == "before"
    assert log.stat().st_size < 200_000
