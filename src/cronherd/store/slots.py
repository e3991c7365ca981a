"""What is on record of slots: the runs that they became, and the rows that say why not.

Read for people who ask about one job, so what is read is bounded by the job's own rows.
"""

from collections.abc import Sequence

from cronherd.domain.event import Event, EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.run import Run
from cronherd.store.database import Database, fetch, plain
from cronherd.store.events import LEDGER, SUBJECT_LENGTH, event_of, ledger_row
from cronherd.store.facts import LedgerRow
from cronherd.store.history import LIVE, PAST, read_run

BY_SLOT = "{0}.job_id = ? AND {0}.slot_us BETWEEN ? AND ?"
COVERING = "WHERE l.job_id = ? AND l.from_us <= ? AND l.to_us >= ?"
# Each end of a range may be no slot, but none behind it is told.
LAST = """
SELECT max(slot_us) FROM run WHERE job_id = ?
UNION ALL SELECT max(slot_us) FROM run_history WHERE job_id = ?
UNION ALL SELECT max(to_us) FROM ledger WHERE job_id = ?
"""
# The one that made room: what ended last while another waited.
BEFORE = """
h.job_id = ? AND h.started_us IS NOT NULL AND h.ended_us > ? AND h.ended_us <= ?
AND h.id = (SELECT x.id FROM run_history x WHERE x.job_id = h.job_id AND x.ended_us > ?
AND x.ended_us <= ? AND x.started_us IS NOT NULL ORDER BY x.ended_us DESC, x.id DESC LIMIT 1)
"""
EVENT = """
SELECT at_us, kind, subject, actor, text FROM event
WHERE subject IN ? AND kind IN ? AND at_us <= ? ORDER BY at_us DESC, id DESC LIMIT 1
"""


class SlotRows:
    """Reading of slots; nothing here locks or writes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def slot_runs(self, job_id: str, from_us: int, to_us: int, limit: int) -> list[Run]:
        stored = to_stored(job_id)
        found: list[Run] = []
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            for sql, name in ((LIVE, "r"), (PAST, "h")):
                values = (stored, from_us, to_us, limit)
                rows = fetch(connection, sql.format(BY_SLOT.format(name)), values)
                found += [read_run(row, now_us) for row in rows]
        found.sort(key=lambda run: (run.scheduled_us or 0, to_stored(run.id)))
        return found[:limit]

    def slot_ledger(self, job_id: str, from_us: int, to_us: int, limit: int) -> list[LedgerRow]:
        values = (to_stored(job_id), to_us, from_us, limit)
        with self._db.glance() as connection:
            rows = fetch(connection, LEDGER.format(COVERING), values)
        return [ledger_row(row) for row in rows]

    def last_slot(self, job_id: str) -> int | None:
        stored = to_stored(job_id)
        with self._db.glance() as connection:
            rows = fetch(connection, LAST, (stored, stored, stored))
        return max((row[0] for row in rows if row[0] is not None), default=None)

    def ended_last(self, job_id: str, after_us: int, until_us: int) -> Run | None:
        span = (after_us, until_us)
        with self._db.glance() as connection:
            values = (to_stored(job_id), *span, *span, 1)
            rows = fetch(connection, PAST.format(BEFORE), values)
        return read_run(rows[0], 0) if rows else None

    def event_before(
        self, subjects: Sequence[str], kinds: Sequence[EventKind], at_us: int
    ) -> Event | None:
        names = [plain(subject, SUBJECT_LENGTH) for subject in subjects]
        with self._db.glance() as connection:
            rows = fetch(connection, EVENT, (names, [kind.value for kind in kinds], at_us))
        return event_of(rows[0]) if rows else None
