"""Jobs in any order but that of their names, which indexes do not know."""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from cronherd.domain.joborder import JobKey, JobOrder
from cronherd.store.facts import JobRank
from cronherd.views import upcoming_us

MOST = 1_000  # jobs that are put in order for one page

_VALUES: Mapping[JobKey, Callable[[JobRank], Any]] = {
    JobKey.NAME: lambda rank: rank.job.key,
    JobKey.STATUS: lambda rank: sorted(rank.standing),
    JobKey.FREQUENCY: lambda rank: rank.job.schedule.text if rank.job.schedule else None,
    JobKey.RESULT: lambda rank: rank.outcome,
    JobKey.NEXT: upcoming_us,
    JobKey.ACTIVE: lambda rank: rank.enabled,
    JobKey.DESCRIPTION: lambda rank: str(rank.job.spec.get("description", "")),
    JobKey.COMMAND: lambda rank: str(rank.job.command or rank.job.task),
    JobKey.WINDOW: lambda rank: str(rank.job.spec.get("window") or ""),
    JobKey.LIMIT: lambda rank: rank.job.timeout_us,
    JobKey.STARTED: lambda rank: rank.started_us,
    JobKey.ENDED: lambda rank: rank.ended_us,
    JobKey.TOOK: lambda rank: _took_us(rank),
    JobKey.WORKER: lambda rank: rank.node,
    JobKey.LIVE: lambda rank: rank.live,
    JobKey.ZONE: lambda rank: rank.job.timezone,
    JobKey.TAGS: lambda rank: ",".join(rank.job.spec.get("tags", ())),
    JobKey.SOURCE: lambda rank: rank.source,
}


def keys_in_order(ranks: Iterable[JobRank], order: JobOrder) -> list[str]:
    """The keys of the jobs; those without a value come last both ways, equal ones by name."""
    value_of = _VALUES[order.key]
    told = [(value_of(rank), rank.job.key) for rank in ranks]
    told.sort(key=itemgetter(1))
    known = [pair for pair in told if pair[0] is not None and pair[0] != ""]
    known.sort(key=itemgetter(0), reverse=order.down)
    rest = [key for value, key in told if value is None or value == ""]
    return [key for _, key in known] + rest


def _took_us(rank: JobRank) -> int | None:
    if rank.started_us is None or rank.ended_us is None:
        return None
    return rank.ended_us - rank.started_us
