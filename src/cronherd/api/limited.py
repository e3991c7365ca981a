"""Who is limited to some jobs: whether one of them is meant, and answers without the others."""

from collections.abc import Callable
from typing import Any, cast

from cronherd.client import Fleet
from cronherd.domain.access import Caller
from cronherd.domain.errors import NotFound


class JobLimit:
    """The jobs of one caller. Tags are those that a job has at the moment it is asked for."""

    def __init__(self, fleet: Fleet, caller: Caller) -> None:
        self._fleet = fleet
        self._caller = caller
        self._seen: dict[tuple[str, str], bool] = {}

    def holds(self, name: str, job_id: str) -> bool:
        """Whether the job of this name and id is one of them. A deleted one has its name left."""
        key = name, job_id
        if key not in self._seen:
            self._seen[key] = self._caller.may_touch(name) or (
                self._caller.by_tags and self._caller.may_touch(name, self._tags(job_id))
            )
        return self._seen[key]

    def without_others(self, found: Any) -> Any:
        """The answer without runs of other jobs, such as those that hold what a run waits for."""
        if isinstance(found, dict):
            return {key: self._or_none(value) for key, value in found.items()}
        if isinstance(found, list):
            return [self.without_others(one) for one in found if not self._is_hidden(one)]
        return found

    def _or_none(self, found: Any) -> Any:
        return None if self._is_hidden(found) else self.without_others(found)

    def _is_hidden(self, found: Any) -> bool:
        """Whether it is a run of another job."""
        is_run = isinstance(found, dict) and {"job", "job_id"} <= found.keys()
        return is_run and not self.holds(str(found["job"]), str(found["job_id"]))

    def _tags(self, job_id: str) -> list[str]:
        try:
            return list(self._fleet.show_job(job_id)["definition"].get("tags") or ())
        except NotFound:
            return []


class _Limited:
    """A fleet whose every answer is without the runs of other jobs."""

    def __init__(self, fleet: Fleet, caller: Caller) -> None:
        self._fleet = fleet
        self._limit = JobLimit(fleet, caller)

    def __getattr__(self, word: str) -> Callable[..., Any]:
        said = getattr(self._fleet, word)

        def ask(*args: Any, **more: Any) -> Any:
            return self._limit.without_others(said(*args, **more))

        return ask


def fleet_for(fleet: Fleet, caller: Caller | None) -> Fleet:
    """The fleet as this caller may see it."""
    if caller is None or caller.jobs is None:
        return fleet
    return cast("Fleet", _Limited(fleet, caller))
