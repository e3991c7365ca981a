"""Sessions, tokens, and how often logins failed."""

from cronherd.domain.access import Role
from cronherd.domain.account import SEEN_EVERY_US, Account, Session, Token, account_key
from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.throttle import FORGOTTEN_US, OF_ADDRESS, OF_NAME, Pace, counted
from cronherd.store.accounts import account_of
from cronherd.store.database import Connection, Database, Duplicate, Row, fetch, one, plain
from cronherd.store.events import SUBJECT_LENGTH, EventRows, known
from cronherd.store.people import Attempt

# ruff: noqa: S105 - statements, no passwords

_OWNER = """a.id, a.name, a.role, a.password IS NOT NULL, a.disabled, a.created_us, a."by",
a.seen_us"""
_SESSION = "s.id, s.account_id, a.name, s.address, s.program, s.created_us, s.seen_us, s.expires_us"
_TOKEN = """t.id, t.name, t.role, t.jobs, a.name, t.created_us, t."by", t.expires_us, t.used_us"""

ADD_SESSION = """
INSERT INTO session (hash, id, account_id, address, program, created_us, seen_us, expires_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
SEEN_ACCOUNT = "UPDATE account SET seen_us = now_us() WHERE id = ?"
SESSION = f"""
SELECT {_OWNER}, {_SESSION}, now_us() FROM session s JOIN account a ON a.id = s.account_id
WHERE s.hash = ?
"""
SEEN = "UPDATE session SET seen_us = ? WHERE hash = ? AND seen_us < ?"
SESSIONS = f"""
SELECT {_SESSION} FROM session s JOIN account a ON a.id = s.account_id
WHERE s.expires_us > now_us(){{}} ORDER BY s.seen_us DESC, s.id LIMIT 1000
"""
END = "DELETE FROM session WHERE hash = ?"
END_ALL = "DELETE FROM session WHERE account_id = ?"
END_OLD = "DELETE FROM session WHERE expires_us <= ?"
NAME = "SELECT name FROM account WHERE id = ? /*lock*/"

ADD_TOKEN = """
INSERT INTO api_token (hash, id, "key", name, role, jobs, account_id, created_us, "by", expires_us)
VALUES (?, ?, ?, ?, ?, ?, ?, now_us(), ?, ?)
"""
TOKENS = f"SELECT {_TOKEN} FROM api_token t LEFT JOIN account a ON a.id = t.account_id"
TOKEN = f"""
SELECT {_TOKEN}, t.account_id, {_OWNER}, now_us() FROM api_token t
LEFT JOIN account a ON a.id = t.account_id WHERE t.hash = ?
"""
OWNER_ID = 'SELECT id FROM account WHERE "key" = ?'
USED = "UPDATE api_token SET used_us = ? WHERE hash = ? AND (used_us IS NULL OR used_us < ?)"
REVOKE = 'DELETE FROM api_token WHERE "key" = ?'

ADD_BUCKET = 'INSERT INTO login_failure ("key", failures, last_us, until_us) VALUES (?, 0, 0, 0)'
THERE = 'SELECT 1 FROM login_failure WHERE "key" = ?'
BUCKET = 'SELECT failures, last_us, until_us FROM login_failure WHERE "key" = ? /*lock*/'
SET_BUCKET = 'UPDATE login_failure SET failures = ?, last_us = ?, until_us = ? WHERE "key" = ?'
FORGET = "DELETE FROM login_failure WHERE last_us < ?"


class SessionRows:
    """The table of sessions."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def open_session(self, session: Session, digest: bytes, old: bytes | None) -> None:
        self._events.surely(lambda mark: self._open(session, digest, old, mark))

    def _open(self, session: Session, digest: bytes, old: bytes | None, mark: str) -> None:
        stored = to_stored(session.account_id)
        with self._db.write() as connection:
            if known(connection, mark):
                return
            now_us = self._db.dialect.now_us(connection)
            if not one(connection, SEEN_ACCOUNT, (stored,)):
                raise NotFound("that account was just removed", code="no_such_account")
            if old is not None:
                one(connection, END, (old,))
            one(connection, END_OLD, (now_us,))
            life_us = session.expires_us - session.created_us
            values = (session.address[:45], plain(session.program, 200))
            times = (now_us, now_us, now_us + life_us)
            one(connection, ADD_SESSION, (digest, to_stored(session.id), stored, *values, *times))
            events = self._events.by(mark)
            words = plain(f"from {session.address}", 100)
            events.add(connection, EventKind.LOGGED_IN, session.account, session.account, words)

    def session(self, digest: bytes, idle_us: int) -> tuple[Account, Session] | None:
        with self._db.glance() as connection:
            rows = fetch(connection, SESSION, (digest,))
        if not rows:
            return None
        account, session, now_us = account_of(rows[0]), _session_of(rows[0][8:16]), rows[0][16]
        if account.disabled or now_us >= min(session.expires_us, session.seen_us + idle_us):
            return None
        if now_us - session.seen_us >= SEEN_EVERY_US:
            with self._db.change() as connection:
                one(connection, SEEN, (now_us, digest, now_us))
        return account, session

    def sessions(self, account_id: str | None = None) -> list[Session]:
        where = "" if account_id is None else " AND s.account_id = ?"
        values = () if account_id is None else (to_stored(account_id),)
        with self._db.glance() as connection:
            return [_session_of(row) for row in fetch(connection, SESSIONS.format(where), values)]

    def end_session(self, digest: bytes) -> None:
        with self._db.change() as connection:
            one(connection, END, (digest,))

    def end_sessions(self, account_id: str, actor: str) -> int:
        stored = to_stored(account_id)
        with self._db.write() as connection:
            names = fetch(connection, NAME, (stored,))
            ended = one(connection, END_ALL, (stored,))
            if ended and names:
                kind, words = EventKind.SESSIONS_ENDED, f"{ended} ended"
                self._events.add(connection, kind, names[0][0], actor, words)
        return ended


class TokenRows:
    """The table of tokens."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def add_token(self, token: Token, digest: bytes, actor: str) -> None:
        try:
            self._events.surely(lambda mark: self._add(token, digest, actor, mark))
        except Duplicate:
            raise Conflict(
                f"there is a token '{token.name}' already",
                code="token_exists",
                hint=f"choose another name, or revoke it: cronherd token revoke {token.name}",
            ) from None

    def _add(self, token: Token, digest: bytes, actor: str, mark: str) -> None:
        with self._db.write() as connection:
            if known(connection, mark):
                return
            owner = None
            if token.account is not None:
                rows = fetch(connection, OWNER_ID, (account_key(token.account),))
                if not rows:
                    raise NotFound("that account was just removed", code="no_such_account")
                owner = rows[0][0]
            values = (
                digest,
                to_stored(token.id),
                account_key(token.name),
                token.name,
                token.role.value,
                None if token.jobs is None else " ".join(token.jobs),
                owner,
                plain(actor, SUBJECT_LENGTH),
                token.expires_us,
            )
            one(connection, ADD_TOKEN, values)
            events, words = self._events.by(mark), f"role {token.role}"
            events.add(connection, EventKind.TOKEN_CREATED, token.name, actor, words)

    def tokens(self) -> list[Token]:
        with self._db.glance() as connection:
            found = [_token_of(row) for row in fetch(connection, TOKENS)]
        return sorted(found, key=lambda token: account_key(token.name))

    def token(self, digest: bytes) -> tuple[Token, Account | None] | None:
        with self._db.glance() as connection:
            rows = fetch(connection, TOKEN, (digest,))
        if not rows:
            return None
        row = rows[0]
        token, owner_id, now_us = _token_of(row), row[9], row[18]
        owner = account_of(row[10:18]) if row[10] is not None else None
        lost = owner_id is not None and (owner is None or owner.disabled)
        if lost or (token.expires_us is not None and token.expires_us <= now_us):
            return None
        if token.used_us is None or now_us - token.used_us >= SEEN_EVERY_US:
            with self._db.change() as connection:
                one(connection, USED, (now_us, digest, now_us))
        return token, owner

    def revoke_token(self, name: str, actor: str) -> None:
        self._events.surely(lambda mark: self._revoke(name, actor, mark))

    def _revoke(self, name: str, actor: str, mark: str) -> None:
        key = account_key(name)
        with self._db.write() as connection:
            if known(connection, mark):
                return
            if not key.isascii() or "\0" in key or not one(connection, REVOKE, (key,)):
                raise NotFound(
                    f"there is no token '{name[:80]}'",
                    code="no_such_token",
                    hint="'cronherd token list' shows them all",
                )
            events = self._events.by(mark)
            events.add(connection, EventKind.TOKEN_REVOKED, name, actor)


class FailureRows:
    """The table of failed logins."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def begin_login(self, attempt: Attempt) -> int:
        pairs = sorted([(attempt.name, OF_NAME), (attempt.address, OF_ADDRESS)])
        for key, _ in pairs:
            self._make(key)
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            rows = [(key, pace, _bucket(connection, key)) for key, pace in pairs]
            wait_us = max(until_us - now_us for _, _, (_, _, until_us) in rows)
            if wait_us > 0:
                return wait_us
            for key, pace, (failures, last_us, _) in rows:
                self._count(connection, key, pace, counted(failures, last_us, now_us), attempt)
        return 0

    def _make(self, key: str) -> None:
        """Apart: on PostgreSQL a transaction is lost where a row is there already."""
        with self._db.glance() as connection:
            if fetch(connection, THERE, (key,)):
                return
        try:
            with self._db.write() as connection:
                one(connection, ADD_BUCKET, (key,))
        except Duplicate:
            pass  # somebody else was first

    def _count(
        self, connection: Connection, key: str, pace: Pace, failures: int, attempt: Attempt
    ) -> None:
        now_us = self._db.dialect.now_us(connection)
        wait_us = pace.wait_us(failures + 1)
        one(connection, SET_BUCKET, (failures + 1, now_us, now_us + wait_us, key))
        if wait_us and not pace.wait_us(failures):  # once, not for each that follows
            kind, words = EventKind.LOGIN_REFUSED, f"after {failures + 1} failures"
            self._events.add(connection, kind, attempt.words, "login", words)

    def end_login(self, attempt: Attempt) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            for key in sorted((attempt.name, attempt.address)):
                failures, last_us, _ = _bucket(connection, key)
                left = 0 if key == attempt.name else max(0, failures - 1)
                one(connection, SET_BUCKET, (left, last_us, 0, key))
            one(connection, FORGET, (now_us - FORGOTTEN_US,))


def _bucket(connection: Connection, key: str) -> tuple[int, int, int]:
    rows = fetch(connection, BUCKET, (key,))
    if not rows:  # forgotten in between
        return 0, 0, 0
    failures, last_us, until_us = rows[0]
    return failures, last_us, until_us


def _session_of(row: Row) -> Session:
    return Session(
        id=from_stored(row[0]),
        account_id=from_stored(row[1]),
        account=row[2],
        address=row[3],
        program=row[4],
        created_us=row[5],
        seen_us=row[6],
        expires_us=row[7],
    )


def _token_of(row: Row) -> Token:
    return Token(
        id=from_stored(row[0]),
        name=row[1],
        role=Role(row[2]),
        jobs=None if row[3] is None else tuple(row[3].split()),
        account=row[4],
        created_us=row[5],
        by=row[6],
        expires_us=row[7],
        used_us=row[8],
    )
