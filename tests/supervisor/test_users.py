"""Commands of other users, and the files that only they may read. Most of it takes root."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronherd.supervisor import allow
from cronherd.supervisor.base import Output
from cronherd.supervisor.client import launch
from cronherd.supervisor.files import Files, remove
from cronherd.supervisor.spawn import SpawnError
from tests.supervisor.host import Host, text_of
from tests.supervisor.roothost import AS_ROOT, NOBODY, RootHost, open_folder

__all__ = ["open_folder"]

STATUS = ("/bin/cat", "/proc/self/status")
"""Not our Python: it may lie where only root reads."""


@pytest.fixture
def root_host(open_folder: Path) -> Iterator[RootHost]:
    host = RootHost(open_folder, "# who\nnobody\ndaemon:bin # both\nsync\nnot-there\n")
    yield host
    host.end()


def facts_of(output: list[Output]) -> dict[str, list[bytes]]:
    lines = [line.split() for line in text_of(output).splitlines()]
    return {words[0].decode().rstrip(":"): words[1:] for words in lines}


@AS_ROOT
def test_it_runs_as_the_user_with_all_of_its_groups_and_no_other(root_host: RootHost) -> None:
    facts = facts_of(root_host.run(*STATUS, user="nobody")[1])
    expected = subprocess.run(["id", "-G", "nobody"], capture_output=True, check=True).stdout
    assert facts["Uid"] == [b"%d" % NOBODY.pw_uid] * 4
    assert facts["Gid"] == [b"%d" % NOBODY.pw_gid] * 4
    assert sorted(facts["Groups"]) == sorted(expected.split())


@AS_ROOT
def test_it_runs_with_the_group_asked_for(root_host: RootHost) -> None:
    facts = facts_of(root_host.run(*STATUS, user="daemon", group="bin")[1])
    assert facts["Uid"] == [b"%d" % pwd.getpwnam("daemon").pw_uid] * 4
    assert facts["Gid"] == [b"%d" % grp.getgrnam("bin").gr_gid] * 4


@AS_ROOT
def test_it_keeps_no_capability_and_cannot_go_back(root_host: RootHost) -> None:
    facts = facts_of(root_host.run(*STATUS, user="nobody")[1])
    assert [facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [[b"0" * 16]] * 4
    assert facts["Uid"] == [b"%d" % NOBODY.pw_uid] * 4  # also the saved one


@AS_ROOT
def test_it_kills_the_command_of_another_user(root_host: RootHost) -> None:
    end, _ = root_host.run("/bin/sleep", "60", user="nobody", timeout_us=200_000)
    assert (end.signal, end.killed_by) == (15, "timeout")


@AS_ROOT
def test_it_limits_the_processes_of_a_user(root_host: RootHost) -> None:
    script = "/bin/true; echo forked"
    end, output = root_host.sh(script, user="sync", limits={"processes": 1})
    assert b"forked" not in text_of(output, 1)
    assert end.error == ""


@AS_ROOT
def test_it_looks_for_command_and_directory_with_the_rights_of_the_user(
    root_host: RootHost, open_folder: Path
) -> None:
    secret = open_folder / "secret"
    secret.mkdir(mode=0o700)
    tool = secret / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    for fields, error in (
        ({"argv": (str(tool),)}, "not_executable"),
        ({"argv": ("tool",), "env": {"PATH": str(secret)}}, "not_found"),
        ({"argv": ("/bin/true",), "cwd": str(secret)}, "cwd_missing"),
    ):
        argv = fields.pop("argv")
        end, _ = root_host.run(*argv, user="nobody", **fields)
        assert (end.error, end.started_us) == (error, None)


@AS_ROOT
@pytest.mark.parametrize(
    ("user", "group", "says"),
    [
        ("root", "", "has no line 'root'"),
        ("daemon", "", "has no line 'daemon'"),
        ("nobody", "root", "has no line 'nobody:root'"),
        ("", "bin", "has no line 'root:bin'"),
        ("65534", "", "has no line '65534'"),
        ("*", "", "has no line '*'"),
        ("not-there", "", "cannot run as 'not-there' on this host"),
    ],
)
def test_it_runs_as_nobody_who_is_not_allowed(
    root_host: RootHost, user: str, group: str, says: str
) -> None:
    end, output = root_host.sh("echo ran", user=user, group=group)
    assert (end.error, end.started_us, end.exit_code, output) == ("not_allowed", None, None, [])
    assert says in end.error_text


@AS_ROOT
def test_it_reads_the_list_at_each_start(root_host: RootHost) -> None:
    root_host.allow.write_text("")
    assert root_host.sh("exit 0", user="nobody")[0].error == "not_allowed"
    root_host.allow.write_text("nobody\n")
    assert root_host.sh("exit 0", user="nobody", run_id="r2")[0].exit_code == 0


@AS_ROOT
def test_it_says_so_when_root_lacks_the_right(open_folder: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed here")
    caps = "--bounding-set=-setuid,-setgid,-sys_nice"
    host = RootHost(open_folder, "nobody\n", before=["setpriv", caps])
    try:
        end, _ = host.sh("exit 0", user="nobody")
        assert (end.error, end.started_us) == ("not_allowed", None)
        assert "cannot run as 'nobody' on this host: Operation not permitted" in end.error_text
        end, _ = host.sh("exit 0", nice=-1, run_id="r2")
        assert (end.error, end.started_us) == ("not_allowed", None)
        assert "niceness by -1" in end.error_text
    finally:
        host.leave()


# The list


@AS_ROOT
def test_who_asks_before_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tmp_path / "run-as.allow"
    names.write_text("nobody\n")
    monkeypatch.setattr(allow, "ALLOW", str(names))
    assert allow.user_refusal("nobody") == ""
    assert f"{names} has no line 'daemon'" in allow.user_refusal("daemon")
    assert allow.user_refusal("not-there") == "this host has no user 'not-there'"


def refused(path: Path, user: str = "nobody", group: str = "") -> str:
    with pytest.raises(SpawnError) as caught:
        allow.check(str(path), user, group)
    assert caught.value.code == "not_allowed"
    return caught.value.text


@AS_ROOT
def test_it_takes_a_list_that_only_root_can_write(tmp_path: Path) -> None:
    names = tmp_path / "allow"
    assert "No such file" in refused(names)
    names.write_text("  nobody  # the web\n\n#daemon\n*\n")
    allow.check(str(names), "nobody", "")
    assert "no line 'daemon'" in refused(names, "daemon")
    assert "no line '*:*'" in refused(names, "*", "*")
    names.chmod(0o620)
    assert "chmod go-w" in refused(names)
    names.chmod(0o602)
    assert "chmod go-w" in refused(names)
    names.chmod(0o644)
    os.chown(names, 1, 0)
    assert "chown root:root" in refused(names)
    os.chown(names, 0, 0)
    link = tmp_path / "link"
    link.symlink_to(names)
    assert refused(link)
    tmp_path.chmod(0o770)
    assert "chmod go-w" in refused(names)
    tmp_path.chmod(0o700)
    assert "not a regular file" in refused(tmp_path)


def test_it_accepts_no_star_and_no_long_list(tmp_path: Path) -> None:
    names = tmp_path / "allow"
    names.write_text("*\n" if os.geteuid() == 0 else "nobody\n")
    assert refused(names, "nobody")
    names.write_text("nobody\n" + "#" * allow.LIST_BYTES)
    assert refused(names, "nobody")


def test_it_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    names = tmp_path / "allow"
    names.write_text("nobody\n")
    assert "does not run as root" in refused(names)


# Files


LOOK = 'stat -c "%a %U" $KEY $(dirname $KEY); cat $KEY'


def test_it_writes_files_that_only_the_command_reads(host: Host) -> None:
    env = {"PATH": "/bin:/usr/bin"}
    _, output = host.sh(f"echo $KEY; {LOOK}", env=env, files={"KEY": "ü\nsecret", "B": ""})
    lines = text_of(output).decode().split("\n")
    path = Path(lines[0])
    me = Path("/proc/self").owner()
    assert path.is_relative_to(host.sockets)
    assert lines[1:] == [f"600 {me}", f"700 {me}", "ü", "secret"]
    assert not path.parent.exists()


@AS_ROOT
def test_it_gives_files_to_the_user_and_to_nobody_else(root_host: RootHost) -> None:
    env = {"PATH": "/bin:/usr/bin"}
    _, output = root_host.sh(
        f"{LOOK}; echo; touch $(dirname $KEY)/more 2>/dev/null || echo no; ls $(dirname $KEY)",
        env=env, files={"KEY": "secret"}, user="nobody",
    )  # fmt: skip
    assert text_of(output, 1) == b"600 nobody\n710 root\nsecret\nno\n"
    assert b"Permission denied" in text_of(output, 2)
    _, output = root_host.sh("echo $KEY; exec sleep 60 >&-", env=env, files={"KEY": "x"},
                             user="nobody", run_id="r2", timeout_us=300_000)  # fmt: skip
    assert not Path(text_of(output, 1).decode().strip()).parent.exists()


@AS_ROOT
def test_no_other_user_reads_the_files(root_host: RootHost) -> None:
    env = {"PATH": "/bin:/usr/bin"}
    first = root_host.order(
        "/bin/sh", "-c", "echo $KEY; exec sleep 60", user="nobody", files={"KEY": "secret"}, env=env
    )
    root_host.supervisor.start([first])
    got = root_host.wait(lambda reports: b"\n" in text_of(reports))
    path = text_of(got).decode().strip()
    script = f"cat {path} || ls {path.rpartition('/')[0]}"
    end, output = root_host.sh(script, user="sync", run_id="r2", env=env)
    assert (end.exit_code, text_of(output, 1)) == (2, b"")
    root_host.supervisor.cancel("r1", 1)
    root_host.until_ended(1)


def test_it_removes_files_of_what_could_not_start(host: Host) -> None:
    for number, more in enumerate(({}, {"nice": 1})):
        end, _ = host.run("nothing", files={"KEY": "x"}, run_id=f"r{number}", **more)
        assert end.error == "not_found"
    assert list(host.sockets.glob("*.files/*")) == []


def test_it_removes_files_of_a_life_that_was_killed(host: Host) -> None:
    order = host.order("/bin/sh", "-c", "echo $KEY; exec sleep 60", files={"KEY": "x"})
    host.supervisor.start([order])
    got = host.wait(lambda reports: b"\n" in text_of(reports))
    path = Path(text_of(got).decode().strip())
    assert path.read_text() == "x"
    os.kill(host.supervisor.pid, 9)
    host.supervisor.close()
    host.supervisor = launch(host.state, host.sockets, host.clock)
    assert not path.parent.exists()


def test_it_takes_no_name_that_leads_elsewhere(host: Host) -> None:
    for number, name in enumerate(("", "..", "a/b", "../evil", "nul\0")):
        end, _ = host.sh("exit 0", files={name: "x"}, run_id=f"r{number}")
        assert (end.error, end.started_us) == ("spawn_failed", None)
        assert "files" in end.error_text
    assert not list(host.sockets.rglob("evil"))


def test_it_uses_no_directory_that_others_may_write(tmp_path: Path) -> None:
    base = tmp_path / "s.files"
    for mode in (0o720, 0o702):
        base.mkdir()
        base.chmod(mode)
        with pytest.raises(SpawnError, match="only we may write"):
            Files(str(tmp_path / "s")).put({"A": "x"}, for_user=False)
        base.rmdir()
    (tmp_path / "elsewhere").mkdir()
    base.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpawnError, match="only we may write"):
        Files(str(tmp_path / "s")).put({"A": "x"}, for_user=False)


def test_it_cleans_only_its_own_directories(tmp_path: Path) -> None:
    users = str(tmp_path / "users")
    one, other = Files(str(tmp_path / "a"), users), Files(str(tmp_path / "b"), users)
    paths = [each.put({"A": "x"}, for_user=True)["A"] for each in (one, other)]
    Files(str(tmp_path / "a"), users)
    assert [Path(path).exists() for path in paths] == [False, True]
    remove(str(Path(paths[1]).parent))
    assert not Path(paths[1]).parent.exists()
