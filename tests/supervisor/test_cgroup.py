"""Control groups: where they may be, who is moved, what becomes of them. And the hunt."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from cronherd.supervisor import cgroup
from cronherd.supervisor.cgroup import MOVES_PER_TURN, PREFIX, TOGETHER_US, Tree, own_group
from cronherd.supervisor.child import Child
from cronherd.supervisor.sweep import PAUSE_US, STUCK_US, Hunt

FAMILY = ("/bin/sh", "-c", "sleep 60 & (sleep 60 &); echo up; wait")
"""A child and an orphan of the same session."""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    planted = Tree()
    planted.plant(uuid4().hex, str(tmp_path / "note"))
    if not planted.path:
        pytest.skip(f"we may make no control groups here: {planted.fact}")
    yield planted
    cgroup.clear(planted.path)


@pytest.fixture
def family() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(FAMILY, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def session(leader: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == leader:
                found.append(int(path.name))
        except ProcessLookupError:
            pass
    return sorted(found)


def wait_until_empty(tree: Tree, leader: int) -> None:
    for _ in range(500):
        if not tree.members(leader):
            return
        select.poll().poll(10)
    raise AssertionError(f"still there: {tree.members(leader)}")


# Where


@pytest.mark.parametrize(
    ("own", "mount", "group"),
    [
        ("0::/", "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw", "/sys/fs/cgroup"),
        ("0::/a/b", "31 23 0:28 / /cg rw shared:9 - cgroup2 none rw", "/cg/a/b"),
        ("9:x:/x\n0::/a", "1 2 0:3 / /p rw - cgroup c rw\n2 3 0:4 / /u rw - cgroup2 c rw", "/u/a"),
        ("0::/docker/1/x", "31 23 0:28 /docker/1 /cg rw - cgroup2 none rw", "/cg/x"),
        ("0::/docker/1", "31 23 0:28 /docker/1 /cg rw - cgroup2 none rw", "/cg"),
        ("0::/a", "31 23 0:28 / /c\\040g rw - cgroup2 none rw", "/c g/a"),
        ("0::/docker/12", "31 23 0:28 /docker/1 /cg rw - cgroup2 none rw", None),
        ("0::/a", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw", None),
        ("0::/../outside", "31 23 0:28 / /cg rw - cgroup2 none rw", None),
        ("4:memory:/x", "31 23 0:28 / /cg rw - cgroup2 none rw", None),
        ("", "", None),
    ],
)  # fmt: skip
def test_it_finds_its_own_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, mount: str, group: str | None
) -> None:
    for name, text in (("OWN", own), ("MOUNTS", mount)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(cgroup, name, str(tmp_path / name))
    if group is not None:
        assert own_group() == group
    else:
        with pytest.raises(OSError, match="version 2"):
            own_group()


def test_without_a_hierarchy_it_does_without_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cgroup, "MOUNTS", "/dev/null")
    tree = Tree()
    assert tree.plant("x", str(tmp_path / "note"))
    assert (tree.path, tree.fact[:18]) == ("", "no control groups:")
    assert "version 2" in tree.fact
    assert not (tmp_path / "note").exists()
    tree.enter(os.getpid(), "r-1", 0)
    assert not tree.kill(os.getpid())
    assert (tree.members(os.getpid()), tree.leave(os.getpid())) == ([], None)
    tree.uproot()


@pytest.mark.parametrize("home", ["missing", "plain"])
def test_where_it_may_not_make_one_it_does_without_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str
) -> None:
    """As on a read-only mount, and as with a kernel that has no cgroup.kill."""
    (tmp_path / "plain").mkdir()
    monkeypatch.setattr(cgroup, "own_group", lambda: str(tmp_path / home))
    tree = Tree()
    assert tree.plant("x", str(tmp_path / "note"))
    assert (tree.path, tree.fact[:18]) == ("", "no control groups:")
    assert "No such file" in tree.fact
    assert list(tmp_path.rglob("*")) == [tmp_path / "plain"]


def test_where_it_cannot_remember_the_place_it_does_without_and_says_so(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cgroup, "own_group", lambda: tree.path)
    without = Tree()
    assert without.plant("x", str(tmp_path / "no" / "such" / "place"))
    assert without.path == ""
    assert "no/such/place" in without.fact
    assert not Path(tree.path, "cronherd-x").exists()


def test_below_a_threaded_group_it_does_without_and_says_so(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    threaded = Path(tree.path, "threaded")
    threaded.mkdir()
    (threaded / "cgroup.type").write_text("threaded")
    monkeypatch.setattr(cgroup, "own_group", lambda: str(threaded))
    below = Tree()
    assert below.plant("x", str(tmp_path / "another note"))
    assert below.path == ""
    assert "it is no domain" in below.fact
    assert [path.name for path in threaded.iterdir() if path.is_dir()] == []


# Who


def test_it_moves_a_run_with_its_children_and_its_orphans(
    tree: Tree, family: "subprocess.Popen[bytes]"
) -> None:
    tree.enter(family.pid, "run-1", 0)
    assert sorted(tree.members(family.pid)) == session(family.pid)
    assert len(session(family.pid)) == 3
    assert Path(tree.path, "run-1", "cgroup.procs").exists()
    assert tree.kill(family.pid)
    assert family.wait(5) == -signal.SIGKILL
    wait_until_empty(tree, family.pid)
    assert tree.leave(family.pid) == 0
    assert not Path(tree.path, "run-1").exists()


def test_what_a_run_forks_while_it_is_moved_is_inside(tree: Tree) -> None:
    script = (
        "import os, time\nos.setsid()\nprint('up', flush=True)\n"
        "for _ in range(300):\n    if not os.fork():\n        time.sleep(30)\n        os._exit(0)\n"
        "time.sleep(30)"
    )
    argv = (sys.executable, "-ISc", script)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree.enter(process.pid, "run-1", 0)
        while len(session(process.pid)) < 301:
            select.poll().poll(10)
        assert sorted(tree.members(process.pid)) == session(process.pid)
        tree.kill(process.pid)
    wait_until_empty(tree, process.pid)


def test_what_a_run_leaves_behind_is_let_go_and_counted(
    tree: Tree, family: "subprocess.Popen[bytes]"
) -> None:
    tree.enter(family.pid, "run-1", 0)
    nested = Path(tree.path, "run-1", "nested")
    nested.mkdir()
    (child,) = (
        pid for pid in tree.members(family.pid) if pid != family.pid and _is_child(pid, family.pid)
    )
    (nested / "cgroup.procs").write_text(str(child))
    assert tree.leave(family.pid) == 3
    assert not Path(tree.path, "run-1").exists()
    assert len(session(family.pid)) == 3
    assert tree.leave(family.pid) is None
    tree.uproot()
    assert not Path(tree.path).exists()


def _is_child(pid: int, parent: int) -> bool:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent


def test_a_group_that_cannot_go_yet_goes_later(
    tree: Tree, family: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.enter(family.pid, "run-1", 0)
    with monkeypatch.context() as patch:
        patch.setattr(cgroup, "remove_tree", lambda path: False)
        assert tree.leave(family.pid) == 3
    assert Path(tree.path, "run-1").exists()
    tree.enter(family.pid, "run-2", 0)
    tree.leave(family.pid)
    assert not Path(tree.path, "run-1").exists()


@pytest.mark.parametrize("name", ["../x-1", "a/b-1", "", ".", "ä-1", "cgroup.procs"])
def test_a_name_that_is_none_of_ours_gets_no_group(
    tree: Tree, family: "subprocess.Popen[bytes]", name: str
) -> None:
    before = sorted(Path(tree.path).iterdir())
    tree.enter(family.pid, name, 0)
    assert tree.leave(family.pid) is None
    assert sorted(Path(tree.path).iterdir()) == before


def test_a_leader_that_is_gone_gets_no_group_that_stays(tree: Tree) -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    tree.enter(process.pid, "run-1", 0)
    assert tree.leave(process.pid) == 0
    assert not Path(tree.path, "run-1").exists()


# Lives


@pytest.mark.parametrize("note", ["kept", "lost"])
def test_the_next_life_ends_what_lies_in_the_directory(
    tree: Tree, family: "subprocess.Popen[bytes]", tmp_path: Path, note: str
) -> None:
    tree.enter(family.pid, "run-1", 0)
    if note == "lost":
        (tmp_path / "note").unlink()
    again = Tree()
    name = Path(tree.path).name.removeprefix(PREFIX)
    assert again.plant(name, str(tmp_path / "note"))
    assert again.path == tree.path
    assert Path(tree.path).exists()
    assert not Path(tree.path, "run-1").exists()
    assert family.wait(5) == -signal.SIGKILL


def test_the_next_life_ends_what_lies_elsewhere_too(
    tree: Tree, family: "subprocess.Popen[bytes]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent was started from another group than the one before."""
    tree.enter(family.pid, "run-1", 0)
    monkeypatch.setattr(cgroup, "MOUNTS", "/dev/null")
    again = Tree()
    name = Path(tree.path).name.removeprefix(PREFIX)
    assert again.plant(name, str(tmp_path / "note"))
    assert again.path == ""
    assert not Path(tree.path).exists()
    assert family.wait(5) == -signal.SIGKILL


def test_a_note_of_another_directory_is_not_obeyed(
    tree: Tree, family: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    tree.enter(family.pid, "run-1", 0)
    another = Tree()
    assert another.plant(uuid4().hex, str(tmp_path / "note"))
    assert family.poll() is None
    another.uproot()
    assert not (tmp_path / "note").exists()


# When


def test_moves_come_in_batches() -> None:
    tree = Tree()
    first = [tree.may_enter_us(5) for _ in range(MOVES_PER_TURN + 1)]
    assert first == [5] * MOVES_PER_TURN + [6]
    assert tree.may_enter_us(40_000) == 40_000  # it goes on in the next turn
    assert tree.may_enter_us(100_000) == 5 + TOGETHER_US
    assert tree.may_enter_us(TOGETHER_US) == 5 + TOGETHER_US
    assert tree.may_enter_us(5 + TOGETHER_US) == 5 + TOGETHER_US
    assert tree.may_enter_us(500_000 + TOGETHER_US) == 5 + 2 * TOGETHER_US


# The hunt


class Quarry:
    """What a hunt knows of a child whose leader is dead."""

    pid = 1 << 30  # no session has this number
    how = ""
    leaked = 0

    def __init__(self, run_id: str, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt


def quarry_of(run_id: str, attempt: int) -> Child:
    return cast("Child", Quarry(run_id, attempt))


def test_strays_are_hunted_until_none_is_left() -> None:
    run_id = uuid4().hex
    env = {"CRONHERD_RUN_ID": run_id, "CRONHERD_ATTEMPT": "1"}

    def over_at_once(run_id: str, attempt: int) -> bool:
        hunt = Hunt(Tree())
        assert hunt.look(0) == []
        quarry = quarry_of(run_id, attempt)
        hunt.begin(quarry, 5, ended=True)
        assert hunt.look(4 + PAUSE_US) == []
        return hunt.look(5 + PAUSE_US) == [(quarry, True)] and hunt.next_us is None

    with subprocess.Popen(["/bin/sleep", "300"], env=env) as stray:
        try:
            assert over_at_once(run_id + "0", 1)
            assert over_at_once(run_id, 2)
            assert stray.poll() is None  # of another run, of another attempt
            hunt = Hunt(Tree())
            quarry = quarry_of(run_id, 1)
            hunt.begin(quarry, 0, ended=True)
            assert hunt.look(PAUSE_US) == []
            assert hunt.next_us == 3 * PAUSE_US
            assert stray.wait(5) == -signal.SIGKILL  # alone: its group is ours
            assert hunt.look(3 * PAUSE_US) == [(quarry, True)]
            assert (quarry.how, quarry.leaked) == ("kill", 0)
        finally:
            stray.kill()


class Comet(Tree):
    """Its group is never empty until it is killed, and nobody ever sees who is in it."""

    killed = False

    def is_held(self, leader: int) -> bool:
        return not self.killed

    def kill(self, leader: int) -> bool:
        self.killed = True
        return True


def test_what_is_never_seen_is_killed_by_its_control_group() -> None:
    hunt = Hunt(Comet())
    quarry = quarry_of(uuid4().hex, 1)
    hunt.begin(quarry, 0, ended=True)
    assert hunt.look(PAUSE_US) == []
    assert quarry.how == "cgroup"
    assert hunt.look(3 * PAUSE_US) == [(quarry, True)]


def test_a_hunt_that_begins_before_a_suspend_kills_after_it() -> None:
    comet = Comet()
    hunt = Hunt(comet)
    hunt.begin(quarry_of(uuid4().hex, 1), 0, ended=True)
    assert hunt.look(100 * STUCK_US) == []
    assert comet.killed


def test_a_hunt_ends_when_the_kernel_does_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cronherd.supervisor.sweep.strike", lambda pid: None)
    run_id = uuid4().hex
    env = {"CRONHERD_RUN_ID": run_id, "CRONHERD_ATTEMPT": "1"}
    hunt = Hunt(Tree())
    quarry = quarry_of(run_id, 1)
    hunt.begin(quarry, 0, ended=True)
    looks = 0
    with subprocess.Popen(["/bin/sleep", "300"], env=env) as stray:
        try:
            while hunt.next_us is not None and hunt.next_us < STUCK_US:
                assert hunt.look(hunt.next_us) == []
                looks += 1
            assert hunt.look(STUCK_US + 1_000_000) == [(quarry, True)]
        finally:
            stray.kill()
    assert quarry.leaked == 1
    assert looks < 20  # each of them costs a look at every process of the host
