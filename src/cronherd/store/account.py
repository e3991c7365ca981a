"""The account of a job: what became of the slots of a stretch of its past. Reading only."""

from cronherd.domain.audit import Told
from cronherd.domain.ident import to_stored
from cronherd.domain.run import Reason
from cronherd.store.database import Database, fetch

# A backfilled run stands beside what was recorded when its slot was due.
RAN = """
SELECT slot_us FROM run WHERE job_id = ? AND slot_us > ? AND slot_us <= ? AND cause <> 'backfill'
UNION ALL SELECT slot_us FROM run_history
WHERE job_id = ? AND slot_us > ? AND slot_us <= ? AND cause <> 'backfill'
"""
ROWS = """
SELECT from_us, to_us, "count", reason, ref FROM ledger
WHERE job_id = ? AND to_us > ? AND from_us <= ? ORDER BY from_us, reason
"""


class AccountRows:
    """Slots that became runs, and those of which the ledger tells."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def account(self, job_id: str, after_us: int, until_us: int) -> tuple[list[int], list[Told]]:
        stored = to_stored(job_id)
        within = (stored, after_us, until_us)
        with self._db.read() as connection:
            ran = [row[0] for row in fetch(connection, RAN, (*within, *within))]
            rows = fetch(connection, ROWS, within)
        told = [
            Told(from_us=from_us, to_us=to_us, count=count, reason=Reason(reason), ref=ref)
            for from_us, to_us, count, reason, ref in rows
        ]
        return sorted(ran), told
