"""A host's crontabs change hands and back: no line is ever run by both, no byte is lost."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronherd.cli import importing, takeover
from cronherd.crontabs import swap
from cronherd.crontabs.journal import Group, Journal, Stage, Takeover
from cronherd.domain.errors import CronherdError
from cronherd.domain.instant import format_instant
from tests.cli.conftest import Said, Shell
from tests.cli.fakes import NOW_US, FakeFleet, FakeHost

ODD = {
    "plain": b"# Nightly backup\n30 2 * * * root pg_dump shop\n*/5 * * * * root tick\n",
    "no-newline": b"0 1 * * * root at-the-end",
    "windows": b"0 1 * * * root crlf\r\n# remark\r\n\r\n0 2 * * * root more\r\n",
    "latin": b"# t\xe4glich\n0 3 * * * root caf\xe9 now\n",
    "tabs": b"\t0\t4\t*\t*\t*\troot\ttabbed \t \n\n\n",
    "mixed": b"A=1\n0 5 * * * root fine-one\n0 61 * * * root wrong\n#0 6 * * * root off\n",
}
CRASHES = range(1, 12)


class Gone(BaseException):
    """The process died here."""


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting is written down instead of done."""
    found: list[float] = []
    monkeypatch.setattr(takeover, "wait", found.append)
    return found


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A whole host in a folder: six odd files in /etc/cron.d, and a crontab of root."""
    (tmp_path / "cronherd.yaml").write_text("node: {name: web-1}\n")
    root = tmp_path / "host"
    write(root / "etc/cron.d", ODD, 0o644)
    write(root / "var/spool/cron/crontabs", {"root": b"15 * * * * own-one\n"}, 0o600)
    return root


def write(folder: Path, files: dict[str, bytes], mode: int) -> None:
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
        (folder / name).chmod(mode)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def take(cronherd: Shell, host: Path) -> Callable[..., Said]:
    def run(*more: str) -> Said:
        given = ("import", "crontab", "--host-crontabs", "--root", str(host))
        return cronherd(*given, "--takeover", "--yes", *more)

    return run


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the lines are root's")


@AS_ROOT
def test_lines_change_hands_and_back_byte_by_byte(
    cronherd: Shell, fleet: FakeFleet, host: Path, tmp_path: Path, take: Callable[..., Said]
):
    before = contents(host)
    modes = {path: path.stat().st_mode for path in host.rglob("*")}
    said = take()
    assert said.code == 0, said.err
    assert "9 jobs imported, 1 line not supported" in said.err
    assert all(job["enabled"] for job in fleet.jobs.values())
    taken = contents(host)
    assert set(taken) == set(before)
    for path, raw in taken.items():
        active = [line for line in raw.split(b"\n") if b" root " in line and line[:1] != b"#"]
        assert active == ([b"0 61 * * * root wrong"] if path.endswith("mixed") else [])
    backups = list((tmp_path / "state").rglob("*.original"))
    assert sorted(path.read_bytes() for path in backups) == sorted(before.values())
    assert {path.stat().st_mode & 0o777 for path in backups} == {0o600}
    again = take()
    assert again.err.endswith("0 jobs to import, 1 line not supported; nothing was done\n")
    assert contents(host) == taken
    back = cronherd("import", "crontab", "--revert", "--yes")
    assert back.code == 0, back.err
    assert "9 lines put back: cron runs them again, their jobs are disabled" in back.err
    assert contents(host) == before
    assert {path: path.stat().st_mode for path in host.rglob("*")} == modes
    assert not any(job["enabled"] for job in fleet.jobs.values())
    again = cronherd("import", "crontab", "--revert")
    assert (again.code, again.err) == (
        0,
        "nothing is taken over on this host: there is nothing to put back\n",
    )
    assert take().code == 0
    assert all(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
def test_a_look_shows_the_change_of_each_file_and_makes_none(
    cronherd: Shell, fleet: FakeFleet, host: Path, take: Callable[..., Said]
):
    before = contents(host)
    said = take("--dry-run")
    assert "--- /etc/cron.d/plain" in said.out
    assert "-30 2 * * * root pg_dump shop\n" in said.out
    assert "+#cronherd# 2026-11-21T10:00:00Z 'nightly-backup': 30 2 * * *" in said.out
    assert contents(host) == before
    assert not fleet.jobs
    assert take().code == 0
    taken = contents(host)
    back = cronherd("import", "crontab", "--revert", "--dry-run")
    assert "+30 2 * * * root pg_dump shop\n" in back.out
    assert back.err == "9 lines to put back; nothing was done\n"
    assert contents(host) == taken


class Witness:
    """Dies before step N of what a takeover does, and checks that nobody shares a line."""

    def __init__(self, fleet: FakeFleet, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet, self.host = fleet, host
        self.left = -1
        self.steps = 0
        for owner, name in (
            (fleet, "apply_jobs"), (fleet, "set_enabled"), (Journal, "save"),
            (takeover, "replace_bytes"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self.step(getattr(owner, name)))

    def step(self, act: Callable[..., object]) -> Callable[..., object]:
        def stepped(*args: object, **more: object) -> object:
            if not more.get("dry_run"):
                self.steps += 1
                if self.steps == self.left:
                    raise Gone
            answer = act(*args, **more)
            self.check()
            return answer

        return stepped

    def check(self) -> None:
        """No job is enabled whose line cron still runs."""
        active = {
            line
            for raw in contents(self.host).values()
            for line in raw.replace(b"\r", b"").split(b"\n")
            if line[:1] not in {b"#", b""}
        }
        for job in self.fleet.jobs.values():
            command = str(job["command"]).encode("latin-1")
            shared = [line for line in active if line.rstrip().endswith(command)]
            assert not (job["enabled"] and shared), (job["name"], shared)


@AS_ROOT
@pytest.mark.parametrize("crash", [*CRASHES, 99])
@pytest.mark.parametrize("then", ["go on", "go back"])
def test_a_life_that_ends_in_between_is_continued_or_undone(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
    crash: int,
    then: str,
):
    before = contents(host)
    witness = Witness(fleet, host, monkeypatch)
    witness.left = crash
    if crash < 99:
        with pytest.raises(Gone):
            take()
    else:
        assert take().code == 0
    witness.left = -1
    if then == "go on":
        assert take().code == 0
        assert len(fleet.jobs) == 9
        assert all(job["enabled"] for job in fleet.jobs.values())
    else:
        back = cronherd("import", "crontab", "--revert", "--yes")
        assert back.code == 0
        assert "removed meanwhile" not in back.err
        assert contents(host) == before
        assert not any(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
def test_a_takeover_that_was_nearly_done_takes_nothing_away_again(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
):
    witness = Witness(fleet, host, monkeypatch)
    assert take().code == 0
    last = witness.steps
    assert cronherd("import", "crontab", "--revert", "--yes").code == 0
    fleet.jobs.clear()
    witness.steps, witness.left = 0, last
    with pytest.raises(Gone):
        take()
    assert all(job["enabled"] for job in fleet.jobs.values())
    seen = []
    apply = fleet.apply_jobs

    def watched(*args: object, **more: object) -> object:
        answer = apply(*args, **more)  # type: ignore[arg-type]
        seen.append(all(job["enabled"] for job in fleet.jobs.values()))
        return answer

    monkeypatch.setattr(fleet, "apply_jobs", watched)
    assert take().code == 0
    assert seen
    assert all(seen)


@AS_ROOT
def test_jobs_of_an_earlier_import_are_disabled_before_a_line_is_touched(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
):
    assert cronherd("import", "crontab", "--host-crontabs", "--root", str(host), "-y").code == 0
    assert all(job["enabled"] for job in fleet.jobs.values())
    enabled = []

    def watched(*args: object) -> None:
        enabled.append(any(job["enabled"] for job in fleet.jobs.values()))
        swap.replace_bytes(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(takeover, "replace_bytes", watched)
    assert take().code == 0
    assert enabled == [False] * 7
    assert all(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
@pytest.mark.parametrize("crash", range(1, 30, 3))
def test_a_revert_that_is_cut_short_is_done_again(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
    crash: int,
):
    before = contents(host)
    assert take().code == 0
    witness = Witness(fleet, host, monkeypatch)
    witness.left = crash
    cut = False
    try:
        cronherd("import", "crontab", "--revert", "--yes")
    except Gone:
        cut = True
        witness.left = -1
        said = take()
        assert said.code == (0 if crash == 1 else 1)
        assert crash == 1 or "is half undone" in said.err
        assert cronherd("import", "crontab", "--revert", "--yes").code == 0
    assert cut == (crash <= witness.steps)
    assert contents(host) == before
    assert not any(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
def test_what_others_edited_meanwhile_stays(cronherd: Shell, host: Path, take: Callable[..., Said]):
    assert take().code == 0
    file = host / "etc/cron.d/plain"
    file.write_bytes(b"NEW=1\n" + file.read_bytes() + b"0 9 * * * root new\n")
    said = cronherd("import", "crontab", "--revert", "--yes")
    assert said.code == 0
    assert "plain was edited meanwhile: only the lines taken over were put back" in said.err
    assert file.read_bytes() == b"NEW=1\n" + ODD["plain"] + b"0 9 * * * root new\n"


@AS_ROOT
def test_an_edited_line_stops_the_revert_before_anything_is_done(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
):
    assert take().code == 0
    file = host / "etc/cron.d/plain"
    file.write_bytes(file.read_bytes().replace(b": 30 2", b": 31 2"))
    taken = contents(host)
    for looked in (takeover.look_back, lambda _: 9):  # edited before, and after, the question
        monkeypatch.setattr(importing, "look_back", looked)
        said = cronherd("import", "crontab", "--revert", "--yes")
        assert said.code == 1
        assert "line 2 was taken over for 'nightly-backup' and changed since" in said.err
        assert contents(host) == taken
        assert all(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
def test_a_file_or_job_that_is_gone_is_told(
    cronherd: Shell, fleet: FakeFleet, host: Path, take: Callable[..., Said]
):
    assert take().code == 0
    (host / "etc/cron.d/latin").unlink()
    fleet.delete_job("own-one", "me")
    said = cronherd("import", "crontab", "--revert", "--yes")
    assert said.code == 0
    assert "latin is gone, nothing was put back; as it was: " in said.err
    assert "the job 'own-one' is not there any more" in said.err


@AS_ROOT
def test_lines_that_will_not_run_here_stay_with_cron(cronherd: Shell, fleet: FakeFleet, host: Path):
    file = host / "etc/cron.d/shop"
    file.write_bytes(b"0 1 * * * nobody theirs\n0 2 * * * daemon allowed\n")
    machine = FakeHost(fleet)
    machine.allowed = {"daemon"}
    given = ("import", "crontab", "--host-crontabs", "--root", str(host), "--takeover", "--yes")
    said = cronherd(*given, host=machine)
    assert "no line 'nobody' in the list: imported as disabled, because it belongs to" in said.out
    assert "1 job of them disabled: cron goes on with 1 line" in said.err
    assert not fleet.jobs["theirs"]["enabled"]
    assert fleet.jobs["allowed"]["enabled"]
    assert file.read_bytes().startswith(b"0 1 * * * nobody theirs\n#cronherd# ")


@AS_ROOT
def test_nothing_is_taken_over_that_nobody_would_run(
    cronherd: Shell, fleet: FakeFleet, host: Path, take: Callable[..., Said]
):
    before = contents(host)
    fleet.nodes = {"web-1": False}
    said = take()
    assert said.code == 1
    assert "the node 'web-1' does not run: nobody would run what cron gives up" in said.err
    assert contents(host) == before
    assert not fleet.jobs
    assert take("--disabled").code == 2


@AS_ROOT
@pytest.mark.parametrize("apart_s", [-3, 3])
def test_nothing_changes_hands_while_the_clocks_differ(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
    apart_s: int,
):
    before = contents(host)
    told = fleet.status()
    now = str(format_instant(NOW_US + apart_s * 1_000_000))
    with monkeypatch.context() as patch:
        patch.setattr(fleet, "status", lambda: told | {"now": now})
        said = take()
        assert said.code == 1
        assert "this host's clock and the fleet's are 3 s apart" in said.err
        assert contents(host) == before
        assert not fleet.jobs
    assert take().code == 0
    taken = contents(host)
    monkeypatch.setattr(fleet, "status", lambda: told | {"now": now})
    assert "are 3 s apart" in cronherd("import", "crontab", "--revert", "--yes").err
    assert contents(host) == taken


@AS_ROOT
def test_of_two_takeovers_at_once_the_later_one_does_nothing(
    cronherd: Shell,
    fleet: FakeFleet,
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[..., Said],
):
    real = takeover.take_over
    first: list[Said | None] = []

    def overtaken(*args: Any) -> Any:
        if not first:  # the files were read: now another does the same, from the start to the end
            first.append(None)
            first.append(take())
        return real(*args)

    monkeypatch.setattr(importing, "take_over", overtaken)
    said = take()
    assert first[1] is not None
    assert first[1].code == 0, first[1].err
    assert said.code == 1
    assert "was changed since it was read; no line was touched" in said.err
    assert all(job["enabled"] for job in fleet.jobs.values())
    back = cronherd("import", "crontab", "--revert", "--yes")
    assert "9 lines put back" in back.err


@AS_ROOT
def test_a_file_that_changes_while_it_is_taken_over_stops_it(
    cronherd: Shell, host: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[..., Said]
):
    file = host / "etc/cron.d/plain"
    real = swap.read_bytes
    reads: list[Path] = []

    def edited(path: Path) -> bytes:
        reads.append(path)
        if reads.count(file) == 2:
            file.write_bytes(b"0 1 * * * root other\n")
        return real(path)

    monkeypatch.setattr(takeover, "read_bytes", edited)
    said = take()
    assert said.code == 1
    assert "/etc/cron.d/plain was changed since it was read; its jobs are disabled" in said.err
    assert cronherd("import", "crontab", "--revert", "--yes").code == 0
    assert file.read_bytes() == b"0 1 * * * root other\n"


@AS_ROOT
def test_it_waits_for_the_middle_of_a_minute(
    take: Callable[..., Said], waits: list[float], host: Path
):
    assert take().code == 0
    assert waits == [3.0]  # the clock of these tests stands on a full minute
    del host


@AS_ROOT
def test_one_file_may_be_taken_over_alone_and_the_state_is_private(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    (tmp_path / "cronherd.yaml").write_text("node: {name: web-1}\n")
    (tmp_path / "tab").write_bytes(b"0 4 * * * one-job\n")
    assert cronherd("import", "crontab", "tab", "--takeover", "--yes").code == 0
    assert (tmp_path / "tab").read_bytes().startswith(b"#cronherd# ")
    assert fleet.jobs["one-job"]["enabled"]
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert cronherd("import", "crontab", "--revert", "--yes").code == 0
    assert (tmp_path / "tab").read_bytes() == b"0 4 * * * one-job\n"


def test_what_cannot_be_taken_over_is_said(cronherd: Shell, host: Path):
    del host
    said = cronherd("import", "crontab", "-", "--takeover", "--yes", given=b"@daily x\n")
    assert "standard input cannot be taken over" in said.err
    assert cronherd("import", "crontab", "x", "--revert").code == 2
    assert cronherd("import", "crontab").code == 2
    assert cronherd("import", "crontab", "x", "--root", "/y").code == 2
    assert cronherd("import", "crontab", "x", "--any-host", "--node", "n").code == 2


def test_one_takeover_at_a_time(tmp_path: Path):
    second = pytest.raises(CronherdError, match="another takeover is under way")
    with Journal(tmp_path).held(), second, Journal(tmp_path).held():
        pass


def test_slots_that_nobody_ran_are_named(capsys: pytest.CaptureFixture[str]):
    definition = {"name": "tick", "schedule": "* * * * *", "timezone": "UTC"}
    slow = Takeover(
        id="x",
        at="x",
        stage=Stage.DONE,
        files=(),
        groups=(Group(source="s", definitions=(definition,)),),
    )
    takeover._tell_missed(slow, NOW_US - 5_000_000, NOW_US + 5_000_000)
    assert (
        "'tick' was due at 2026-11-21T10:00:00Z while it changed hands" in capsys.readouterr().err
    )
