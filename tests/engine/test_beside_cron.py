"""A real Debian cron and a real node on one host: each minute of each line is run once, by one.

Both live in a mount namespace of their own, with a copy of /etc and an empty spool, so that the
cron of this machine has no part in it. Lines are taken over and put back while both run.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.host import Host, wait_until

NAMES = ("system", "dropped-in", "rooted", "theirs")
MINUTE_S = 60
PATIENCE_S = 3 * MINUTE_S
_UNSHARE = ("unshare", "--mount", "--propagation", "private")
_MOUNTS = 'for at in etc var/spool/cron run; do mount --bind "$1/$at" "/$at"; done'


def missing() -> str:
    """Why this cannot be tried here; empty when it can."""
    for program in ("cron", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"no program '{program}'"
    if os.geteuid() != 0:
        return "only root has mount namespaces"
    return (
        "" if subprocess.run([*_UNSHARE, "true"], check=False).returncode == 0 else "no namespaces"
    )


class Enclosed(Host):
    """A node, and a cron, that see another /etc, /run and spool than this process."""

    def __init__(self, folder: Path, root: Path) -> None:
        super().__init__(folder)
        self.root = root
        script = f"{_MOUNTS}; exec cron -f -L 0"
        with (folder / "cron.log").open("wb") as log:
            self.cron = subprocess.Popen(
                [*_UNSHARE, "sh", "-ec", script, "sh", str(root)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        wait_until((root / "run" / "crond.pid").exists, "cron never began")

    def command(self, *arguments: str) -> list[str]:
        inside = ["nsenter", f"--target={self.cron.pid}", "--mount"]
        return [*inside, *super().command(*arguments)]

    def clear_away(self) -> None:
        super().clear_away()
        with suppress(ProcessLookupError):
            self.cron.kill()
        self.cron.wait()

    def lines(self, name: str) -> list[tuple[int, str]]:
        """What ran: the minute, and by whom."""
        try:
            text = (self.root / "evidence" / name).read_text()
        except FileNotFoundError:
            return []
        words = (line.split() for line in text.splitlines())
        return [(int(at) // MINUTE_S, "cron" if who == "cron" else "cronherd") for at, who in words]


def _crontabs(root: Path) -> dict[str, Path]:
    evidence = root / "evidence"
    said = f'echo "$(date +\\%s) ${{CRONHERD_RUN_ID:-cron}}" >> {evidence}'
    spool = root / "var/spool/cron/crontabs"
    texts = {
        root / "etc/crontab": f"SHELL=/bin/sh\n* * * * * root {said}/system\n",
        root
        / "etc/cron.d/shop": f"@reboot root {said}/started\n* * * * *\troot\t{said}/dropped-in",
        spool / "root": f"# Latin \xe4\n* * * * * {said}/rooted\n",
        spool / "nobody": f"* * * * * {said}/theirs\n",
    }
    for path, text in texts.items():
        path.write_bytes(text.encode("latin-1") + b"\n" * (not text.endswith("\n")))
        path.chmod(0o600 if path.parent == spool else 0o644)
    shutil.chown(spool / "nobody", "nobody")
    return {path.name: path for path in texts}


@pytest.fixture
def enclosed(tmp_path: Path) -> Iterator[Enclosed]:
    root = Path("/var/tmp") / f"cronherd-beside-{os.getpid()}"  # where nobody may pass through
    root.mkdir(mode=0o755)
    try:
        subprocess.run(["cp", "-a", "/etc", str(root / "etc")], check=True)
        for folder in ("etc/cron.d", "etc/cronherd"):
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir()
        (root / "etc/cronherd/run-as.allow").write_text("nobody\n")
        (root / "run").mkdir()
        (root / "var/spool/cron/crontabs").mkdir(parents=True)
        (root / "evidence").mkdir()
        (root / "evidence").chmod(0o777)
        _crontabs(root)
        host = Enclosed(tmp_path, root)
        yield host
        host.clear_away()
    finally:
        shutil.rmtree(root)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(missing()), reason=missing() or "never")
def test_lines_change_hands_and_back_and_no_minute_is_lost_or_doubled(enclosed: Enclosed) -> None:
    files = [path for path in enclosed.root.rglob("*") if path.is_file() and "cron" in str(path)]
    files = [path for path in files if path.parent.name in {"crontabs", "cron.d"}]
    files.append(enclosed.root / "etc/crontab")
    before = {path: path.read_bytes() for path in files}
    enclosed.up()

    def minutes(who: str) -> int:
        return min(len([1 for _, by in enclosed.lines(name) if by == who]) for name in NAMES)

    wait_until(lambda: minutes("cron") >= 1, "cron ran nothing", PATIENCE_S)
    taken = _long(enclosed, "import", "crontab", "--host-crontabs", "--takeover", "--yes")
    assert taken.returncode == 0, taken.stderr
    assert "5 jobs imported, 0 lines not supported" in taken.stderr, taken.stderr + taken.stdout
    wait_until(lambda: minutes("cronherd") >= 2, "cronherd ran nothing", PATIENCE_S)
    back = _long(enclosed, "import", "crontab", "--revert", "--yes")
    assert back.returncode == 0, back.stderr
    assert {path: path.read_bytes() for path in files} == before
    were = minutes("cron")
    wait_until(lambda: minutes("cron") >= were + 2, "cron never went on", PATIENCE_S)
    for name in NAMES:
        _check(enclosed.lines(name))
    assert [by for _, by in enclosed.lines("started")] == ["cron"]


def _long(host: Enclosed, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command that may wait for the middle of a minute."""
    return subprocess.run(
        host.command(*arguments), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def _check(lines: list[tuple[int, str]]) -> None:
    """Each minute between the first and the last once; first cron, then we, then cron again."""
    ran = [minute for minute, _ in lines]
    assert ran == list(range(ran[0], ran[0] + len(ran))), lines
    hands = [by for number, (_, by) in enumerate(lines) if not number or lines[number - 1][1] != by]
    assert hands == ["cron", "cronherd", "cron"], lines


def test_the_check_notices_a_minute_that_is_lost_or_doubled() -> None:
    good = [(1, "cron"), (2, "cronherd"), (3, "cronherd"), (4, "cron")]
    _check(good)
    for bad in (good[:2] + good[3:], [*good[:2], (2, "cron"), *good[2:]], good[:3]):
        with pytest.raises(AssertionError):
            _check(bad)
