"""How people write where a lock is."""

from dataclasses import asdict

import pytest

from cronherd.domain.errors import Invalid, Unavailable
from cronherd.engine.clock import FakeClock
from cronherd.locks.address import open_lock
from cronherd.locks.file import FileLock
from cronherd.locks.fleet import FleetLock
from cronherd.locks.memcached import MemcachedLock
from cronherd.locks.redis import RedisLock

GOOD = [
    ("./lock", FileLock, "./lock"),
    ("/run/lock/a b", FileLock, "/run/lock/a b"),
    ("redis://host/x", RedisLock, "x"),
    ("redis://host/7", RedisLock, "7"),
    ("redis://host:1/3/x", RedisLock, "x"),
    ("rediss://me:pass@host/x", RedisLock, "x"),
    ("valkey://host/a.b:c", RedisLock, "a.b:c"),
    ("valkeys://[::1]:99/x", RedisLock, "x"),
    ("memcached://host/x%40y", MemcachedLock, "x@y"),
]
BAD = [
    "redis://host",
    "redis://host/",
    "redis:///x",
    "redis://host/x/y",
    "redis://host/0/x/y",
    "redis://host/x?y=1",
    "redis://host/x#y",
    "redis://host/x?ssl_ca=/etc/ca.pem",
    "rediss://host/x?ssl_ca",
    "rediss://host/x?ssl_ca=",
    "rediss://host/x?verify=no",
    "memcached://host/x?ssl_ca=/etc/ca.pem",
    "redis://host/a%20b",
    "redis://host/a%0ab",
    "redis://host:port/x",
    "redis://me:secret@host:port/x",
    f"redis://host/{201 * 'x'}",
    "memcached://me@host/x",
    "memcached://host/0/x",
    "mysql://host/x",
    "://x",
]


@pytest.mark.parametrize(("where", "kind", "name"), GOOD)
def test_a_lock_is_found_by_its_address(where: str, kind: type, name: str):
    lock = open_lock(where, FakeClock(), {})
    assert (type(lock), lock.name) == (kind, name)


def test_a_word_without_a_slash_is_a_lock_of_the_fleet():
    lock = open_lock("nightly-1", FakeClock(), {}, fleet=lambda _: {})
    assert (type(lock), lock.name) == (FleetLock, "nightly-1")
    with pytest.raises(Unavailable, match=r"there is no fleet.*\./nightly-1"):
        open_lock("nightly-1", FakeClock(), {})


@pytest.mark.parametrize("where", ["a b", "", "é", 121 * "x", "a\nb"])
def test_a_word_that_is_no_name_is_refused(where: str):
    with pytest.raises(Invalid, match="cannot be the name of a lock"):
        open_lock(where, FakeClock(), {}, fleet=lambda _: {})


@pytest.mark.parametrize("where", BAD)
def test_a_bad_address_is_refused_without_repeating_it(where: str):
    with pytest.raises(Invalid) as refused:
        open_lock(where, FakeClock(), {})
    assert refused.value.hint
    assert "secret" not in str(refused.value)


def test_a_url_says_server_database_and_password():
    def settings(where: str, **environ: str) -> dict[str, object]:
        lock = open_lock(where, FakeClock(), environ)
        assert isinstance(lock, RedisLock)
        return {"db": lock._number, **asdict(lock._server)}

    assert settings("redis://host:99/3/x") == {
        "host": "host",
        "port": 99,
        "db": 3,
        "tls": False,
        "ca": "",
        "cert": "",
        "key": "",
        "username": "",
        "password": "",
    }
    assert settings("redis://host/x")["port"] == 6379
    assert settings("redis://me:p%40%2F%3As@host/x")["password"] == "p@/:s"
    by_tls = settings("rediss://host/x?ssl_ca=/etc/a%20b.pem&ssl_cert=c&ssl_key=k")
    assert [by_tls[name] for name in ("tls", "ca", "cert", "key")] == [
        True,
        "/etc/a b.pem",
        "c",
        "k",
    ]
    assert settings("redis://me:a@host/x", REDISCLI_AUTH="b")["password"] == "a"
    assert settings("redis://host/x", REDISCLI_AUTH="p@/:s")["password"] == "p@/:s"
    named = settings("redis://me@host/x", REDISCLI_AUTH="b")
    assert (named["username"], named["password"]) == ("me", "b")
