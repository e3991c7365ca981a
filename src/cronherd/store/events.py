"""Events, the ledger and the few facts about the database itself."""

from collections.abc import Callable, Mapping, Sequence

from cronherd.domain.event import Event, EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.planner import Skip
from cronherd.domain.run import Reason
from cronherd.store.base import LedgerRow
from cronherd.store.database import Connection, Database, Values, fetch, many, one, plain

ADD_EVENT = """
INSERT INTO event (id, at_us, kind, subject, actor, text) VALUES (?, now_us(), ?, ?, ?, ?)
"""
EVENTS = """
SELECT at_us, kind, subject, actor, text FROM event WHERE at_us > ?
ORDER BY at_us DESC, id DESC LIMIT ?
"""
ADD_LEDGER = """
INSERT INTO ledger (job_id, from_us, to_us, "count", reason, ref, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
LEDGER = """
SELECT l.job_id, j.name, l.from_us, l.to_us, l."count", l.reason, l.ref
FROM ledger l JOIN job j ON j.id = l.job_id {} ORDER BY l.at_us DESC, l.from_us DESC LIMIT ?
"""
META = 'SELECT "key", value FROM meta'

SUBJECT_LENGTH = 120
TEXT_LENGTH = 1000


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

    def note(self, kind: EventKind, subject: str, actor: str, text: str) -> None:
        with self._db.write() as connection:
            self.add(connection, kind, subject, actor, text)

    def events(self, limit: int, after_us: int = 0) -> list[Event]:
        with self._db.read() as connection:
            rows = fetch(connection, EVENTS, (after_us, limit))
        return [
            Event(at_us=at, kind=EventKind(kind), subject=subject, actor=actor, text=text)
            for at, kind, subject, actor, text in rows
        ]

    def ledger(self, job_id: str | None, limit: int) -> list[LedgerRow]:
        where = "WHERE l.job_id = ?" if job_id else ""
        values: Values = (to_stored(job_id), limit) if job_id else (limit,)
        with self._db.read() as connection:
            rows = fetch(connection, LEDGER.format(where), values)
        return [
            LedgerRow(
                job_id=from_stored(job),
                job_name=name,
                from_us=from_us,
                to_us=to_us,
                count=count,
                reason=Reason(reason),
                ref=ref,
            )
            for job, name, from_us, to_us, count, reason, ref in rows
        ]

    def meta(self) -> Mapping[str, str]:
        with self._db.read() as connection:
            return dict(tuple(row) for row in fetch(connection, META))


def add_skips(connection: Connection, skips: Sequence[tuple[bytes, Skip]], now_us: int) -> None:
    """Ledger rows; a row that is there already is a bug or a rewind and aborts."""
    many(
        connection,
        ADD_LEDGER,
        [
            (job_id, skip.from_us, skip.to_us, skip.count, skip.reason.value, skip.ref, now_us)
            for job_id, skip in skips
        ],
    )
