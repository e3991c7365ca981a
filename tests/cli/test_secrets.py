"""`cronherd secret`: where a value may come from, and that it is shown nowhere."""

import json
import os
import pty
import select
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Shell
from tests.cli.fakes import FakeFleet

VALUE = b"correct horse battery staple"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (VALUE, VALUE),
        (VALUE + b"\n", VALUE),
        (VALUE + b"\r\n", VALUE),
        (VALUE + b"\n\n", VALUE + b"\n"),
        (b" " + VALUE + b" ", b" " + VALUE + b" "),
        (b"two\nlines\n", b"two\nlines"),
    ],
)
def test_a_piped_value_loses_one_line_break(
    cronherd: Shell, fleet: FakeFleet, given: bytes, kept: bytes
):
    said = cronherd("secret", "set", "db", given=given)
    assert (said.code, said.out, said.err) == (0, "", "'db' is set\n")
    assert fleet.secrets == {"db": kept.decode()}


def test_a_file_is_taken_just_as_it_is(cronherd: Shell, fleet: FakeFleet, tmp_path: Path):
    (tmp_path / "key.pem").write_bytes(b"-----BEGIN-----\nabc\n")
    assert cronherd("secret", "set", "key", "--from-file", "key.pem").code == 0
    assert fleet.secrets == {"key": "-----BEGIN-----\nabc\n"}
    assert cronherd("secret", "set", "other", "--from-file", "-", given=b"piped\n").code == 0
    assert fleet.secrets["other"] == "piped"


def test_a_value_on_the_command_line_is_refused_and_not_repeated(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("secret", "set", "db", "hunter2")
    assert said.code == 2
    assert "does not belong on the command line" in said.err
    assert "hunter2" not in said.err + said.out
    said = cronherd("secret", "set", "db", "hunter2", "-o", "json")
    assert json.loads(said.err)["error"]["code"] == "usage"
    assert "hunter2" not in said.err
    assert fleet.secrets == {}


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("db", b"", "bad_secret"),
        ("db", b"\n", "bad_secret"),
        ("db", b"hunter2\xff", "bad_secret"),
        ("db", b"hunter2\0", "bad_secret"),
        ("db", b"hunter2" + b"x" * 65_530, "bad_secret"),
        ("db", b"hunter2" + "ä".encode() * 40_000, "bad_secret"),
        ("d b", b"hunter2", "bad_secret_name"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_before_anybody_is_asked(
    cronherd: Shell, fleet: FakeFleet, name: str, given: bytes, code: str
):
    said = cronherd("secret", "set", name, "-o", "json", given=given)
    assert said.code == 1
    assert json.loads(said.err)["error"]["code"] == code
    assert "hunter2" not in said.err
    assert fleet.secrets == {}


def test_the_largest_value_is_taken(cronherd: Shell, fleet: FakeFleet):
    assert cronherd("secret", "set", "db", given=b"x" * 65_536 + b"\r\n").code == 0
    assert len(fleet.secrets["db"]) == 65_536


def test_a_file_that_is_not_there_is_named(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("secret", "set", "db", "--from-file", "none")
    assert (said.code, said.err) == (1, "cronherd: none: No such file or directory\n")


def test_a_short_value_and_a_new_key_are_told(cronherd: Shell, fleet: FakeFleet):
    fleet.key_made = "/var/lib/cronherd/secret.key"
    said = cronherd("secret", "set", "pin", given=b"123").err.splitlines()
    assert said[0] == "'pin' is set"
    assert "shorter than 4 characters" in said[1]
    assert "not masked" in said[1]
    assert "/var/lib/cronherd/secret.key" in said[2]
    assert "123" not in "".join(said)


def test_programs_get_a_document_without_the_value(cronherd: Shell):
    said = cronherd("secret", "set", "db", "-o", "json", given=VALUE)
    document = json.loads(said.out)
    assert (document["name"], document["masked"], document["key_made"]) == ("db", True, None)
    assert VALUE.decode() not in said.out + said.err


def test_secrets_are_listed_without_values(cronherd: Shell, fleet: FakeFleet):
    assert "cronherd secret set NAME" in cronherd("secret", "list").err
    fleet.secrets = {"b": VALUE.decode(), "a": "x"}
    said = cronherd("secret", "ls")
    lines = said.out.splitlines()
    assert lines[0].split() == ["NAME", "SET", "BY"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    assert all(line.split()[-1] == "ann" for line in lines[1:])
    assert cronherd("secret", "list", "-o", "name").out == "a\nb\n"
    document = json.loads(cronherd("secret", "list", "-o", "json").out)
    assert document["items"][0] == {
        "name": "a",
        "set_at": "2026-11-21T09:59:00Z",
        "set_by": "local:ann",
    }


def test_one_that_jobs_use_is_removed_only_by_force(cronherd: Shell, fleet: FakeFleet):
    fleet.secrets, fleet.secret_users = {"db": "x"}, ["backup", "report"]
    assert cronherd("secret", "remove", "db").code == 1
    assert fleet.secrets
    said = cronherd("secret", "rm", "db", "--force")
    assert said.err.splitlines() == [
        "'db' is removed",
        "runs of these jobs are not started any more: backup, report",
    ]
    assert fleet.secrets == {}


def test_resealing_says_what_no_key_opens_and_fails_then(cronherd: Shell, fleet: FakeFleet):
    fleet.secrets = {"a": "x"}
    said = cronherd("secret", "reseal")
    assert (said.code, said.err) == (0, "1 secret sealed by the first key\n")
    fleet.closed = ["lost", "old"]
    said = cronherd("secret", "reseal", "-o", "json")
    assert (said.code, json.loads(said.out)["closed"]) == (1, ["lost", "old"])
    assert "lost old" in said.err


# ------------------------------------------------------------------ at a terminal


def _read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, shown
        shown += os.read(terminal, 4096)
    return shown


def test_a_typed_value_is_not_shown(tmp_path: Path):
    """On a real terminal: the prompt, then nothing of what is typed, not even its length."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        environ["PYTHONPATH"] = f"{ROOT}:{ROOT / 'src'}"
        words = ["-m", "tests.cli.fakes", "--state", "s", "secret", "set", "db"]
        os.execve(sys.executable, [sys.executable, *words], environ)  # noqa: S606 - on purpose
    shown = _read_until(terminal, b"value of 'db': ")
    os.write(terminal, VALUE + b"\n")
    shown += _read_until(terminal, b"'db' is set")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert VALUE not in shown
    assert b"*" not in shown
