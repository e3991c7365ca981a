"""Which jobs run when a host has started."""

from cronherd.domain.ident import from_stored
from cronherd.domain.job import Job
from cronherd.store.database import Database, fetch
from cronherd.store.definitions import JobCache
from cronherd.store.facts import BootJob

# The word may stand elsewhere in a definition too; the job itself knows.
AT_BOOT = """
SELECT j.id, j.version, d.paused_until_us FROM job j JOIN job_due d ON d.job_id = j.id
WHERE j.deleted_us IS NULL AND j.enabled AND j.spec LIKE '%@reboot%' ORDER BY j.id
"""


class BootRows:
    """Read once in the life of a host, so it may read through all jobs."""

    def __init__(self, db: Database, cache: JobCache) -> None:
        self._db = db
        self._cache = cache

    def boot_jobs(self) -> list[BootJob]:
        with self._db.read() as connection:
            now_us = self._db.dialect.now_us(connection)
            rows = fetch(connection, AT_BOOT)
            jobs = self._cache.get(connection, [(row[0], row[1]) for row in rows])
        found: list[BootJob] = []
        for stored, version, paused_us in rows:
            job = jobs[stored, version]
            if isinstance(job, Job) and job.at_boot:
                paused = paused_us is not None and paused_us > now_us
                found.append(BootJob(id=from_stored(stored), job=job, paused=paused))
        return found
