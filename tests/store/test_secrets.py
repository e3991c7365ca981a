"""Secrets as they are kept: sealed by others, changed by the last, told without their value."""

from collections.abc import Callable
from functools import partial

import pytest

from cronherd.domain.errors import NotFound, Unavailable
from cronherd.domain.event import EventKind
from cronherd.store.sqlstore import SqlStore
from tests.store.lossy import lost_answers
from tests.store.stage import Stage, race


def kinds(stage: Stage) -> list[tuple[str, str, str, str]]:
    """What happened to secrets, oldest first."""
    events = reversed(stage.store.events(100))
    return [
        (event.kind.value, event.subject, event.actor, event.text)
        for event in events
        if event.kind.value.startswith("secret")
    ]


def test_a_secret_is_kept_with_who_set_it_and_when(stage: Stage):
    made = stage.store.set_secret("db", b"\x00sealed\xff", "ann")
    assert (made.name, made.by, made.at_us) == ("db", "ann", stage.now_us)
    assert stage.store.secrets() == [made]
    assert stage.store.sealed(["db"]) == {"db": b"\x00sealed\xff"}
    assert kinds(stage) == [(EventKind.SECRET_SET, "db", "ann", "")]


def test_whoever_was_last_counts(stage: Stage):
    stage.store.set_secret("db", b"one", "ann")
    stage.advance(5)
    changed = stage.store.set_secret("db", b"two", "bob")
    assert (changed.by, changed.at_us) == ("bob", stage.now_us)
    assert stage.store.secrets() == [changed]
    assert stage.store.sealed() == {"db": b"two"}
    assert [kind for kind, *_ in kinds(stage)] == ["secret_set", "secret_set"]


def test_the_largest_value_that_may_be_sealed_is_kept_whole(stage: Stage):
    sealed = bytes(range(256)) * 400
    stage.store.set_secret("big", sealed, "ann")
    assert stage.store.sealed(["big"])["big"] == sealed


def test_names_of_different_case_are_different_secrets(stage: Stage):
    stage.store.set_secret("db", b"one", "ann")
    stage.store.set_secret("DB", b"two", "ann")
    assert stage.store.sealed(["db"]) == {"db": b"one"}
    assert [secret.name for secret in stage.store.secrets()] == ["DB", "db"]


def test_a_batch_gets_what_there_is_of_what_it_needs(stage: Stage):
    for name in ("a", "b", "c"):
        stage.store.set_secret(name, name.encode(), "ann")
    assert stage.store.sealed(["a", "c", "none"]) == {"a": b"a", "c": b"c"}
    assert stage.store.sealed([]) == {}
    assert stage.store.sealed() == {"a": b"a", "b": b"b", "c": b"c"}


def test_two_who_set_the_same_new_one_at_one_instant_both_succeed(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    for number in range(10):
        name = f"s{number}"
        answers = race(
            partial(stage.store.set_secret, name, b"one", "ann"),
            partial(other.set_secret, name, b"two", "bob"),
        )
        assert sorted(secret.by for secret in answers) == ["ann", "bob"]
        (kept,) = (secret for secret in stage.store.secrets() if secret.name == name)
        wanted = {"ann": b"one", "bob": b"two"}[kept.by]
        assert stage.store.sealed([name]) == {name: wanted}


def test_a_removed_one_is_gone(stage: Stage):
    stage.store.set_secret("db", b"x", "ann")
    stage.advance(5)
    stage.store.remove_secret("db", "bob")
    assert stage.store.secrets() == []
    assert kinds(stage)[-1] == (EventKind.SECRET_REMOVED, "db", "bob", "")
    with pytest.raises(NotFound) as caught:
        stage.store.remove_secret("db", "bob")
    assert caught.value.code == "no_such_secret"
    assert len(kinds(stage)) == 2


def test_a_set_that_is_sent_again_after_a_lost_answer_has_the_same_effect(stage: Stage):
    with lost_answers(stage.store), pytest.raises(Unavailable):
        stage.store.set_secret("db", b"x", "ann")
    stage.store.set_secret("db", b"x", "ann")
    assert stage.store.sealed() == {"db": b"x"}


# ---------------------------------------------------------------- sealing anew


def test_a_resealed_one_keeps_who_set_it_and_when(stage: Stage):
    made = stage.store.set_secret("db", b"old", "ann")
    stage.advance(5)
    assert stage.store.reseal_secrets({"db": (b"old", b"new")}, "bob") == 1
    assert stage.store.sealed() == {"db": b"new"}
    assert stage.store.secrets() == [made]
    assert kinds(stage)[-1][:3] == (EventKind.SECRETS_RESEALED, "secrets", "bob")


def test_what_was_set_meanwhile_is_not_overwritten_by_what_was_read_before(stage: Stage):
    stage.store.set_secret("db", b"old", "ann")
    stage.store.set_secret("db", b"newer", "ann")
    assert stage.store.reseal_secrets({"db": (b"old", b"resealed")}, "bob") == 0
    assert stage.store.sealed() == {"db": b"newer"}
    stage.store.remove_secret("db", "ann")
    assert stage.store.reseal_secrets({"db": (b"newer", b"resealed")}, "bob") == 0
    assert stage.store.secrets() == []
    assert all(kind != EventKind.SECRETS_RESEALED for kind, *_ in kinds(stage))


# ---------------------------------------------------------------- who uses it


def test_the_jobs_that_use_one_are_found_by_what_they_mean(stage: Stage):
    stage.job("plain", secrets=["db"])
    stage.job("file", secrets=[{"name": "db", "file": "DB_FILE"}])
    stage.job("other", secrets=["db-2", "DB"])
    stage.job("words", env={"A": '"secrets": ["db"]'})
    stage.job("off", secrets=["db"], enabled=False)
    stage.delete(stage.job("gone", secrets=["db"]))
    broken = stage.job("broken", secrets=["db"])
    stage.spoil(broken, '{"secrets": ["db"]')
    assert stage.store.secret_users("db") == ["file", "off", "plain"]
    assert stage.store.secret_users("DB") == ["other"]
    assert stage.store.secret_users("none") == []
