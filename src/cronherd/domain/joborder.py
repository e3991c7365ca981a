"""What jobs may be put in order by, as people write it: `took`, and `-took` for the other way."""

from enum import StrEnum
from typing import NamedTuple

from cronherd.domain.errors import Invalid


class JobKey(StrEnum):
    """A fact of a job that has an order."""

    NAME = "name"
    STATUS = "status"
    FREQUENCY = "frequency"
    RESULT = "result"
    NEXT = "next"
    ACTIVE = "active"
    DESCRIPTION = "description"
    COMMAND = "command"
    WINDOW = "window"
    LIMIT = "limit"
    STARTED = "started"
    ENDED = "ended"
    TOOK = "took"
    WORKER = "worker"
    LIVE = "live"
    ZONE = "zone"
    TAGS = "tags"
    SOURCE = "source"


class JobOrder(NamedTuple):
    """By which fact, and whether the last come first."""

    key: JobKey = JobKey.NAME
    down: bool = False

    def __str__(self) -> str:
        return f"-{self.key}" if self.down else self.key.value


def read_order(text: str) -> JobOrder:
    """Raises Invalid for what is no fact of a job."""
    down = text.startswith("-")
    try:
        return JobOrder(JobKey(text.removeprefix("-")), down)
    except ValueError:
        raise Invalid(
            f"jobs have no order by '{text[:40]}'",
            code="bad_sort",
            where="sort",
            hint=f"one of {', '.join(JobKey)}, with - before it for the other way round",
        ) from None
