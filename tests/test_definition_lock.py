"""What a job says of its lock: a word, or a mapping; and what is refused, with its place."""

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.errors import InvalidInput
from cronherd.domain.job import Job
from cronherd.domain.lock import Away, LockUse, LogLevel


def job(lock: object) -> Job:
    return read_job({"name": "nightly", "command": "true", "lock": lock}, timezone="UTC")


def refused(lock: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        job(lock)
    return str(caught.value)


SAME: list[tuple[object, object]] = [
    ("report", "report"),
    ("/run/lock/report", "/run/lock/report"),
    ("redis://host/report", "redis://host/report"),
    ("memcached://host:1/report", "memcached://host:1/report"),
    ({"name": "report"}, "report"),
    ({"url": "rediss://me@host/2/x", "wait": 0, "expires": 3600}, "rediss://me@host/2/x"),
    ({"name": "a", "unavailable": "wait", "log": "none", "shared": False}, "a"),
    ({"wait": 600, "name": "a"}, {"name": "a", "wait": "10m"}),
    (
        {"file": "/a", "wait": "90s", "log": "verbose"},
        {"file": "/a", "wait": "1m30s", "log": "verbose"},
    ),
    (
        {"name": "a", "shared": True, "unavailable": "skip"},
        {"name": "a", "shared": True, "unavailable": "skip"},
    ),
    (None, None),
]


@pytest.mark.parametrize(("lock", "canonical"), SAME)
def test_what_means_the_same_is_said_the_same(lock: object, canonical: object):
    made = job(lock)
    assert made.spec.get("lock") == canonical
    assert read_job(made.spec, timezone="Asia/Tokyo") == made


def test_a_lock_has_its_defaults():
    assert job("report").lock == LockUse(where="report")
    assert LockUse(where="report") == LockUse(
        where="report", wait_us=0, expiry_us=3_600_000_000, away=Away.WAIT, log=LogLevel.NONE
    )
    assert job(None).lock is None


def test_all_of_a_lock_is_read():
    said = {
        "url": "redis://host/x",
        "wait": "10m",
        "expires": "2h",
        "shared": True,
        "unavailable": "skip",
        "log": "abandoned",
    }
    assert job(said).lock == LockUse(
        where="redis://host/x",
        wait_us=600_000_000,
        expiry_us=7_200_000_000,
        shared=True,
        away=Away.SKIP,
        log=LogLevel.ABANDONED,
    )


REFUSED: list[tuple[object, str]] = [
    ("", "lock: must say which lock"),
    (3, "lock: must say which lock, not the number 3"),
    ([], "lock: must say which lock"),
    ("a b", "lock: 'a b' cannot be the name of a lock"),
    ("./here", "lock: the file of a lock begins with /"),
    ("mysql://host/x", "lock: this is not the address of a lock"),
    ("redis://host/a b", "lock: the name of a lock"),
    ({}, "lock: has no name, file or url"),
    ({"name": "a", "url": "redis://host/x"}, "lock: has both name and url"),
    ({"name": "a/b"}, "lock.name: 'a/b' cannot be the name"),
    ({"name": "a", "log": "loud"}, "lock.log: must be one of none, abandoned, verbose"),
    ({"name": "a", "unavailable": "run"}, "lock.unavailable: must be one of wait, skip"),
    ({"name": "a", "expires": "1ms"}, "lock.expires: a lock must expire after a second"),
    ({"name": "a", "expires": "366d"}, "lock.expires: a lock must expire after a second"),
    ({"url": "memcached://host/x", "expires": "30d"}, "a second to 29 days"),
    ({"url": "memcached://host/x", "shared": True}, "lock.shared: a lock in Memcached cannot"),
    ({"file": "/a", "expires": "1m"}, "lock.expires: a file is free when its holder ends"),
    ({"name": "a", "waits": "1m"}, "lock.waits"),
]


@pytest.mark.parametrize(("lock", "words"), REFUSED)
def test_what_cannot_be_a_lock_is_refused_with_its_place(lock: object, words: str):
    assert words in refused(lock)


@pytest.mark.parametrize("lock", ["redis://:hunter2@host/x", {"url": "redis://me:hunter2@host/x"}])
def test_a_password_in_a_url_is_refused_with_a_way_and_not_repeated(lock: object):
    said = refused(lock)
    assert "holds no password" in said
    assert "env: REDISCLI_AUTH" in said
    assert "hunter2" not in said
