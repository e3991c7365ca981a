"""Which files of a host cron reads. Each host is a folder of its own."""

import os
from pathlib import Path

import pytest

from cronherd.crontabs.places import HostCrontabs, find_crontabs, folders_of, host_zone
from cronherd.domain.crontab import Kind
from cronherd.domain.errors import Unavailable

SPOOL = "var/spool/cron/crontabs"
OWN = os.geteuid()


def write(root: Path, path: str, text: str = "0 4 * * * root x\n", mode: int = 0o644) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def find(root: Path, *users: str) -> HostCrontabs:
    return find_crontabs(root, dict.fromkeys(users, OWN).get)


def passed_over(host: HostCrontabs) -> dict[str, str]:
    return {file.path: file.reason for file in host.passed_over}


def test_all_that_debians_cron_reads_is_found_in_order(tmp_path: Path):
    for path in ("etc/cron.d/shop", "etc/crontab", "etc/cron.d/.placeholder", "etc/anacrontab"):
        write(tmp_path, path)
    for name in ("zoe", "amy"):
        write(tmp_path, f"{SPOOL}/{name}", mode=0o600)
    host = find(tmp_path, "zoe", "amy")
    assert [(file.path, file.kind, file.owner) for file in host.files] == [
        ("/etc/crontab", Kind.SYSTEM, None),
        ("/etc/cron.d/shop", Kind.SYSTEM, None),
        ("/etc/anacrontab", Kind.ANACRON, None),
        (f"/{SPOOL}/amy", Kind.USER, "amy"),
        (f"/{SPOOL}/zoe", Kind.USER, "zoe"),
    ]
    assert [file.file for file in host.files][:1] == [tmp_path / "etc/crontab"]
    assert host.passed_over == ()


@pytest.mark.parametrize("name", ["shop.bak", "shop~", "#shop#", ".shop", "a.dpkg-dist", "täglich"])
def test_names_that_debians_cron_passes_over_are_told(tmp_path: Path, name: str):
    write(tmp_path, f"{SPOOL}/amy", mode=0o600)
    write(tmp_path, f"etc/cron.d/{name}")
    host = find(tmp_path, "amy")
    assert len(host.files) == 1
    reason = "Debian's cron passes over names with other characters than letters, digits, _ and -"
    assert passed_over(host) == {f"/etc/cron.d/{name}": reason}


def test_cronie_has_its_own_place_and_names(tmp_path: Path):
    write(tmp_path, "var/spool/cron/amy", mode=0o600)
    for name in ("shop.v2", "shop.rpmsave", "old~"):
        write(tmp_path, f"etc/cron.d/{name}")
    host = find(tmp_path, "amy")
    assert [file.path for file in host.files] == ["/etc/cron.d/shop.v2", "/var/spool/cron/amy"]
    assert set(passed_over(host)) == {"/etc/cron.d/shop.rpmsave", "/etc/cron.d/old~"}


def test_files_that_cron_does_not_trust_are_told(tmp_path: Path):
    write(tmp_path, "etc/crontab", mode=0o664)
    (tmp_path / "etc/cron.d/folder").mkdir(parents=True)
    (tmp_path / "etc/cron.d/nowhere").symlink_to("gone")
    write(tmp_path, "etc/cron.d/twice")
    os.link(tmp_path / "etc/cron.d/twice", tmp_path / "elsewhere")
    write(tmp_path, f"{SPOOL}/amy", mode=0o640)
    write(tmp_path, f"{SPOOL}/ghost", mode=0o600)
    write(tmp_path, f"{SPOOL}/tmp.Xy", mode=0o600)
    host = find(tmp_path, "amy")
    assert host.files == ()
    assert passed_over(host) == {
        "/etc/crontab": "others than root may write it",
        "/etc/cron.d/folder": "it is not a regular file",
        "/etc/cron.d/nowhere": "it cannot be read: No such file or directory",
        "/etc/cron.d/twice": "it has more than one hard link",
        f"/{SPOOL}/amy": "its mode is not 0600",
        f"/{SPOOL}/ghost": "this host has no user 'ghost'",
        f"/{SPOOL}/tmp.Xy": "it is a temporary file of crontab",
    }


@pytest.mark.skipif(OWN != 0, reason="only root gives files away")
def test_files_of_somebody_else_are_told(tmp_path: Path):
    for path, mode in (("etc/crontab", 0o644), (f"{SPOOL}/amy", 0o600)):
        os.chown(write(tmp_path, path, mode=mode), 12345, 12345)
    reasons = passed_over(find(tmp_path, "amy"))
    assert reasons == {
        "/etc/crontab": "it does not belong to root",
        f"/{SPOOL}/amy": "it does not belong to amy",
    }


def test_folders_of_run_parts_are_looked_into(tmp_path: Path):
    for name, mode in (("dpkg", 0o755), ("man-db", 0o755), ("README", 0o644), ("a.sh", 0o755)):
        write(tmp_path, f"etc/cron.daily/{name}", "#!/bin/sh\n", mode)
    (tmp_path / "etc/cron.hourly").mkdir()
    host = find(tmp_path)
    assert [(folder.path, folder.scripts) for folder in host.folders] == [
        ("/etc/cron.daily", ("dpkg", "man-db"))
    ]
    assert passed_over(host)["/etc/cron.daily/README"] == "it is not executable"
    assert "run-parts passes over" in passed_over(host)["/etc/cron.daily/a.sh"]


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        ("cd / && run-parts --report /etc/cron.hourly", ("/etc/cron.hourly",)),
        ("test -x x || { cd / && run-parts --report /etc/cron.daily; }", ("/etc/cron.daily",)),
        ("ls /etc/cron.daily", ()),
        ("run-parts /srv/cron.daily", ()),
    ],
)
def test_commands_tell_which_folder_they_run(command: str, folders: tuple[str, ...]):
    assert folders_of(command) == folders


def test_a_place_that_cannot_be_read_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / SPOOL).mkdir(parents=True)

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(Unavailable, match=r"cannot read /.*: Permission denied"):
        find(tmp_path)


def test_the_zone_is_the_hosts(tmp_path: Path):
    assert host_zone(tmp_path) is None
    write(tmp_path, "etc/timezone", "Asia/Tokyo\n")
    assert host_zone(tmp_path) == "Asia/Tokyo"
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert host_zone(tmp_path) == "Europe/Berlin"
