"""Which jobs failed last: whether the newest finished run of a job ended badly.

Said once in the job's row, so that lists and totals need not look at history. It is written only
where it changes, with the end that changes it; the row of the job is the last that is locked.
"""

from collections.abc import Iterable

from cronherd.domain.run import Outcome
from cronherd.domain.standing import BAD
from cronherd.store.database import Connection, fetch, many

FAILING = "SELECT id, failing FROM job WHERE id IN ?"
NEWEST = """
SELECT j.id, (SELECT h.outcome FROM run_history h WHERE h.job_id = j.id ORDER BY h.id DESC LIMIT 1)
FROM job j WHERE j.id IN ?
"""
JOBS_OF = "SELECT DISTINCT job_id FROM run_history WHERE id IN ?"
SET = "UPDATE job SET failing = ? WHERE id = ? AND failing <> ?"


def note_ends(connection: Connection, ends: Iterable[tuple[bytes, Outcome]]) -> None:
    """Runs of these jobs have just become history with these outcomes."""
    told: dict[bytes, set[bool]] = {}
    for job_id, outcome in ends:
        told.setdefault(job_id, set()).add(outcome in BAD)
    if not told:
        return
    rows = fetch(connection, FAILING, (sorted(told),))
    changed = sorted(row[0] for row in rows if told[row[0]] != {bool(row[1])})
    if not changed:
        return
    # An older run may end after a newer one: the newest of them counts.
    newest = [(row[0], row[1] in set(BAD)) for row in fetch(connection, NEWEST, (changed,))]
    many(connection, SET, [(bad, job_id, bad) for job_id, bad in sorted(newest)])


def note_moved(connection: Connection, run_ids: list[bytes], outcome: Outcome) -> None:
    """These runs have just become history with one outcome."""
    jobs = fetch(connection, JOBS_OF, (run_ids,))
    note_ends(connection, [(row[0], outcome) for row in jobs])
