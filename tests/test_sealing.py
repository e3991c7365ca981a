"""The key file: who may read it, what its lines do, and what opens without it."""

import base64
import builtins
import os
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.errors import CronherdError, Invalid, Unavailable
from cronherd.sealing import KEY_BYTES, Vault, reveal_with

VALUE = "correct horse battery staple"


def new_line() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n"


def write_key(path: Path, *lines: str, mode: int = 0o600) -> Vault:
    path.write_text("".join(lines))
    path.chmod(mode)
    return Vault(path=path)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "secret.key"


@pytest.fixture
def vault(key: Path) -> Vault:
    return write_key(key, new_line())


def opened(vault: Vault, name: str, sealed: bytes) -> str | CronherdError:
    return vault.open_all([name], {name: sealed})[name]


def refusal(vault: Vault) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        vault.seal("db", VALUE)
    return caught.value


# ------------------------------------------------------------------ sealing


def test_what_is_sealed_opens_and_does_not_show_its_value(vault: Vault):
    sealed = vault.seal("db", VALUE)
    assert opened(vault, "db", sealed) == VALUE
    assert VALUE.encode() not in sealed
    assert vault.seal("db", VALUE) != sealed


def test_a_value_of_any_text_comes_back_as_it_was(vault: Vault):
    for value in ("\n", "a\nb\r\n", "ä€😀", "x" * 65_536):
        assert opened(vault, "db", vault.seal("db", value)) == value


def test_a_row_that_was_copied_under_another_name_does_not_open(vault: Vault):
    found = opened(vault, "harmless", vault.seal("root", VALUE))
    assert isinstance(found, Invalid)
    assert found.code == "no_secret"
    assert "'harmless'" in found.text
    assert "sealed under another" in found.text
    assert "root" not in str(found)


def test_a_changed_byte_does_not_open(vault: Vault):
    sealed = bytearray(vault.seal("db", VALUE))
    sealed[40] ^= 1
    assert isinstance(opened(vault, "db", bytes(sealed)), Invalid)


def test_a_node_with_another_key_names_the_secret_and_the_setting(vault: Vault, tmp_path: Path):
    other = write_key(tmp_path / "other.key", new_line())
    found = opened(other, "db", vault.seal("db", VALUE))
    assert isinstance(found, Invalid)
    assert found.code == "no_secret"
    for word in ("'db'", str(other.path), "secret_key_file"):
        assert word in str(found)


def test_a_secret_that_is_not_there_is_named(vault: Vault):
    found = vault.open_all(["db"], {})["db"]
    assert isinstance(found, Invalid)
    assert (found.code, found.hint) == ("no_secret", "cronherd secret set db")


def test_without_a_key_file_every_secret_is_closed_and_none_is_missing_by_mistake(tmp_path: Path):
    vault = Vault(path=tmp_path / "none")
    found = vault.open_all(["db", "gone"], {"db": b"x"})
    assert "cannot open the secret 'db': cannot read the key file" in str(found["db"])
    assert "secret_key_file" in str(found["db"])
    assert "there is none of that name" in str(found["gone"])


def test_an_agent_asks_once_for_all_it_needs(vault: Vault):
    asked: list[list[str]] = []

    def sealed(names: Any) -> dict[str, bytes]:
        asked.append(list(names))
        return {name: vault.seal(name, name * 2) for name in names}

    assert reveal_with(vault, sealed)(["a", "b"]) == {"a": "aa", "b": "bb"}
    assert asked == [["a", "b"]]


# ------------------------------------------------------------------ several keys


def test_the_first_line_seals_and_each_line_opens(key: Path):
    old, new = new_line(), new_line()
    by_old = write_key(key, old).seal("db", VALUE)
    both = write_key(key, new, old)
    assert opened(both, "db", by_old) == VALUE
    by_new = both.seal("db", VALUE)
    assert opened(write_key(key, new), "db", by_new) == VALUE
    assert isinstance(opened(write_key(key, old), "db", by_new), Invalid)


def test_what_was_resealed_needs_the_old_key_no_more(key: Path):
    old, new = new_line(), new_line()
    sealed = write_key(key, old).seal("db", VALUE)
    fresh = write_key(key, new, old).reseal("db", sealed)
    assert opened(write_key(key, new), "db", fresh) == VALUE
    assert isinstance(opened(write_key(key, new), "db", sealed), Invalid)


def test_what_no_key_opens_is_not_resealed(key: Path, vault: Vault):
    sealed = vault.seal("db", VALUE)
    with pytest.raises(Invalid) as caught:
        write_key(key, new_line()).reseal("db", sealed)
    assert caught.value.code == "wrong_secret_key"
    with pytest.raises(Invalid):
        write_key(key, new_line()).reseal("other", vault.seal("db", VALUE))


def test_both_alphabets_of_base64_blank_lines_and_remarks_are_taken(key: Path):
    raw = b"\xfb\xff" * 16
    plain = base64.b64encode(raw).decode()
    sealed = write_key(key, "# November\n\n", plain, "\r\n").seal("db", VALUE)
    other = write_key(key, base64.urlsafe_b64encode(raw).decode())
    assert opened(other, "db", sealed) == VALUE


# ------------------------------------------------------------------ the file


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644])
def test_a_file_that_others_may_use_is_refused(key: Path, mode: int):
    error = refusal(write_key(key, new_line(), mode=mode))
    assert (error.code, str(key) in error.text) == ("unsafe_secret_key", True)


def test_a_run_that_such_a_file_keeps_from_its_secret_is_told_what_to_do(vault: Vault):
    sealed = vault.seal("db", VALUE)
    vault.path.chmod(0o644)
    found = vault.open_all(["db"], {"db": sealed})["db"]
    assert isinstance(found, Invalid)
    assert found.hint.startswith(f"chmod 600 {vault.path}")
    vault.path.chmod(0o600)
    vault.path.write_text("\n")
    found = vault.open_all(["db"], {"db": sealed})["db"]
    assert isinstance(found, Invalid)
    assert "same file" in found.hint  # a new key would open nothing


def test_a_file_that_only_its_owner_may_use_is_taken(key: Path):
    for mode in (0o600, 0o400):
        assert write_key(key, new_line(), mode=mode).seal("db", VALUE)
        key.unlink()


def _list_access(path: Path, *entries: tuple[int, int, int]) -> None:
    rows = [(0x01, 6, 0xFFFFFFFF), *entries, (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in sorted(rows))
    try:
        os.setxattr(path, "system.posix_acl_access", listed)
    except OSError:
        pytest.skip("this file system keeps no access lists")


NOBODY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        ([(0x02, 4, os.geteuid()), (0x04, 0, NOBODY)], True),  # a credential of systemd
        ([(0x02, 4, 4242), (0x04, 0, NOBODY)], False),
        ([(0x02, 4, os.geteuid()), (0x04, 4, NOBODY)], False),
        ([(0x04, 0, NOBODY), (0x08, 4, 4242)], False),
    ],
)
def test_the_bits_of_an_access_list_are_not_taken_for_those_of_the_group(
    vault: Vault, entries: list[tuple[int, int, int]], *, taken: bool
):
    _list_access(vault.path, *entries)
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o640  # the mask shows as the group's bits
    if taken:
        assert vault.seal("db", VALUE)
    else:
        assert refusal(vault).code == "unsafe_secret_key"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["short\n"], "line 1"),
        ([new_line(), "!" * 44], "line 2"),
        ([base64.b64encode(b"x" * 31).decode()], "line 1"),
        (["\n# nothing\n"], "is empty"),
        ([], "is empty"),
    ],
)
def test_a_line_that_is_no_key_is_named_and_not_shown(key: Path, lines: list[str], said: str):
    error = refusal(write_key(key, *lines))
    assert error.code == "bad_secret_key"
    assert said in error.text
    assert not any(line.strip() in str(error) for line in lines if line.strip())


def test_a_file_that_is_none_is_refused_without_waiting_for_it(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert refusal(Vault(path=tmp_path / "pipe")).code == "no_secret_key"
    assert refusal(Vault(path=tmp_path)).code == "no_secret_key"
    error = refusal(Vault(path=tmp_path / "none"))
    assert (error.code, "No such file" in error.text) == ("no_secret_key", True)


# ------------------------------------------------------------------ the first secret


def test_the_key_is_made_once_and_for_its_owner_alone(key: Path):
    os.umask(0o022)
    vault = Vault(path=key, makes=True)
    assert vault.begin() == str(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    sealed = vault.seal("db", VALUE)
    assert vault.begin() is None
    assert opened(vault, "db", sealed) == VALUE
    assert [path.name for path in key.parent.iterdir()] == [key.name]


def test_a_key_is_not_made_where_it_may_not_be(key: Path):
    assert Vault(path=key).begin() is None
    assert not key.exists()


def test_of_several_at_one_instant_one_makes_the_key(key: Path):
    barrier = threading.Barrier(8)
    keys = []

    def begin() -> None:
        barrier.wait(10)
        Vault(path=key, makes=True).begin()
        keys.append(key.read_bytes())

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path):
    with pytest.raises(Unavailable) as caught:
        Vault(path=tmp_path / "none" / "secret.key", makes=True).begin()
    assert caught.value.code == "not_writable"


def test_an_agent_without_secrets_never_loads_the_library():
    code = "import sys, cronherd.wiring, cronherd.sealing; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_without_the_library_it_says_what_to_install(
    key: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
):
    sealed = vault.seal("db", VALUE)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    error = refusal(vault)
    assert (error.code, error.hint) == ("no_sealing", "pip install 'cronherd[secrets]'")
    assert "not installed" in str(opened(vault, "db", sealed))
    key.unlink()
    with pytest.raises(Unavailable, match="not installed"):
        Vault(path=key, makes=True).begin()
    assert not key.exists()
