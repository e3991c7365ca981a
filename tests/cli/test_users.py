"""`user`, `token`, `login`, `web`: what is asked, what is said, and what is never said."""

import json
import stat
from pathlib import Path

import pytest

from cronherd.cli.keptkeys import forget_token, keep_token, token_for
from cronherd.domain.errors import Invalid
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, FakeHost

PASSWORD = b"correct horse battery"


def test_an_account_is_made_with_a_piped_password(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("user", "add", "ann", "--role", "editor", given=PASSWORD + b"\n")
    assert (said.code, said.out) == (0, "")
    assert "'ann' may create, edit" in said.err
    ((_, name, role, actor, password),) = fleet.changes
    assert (name, role, password) == ("ann", "editor", PASSWORD.decode())
    assert str(actor).startswith("local:")
    assert "editor" in cronherd("user", "list").out


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("ann", "--role", "root"), PASSWORD, "is not one of"),
        (("ann",), PASSWORD, "--role"),
        (("a b", "--role", "viewer"), PASSWORD, "cannot be the name"),
        (("ann", "--role", "viewer"), b"short", "at least 12 characters"),
        (("ann", "--role", "viewer"), b"", "at least 12 characters"),
        (("ann", "--role", "viewer"), b"\xff" * 12, "UTF-8"),
        (("ann", "hunter2hunter2", "--role", "viewer"), PASSWORD, "argument"),
    ],
)
def test_what_makes_no_account(
    cronherd: Shell, fleet: FakeFleet, words: tuple[str, ...], given: bytes, sentence: str
):
    said = cronherd("user", "add", *words, given=given)
    assert said.code in {1, 2}
    assert sentence in said.err
    assert fleet.changes == []


def test_an_invitation_prints_its_link_as_data(cronherd: Shell):
    said = cronherd("user", "invite", "eve", "--role", "viewer")
    assert said.out == "http://127.0.0.1:2766/welcome/chd_x\n"
    assert "good once, until" in said.err
    again = cronherd("user", "invite", "eve", "-o", "json")
    assert json.loads(again.out)["link"]["path"] == "/welcome/chd_x"
    assert cronherd("user", "invite", "nobody").code == 1


def test_a_login_link_for_the_first_admin_and_for_somebody(cronherd: Shell, fleet: FakeFleet):
    assert cronherd("login", "--link").out.startswith("http://127.0.0.1:2766/welcome/")
    cronherd("user", "invite", "eve", "--role", "viewer")
    assert cronherd("login", "eve", "--link").code == 0
    assert "an admin already" in cronherd("login", "--link").err


def test_switching_roles_passwords_and_sessions(cronherd: Shell, fleet: FakeFleet):
    for name in ("ann", "bob"):
        cronherd("user", "add", name, "--role", "viewer", given=PASSWORD)
    fleet.changes.clear()
    assert cronherd("user", "role", "ann", "admin").code == 0
    assert "'bob' is disabled" in cronherd("user", "disable", "ann", "bob").err
    assert "disabled" in cronherd("user", "list").out
    assert cronherd("user", "enable", "ann").code == 0
    assert cronherd("user", "password", "ann", given=PASSWORD + b"\r\n").code == 0
    assert "192.0.2.7" in cronherd("user", "sessions").out
    assert "1 session ended" in cronherd("user", "sessions", "ann", "--end").err
    assert cronherd("user", "sessions", "--end").code == 2
    assert cronherd("user", "remove", "ann").code == 2  # nobody is here to answer
    assert cronherd("user", "remove", "ann", "--yes").code == 0
    assert [change[0] for change in fleet.changes] == [
        "set_role", "set_account_enabled", "set_account_enabled", "set_account_enabled",
        "set_password", "end_sessions", "remove_account",
    ]  # fmt: skip


def test_a_token_is_printed_once_as_data(cronherd: Shell, fleet: FakeFleet):
    words = ("token", "create", "ci", "--role", "operator", "--expires", "90d", "--job", "web-*")
    said = cronherd(*words, "--job", "db", "--tag", "web")
    assert said.out == "chd_secret\n"
    assert fleet.changes[0][4:] == ("90d", ("web-*", "db", "tag:web"))
    listed = cronherd("token", "list")
    assert "web-* db tag:web" in listed.out
    assert "chd_secret" not in listed.out + listed.err
    assert "'ci' is revoked" in cronherd("token", "revoke", "ci").err
    assert cronherd("token", "revoke", "ci").code == 1


# ------------------------------------------------------------------ kept tokens


def test_tokens_are_kept_for_their_url_and_for_nobody_else(tmp_path: Path):
    path = tmp_path / "new" / "cronherd" / "tokens.json"
    assert token_for(path, "https://a.example.com") is None
    keep_token(path, "https://a.example.com/", "one")
    keep_token(path, "https://b.example.com", "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert token_for(path, "https://a.example.com") == "one"
    assert token_for(path, "https://a.example.com:444") is None
    forget_token(path, "https://a.example.com")
    assert token_for(path, "https://a.example.com") is None
    assert token_for(path, "https://b.example.com") == "two"
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o640)
    with pytest.raises(Invalid) as caught:
        token_for(path, "https://b.example.com")
    assert caught.value.code == "file_not_private"


@pytest.mark.parametrize("content", ["", "[]", "no json", '{"x": 1}'])
def test_a_spoilt_file_of_tokens_is_no_token_or_an_error(tmp_path: Path, content: str):
    path = tmp_path / "tokens.json"
    path.write_text(content)
    path.chmod(0o600)
    try:
        assert token_for(path, "x") is None
    except Exception as error:  # noqa: BLE001 - which one is looked at
        assert getattr(error, "code", "") == "not_readable"  # noqa: PT017


def test_a_password_does_not_travel_in_the_clear(cronherd: Shell):
    said = cronherd("login", "ann", "--url", "http://cron.example.com", given=PASSWORD)
    assert (said.code, "in the clear" in said.err) == (1, True)
    assert cronherd("login", "ann", given=PASSWORD).code == 2
    assert "where?" in cronherd("logout").err


# ------------------------------------------------------------------ where it listens


@pytest.mark.parametrize(
    ("words", "listen"),
    [
        ((), "127.0.0.1:2766 [::1]:2766"),
        (("--listen", "127.0.0.1:80"), "127.0.0.1:80"),
        (("--listen", "127.0.0.1:80", "--listen", "[::1]:80"), "127.0.0.1:80 [::1]:80"),
    ],
)
def test_where_to_listen_is_said_on_the_command_line(
    cronherd: Shell, fleet: FakeFleet, words: tuple[str, ...], listen: str
):
    host = FakeHost(fleet)
    assert cronherd("web", *words, host=host).code == 0
    assert host.calls == [f"web {listen}"]


@pytest.mark.parametrize("spot", ["80", "localhost", "127.0.0.1:99999", ":80", "a b:80", "none"])
def test_what_is_no_address_to_listen_at(cronherd: Shell, fleet: FakeFleet, spot: str):
    host = FakeHost(fleet)
    assert cronherd("web", "--listen", spot, host=host).code in {1, 2}
    assert host.calls == []
