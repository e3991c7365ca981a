"""`import crontab` of a whole host, and what may be wished for besides."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cronherd.cli.session import user_name
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, FakeHost

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the crontabs are root's")
DEBIAN = """\
SHELL=/bin/sh
17 * * * * root cd / && run-parts --report /etc/cron.hourly
25 6 * * * root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
"""


def write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cronherd.yaml").write_text("node: {name: web-1}\n")
    root = tmp_path / "host"
    write(root, "etc/crontab", DEBIAN)
    write(root, "etc/cron.d/shop", "CRON_TZ=Asia/Tokyo\n0 4 * * * daemon orders\n")
    write(root, "etc/cron.d/shop.dpkg-old", "0 4 * * * root old\n")
    for script in ("cron.daily/dpkg", "cron.daily/man-db", "cron.weekly/report"):
        write(root, f"etc/{script}", "#!/bin/sh\n", 0o755)
    write(root, "var/spool/cron/crontabs/daemon", "5 5 * * * mine\n", 0o600)
    write(root, "var/spool/cron/crontabs/root", "@reboot warm-up\n", 0o600)
    (root / "etc/timezone").write_text("Europe/Berlin\n")
    return root


def given(root: Path, *more: str) -> tuple[str, ...]:
    return ("import", "crontab", "--host-crontabs", "--root", str(root), "--yes", *more)


@AS_ROOT
def test_a_whole_host_moves_in(cronherd: Shell, fleet: FakeFleet, root: Path):
    machine = FakeHost(fleet)
    machine.allowed = {"daemon"}
    said = cronherd(*given(root), host=machine)
    assert said.code == 0, said.err
    found = {job["name"]: job["definition"] for job in fleet.jobs.values()}
    assert {name: job["user"] for name, job in found.items()} == {
        "run-parts-cron-hourly": "root",
        "run-parts-cron-daily": "root",
        "orders": "daemon",
        "mine": "daemon",
        "warm-up": "root",
    }
    assert {name: job["timezone"] for name, job in found.items() if name != "warm-up"} == {
        "run-parts-cron-hourly": "Europe/Berlin",
        "run-parts-cron-daily": "Europe/Berlin",
        "orders": "Asia/Tokyo",
        "mine": "Europe/Berlin",
    }
    assert found["warm-up"]["schedule"] == "@reboot"
    assert all(job["enabled"] for job in fleet.jobs.values())
    assert all(job["run_on"] == {"node": "web-1"} for job in found.values())
    assert all((job["overlap"], job["catchup"]) == ("allow", "none") for job in found.values())
    assert fleet.jobs["orders"]["source"] == "crontab:web-1:/etc/cron.d/shop"
    for line in (
        "/var/spool/cron/crontabs/daemon (user crontab of daemon, for node web-1)",
        "/etc/cron.d/shop.dpkg-old: passed over: Debian's cron passes over names",
        "runs what is in /etc/cron.hourly, now nothing",
        "runs what is in /etc/cron.daily, now 2: dpkg, man-db",
        "/etc/cron.weekly: no imported line runs what is there: report",
    ):
        assert line in said.out
    assert "cron still runs its lines too: --takeover comments them out" in said.err
    again = cronherd(*given(root), host=machine)
    assert again.out.count("(unchanged)") == 5


@AS_ROOT
def test_users_whom_the_host_does_not_allow_are_disabled_with_the_reason(
    cronherd: Shell, fleet: FakeFleet, root: Path
):
    said = cronherd(*given(root))
    assert "no line 'daemon' in the list: imported as disabled, because it belongs to" in said.out
    assert {name: job["enabled"] for name, job in fleet.jobs.items()} == {
        "run-parts-cron-hourly": True,
        "run-parts-cron-daily": True,
        "orders": False,
        "mine": False,
        "warm-up": True,
    }


@AS_ROOT
def test_roots_lines_are_disabled_where_the_agent_is_not_root(
    cronherd: Shell, fleet: FakeFleet, root: Path, tmp_path: Path
):
    state = tmp_path / "state"
    state.mkdir()
    (state / "node_id").write_text("id-web-1\n")
    shutil.chown(state / "node_id", "nobody")
    said = cronherd(*given(root))
    assert "this agent runs as nobody and cannot become another user: imported" in said.out
    assert not any(job["enabled"] for job in fleet.jobs.values())


@AS_ROOT
def test_a_fault_that_may_stop_the_whole_file_is_told(cronherd: Shell, root: Path):
    write(root, "etc/cron.d/bad", "0 61 * * * root x\n0 4 * * * root y\n")
    said = cronherd(*given(root))
    assert "note: Debian's cron runs no line of a file in which it finds a fault" in said.out


@AS_ROOT
def test_anacron_is_seen(cronherd: Shell, fleet: FakeFleet, root: Path):
    write(root, "usr/sbin/anacron", "", 0o755)
    write(root, "etc/anacrontab", "1 5 cron.daily run-parts /etc/cron.daily\n3 5 odd x\n")
    said = cronherd(*given(root))
    assert "while anacron is installed this does nothing: anacron runs that folder" in said.out
    assert "/etc/anacrontab (anacron crontab, for node web-1)" in said.out
    assert "a period of '3' has no day it belongs to" in said.out
    assert fleet.jobs["cron-daily"]["definition"]["catchup_window"] == "1d"


@AS_ROOT
def test_the_report_for_programs_says_the_same(cronherd: Shell, root: Path):
    said = cronherd(*given(root, "--dry-run", "-o", "json"))
    document = json.loads(said.out)
    assert [file["path"] for file in document["passed_over"]] == ["/etc/cron.d/shop.dpkg-old"]
    assert [(f["path"], f["run"]) for f in document["folders"]] == [
        ("/etc/cron.daily", True), ("/etc/cron.weekly", False),
    ]  # fmt: skip
    assert [file["owner"] for file in document["files"]] == [None, None, "daemon", "root"]


@AS_ROOT
def test_another_nodes_crontabs_are_imported_there(cronherd: Shell, tmp_path: Path):
    fleet_file = tmp_path / "cronherd.yaml"
    fleet_file.write_text("node: {name: elsewhere}\n")
    said = cronherd("import", "crontab", "--host-crontabs", "--yes", "--node", "web-1")
    assert said.code == 1
    assert "the node 'web-1' is not the one of this host" in said.err


@AS_ROOT
def test_a_user_cannot_name_the_jobs_of_others(cronherd: Shell, fleet: FakeFleet, root: Path):
    fleet.create_job({"name": "backup", "command": "pg_dump", "schedule": "@daily"}, "me")
    mine = "#cronherd# job backup\n5 5 * * * mine\n"
    write(root, "var/spool/cron/crontabs/daemon", mine, 0o600)
    assert cronherd(*given(root)).code == 0
    assert fleet.jobs["backup"]["definition"]["command"] == "pg_dump"
    assert fleet.jobs["daemon-backup"]["definition"]["command"] == "mine"


# ------------------------------------------------------------------ wishes


def test_existing_jobs_are_updated_left_or_refused(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    tab = tmp_path / "tab"
    tab.write_text("0 1 * * * one-job\n")
    assert cronherd("import", "crontab", "tab", "--yes").code == 0
    tab.write_text("A=1\n0 1 * * * one-job\n0 2 * * * other-job\n")
    said = cronherd("import", "crontab", "tab", "--yes", "--existing", "fail")
    assert said.code == 1
    assert "these jobs are there already: one-job" in said.err
    assert list(fleet.jobs) == ["one-job"]
    said = cronherd("import", "crontab", "tab", "--yes", "--existing", "skip")
    assert "the job is there already and is left as it is" in said.out
    assert said.err.startswith("1 job imported")
    assert set(fleet.jobs) == {"one-job", "other-job"}
    assert "A" not in fleet.jobs["one-job"]["definition"]["env"]
    assert cronherd("import", "crontab", "tab", "--yes").code == 0
    assert fleet.jobs["one-job"]["definition"]["env"]["A"] == "1"


def test_jobs_for_review_are_disabled(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", "--disabled", "--yes", given=b"@daily report\n")
    assert "they are disabled: look at them, then cronherd job enable NAME" in said.err
    assert not fleet.jobs["report"]["enabled"]
    fleet.set_enabled("report", "me", enabled=True)
    assert cronherd("import", "crontab", "-", "--yes", given=b"@daily report\n").code == 0
    assert fleet.jobs["report"]["definition"].get("enabled") is not False


def test_jobs_of_any_host_are_pinned_to_none(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("import", "crontab", "-", "--any-host", "--yes", given=b"@daily report\n")
    assert "(user crontab, for any node)" in said.out
    assert "run_on" not in fleet.jobs["report"]["definition"]
    again = cronherd("export", "crontab", "--any-host").out.encode()
    said = cronherd("import", "crontab", "-", "--any-host", "--yes", given=again)
    assert "'report' (unchanged)" in said.out


def test_a_user_crontab_may_be_somebody_elses(cronherd: Shell, fleet: FakeFleet):
    tab = b"@daily report\n"
    said = cronherd("import", "crontab", "-", "--as", user_name(), "--yes", given=tab)
    assert said.code == 0
    assert fleet.jobs["report"]["definition"]["user"] == user_name()
    assert fleet.jobs["report"]["enabled"]
    assert cronherd("import", "crontab", "-", "--as", "nobody", "--yes", given=tab).code == 0
    assert not fleet.jobs["report"]["enabled"]
