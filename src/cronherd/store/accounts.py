"""Accounts, their passwords, and the links that set them."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from cronherd.domain.access import Role
from cronherd.domain.account import Account, Link, account_key
from cronherd.domain.errors import Conflict, CronherdError, NotFound, Refused
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.store.database import Connection, Database, Duplicate, Row, Values, fetch, one, plain
from cronherd.store.events import SUBJECT_LENGTH, EventRows, known

_FIELDS = 'id, name, role, password IS NOT NULL, disabled, created_us, "by", seen_us'
_USABLE = "role = 'admin' AND NOT disabled AND password IS NOT NULL"

ACCOUNTS = f"SELECT {_FIELDS} FROM account"
BY_ID = f"SELECT {_FIELDS} FROM account WHERE id = ? /*lock*/"
BY_KEY = f'SELECT {_FIELDS}, password FROM account WHERE "key" = ?'
ADMIN = f"SELECT 1 FROM account WHERE {_USABLE} LIMIT 1"
# Who takes an admin away locks all of them first, by primary key.
ADMIN_IDS = "SELECT id FROM account WHERE role = 'admin'"
LOCK = "SELECT id FROM account /*by primary*/ WHERE id IN ? ORDER BY id /*lock*/"
OTHERS = f"SELECT 1 FROM account WHERE {_USABLE} AND id <> ? LIMIT 1"
ADD = """
INSERT INTO account (id, "key", name, role, password, disabled, created_us, "by")
VALUES (?, ?, ?, ?, ?, ?, now_us(), ?)
"""
CHANGE = "UPDATE account SET role = ?, disabled = ? WHERE id = ?"
SET_PASSWORD = "UPDATE account SET password = ? WHERE id = ?"  # noqa: S105 - a statement
CHANGE_HASH = "UPDATE account SET password = ? WHERE id = ? AND password = ?"
REMOVE = "DELETE FROM account WHERE id = ?"
END_TOKENS = "DELETE FROM api_token WHERE account_id = ?"
END_SESSIONS = "DELETE FROM session WHERE account_id = ?"
END_OTHERS = "DELETE FROM session WHERE account_id = ? AND hash <> ?"
END_LINKS = "DELETE FROM login_link WHERE account_id = ?"
END_FIRST = "DELETE FROM login_link WHERE account_id IS NULL"
ADD_LINK = "INSERT INTO login_link (hash, account_id, expires_us) VALUES (?, ?, ?)"
LINK = "SELECT account_id, expires_us FROM login_link WHERE hash = ? AND expires_us > now_us()"
USE_LINK = "DELETE FROM login_link WHERE hash = ?"

_GONE = "somebody has just removed that account"


class AccountRows:
    """The tables of accounts and links."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def accounts(self) -> list[Account]:
        with self._db.glance() as connection:
            found = [account_of(row) for row in fetch(connection, ACCOUNTS)]
        return sorted(found, key=lambda account: account.key)

    def find_account(self, name: str) -> Account:
        with self._db.read() as connection:
            rows = self._named(connection, name)
            if rows:
                return account_of(rows[0])
            names = [account_of(row).name for row in fetch(connection, ACCOUNTS)]
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "'cronherd user list' shows them all"
        raise NotFound(f"there is no account '{name[:80]}'", code="no_such_account", hint=hint)

    def has_admin(self) -> bool:
        with self._db.glance() as connection:
            return bool(fetch(connection, ADMIN))

    def password_of(self, name: str) -> tuple[Account, str] | None:
        with self._db.glance() as connection:
            rows = self._named(connection, name)
        if not rows or rows[0][-1] is None or rows[0][4]:
            return None
        return account_of(rows[0]), str(rows[0][-1])

    def _named(self, connection: Connection, name: str) -> Sequence[Row]:
        key = account_key(name)
        return fetch(connection, BY_KEY, (key,)) if key.isascii() and "\0" not in key else ()

    # ------------------------------------------------------------------ changes

    def add_account(self, account: Account, hashed: str | None, actor: str) -> None:
        self._events.surely(lambda mark: self._add(account, hashed, actor, mark))

    def _add(self, account: Account, hashed: str | None, actor: str, mark: str) -> None:
        with _free_name(account.name), self._db.write() as connection:
            if known(connection, mark):
                return
            insert_account(connection, account, hashed, actor)
            events = self._events.by(mark)
            events.add(
                connection, EventKind.ACCOUNT_ADDED, account.name, actor, f"role {account.role}"
            )

    def change_account(
        self, account_id: str, actor: str, *, role: str | None = None, disabled: bool | None = None
    ) -> None:
        with self._db.write() as connection:
            admins = [row[0] for row in fetch(connection, ADMIN_IDS)]
            before = self._locked(connection, account_id, admins)
            after = replace(
                before,
                role=before.role if role is None else Role(role),
                disabled=before.disabled if disabled is None else disabled,
            )
            if after == before:
                return
            if after.role != Role.ADMIN or after.disabled:
                _refuse_last(connection, before)
            stored = to_stored(account_id)
            one(connection, CHANGE, (after.role.value, after.disabled, stored))
            if after.disabled:
                one(connection, END_SESSIONS, (stored,))
                one(connection, END_LINKS, (stored,))
            words = f"role {after.role}" if role is not None else ""
            if disabled is not None:
                words = "disabled" if disabled else "enabled"
            self._events.add(connection, EventKind.ACCOUNT_CHANGED, before.name, actor, words)

    def remove_account(self, account_id: str, actor: str) -> None:
        self._events.surely(lambda mark: self._remove(account_id, actor, mark))

    def _remove(self, account_id: str, actor: str, mark: str) -> None:
        with self._db.write() as connection:
            if known(connection, mark):
                return
            admins = [row[0] for row in fetch(connection, ADMIN_IDS)]
            account = self._locked(connection, account_id, admins)
            _refuse_last(connection, account)
            stored = to_stored(account_id)
            for sql in (END_TOKENS, END_SESSIONS, END_LINKS, REMOVE):
                one(connection, sql, (stored,))
            events = self._events.by(mark)
            events.add(connection, EventKind.ACCOUNT_REMOVED, account.name, actor)

    def set_password(
        self, account_id: str, hashed: str, actor: str, *, keep: bytes | None = None
    ) -> None:
        with self._db.write() as connection:
            account = self._locked(connection, account_id, [])
            self._set_password(connection, account, hashed, actor, keep)

    def _set_password(
        self,
        connection: Connection,
        account: Account,
        hashed: str,
        actor: str,
        keep: bytes | None = None,
    ) -> None:
        stored = to_stored(account.id)
        one(connection, SET_PASSWORD, (hashed, stored))
        one(connection, END_TOKENS, (stored,))
        if keep is None:
            one(connection, END_SESSIONS, (stored,))
        else:
            one(connection, END_OTHERS, (stored, keep))
        one(connection, END_LINKS, (stored,))
        self._events.add(connection, EventKind.PASSWORD_SET, account.name, actor)

    def change_hash(self, account_id: str, old: str, hashed: str) -> None:
        with self._db.change() as connection:
            one(connection, CHANGE_HASH, (hashed, to_stored(account_id), old))

    def _locked(self, connection: Connection, account_id: str, others: Sequence[bytes]) -> Account:
        """The account as it is, locked with these others, all by id."""
        stored = to_stored(account_id)
        fetch(connection, LOCK, (sorted({*others, stored}),))
        rows = fetch(connection, BY_ID, (stored,))
        if not rows:
            raise NotFound(_GONE, code="no_such_account")
        return account_of(rows[0])

    # ------------------------------------------------------------------ links

    def add_link(self, digest: bytes, account_id: str | None, life_us: int, actor: str) -> None:
        with self._db.write() as connection:
            until_us = self._db.dialect.now_us(connection) + life_us
            name = "the first admin"
            if account_id is None:
                one(connection, END_FIRST)
                one(connection, ADD_LINK, (digest, None, until_us))
            else:
                name = self._locked(connection, account_id, []).name
                one(connection, END_LINKS, (to_stored(account_id),))
                one(connection, ADD_LINK, (digest, to_stored(account_id), until_us))
            self._events.add(connection, EventKind.LINK_MADE, name, actor)

    def link(self, digest: bytes) -> Link | None:
        with self._db.read() as connection:
            rows = fetch(connection, LINK, (digest,))
            if not rows:
                return None
            stored, until_us = rows[0]
            if stored is None:
                if fetch(connection, ADMIN):
                    return None
                return Link(account=None, role=Role.ADMIN, expires_us=until_us)
            found = fetch(connection, BY_ID.replace(" /*lock*/", ""), (stored,))
        if not found or found[0][4]:
            return None
        account = account_of(found[0])
        return Link(account=account.name, role=account.role, expires_us=until_us)

    def use_link(self, digest: bytes, account: Account, hashed: str) -> Account:
        with _free_name(account.name), self._db.write() as connection:
            rows = fetch(connection, LINK, (digest,))
            if not rows:
                raise _no_link()
            stored = rows[0][0]
            if stored is None:
                return self._first(connection, digest, account, hashed)
            found = self._locked(connection, from_stored(stored), [])
            # The lock on the account comes first, so of two who use it at once one finds it gone.
            if found.disabled or not one(connection, USE_LINK, (digest,)):
                raise _no_link()
            self._set_password(connection, found, hashed, found.name)
            return replace(found, password=True)

    def _first(
        self, connection: Connection, digest: bytes, account: Account, hashed: str
    ) -> Account:
        """The first admin of all; its name may be the one of an account that has no password."""
        if not one(connection, USE_LINK, (digest,)) or fetch(connection, ADMIN):
            raise _no_link()
        insert_account(connection, account, hashed, account.name)
        words = f"role {account.role}, by the first link"
        self._events.add(connection, EventKind.ACCOUNT_ADDED, account.name, account.name, words)
        one(connection, END_FIRST)
        return account


def insert_account(
    connection: Connection, account: Account, hashed: str | None, actor: str
) -> None:
    values: Values = (
        to_stored(account.id),
        account.key,
        account.name,
        account.role.value,
        hashed,
        account.disabled,
        plain(actor, SUBJECT_LENGTH),
    )
    one(connection, ADD, values)


def account_of(row: Row) -> Account:
    """A row that begins with the fields of an account."""
    stored, name, role, password, disabled, created_us, by, seen_us = row[:8]
    return Account(
        id=from_stored(stored),
        name=name,
        role=Role(role),
        password=bool(password),
        disabled=bool(disabled),
        created_us=created_us,
        by=by,
        seen_us=seen_us,
    )


class _free_name:  # noqa: N801 - a context manager of one line
    """A name that is taken, in words."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Duplicate):
            raise Conflict(
                f"there is an account '{self._name}' already",
                code="account_exists",
                hint="names that differ only in case are one",
            ) from None


def _refuse_last(connection: Connection, account: Account) -> None:
    usable = account.role == Role.ADMIN and account.password and not account.disabled
    if usable and not fetch(connection, OTHERS, (to_stored(account.id),)):
        raise Conflict(
            f"'{account.name}' is the last admin who can log in",
            code="last_admin",
            hint="make another one first: cronherd user add NAME --role admin",
        )


def _no_link() -> CronherdError:
    return Refused(
        "this link cannot be used: it was used, is older than an hour, or there is a newer one",
        code="bad_link",
        hint="'cronherd login --link' on a host of the fleet makes a new one",
    )
