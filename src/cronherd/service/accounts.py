"""Accounts and tokens: made, listed, changed. A key is in the one answer that makes it."""

from collections.abc import Sequence
from dataclasses import replace

from cronherd.accountviews import account_view, session_view, token_view
from cronherd.domain.access import Role
from cronherd.domain.account import (
    LINK_US,
    TOKEN_MOST_US,
    Account,
    Token,
    check_account_name,
    check_password,
    check_patterns,
    role_of,
)
from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Conflict, Invalid, Unavailable
from cronherd.domain.instant import format_instant
from cronherd.service.desk import Desk, Keys
from cronherd.views import API_VERSION, Json, page

WELCOME = "/welcome/"


class AccountDesk(Desk):
    """What a person may ask of accounts and tokens."""

    def list_accounts(self) -> Json:
        """By name."""
        return page([account_view(account) for account in self._catalog.accounts()], None)

    def add_account(self, name: str, role: str, actor: str, *, password: str | None = None) -> Json:
        """Make one; without a password it gets a `link` by which its owner sets one."""
        check_account_name(name)
        keys = self._opening()
        hashed = None
        if password is not None:
            check_password(password, name)
            hashed = keys.hash(password)
        account = new_account(self._new_id(), name, role_of(role))
        account = replace(account, password=password is not None)
        self._catalog.add_account(account, hashed, actor)
        made = account_view(self._catalog.find_account(name))
        return made if hashed else {**made, "link": self._link(account.id, actor)}

    def make_link(self, name: str | None, actor: str) -> Json:
        """A link by which an account gets a (new) password; no name: the first admin of all."""
        if name is not None:
            account = self._catalog.find_account(name)
            if account.disabled:
                raise _disabled(account)
            return {"account": account.name, "link": self._link(account.id, actor)}
        if self._catalog.has_admin():
            raise Conflict(
                "there is an admin already, so no first one is to be made",
                code="admin_exists",
                hint="name the account that needs a new password",
            )
        return {"account": None, "link": self._link(None, actor)}

    def _link(self, account_id: str | None, actor: str) -> Json:
        keys = self._opening()
        key = keys.new()
        self._catalog.add_link(keys.digest(key), account_id, LINK_US, actor)
        until_us = self._store.now_us() + LINK_US
        path = f"{WELCOME}{key}"
        return {"path": path, "url": self._address + path, "expires_at": format_instant(until_us)}

    def set_role(self, name: str, role: str, actor: str) -> Json:
        """Give an account another role; it counts from its next request on."""
        account = self._catalog.find_account(name)
        self._catalog.change_account(account.id, actor, role=role_of(role).value)
        return account_view(self._catalog.find_account(name))

    def set_account_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        """Disable: its sessions end and its tokens open nothing, at once."""
        account = self._catalog.find_account(name)
        self._catalog.change_account(account.id, actor, disabled=not enabled)
        return account_view(self._catalog.find_account(name))

    def set_password(self, name: str, password: str, actor: str) -> Json:
        """Its sessions end, and the tokens of this person are void."""
        account = self._catalog.find_account(name)
        check_password(password, account.name)
        hashed = self._opening().hash(password)
        self._catalog.set_password(account.id, hashed, actor)
        return account_view(self._catalog.find_account(name))

    def remove_account(self, name: str, actor: str) -> Json:
        """With its sessions and its own tokens; what it did stays in the events."""
        account = self._catalog.find_account(name)
        self._catalog.remove_account(account.id, actor)
        return {"removed": account.name}

    def list_sessions(self, name: str | None = None) -> Json:
        """Who is logged in, or where one account is; the last seen first."""
        account_id = None if name is None else self._catalog.find_account(name).id
        return page([session_view(one) for one in self._catalog.sessions(account_id)], None)

    def end_sessions(self, name: str, actor: str) -> Json:
        """Log an account out everywhere."""
        account = self._catalog.find_account(name)
        ended = self._catalog.end_sessions(account.id, actor)
        return {"account": account.name, "ended": ended}

    # Tokens

    def list_tokens(self) -> Json:
        """By name, without themselves."""
        return page([token_view(token) for token in self._catalog.tokens()], None)

    def create_token(
        self,
        name: str,
        role: str,
        actor: str,
        *,
        expires: str | float | None = None,
        jobs: Sequence[str] = (),
    ) -> Json:
        """Make one for a program; `token` is in this answer and never again."""
        check_account_name(name)
        wanted = role_of(role)
        life_us = None if expires is None else _life_us(expires)
        now_us = self._store.now_us()
        keys = self._opening()
        key = keys.new()
        token = Token(
            id=self._new_id(),
            name=name,
            role=wanted,
            jobs=check_patterns(wanted, jobs),
            account=None,
            created_us=now_us,
            by=actor,
            expires_us=None if life_us is None else now_us + life_us,
        )
        self._catalog.add_token(token, keys.digest(key), actor)
        return {"api_version": API_VERSION, **token_view(token), "token": key}

    def revoke_token(self, name: str, actor: str) -> Json:
        """It opens nothing any more."""
        self._catalog.revoke_token(name, actor)
        return {"revoked": name}

    def _opening(self) -> Keys:
        if self._keys is None:
            raise Unavailable("this cronherd cannot make keys", code="no_keys")
        return self._keys


def new_account(account_id: str, name: str, role: Role) -> Account:
    """An account that is about to be made."""
    return Account(
        id=account_id, name=name, role=role, password=True, disabled=False, created_us=0, by=""
    )


def _life_us(expires: str | float) -> int:
    life_us = parse_duration(expires)
    if not 0 < life_us <= TOKEN_MOST_US:
        raise Invalid("a token lives at most ten years", code="bad_expiry", where="expires")
    return life_us


def _disabled(account: Account) -> Conflict:
    return Conflict(
        f"the account '{account.name}' is disabled",
        code="account_disabled",
        hint=f"enable it first: cronherd user enable {account.name}",
    )
