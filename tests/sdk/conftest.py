"""A schedule to say steps on, and what its examples name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cronherd import Scheduler
from cronherd.definition.jobs import build_jobs
from cronherd.domain.job import Job
from tests.sdk import shop

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Say = Callable[..., Job]


def built(scheduler: Scheduler, timezone: str = "UTC") -> list[Job]:
    """Its jobs, as the validator of all jobs reads them."""
    return build_jobs(scheduler.definitions(), timezone=timezone)


def instants(job: Job, after: datetime, count: int) -> list[datetime]:
    """The next slots as the program finds them."""
    assert job.schedule is not None
    found: list[datetime] = []
    at_us: int | None = (after - EPOCH) // timedelta(microseconds=1)
    while len(found) < count:
        assert at_us is not None
        at_us = job.schedule.next_after(at_us)
        assert at_us is not None
        found.append(EPOCH + timedelta(microseconds=at_us))
    return found


@pytest.fixture
def say() -> Say:
    """Evaluate steps, such as `job.daily()`, and give the job that comes out."""

    def evaluate(code: str, timezone: str = "UTC", **more: Any) -> Job:
        schedule = Scheduler(environment="production", **more)
        names = {"schedule": schedule, "shop": shop}
        if code.startswith("job."):
            names["job"] = schedule.command("report")
        eval(code, names)  # noqa: S307 - examples of our own
        (job,) = built(schedule, timezone)
        return job

    return evaluate
