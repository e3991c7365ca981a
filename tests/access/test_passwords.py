"""Passwords as they are hashed: how, by which settings, and how many at once."""

import threading

import pytest
from argon2 import PasswordHasher

from cronherd.access.keys import Keys, new_key, same
from cronherd.access.passwords import IN_LINE, Passwords
from cronherd.domain.errors import Refused

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def test_a_password_is_kept_as_argon2id_by_the_settings_of_its_rfc():
    keys = Keys()
    hashed = keys.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(hashed) < 200  # the column
    assert hashed.isascii()
    assert keys.fits(hashed, "correct horse battery")
    assert not keys.fits(hashed, "correct horse batterz")
    assert not keys.is_stale(hashed)
    assert keys.is_stale(CHEAP.hash("x"))


@pytest.mark.parametrize("hashed", [None, "", "x", "$argon2id$", "$2b$12$abc"])
def test_what_is_no_hash_fits_nothing(hashed: str | None):
    passwords = Passwords(CHEAP)
    assert not passwords.fits(hashed, "")
    assert not passwords.fits(hashed, "nobody has this password")


def test_whoever_comes_when_many_wait_is_sent_away_at_once():
    passwords = Passwords(CHEAP)
    hashed = passwords.hash("x")
    with passwords._room, passwords._room:  # as two that are being checked
        waiting = [
            threading.Thread(target=passwords.fits, args=[hashed, "x"]) for _ in range(IN_LINE)
        ]
        for thread in waiting:
            thread.start()
        while passwords._line._value:
            threading.Event().wait(0.001)
        with pytest.raises(Refused) as caught:
            passwords.fits(hashed, "x")
        assert (caught.value.code, caught.value.wait_s) == ("too_many_attempts", 1)
    for thread in waiting:
        thread.join(20)
    assert passwords.fits(hashed, "x")


def test_keys_are_long_different_and_compared_whatever_they_hold():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {47}
    assert same("ä\ud800", "ä\ud800")
    assert not same("ä", "a")
    assert Keys.csrf("one") != Keys.csrf("two")
