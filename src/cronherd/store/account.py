"""The account of a job: what became of the slots of a stretch of its past. Reading only."""

from cronherd.domain.audit import Told, by_slot
from cronherd.domain.ident import NOBODY, from_stored, to_stored
from cronherd.domain.run import Reason
from cronherd.store.database import Database, fetch

# A backfilled run stands beside what was recorded when its slot was due.
RAN = """
SELECT slot_us, dedup FROM run
WHERE job_id = ? AND slot_us > ? AND slot_us <= ? AND cause <> 'backfill'
UNION ALL SELECT slot_us, dedup FROM run_history
WHERE job_id = ? AND slot_us > ? AND slot_us <= ? AND cause <> 'backfill'
"""
ROWS = """
SELECT from_us, to_us, "count", reason, ref, node_id FROM ledger
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
            ran = [(slot, _node(key)) for slot, key in fetch(connection, RAN, (*within, *within))]
            rows = fetch(connection, ROWS, within)
        told = [
            (
                Told(from_us=from_us, to_us=to_us, count=count, reason=Reason(reason), ref=ref),
                "" if node_id == NOBODY else from_stored(node_id),
            )
            for from_us, to_us, count, reason, ref, node_id in rows
        ]
        return by_slot(ran, told)


def _node(dedup: str) -> str:
    """The node that a run of a job on all nodes is of."""
    return dedup.partition(":")[2].partition(":")[2]
