"""Accounts, sessions, tokens and links as they are kept, on each back end."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from cronherd.domain.access import Role
from cronherd.domain.account import Account, Session, Token
from cronherd.domain.errors import Conflict, CronherdError, NotFound, Refused, Unavailable
from cronherd.domain.throttle import FORGOTTEN_US, OF_ADDRESS, OF_NAME
from cronherd.store.people import Attempt
from cronherd.store.sqlstore import SqlStore
from tests.store.lossy import lost_answers
from tests.store.stage import Stage, race

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def person(
    stage: Stage, name: str, role: Role = Role.ADMIN, hashed: str | None = "hash"
) -> Account:
    account = Account(
        id=stage.new_id(),
        name=name,
        role=role,
        password=hashed is not None,
        disabled=False,
        created_us=0,
        by="",
    )
    stage.store.add_account(account, hashed, "local")
    return stage.store.find_account(name)


def log_in(stage: Stage, account: Account, token: str, old: str | None = None) -> None:
    session = Session(
        id=stage.new_id(),
        account_id=account.id,
        account=account.name,
        address="192.0.2.7",
        program="Firefox",
        created_us=0,
        seen_us=0,
        expires_us=7 * DAY_US,
    )
    stage.store.open_session(session, digest(token), None if old is None else digest(old))


def is_in(stage: Stage, token: str) -> bool:
    return stage.store.session(digest(token), 12 * HOUR_US) is not None


def token_of(stage: Stage, name: str, text: str, **more: Any) -> Token:
    token = Token(
        id=stage.new_id(),
        name=name,
        role=Role.OPERATOR,
        jobs=None,
        account=None,
        created_us=0,
        by="",
        expires_us=None,
    )
    token = replace(token, **more)
    stage.store.add_token(token, digest(text), "ann")
    return token


def told(stage: Stage) -> list[tuple[str, str, str]]:
    """What happened, oldest first."""
    events = reversed(stage.store.events(100))
    return [
        (e.kind.value, e.subject, e.actor) for e in events if not e.kind.value.startswith("node")
    ]


# ------------------------------------------------------------------ accounts


def test_an_account_is_kept_with_who_made_it(stage: Stage):
    made = person(stage, "Ann", Role.EDITOR)
    assert (made.name, made.role, made.password, made.disabled) == ("Ann", Role.EDITOR, True, False)
    assert (made.by, made.created_us, made.seen_us) == ("local", stage.now_us, None)
    assert stage.store.accounts() == [made]
    assert stage.store.find_account("aNN") == made
    assert stage.store.password_of("ann") == (made, "hash")
    assert told(stage) == [("account_added", "Ann", "local")]


def test_names_that_differ_in_case_are_one_account(stage: Stage):
    person(stage, "ann")
    with pytest.raises(Conflict) as caught:
        person(stage, "Ann")
    assert caught.value.code == "account_exists"
    assert len(stage.store.accounts()) == 1


@pytest.mark.parametrize("name", ["bob", "änn", "a\0", "x" * 5000, "' OR 1=1 --"])
def test_an_unknown_name_finds_nobody(stage: Stage, name: str):
    person(stage, "ann")
    assert stage.store.password_of(name) is None
    with pytest.raises(NotFound) as caught:
        stage.store.find_account(name)
    assert caught.value.code == "no_such_account"


def test_who_has_no_password_or_is_disabled_cannot_log_in(stage: Stage):
    person(stage, "root")
    bare = person(stage, "bare", hashed=None)
    assert not bare.password
    assert stage.store.password_of("bare") is None
    off = person(stage, "off")
    stage.clock.advance(1)
    stage.store.change_account(off.id, "root", disabled=True)
    assert stage.store.password_of("off") is None
    stage.store.change_account(off.id, "root", disabled=False)
    assert stage.store.password_of("off") is not None
    assert told(stage)[-2:] == [("account_changed", "off", "root")] * 2


@pytest.mark.parametrize("way", ["disable", "demote", "remove"])
def test_the_last_admin_who_can_log_in_stays(stage: Stage, way: str):
    ann = person(stage, "ann")
    person(stage, "bare", hashed=None)
    person(stage, "eve", Role.EDITOR)

    def take_away() -> None:
        if way == "remove":
            stage.store.remove_account(ann.id, "local")
        elif way == "demote":
            stage.store.change_account(ann.id, "local", role="editor")
        else:
            stage.store.change_account(ann.id, "local", disabled=True)

    with pytest.raises(Conflict) as caught:
        take_away()
    assert caught.value.code == "last_admin"
    assert stage.store.find_account("ann") == ann
    person(stage, "bob")
    take_away()
    assert stage.store.has_admin()


def test_two_admins_who_take_each_other_away_leave_one(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = open_second()
    for number in range(5):
        for account in stage.store.accounts():
            if account.role == Role.ADMIN:
                stage.write("DELETE FROM account")
        ann, bob = person(stage, f"a{number}"), person(stage, f"b{number}")
        race(
            partial(stage.store.change_account, ann.id, "bob", disabled=True),
            partial(other.change_account, bob.id, "ann", disabled=True),
        )
        assert stage.store.has_admin()


def test_an_account_that_was_added_while_the_answer_got_lost_is_there_once(stage: Stage):
    with lost_answers(stage.store):
        person(stage, "ann")
    assert [kind for kind, *_ in told(stage)] == ["account_added"]
    with lost_answers(stage.store, count=5), pytest.raises(Unavailable):
        person(stage, "bob")


# ------------------------------------------------------------------ passwords and sessions


def test_a_session_opens_until_it_is_ended(stage: Stage):
    ann = person(stage, "ann")
    log_in(stage, ann, "one")
    found = stage.store.session(digest("one"), HOUR_US)
    assert found is not None
    assert (found[0].name, found[1].address, found[1].program) == ("ann", "192.0.2.7", "Firefox")
    assert not is_in(stage, "two")
    stage.store.end_session(digest("one"))
    assert not is_in(stage, "one")


def test_the_session_a_browser_had_before_ends_at_a_login(stage: Stage):
    ann = person(stage, "ann")
    log_in(stage, ann, "planted")
    log_in(stage, ann, "fresh", old="planted")
    assert (is_in(stage, "planted"), is_in(stage, "fresh")) == (False, True)


def test_a_session_ends_by_itself_when_idle_and_at_last(stage: Stage):
    ann = person(stage, "ann")
    log_in(stage, ann, "idle")
    stage.clock.advance((12 * HOUR_US - SECOND_US) / SECOND_US)
    assert is_in(stage, "idle")  # seen: the idle time begins anew
    stage.clock.advance((12 * HOUR_US - SECOND_US) / SECOND_US)
    assert is_in(stage, "idle")
    stage.clock.advance((12 * HOUR_US) / SECOND_US)
    assert not is_in(stage, "idle")
    log_in(stage, ann, "busy")
    for _ in range(7 * 24 - 1):
        stage.clock.advance((HOUR_US) / SECOND_US)
        assert is_in(stage, "busy")
    stage.clock.advance((HOUR_US) / SECOND_US)
    assert not is_in(stage, "busy")


@pytest.mark.parametrize("way", ["password", "disable", "remove", "end"])
def test_all_sessions_of_an_account_end_together(stage: Stage, way: str):
    person(stage, "root")
    ann, bob = person(stage, "ann"), person(stage, "bob")
    for account, token in ((ann, "a1"), (ann, "a2"), (bob, "b")):
        log_in(stage, account, token)
    assert len(stage.store.sessions()) == 3
    assert {one.account for one in stage.store.sessions(ann.id)} == {"ann"}
    if way == "password":
        stage.store.set_password(ann.id, "new", "ann")
        assert stage.store.password_of("ann") == (stage.store.find_account("ann"), "new")
    elif way == "disable":
        stage.store.change_account(ann.id, "bob", disabled=True)
    elif way == "remove":
        stage.store.remove_account(ann.id, "bob")
    else:
        assert stage.store.end_sessions(ann.id, "bob") == 2
    assert [is_in(stage, token) for token in ("a1", "a2", "b")] == [False, False, True]


def test_who_changes_the_own_password_stays_logged_in(stage: Stage):
    ann = person(stage, "ann")
    log_in(stage, ann, "here")
    log_in(stage, ann, "there")
    stage.store.set_password(ann.id, "new", "ann", keep=digest("here"))
    assert (is_in(stage, "here"), is_in(stage, "there")) == (True, False)


def test_a_hash_is_renewed_only_while_it_is_the_one_that_was_checked(stage: Stage):
    ann = person(stage, "ann")
    stage.store.change_hash(ann.id, "hash", "newer")
    stage.store.change_hash(ann.id, "hash", "stale")
    found = stage.store.password_of("ann")
    assert found is not None
    assert found[1] == "newer"


# ------------------------------------------------------------------ links


def newcomer(stage: Stage, name: str) -> Account:
    return Account(
        id=stage.new_id(),
        name=name,
        role=Role.ADMIN,
        password=True,
        disabled=False,
        created_us=0,
        by="",
    )


def test_the_first_link_makes_the_first_admin_once(stage: Stage):
    stage.store.add_link(digest("l"), None, HOUR_US, "local")
    link = stage.store.link(digest("l"))
    assert link is not None
    assert (link.account, link.role) == (None, Role.ADMIN)
    stage.store.use_link(digest("l"), newcomer(stage, "ann"), "hash")
    assert stage.store.has_admin()
    assert stage.store.link(digest("l")) is None
    with pytest.raises(Refused) as caught:
        stage.store.use_link(digest("l"), newcomer(stage, "bob"), "hash")
    assert caught.value.code == "bad_link"
    assert [account.name for account in stage.store.accounts()] == ["ann"]


def test_of_many_who_use_the_first_link_at_once_one_becomes_admin(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [stage.store, open_second(), open_second()]
    stage.store.add_link(digest("l"), None, HOUR_US, "local")
    people = [newcomer(stage, name) for name in ("ann", "bob", "eve")]
    answers = race(
        *(
            lambda store=store, who=who: store.use_link(digest("l"), who, "hash")
            for store, who in zip(stores, people, strict=True)
        )
    )
    assert sum(isinstance(answer, Account) for answer in answers) == 1
    assert sum(getattr(answer, "code", "") == "bad_link" for answer in answers) == 2
    assert len(stage.store.accounts()) == 1


def test_a_first_link_is_void_as_soon_as_there_is_an_admin(stage: Stage):
    stage.store.add_link(digest("l"), None, HOUR_US, "local")
    person(stage, "ann")
    assert stage.store.link(digest("l")) is None
    with pytest.raises(Refused):
        stage.store.use_link(digest("l"), newcomer(stage, "bob"), "hash")


def test_a_newer_link_and_an_hour_make_a_link_void(stage: Stage):
    stage.store.add_link(digest("old"), None, HOUR_US, "local")
    stage.store.add_link(digest("new"), None, HOUR_US, "local")
    assert stage.store.link(digest("old")) is None
    assert stage.store.link(digest("new")) is not None
    stage.clock.advance((HOUR_US) / SECOND_US)
    assert stage.store.link(digest("new")) is None
    with pytest.raises(Refused):
        stage.store.use_link(digest("new"), newcomer(stage, "ann"), "hash")
    assert stage.store.accounts() == []


def test_an_invitation_sets_the_password_of_its_account_once(stage: Stage):
    person(stage, "root")
    ann = person(stage, "ann", Role.VIEWER, None)
    log_in(stage, ann, "before")
    stage.store.add_link(digest("l"), ann.id, HOUR_US, "root")
    link = stage.store.link(digest("l"))
    assert link is not None
    assert (link.account, link.role) == ("ann", Role.VIEWER)
    # What a hostile form says of name and role does not count.
    made = stage.store.use_link(digest("l"), newcomer(stage, "mallory"), "new")
    assert (made.id, made.name, made.role) == (ann.id, "ann", Role.VIEWER)
    assert not is_in(stage, "before")
    assert [account.name for account in stage.store.accounts()] == ["ann", "root"]
    with pytest.raises(Refused):
        stage.store.use_link(digest("l"), newcomer(stage, "ann"), "again")


def test_of_many_who_use_an_invitation_at_once_one_sets_the_password(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [stage.store, open_second(), open_second(), open_second()]
    ann = person(stage, "ann", Role.VIEWER, None)
    for round_ in range(5):
        link = digest(f"l{round_}")
        stage.store.add_link(link, ann.id, HOUR_US, "root")
        someone = newcomer(stage, "x")
        answers = race(*(partial(s.use_link, link, someone, f"h{n}") for n, s in enumerate(stores)))
        (won,) = (n for n, answer in enumerate(answers) if isinstance(answer, Account))
        kept = stage.store.password_of("ann")
        assert kept is not None
        assert kept[1] == f"h{won}"


def test_a_link_of_a_disabled_account_opens_nothing(stage: Stage):
    person(stage, "root")
    ann = person(stage, "ann", Role.VIEWER, None)
    stage.store.add_link(digest("l"), ann.id, HOUR_US, "root")
    stage.store.change_account(ann.id, "root", disabled=True)
    assert stage.store.link(digest("l")) is None
    with pytest.raises(Refused):
        stage.store.use_link(digest("l"), newcomer(stage, "ann"), "new")


# ------------------------------------------------------------------ tokens


def test_a_token_opens_until_it_is_revoked_or_runs_out(stage: Stage):
    token_of(stage, "Deploy", "t", jobs=("web-*", "db"), expires_us=stage.now_us + HOUR_US)
    found = stage.store.token(digest("t"))
    assert found is not None
    assert (found[0].name, found[0].jobs, found[1]) == ("Deploy", ("web-*", "db"), None)
    assert stage.store.token(digest("T")) is None
    assert [token.used_us for token in stage.store.tokens()] == [stage.now_us]
    stage.clock.advance((HOUR_US) / SECOND_US)
    assert stage.store.token(digest("t")) is None
    token_of(stage, "ci", "c")
    stage.clock.advance(1)
    stage.store.revoke_token("CI", "bob")
    assert stage.store.token(digest("c")) is None
    with pytest.raises(NotFound):
        stage.store.revoke_token("ci", "bob")
    kinds = [kind for kind, *_ in told(stage)]
    assert kinds == ["token_created", "token_created", "token_revoked"]


def test_a_name_of_a_token_is_taken_once(stage: Stage):
    token_of(stage, "ci", "one")
    with pytest.raises(Conflict) as caught:
        token_of(stage, "CI", "two")
    assert caught.value.code == "token_exists"
    assert stage.store.token(digest("two")) is None


@pytest.mark.parametrize("way", ["disable", "remove", "password"])
def test_a_token_of_a_person_ends_with_the_account(stage: Stage, way: str):
    person(stage, "root")
    ann = person(stage, "ann", Role.EDITOR)
    token_of(stage, "ann-laptop", "t", account="ann")
    found = stage.store.token(digest("t"))
    assert found is not None
    assert found[1] is not None
    assert found[1].name == "ann"
    if way == "disable":
        stage.store.change_account(ann.id, "root", disabled=True)
    elif way == "remove":
        stage.store.remove_account(ann.id, "root")
    else:
        stage.store.set_password(ann.id, "new", "ann")
    assert stage.store.token(digest("t")) is None


# ------------------------------------------------------------------ failed logins


def attempt(name: str = "n:1", address: str = "a:1") -> Attempt:
    return Attempt(name=name, address=address, words="from 192.0.2.7")


def waits(stage: Stage, count: int, which: Callable[[int], Attempt]) -> list[int]:
    return [stage.store.begin_login(which(number)) for number in range(count)]


def test_failures_of_an_address_make_it_wait_longer_each_time(stage: Stage):
    assert waits(stage, 5, lambda n: attempt(f"n:{n}")) == [0] * 5
    lengths = []
    for number in range(12):
        wait_us = stage.store.begin_login(attempt(f"m:{number}"))
        lengths.append(wait_us // SECOND_US)
        stage.clock.advance((max(wait_us, 0)) / SECOND_US)
        assert stage.store.begin_login(attempt(f"m:{number}")) == 0
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert stage.store.begin_login(attempt("x", "a:2")) == 0  # other addresses do not wait
    assert [kind for kind, *_ in told(stage)] == ["login_refused"]


def test_failures_of_a_name_from_many_addresses_make_it_wait_but_not_for_long(stage: Stage):
    assert waits(stage, 10, lambda n: attempt(address=f"a:{n}")) == [0] * 10
    lengths = []
    for number in range(8):
        wait_us = stage.store.begin_login(attempt(address=f"b:{number}"))
        lengths.append(wait_us // SECOND_US)
        stage.clock.advance((wait_us) / SECOND_US)
        assert stage.store.begin_login(attempt(address=f"b:{number}")) == 0
    assert lengths == [1, 2, 4, 8, 16, 30, 30, 30]


def test_an_attempt_that_waits_counts_nothing(stage: Stage):
    waits(stage, 5, lambda n: attempt(f"n:{n}"))
    assert len(set(waits(stage, 50, lambda n: attempt(f"m:{n}")))) == 1


def test_many_attempts_at_one_instant_are_many_failures(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    stores = [stage.store, open_second(), open_second(), open_second()]
    answers = race(*(lambda s=stores[n % 4]: s.begin_login(attempt()) for n in range(16)))
    assert [answer for answer in answers if isinstance(answer, CronherdError)] == []
    assert answers.count(0) == OF_ADDRESS.free


def test_a_success_clears_the_name_and_gives_the_address_one_back(stage: Stage):
    waits(stage, 4, lambda n: attempt())
    stage.store.end_login(attempt())
    assert waits(stage, 2, lambda n: attempt()) == [0, 0]
    assert stage.store.begin_login(attempt()) > 0  # 3 + 2 of this address


def test_after_a_day_failures_are_forgotten(stage: Stage):
    waits(stage, OF_NAME.free, lambda n: attempt())
    stage.clock.advance((FORGOTTEN_US + SECOND_US) / SECOND_US)
    assert waits(stage, 5, lambda n: attempt()) == [0] * 5
