"""Locks of the fleet: one row per hold, changed only behind the gate row of their name.

The gate's number is the last fence. A fence is at least the database's clock, so it grows also
when a gate was forgotten, and over a database that was put back from a copy.
"""

from collections.abc import Sequence

from cronherd.domain.errors import NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.instant import DAY_US, format_instant
from cronherd.store.database import Connection, Database, Duplicate, Row, fetch, one, plain
from cronherd.store.events import EventRows, known
from cronherd.store.lockbook import LockHold, LockTry

GATE = "SELECT seq FROM gate WHERE gkey = ? /*lock*/"
ADD_GATE = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, 1, 0)"
SET_FENCE = "UPDATE gate SET seq = ? WHERE gkey = ?"
FIELDS = "name, token, holder, shared, fence, since_us, until_us"
HOLDS = f"SELECT {FIELDS} FROM lock_holder WHERE name = ?"
ALL = f"SELECT {FIELDS} FROM lock_holder WHERE until_us > ? AND token <> '' ORDER BY name, token"
ADD = f"INSERT INTO lock_holder ({FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
RENEW = "UPDATE lock_holder SET until_us = ? WHERE name = ? AND token = ?"
DROP = "DELETE FROM lock_holder WHERE name = ? AND token = ?"
EXPIRED = "SELECT name, token, until_us FROM lock_holder WHERE until_us <= ? LIMIT ?"
DROP_EXPIRED = "DELETE FROM lock_holder WHERE name = ? AND token = ? AND until_us = ?"
# Gates whose fence is long behind the clock: a new one begins above it.
UNUSED = """
SELECT gkey, seq FROM gate WHERE gkey LIKE 'l%' AND seq <= ?
AND NOT EXISTS (SELECT 1 FROM lock_holder h WHERE h.name = substr(gate.gkey, 2)) LIMIT ?
"""
DROP_GATE = "DELETE FROM gate WHERE gkey = ? AND seq = ?"

UNUSED_US = 30 * DAY_US
HOLDER_LENGTH = 400
_GAP = ""  # nobody's token: what was given back, and is not for others yet


class LockRows:
    """Implements LockBook."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires_us: int
    ) -> LockTry:
        try:
            return self._acquire(name, token, holder, expires_us, shared=shared)
        except Duplicate:  # somebody else made the gate of this name at the same instant
            return self._acquire(name, token, holder, expires_us, shared=shared)

    def _acquire(
        self, name: str, token: str, holder: str, expires_us: int, *, shared: bool
    ) -> LockTry:
        with self._db.write() as connection:
            last = _gate(connection, name)
            if last is None:
                one(connection, ADD_GATE, (_key(name),))
            now_us = self._db.dialect.now_us(connection)
            holds = _living(connection, name, now_us)
            ours = next((hold for hold in holds if hold.token == token), None)
            others = tuple(hold for hold in holds if hold.token != token)
            if ours is not None:  # the first answer was lost
                one(connection, RENEW, (now_us + expires_us, name, token))
            elif not any(not (shared and hold.shared) for hold in others):
                fence = 0 if shared else max(now_us, (last or 0) + 1)
                ours = LockHold(
                    name=name,
                    token=token,
                    holder=plain(holder, HOLDER_LENGTH),
                    shared=shared,
                    fence=fence,
                    since_us=now_us,
                    until_us=now_us + expires_us,
                )
                one(connection, ADD, _values(ours))
                if fence:
                    one(connection, SET_FENCE, (fence, _key(name)))
        return LockTry(hold=ours, others=others, now_us=now_us)

    def renew_lock(self, name: str, token: str, expires_us: int) -> bool:
        with self._db.write() as connection:
            if _gate(connection, name) is None:
                return False
            now_us = self._db.dialect.now_us(connection)
            ours = any(hold.token == token for hold in _living(connection, name, now_us))
            if ours:
                one(connection, RENEW, (now_us + expires_us, name, token))
        return ours

    def release_lock(self, name: str, token: str, gap_us: int = 0) -> bool:
        with self._db.write() as connection:
            if _gate(connection, name) is None:
                return False
            now_us = self._db.dialect.now_us(connection)
            holds = _living(connection, name, now_us)
            ours = next((hold for hold in holds if hold.token == token), None)
            if ours is None:
                return False
            one(connection, DROP, (name, token))
            if gap_us and not ours.shared:
                gap = (name, _GAP, "", False, ours.fence, now_us, now_us + gap_us)
                one(connection, ADD, gap)
        return True

    def locks(self) -> list[LockHold]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            return [_hold(row) for row in fetch(connection, ALL, (now_us,))]

    def clear_lock(self, name: str, actor: str) -> Sequence[LockHold]:
        return self._events.surely(lambda mark: self._clear(name, actor, mark))

    def _clear(self, name: str, actor: str, mark: str) -> Sequence[LockHold]:
        with self._db.write() as connection:
            gate = _gate(connection, name)
            if known(connection, mark):  # the answer was lost, the holds are gone
                return ()
            now_us = self._db.dialect.now_us(connection)
            holds = [] if gate is None else _living(connection, name, now_us)
            if not holds:
                raise NotFound(
                    f"nobody holds the lock '{name}'",
                    code="no_such_lock",
                    hint="'cronherd locks list' shows those that are held",
                )
            for hold in holds:
                one(connection, DROP, (name, hold.token))
            text = ", ".join(_who(hold) for hold in holds)
            by_mark = self._events.by(mark)
            by_mark.add(connection, EventKind.LOCK_CLEARED, name, actor, text)
        return [hold for hold in holds if hold.token != _GAP]


def tidy_locks(db: Database, now_us: int, limit: int) -> None:
    """Forget what expired, and gates that nobody used for long. Changes of others are kept."""
    with db.read() as connection:
        expired = fetch(connection, EXPIRED, (now_us, limit))
        unused = fetch(connection, UNUSED, (now_us - UNUSED_US, limit))
    if not expired and not unused:
        return
    with db.write() as connection:
        for name, token, until_us in sorted(tuple(row) for row in expired):
            _gate(connection, name)
            one(connection, DROP_EXPIRED, (name, token, until_us))
        for key, seq in unused:
            one(connection, DROP_GATE, (key, seq))


def _key(name: str) -> str:
    return f"l{name}"


def _gate(connection: Connection, name: str) -> int | None:
    """The last fence, and the lock that everybody takes first; None for a name never used."""
    rows = fetch(connection, GATE, (_key(name),))
    return int(rows[0][0]) if rows else None


def _living(connection: Connection, name: str, now_us: int) -> list[LockHold]:
    """Who holds it now; those that expired are dropped."""
    holds = [_hold(row) for row in fetch(connection, HOLDS, (name,))]
    for hold in holds:
        if hold.until_us <= now_us:
            one(connection, DROP, (name, hold.token))
    return [hold for hold in holds if hold.until_us > now_us]


def _values(hold: LockHold) -> tuple[object, ...]:
    who = (hold.name, hold.token, hold.holder, hold.shared)
    return (*who, hold.fence, hold.since_us, hold.until_us)


def _hold(row: Row) -> LockHold:
    name, token, holder, shared, fence, since_us, until_us = row
    return LockHold(
        name=name,
        token=token,
        holder=holder,
        shared=bool(shared),
        fence=fence,
        since_us=since_us,
        until_us=until_us,
    )


def _who(hold: LockHold) -> str:
    if hold.token == _GAP:
        return "a gap between two holds"
    return f"{hold.holder}, since {format_instant(hold.since_us)}"
