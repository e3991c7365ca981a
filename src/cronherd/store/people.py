"""The contract `People`: accounts, sessions, tokens and login links.

Of what opens a door only SHA-256 digests come here, of passwords only argon2 hashes. Atomicity,
order and re-sending are as in the contract of the line, base.py; rows are locked in the order
account, api_token, session, login_link, login_failure.
"""

from dataclasses import dataclass
from typing import Protocol

from cronherd.domain.account import Account, Link, Session, Token
from cronherd.domain.event import EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a login is counted under: a bucket of names, one of addresses, and words for events."""

    name: str
    address: str
    words: str


class People(Protocol):
    """Who may come in, and how."""

    def accounts(self) -> list[Account]:
        """By name."""
        ...

    def find_account(self, name: str) -> Account:
        """By name in any case. Raises NotFound with close names as its hint."""
        ...

    def has_admin(self) -> bool:
        """Whether an enabled admin has a password: then nobody else may become the first one."""
        ...

    def add_account(self, account: Account, hashed: str | None, actor: str) -> None:
        """Raises Conflict when the name is taken."""
        ...

    def change_account(
        self, account_id: str, actor: str, *, role: str | None = None, disabled: bool | None = None
    ) -> None:
        """Another role, or disabled: then its sessions end at once, and its tokens open nothing.

        Raises Conflict when no enabled admin with a password would be left.
        """
        ...

    def remove_account(self, account_id: str, actor: str) -> None:
        """With its sessions, tokens and links. Raises Conflict for the last admin."""
        ...

    def set_password(
        self, account_id: str, hashed: str, actor: str, *, keep: bytes | None = None
    ) -> None:
        """All its sessions but `keep` end, its links and its tokens are void."""
        ...

    def change_hash(self, account_id: str, old: str, hashed: str) -> None:
        """The same password, hashed by newer settings; nothing when it was changed meanwhile."""
        ...

    def password_of(self, name: str) -> tuple[Account, str] | None:
        """The account of this name and its hash; None when there is none that may log in."""
        ...

    def note(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        """One fact beside all others."""
        ...

    # Links

    def add_link(self, digest: bytes, account_id: str | None, life_us: int, actor: str) -> None:
        """The earlier ones of this account (None: of the first admin) are void."""
        ...

    def link(self, digest: bytes) -> Link | None:
        """What it is for, if it can still be used."""
        ...

    def use_link(self, digest: bytes, account: Account, hashed: str) -> Account:
        """Set the password it is for, once; `account` is made when it is for the first admin.

        Raises Refused when it cannot be used (any more), Conflict when the name is taken.
        """
        ...

    # Sessions

    def open_session(self, session: Session, digest: bytes, old: bytes | None) -> None:
        """Begin one; the one this browser had before ends."""
        ...

    def session(self, digest: bytes, idle_us: int) -> tuple[Account, Session] | None:
        """Who this is, unless it has ended by now or its account is disabled."""
        ...

    def sessions(self, account_id: str | None = None) -> list[Session]:
        """Of one account or of all, the last seen first, at most a thousand."""
        ...

    def end_session(self, digest: bytes) -> None:
        """Log out."""
        ...

    def end_sessions(self, account_id: str, actor: str) -> int:
        """Log an account out everywhere; how many that were."""
        ...

    # Tokens

    def add_token(self, token: Token, digest: bytes, actor: str) -> None:
        """Raises Conflict when the name is taken."""
        ...

    def tokens(self) -> list[Token]:
        """By name."""
        ...

    def token(self, digest: bytes) -> tuple[Token, Account | None] | None:
        """The token and its owner, unless it has run out or its account is disabled."""
        ...

    def revoke_token(self, name: str, actor: str) -> None:
        """By name in any case. Raises NotFound."""
        ...

    # Failed logins

    def begin_login(self, attempt: Attempt) -> int:
        """Count a failure before anything is known; 0, or microseconds to wait: nothing counted.

        So a hundred attempts at one instant are a hundred failures.
        """
        ...

    def end_login(self, attempt: Attempt) -> None:
        """It was none: the name begins anew, the address has one less."""
        ...
