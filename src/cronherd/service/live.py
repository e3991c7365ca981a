"""What many watch at once: read once for all of them, and only where something changed."""

from collections.abc import Sequence

from cronherd.domain.pulse import Pulse, Watched
from cronherd.service.desk import Desk
from cronherd.store.facts import RunFilter
from cronherd.views import API_VERSION, Json, job_view

RUNS_OF_JOB = 10


class LiveDesk(Desk):
    """What the hub of live views asks, whatever the number of its viewers."""

    def pulse(self) -> Pulse:
        """A look so cheap that it may be taken every second."""
        return self._catalog.pulse()

    def live_jobs(self, keys: Sequence[str]) -> dict[str, Json]:
        """By key, those that there are: the job and its newest runs."""
        now_us = self._store.now_us()
        return {
            key: {
                "api_version": API_VERSION,
                "job": job_view(row, now_us),
                "runs": self._run_views(
                    self._catalog.runs(RunFilter(job_id=row.id, limit=RUNS_OF_JOB))
                ),
            }
            for key, row in self._catalog.jobs_by_key(keys).items()
        }

    def live_runs(self, ids: Sequence[str]) -> dict[str, Json]:
        """By id, those that there are."""
        return {view["id"]: view for view in self._run_views(self._catalog.runs_by_id(ids))}

    def fresh_output(self, watched: Sequence[Watched]) -> set[str]:
        """The runs that have written more than was read of them."""
        return self._catalog.fresh_output(watched)
