"""One cheap look at what changes: the newest runs, the newest event, nodes, the hold.

Each statement goes by a primary key or a small table, however much history there is.
"""

from collections.abc import Sequence

from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.pulse import Pulse, Watched
from cronherd.domain.run import Run
from cronherd.store.database import Database, fetch
from cronherd.store.history import LIVE, PAST, read_run

LIVE_LOOKED_AT = 500
PAST_LOOKED_AT = 200
FRESH_AT_ONCE = 50

NEWEST_LIVE = """
SELECT id, job_id, state, attempt, cancel, node_id, progress FROM run ORDER BY id DESC LIMIT ?
"""
NEWEST_PAST = "SELECT id, job_id, outcome FROM run_history ORDER BY id DESC LIMIT ?"
NEWEST_EVENT = "SELECT id FROM event ORDER BY at_us DESC, id DESC LIMIT 1"
NODES = """
SELECT id, drained, CASE WHEN lease_us > now_us() THEN 1 WHEN lease_us > 0 THEN 2 ELSE 0 END
FROM node WHERE removed_us IS NULL
"""
HOLD = "SELECT value FROM meta WHERE \"key\" = 'hold'"
FRESH = "SELECT DISTINCT run_id FROM output WHERE stream < 3 AND ({})"
ONE = "(run_id = ? AND attempt = ? AND seq > ?)"


class PulseRows:
    """Reading for many viewers at once; nothing here locks or writes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def pulse(self) -> Pulse:
        with self._db.read() as connection:
            live = fetch(connection, NEWEST_LIVE, (LIVE_LOOKED_AT,))
            past = fetch(connection, NEWEST_PAST, (PAST_LOOKED_AT,))
            event = fetch(connection, NEWEST_EVENT)
            nodes = fetch(connection, NODES)
            hold = fetch(connection, HOLD)
        return Pulse(
            live={from_stored(row[0]): (from_stored(row[1]), tuple(row[2:])) for row in live},
            past={from_stored(row[0]): (from_stored(row[1]), row[2]) for row in past},
            event=from_stored(event[0][0]) if event else None,
            nodes=frozenset(tuple(row) for row in nodes),
            hold=hold[0][0] if hold else "",
        )

    def runs_by_id(self, ids: Sequence[str]) -> list[Run]:
        if not ids:
            return []
        stored = sorted(to_stored(run_id) for run_id in ids)
        found: list[Run] = []
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            for sql, name in ((LIVE, "r"), (PAST, "h")):
                rows = fetch(connection, sql.format(f"{name}.id IN ?"), (stored, len(stored)))
                found += [read_run(row, now_us) for row in rows]
        return found

    def fresh_output(self, watched: Sequence[Watched]) -> set[str]:
        found: set[str] = set()
        with self._db.glance() as connection:
            for start in range(0, len(watched), FRESH_AT_ONCE):
                some = watched[start : start + FRESH_AT_ONCE]
                values = [
                    v for one in some for v in (to_stored(one.run_id), one.attempt, one.after)
                ]
                sql = FRESH.format(" OR ".join([ONE] * len(some)))
                found |= {from_stored(row[0]) for row in fetch(connection, sql, values)}
        return found
