"""Events, the ledger and the few facts about the database itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cronherd.domain.errors import Unavailable
from cronherd.domain.event import Event, EventKind
from cronherd.domain.ident import NOBODY, from_stored, to_stored
from cronherd.domain.planner import Skip
from cronherd.domain.run import Reason
from cronherd.store.database import (
    Connection,
    Database,
    Row,
    again,
    fetch,
    many,
    one,
    plain,
)
from cronherd.store.facts import EventFilter, LedgerFilter, LedgerRow, Mark, mark_after

ADD_EVENT = """
INSERT INTO event (id, at_us, kind, subject, actor, text) VALUES (?, now_us(), ?, ?, ?, ?)
"""
ADD_EVENTS = """
INSERT INTO event (id, at_us, kind, subject, actor, text) VALUES (?, ?, ?, ?, ?, ?)
"""
EVENTS = """
SELECT at_us, kind, subject, actor, text FROM event WHERE {}
ORDER BY at_us DESC, id DESC LIMIT ? OFFSET ?
"""
KNOWN = "SELECT 1 FROM event WHERE id = ?"
LAST = """
SELECT at_us, kind, subject, actor, text FROM event WHERE subject = ? AND kind IN ?
ORDER BY at_us DESC, id DESC LIMIT 1
"""
ADD_LEDGER = """
INSERT INTO ledger (job_id, from_us, to_us, "count", reason, ref, at_us, node_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
LEDGER = """
SELECT l.job_id, j.name, l.from_us, l.to_us, l."count", l.reason, l.ref, l.at_us, n.name
FROM ledger l JOIN job j ON j.id = l.job_id LEFT JOIN node n ON n.id = l.node_id {}
ORDER BY l.at_us DESC, l.from_us DESC LIMIT ?
"""
LEDGER_PAGE = """
SELECT l.job_id, j.name, l.from_us, l.to_us, l."count", l.reason, l.ref, l.at_us, n.name
FROM ledger l JOIN job j ON j.id = l.job_id LEFT JOIN node n ON n.id = l.node_id WHERE {}
ORDER BY l.at_us DESC, l.from_us DESC, l.job_id, l.reason, l.node_id LIMIT ? OFFSET ?
"""
META = 'SELECT "key", value FROM meta'

SUBJECT_LENGTH = 120
TEXT_LENGTH = 1000

R = TypeVar("R")


class EventRows:
    """Reading and writing of what people and nodes did."""

    def __init__(self, db: Database, new_id: Callable[[], str]) -> None:
        self._db = db
        self.new_id = new_id

    def add(
        self,
        connection: Connection,
        kind: EventKind,
        subject: str,
        actor: str,
        text: str = "",
    ) -> None:
        """One fact, in the transaction of what it tells of."""
        stored = to_stored(self.new_id())
        values = (stored, kind.value, plain(subject, SUBJECT_LENGTH))
        who = plain(actor, SUBJECT_LENGTH)
        one(connection, ADD_EVENT, (*values, who, plain(text, TEXT_LENGTH)))

    def add_all(
        self,
        connection: Connection,
        kind: EventKind,
        told: Sequence[tuple[str, str]],
        actor: str,
    ) -> None:
        """The same of many, by (subject, text), at one instant."""
        now_us, who = self._db.dialect.now_us(connection), plain(actor, SUBJECT_LENGTH)
        rows = [
            (
                to_stored(self.new_id()),
                now_us,
                kind.value,
                plain(subject, SUBJECT_LENGTH),
                who,
                plain(text, TEXT_LENGTH),
            )
            for subject, text in told
        ]
        many(connection, ADD_EVENTS, rows)

    def surely(self, verb: Callable[[str], R]) -> R:
        """Once more when nobody knows whether it was done; `mark` is the id of its event.

        Its locks are ours only when the COMMIT that was on its way is over, either way; until then
        it is asked again here, with the same mark. A verb takes its locks, asks whether its mark is
        `known`, and adds its event `by` that mark.
        """
        mark = self.new_id()
        try:
            return verb(mark)
        except Unavailable as error:
            if error.code != "database_lost":
                raise
        return again(verb)(mark)

    def by(self, mark: str) -> "EventRows":
        """To add the event of this id."""
        return EventRows(self._db, lambda: mark)

    def note(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        with self._db.write() as connection:
            self.add(connection, kind, subject, actor, text)

    def events(self, limit: int, after_us: int = 0) -> list[Event]:
        return self.event_page(EventFilter(after_us=after_us, limit=limit))[0]

    def event_page(self, which: EventFilter) -> tuple[list[Event], Mark | None]:
        terms: dict[str, object] = {"at_us > ?": which.after_us}
        if which.mark is not None:
            terms["at_us <= ?"] = which.mark.at_us
        if which.kind is not None:
            terms["kind = ?"] = which.kind.value
        if which.subject is not None:
            terms["subject = ?"] = plain(which.subject, SUBJECT_LENGTH)
        passed = which.mark.passed if which.mark else 0
        values = (*terms.values(), which.limit, passed)
        with self._db.glance() as connection:
            rows = fetch(connection, EVENTS.format(" AND ".join(terms)), values)
        found = [event_of(row) for row in rows]
        return found, mark_after(which.mark, [event.at_us for event in found], which.limit)

    def last_pause(self, job_name: str) -> Event | None:
        with self._db.glance() as connection:
            return last_of(connection, job_name, [EventKind.JOB_PAUSED])

    def ledger(self, job_id: str | None, limit: int) -> list[LedgerRow]:
        return self.ledger_page(LedgerFilter(job_id=job_id, limit=limit))[0]

    def ledger_page(self, which: LedgerFilter) -> tuple[list[LedgerRow], Mark | None]:
        terms: dict[str, object] = {}
        if which.job_id is not None:
            terms["l.job_id = ?"] = to_stored(which.job_id)
        if which.mark is not None:
            terms["l.at_us <= ?"] = which.mark.at_us
        if which.reason is not None:
            terms["l.reason = ?"] = which.reason.value
        passed = which.mark.passed if which.mark else 0
        values = (*terms.values(), which.limit, passed)
        with self._db.glance() as connection:
            rows = fetch(connection, LEDGER_PAGE.format(" AND ".join(terms) or "1 = 1"), values)
        found = [ledger_row(row) for row in rows]
        instants = [row[7] for row in rows]
        return found, mark_after(which.mark, instants, which.limit)

    def meta(self) -> Mapping[str, str]:
        with self._db.glance() as connection:
            return dict(tuple(row) for row in fetch(connection, META))


def known(connection: Connection, mark: str) -> bool:
    """Whether the event of this id is on record, and so what it tells of was done."""
    return bool(fetch(connection, KNOWN, (to_stored(mark),)))


def last_of(connection: Connection, subject: str, kinds: Sequence[EventKind]) -> Event | None:
    """The newest event of these kinds about it; it reads through all that are newer."""
    rows = fetch(connection, LAST, (plain(subject, SUBJECT_LENGTH), [kind.value for kind in kinds]))
    return event_of(rows[0]) if rows else None


def ledger_row(row: Row) -> LedgerRow:
    """A row as LEDGER selects it."""
    job_id, name, from_us, to_us, count, reason, ref, at_us, node = row
    return LedgerRow(
        job_id=from_stored(job_id),
        job_name=name,
        from_us=from_us,
        to_us=to_us,
        count=count,
        reason=Reason(reason),
        ref=ref,
        at_us=at_us,
        node=node,
    )


def event_of(row: Row) -> Event:
    """A row as EVENTS and LAST select it."""
    at_us, kind, subject, actor, text = row
    return Event(at_us=at_us, kind=EventKind(kind), subject=subject, actor=actor, text=text)


def add_skips(connection: Connection, skips: Sequence[tuple[bytes, Skip]], now_us: int) -> None:
    """Ledger rows; a row that is there already is a bug or a rewind and aborts."""
    many(
        connection,
        ADD_LEDGER,
        [
            (
                job_id,
                skip.from_us,
                skip.to_us,
                skip.count,
                skip.reason.value,
                skip.ref,
                now_us,
                NOBODY if skip.node_id is None else to_stored(skip.node_id),
            )
            for job_id, skip in skips
        ],
    )
