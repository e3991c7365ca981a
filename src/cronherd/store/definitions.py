"""Definitions of jobs as they are stored, and the memory of those that were read."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from cronherd.domain.errors import CronherdError
from cronherd.domain.job import Job, build_job
from cronherd.store.database import Connection, fetch

OLD_SPEC = "SELECT spec FROM job_version WHERE job_id = ? AND version = ?"
CURRENT_SPECS = "SELECT id, version, spec FROM job WHERE id IN ?"
_CACHED = 20_000  # definitions kept in memory, whatever the number of jobs


class JobCache:
    """Definitions by (job, version): a version never changes, so nothing is ever stale."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[tuple[bytes, int], Job | str] = OrderedDict()

    def get(
        self, connection: Connection, wanted: Iterable[tuple[bytes, int]]
    ) -> dict[tuple[bytes, int], Job | str]:
        """The definitions; a sentence instead of a Job for one that cannot be used."""
        # Threads share this: what is found is taken in one step, since others may drop it.
        found: dict[tuple[bytes, int], Job | str] = {}
        missing: list[tuple[bytes, int]] = []
        for pair in wanted:
            job = self._jobs.get(pair)
            if job is None:
                missing.append(pair)
            else:
                found[pair] = job
        for pair, spec in _specs(connection, missing).items():
            found[pair] = self._jobs[pair] = read_definition(spec)
        while len(self._jobs) > _CACHED:
            with suppress(KeyError):  # another thread took the last one that was too many
                self._jobs.popitem(last=False)
        return found


def _specs(
    connection: Connection, missing: Sequence[tuple[bytes, int]]
) -> dict[tuple[bytes, int], str]:
    if not missing:
        return {}
    ids = list({job_id for job_id, _ in missing})
    specs = {
        (job_id, version): spec
        for job_id, version, spec in fetch(connection, CURRENT_SPECS, (ids,))
    }
    for pair in missing:
        if pair not in specs:
            rows = fetch(connection, OLD_SPEC, pair)
            specs[pair] = rows[0][0] if rows else "null"
    return {pair: specs[pair] for pair in missing}


def read_definition(spec: str) -> Job | str:
    """A stored definition may be from another version of the program: never raise, say why."""
    try:
        return build_job(json.loads(spec))
    except CronherdError as error:
        return str(error)
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        RecursionError,
    ) as error:
        return f"the stored definition cannot be read ({type(error).__name__}: {error})"
