"""Who somebody is: by session, token, or the word of a trusted proxy; logging in and out.

Names that nobody has are answered as wrong passwords are, after the same work.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from cronherd.domain.access import Caller, Role, Way
from cronherd.domain.account import (
    LOGIN_TOKEN_US,
    PASSWORD_MOST,
    SESSION_AGE_US,
    SESSION_IDLE_US,
    Account,
    Link,
    Session,
    Token,
    account_key,
    check_account_name,
    check_password,
)
from cronherd.domain.errors import Invalid, NotFound, Refused
from cronherd.domain.event import EventKind
from cronherd.domain.throttle import SECOND_US
from cronherd.service.accounts import new_account
from cronherd.service.desk import Keys
from cronherd.service.refusals import Refusals
from cronherd.store.people import Attempt, People

KEY = re.compile(r"[A-Za-z0-9_-]{20,100}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """When sessions end by themselves."""

    idle_us: int = SESSION_IDLE_US
    most_us: int = SESSION_AGE_US


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Where a login comes from; `old`: the key of the session this browser had before."""

    address: str
    program: str = ""
    old: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that has just begun; `key` is for the cookie and for nothing else."""

    key: str
    account: str
    role: Role
    age_us: int


class Entrance:
    """The door of a fleet. `proxy_role`: whoever a trusted proxy names and has no account."""

    def __init__(
        self,
        people: People,
        keys: Keys,
        *,
        new_id: Callable[[], str],
        now_us: Callable[[], int],
        ages: Ages | None = None,
        proxy_role: Role | None = None,
    ) -> None:
        self._people = people
        self._keys = keys
        self._new_id = new_id
        self._now_us = now_us
        self._ages = ages or Ages()
        self._proxy_role = proxy_role
        self._refusals = Refusals(people.note, now_us)

    # ------------------------------------------------------------------ who is it

    def by_session(self, key: str) -> Caller | None:
        """Who logged in with this browser; None when it has to be done again."""
        if not KEY.fullmatch(key):
            return None
        found = self._people.session(self._keys.digest(key), self._ages.idle_us)
        if found is None:
            return None
        account, session = found
        return Caller(
            actor=account.name,
            role=account.role,
            way=Way.SESSION,
            account=account.name,
            session=session.id,
            csrf=self._keys.csrf(key),
        )

    def by_token(self, key: str) -> Caller:
        """Raises Refused."""
        found = self._people.token(self._keys.digest(key)) if KEY.fullmatch(key) else None
        if found is None:
            raise Refused(
                "this token opens nothing: it was revoked, has run out, or never was one",
                code="bad_token",
                hint="'cronherd token create NAME' makes one, 'cronherd login' gets one",
            )
        token, owner = found
        if owner is None:
            actor, role = f"token:{token.name}", token.role
        else:  # of a person, and never more than that person may
            actor = f"{owner.name}/{token.name}"
            role = token.role if owner.role.covers(token.role) else owner.role
        return Caller(
            actor=actor,
            role=role,
            way=Way.TOKEN,
            account=owner.name if owner else None,
            token=token.name,
            jobs=token.jobs,
        )

    def by_proxy(self, name: str) -> Caller:
        """Whom a trusted proxy has let in. Raises Refused for somebody nobody here knows."""
        try:
            check_account_name(name)
            account = self._people.find_account(name)
        except (Invalid, NotFound) as error:
            if self._proxy_role is None or isinstance(error, Invalid):
                raise Refused(
                    f"the proxy says '{name[:80]!a}', and there is no such account",
                    hint="an admin adds it: cronherd user add NAME, or sets web.default_role",
                ) from None
            return Caller(actor=name, role=self._proxy_role, way=Way.PROXY)
        if account.disabled:
            raise Refused(f"the account '{account.name}' is disabled")
        return Caller(actor=account.name, role=account.role, way=Way.PROXY, account=account.name)

    def tell_refused(self, caller: Caller, what: str) -> None:
        """Somebody known tried what they may not do; it is an event, as far as there is room."""
        self._refusals.tell(EventKind.ACCESS_REFUSED, caller.actor, caller.actor, what)

    def is_csrf(self, caller: Caller, given: str) -> bool:
        """Whether a change was sent by a page of this session."""
        return bool(caller.csrf) and self._keys.same(caller.csrf, given)

    # ------------------------------------------------------------------ coming and going

    def login(self, name: str, password: str, origin: From) -> Opened:
        """Begin a session. Raises Refused: bad_login, or too_many_attempts with `wait_s`."""
        return self._open(self._proven(name, password, origin), origin)

    def login_token(self, name: str, password: str, label: str, origin: From) -> tuple[Token, str]:
        """A token for a person's own command line, with that person's role; and its key."""
        check_account_name(label)
        account = self._proven(name, password, origin)
        for token in self._people.tokens():  # of an earlier login on the same host
            if account_key(token.name) == account_key(label) and token.account == account.name:
                self._people.revoke_token(token.name, account.name)
        now_us = self._now_us()
        key = self._keys.new()
        token = Token(
            id=self._new_id(),
            name=label,
            role=account.role,
            jobs=None,
            account=account.name,
            created_us=now_us,
            by=account.name,
            expires_us=now_us + LOGIN_TOKEN_US,
        )
        self._people.add_token(token, self._keys.digest(key), account.name)
        return token, key

    def logout(self, key: str) -> None:
        """End this session; nothing when there is none."""
        if KEY.fullmatch(key):
            self._people.end_session(self._keys.digest(key))

    def revoke_own(self, caller: Caller) -> None:
        """Whoever came with a token does not need it any more."""
        if caller.token is None:
            raise Invalid("only a token can be given back so", code="no_token")
        self._people.revoke_token(caller.token, caller.actor)

    def change_password(
        self, caller: Caller, old: str, new: str, origin: From, *, key: str | None
    ) -> None:
        """One's own; the old one is asked for, and every other session ends."""
        if caller.account is None:
            raise Refused(f"{caller.actor} has no password", code="no_password")
        account = self._proven(caller.account, old, origin)
        check_password(new, account.name)
        keep = self._keys.digest(key) if key else None
        self._people.set_password(account.id, self._keys.hash(new), account.name, keep=keep)

    def _proven(self, name: str, password: str, origin: From) -> Account:
        attempt = Attempt(
            name=_bucket("n", account_key(name)),
            address=_bucket("a", origin.address, digits=32),
            words=f"from {origin.address}"[:100],
        )
        wait_us = self._people.begin_login(attempt)
        if wait_us > 0:
            wait_s = -(-wait_us // SECOND_US)
            raise Refused(
                f"too many logins have failed: try again in {wait_s} s",
                code="too_many_attempts",
                wait_s=wait_s,
            )
        found = self._people.password_of(name)
        password = password if len(password) <= PASSWORD_MOST else ""
        if not self._keys.fits(found[1] if found else None, password) or found is None:
            # Not under which name: people type passwords there.
            self._refusals.tell(EventKind.LOGIN_FAILED, attempt.words, "login", "a login failed")
            raise Refused("name or password is wrong", code="bad_login")
        self._people.end_login(attempt)
        account, hashed = found
        if self._keys.is_stale(hashed):
            self._people.change_hash(account.id, hashed, self._keys.hash(password))
        return account

    def _open(self, account: Account, origin: From) -> Opened:
        key = self._keys.new()
        now_us = self._now_us()
        session = Session(
            id=self._new_id(),
            account_id=account.id,
            account=account.name,
            address=origin.address,
            program=origin.program,
            created_us=now_us,
            seen_us=now_us,
            expires_us=now_us + self._ages.most_us,
        )
        old = self._keys.digest(origin.old) if origin.old else None
        self._people.open_session(session, self._keys.digest(key), old)
        return Opened(key=key, account=account.name, role=account.role, age_us=self._ages.most_us)

    # ------------------------------------------------------------------ links

    def has_admin(self) -> bool:
        return self._people.has_admin()

    def link(self, key: str) -> Link | None:
        """What a login link is for, while it can be used."""
        return self._people.link(self._keys.digest(key)) if KEY.fullmatch(key) else None

    def use_link(self, key: str, name: str, password: str, origin: From) -> Opened:
        """Set the password it is for and log in. Raises Refused bad_link, Invalid, Conflict."""
        link = self.link(key)
        if link is None:
            raise bad_link()
        name = link.account or name.strip()
        check_account_name(name)
        check_password(password, name)
        fresh = new_account(self._new_id(), name, link.role)
        hashed = self._keys.hash(password)
        account = self._people.use_link(self._keys.digest(key), fresh, hashed)
        return self._open(replace(account, disabled=False), origin)


def bad_link() -> Refused:
    """For a link that opens nothing."""
    return Refused(
        "this link cannot be used: it was used, is older than an hour, or there is a newer one",
        code="bad_link",
        hint="'cronherd login --link' on a host of the fleet makes a new one",
    )


def _bucket(kind: str, text: str, digits: int = 4) -> str:
    """Names share 65,536 buckets, so that nobody can fill a table by trying many."""
    return f"{kind}:{sha256(text.encode('utf-8', 'replace')).hexdigest()[:digits]}"
