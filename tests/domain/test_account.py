"""What may be an account, a password, a limit; and how long failures make wait."""

import pytest

from cronherd.domain.access import Caller, Role, Way
from cronherd.domain.account import (
    check_account_name,
    check_password,
    check_patterns,
    role_of,
)
from cronherd.domain.errors import Invalid
from cronherd.domain.throttle import FORGOTTEN_US, OF_ADDRESS, OF_NAME, SECOND_US, counted


@pytest.mark.parametrize("name", ["ann", "A", "ann.b@example.com", "a-b_c+d", "0", "x" * 64])
def test_a_name(name: str):
    check_account_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "ä", "a/b", "token:ci", "local", "LOCAL", ".a", "a.", "x" * 65, "a\n", "a\0"],
)
def test_no_name(name: str):
    """With / or : it could pass for a token, as `local` for whoever holds the socket."""
    with pytest.raises(Invalid) as caught:
        check_account_name(name)
    assert caught.value.code == "bad_account_name"


@pytest.mark.parametrize(
    "password", ["correct horse", "äöüß漢字かなカナxyz", "x1y2z3 a b c d", "p" * 8 + "wxyz"]
)
def test_a_password(password: str):
    check_password(password, "ann")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "x" * 11,
        "aaaaaaaaaaaa",
        "abababababab",
        "x" * 1001,
        "abcdefgh\0ijkl",
        "\ud800" * 12,
    ],
)
def test_no_password_and_no_sentence_repeats_it(password: str):
    with pytest.raises(Invalid) as caught:
        check_password(password, "ann")
    assert caught.value.code == "bad_password"
    assert len(password) < 3 or password not in str(caught.value)


@pytest.mark.parametrize("password", ["christopher1", "Christopher123", "christopherCHRISTOPHER"])
def test_ones_own_name_is_guessed_at_once(password: str):
    if password == "christopher1":
        check_password(password, "ann")
        return
    with pytest.raises(Invalid):
        check_password(password, "christopher")


def test_roles():
    assert role_of("editor") is Role.EDITOR
    with pytest.raises(Invalid) as caught:
        role_of("root")
    assert "viewer, operator, editor, admin" in caught.value.hint


def test_limits_to_jobs():
    assert check_patterns(Role.OPERATOR, []) is None
    assert check_patterns(Role.ADMIN, []) is None
    assert check_patterns(Role.VIEWER, ["web-*", "db"]) == ("web-*", "db")
    for role, patterns in (
        (Role.EDITOR, ["x"]),
        (Role.VIEWER, ["a b"]),
        (Role.VIEWER, [""]),
        (Role.VIEWER, ["x" * 121]),
        (Role.VIEWER, ["x" * 100] * 5),
    ):
        with pytest.raises(Invalid) as caught:
            check_patterns(role, patterns)
        assert caught.value.code == "bad_limit_to_jobs"


@pytest.mark.parametrize(
    ("job", "fits"),
    [("web-1", True), ("WEB-1", True), ("web-", True), ("web", False), ("xweb-1", False),
     ("db", True), ("db2", False), ("", False), ("web-1\n", True)],
)  # fmt: skip
def test_which_jobs_a_limit_lets_through(job: str, fits: bool):  # noqa: FBT001 - a table
    caller = Caller(actor="x", role=Role.VIEWER, way=Way.TOKEN, jobs=("Web-*", "db"))
    assert caller.may_touch(job) is fits
    assert Caller(actor="x", role=Role.VIEWER, way=Way.TOKEN).may_touch(job)
    assert not Caller(actor="x", role=Role.VIEWER, way=Way.TOKEN, jobs=()).may_touch(job)


def test_waits_grow_and_stop_growing():
    seconds = [OF_ADDRESS.wait_us(n) // SECOND_US for n in range(5, 18)]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    assert all(OF_ADDRESS.wait_us(n) == 0 for n in range(5))
    assert OF_ADDRESS.wait_us(10**9) == 900 * SECOND_US
    assert OF_NAME.wait_us(9) == 0
    assert max(OF_NAME.wait_us(n) for n in range(100)) == 30 * SECOND_US


def test_failures_are_forgotten_after_a_day():
    assert counted(7, 0, FORGOTTEN_US) == 7
    assert counted(7, 0, FORGOTTEN_US + 1) == 0
