"""A file is replaced as a whole, stays whose it was, and is never overwritten unseen."""

import os
from pathlib import Path

import pytest

from cronherd.crontabs import swap
from cronherd.domain.errors import Conflict, Unavailable


def test_owner_mode_and_attributes_stay_and_nothing_is_left_behind(tmp_path: Path):
    file = tmp_path / "tab"
    file.write_bytes(b"old")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    try:
        os.setxattr(file, "user.label", b"x")
    except OSError:
        label = False
    else:
        label = True
    before = file.stat()
    swap.replace_bytes(file, b"old", b"new")
    after = file.stat()
    assert file.read_bytes() == b"new"
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert not label or os.getxattr(file, "user.label") == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["tab"]


def test_the_time_of_the_folder_moves_as_crontab_does_it(tmp_path: Path):
    file = tmp_path / "tab"
    file.write_bytes(b"old")
    os.utime(tmp_path, (1, 1))
    swap.replace_bytes(file, b"old", b"new")
    assert tmp_path.stat().st_mtime > 1_000_000


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "tab").symlink_to("real")
    swap.replace_bytes(tmp_path / "tab", b"old", b"new")
    assert (tmp_path / "tab").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_file_that_somebody_changed_is_not_touched(tmp_path: Path):
    file = tmp_path / "tab"
    file.write_bytes(b"newer")
    with pytest.raises(Conflict, match="was changed just now by somebody else"):
        swap.replace_bytes(file, b"old", b"new")
    assert file.read_bytes() == b"newer"
    assert [path.name for path in tmp_path.iterdir()] == ["tab"]


def test_what_an_earlier_life_left_is_no_hindrance(tmp_path: Path):
    (tmp_path / "tab").write_bytes(b"old")
    (tmp_path / ".tab.cronherd-new").write_bytes(b"half")
    swap.replace_bytes(tmp_path / "tab", b"old", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["tab"]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "tab"
    file.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match=r"cannot write .*tab: No space left on device"):
        swap.replace_bytes(file, b"old", b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["tab"]


def test_a_private_file_is_private(tmp_path: Path):
    swap.write_private(tmp_path / "x", b"secret")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
