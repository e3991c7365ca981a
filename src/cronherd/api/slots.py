"""/jobs/{name}/…: slots to come, slots of the past, and why one ran or did not."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Actor, Answer, Limit, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import parse_instant

routes = APIRouter(tags=["jobs"])


_TAKES_COUNT = takes({"count": {"type": "integer", "minimum": 1, "default": 1}})
_TAKES_RANGE = takes(
    {
        "from": {"type": "string"},
        "to": {"type": "string"},
        "dry_run": {"type": "boolean", "default": False},
    },
    "from",
    "to",
)


@routes.get(
    "/jobs/{name}/next",
    summary="The next slots of a job",
    dependencies=[needs(Role.VIEWER, job="name")],
    operation_id="next_slots",
)
def next_slots(
    fleet: TheFleet,
    name: str,
    count: Limit = 10,
    start: Annotated[str | None, Query(alias="from", description="RFC 3339; now")] = None,
) -> Answer:
    return Answer(fleet.next_slots(name, count, parse_instant(start) if start else None))


@routes.post(
    "/jobs/{name}/skip-next",
    summary="Skip the next slots of a job",
    description="So many more than are skipped already. `slots` names all of them.",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="skip_next",
    openapi_extra=_TAKES_COUNT,
)
def skip_next(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "count")
    return Answer(fleet.skip_next(name, actor, count=_count(body)))


def _count(body: Mapping) -> int:
    count = body.get("count", 1)
    if isinstance(count, int) and not isinstance(count, bool):
        return count
    raise Invalid("must be a whole number", where="count")


@routes.post(
    "/jobs/{name}/undo-skip",
    summary="Let slots run again that are to be skipped",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="undo_skip",
)
def undo_skip(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.undo_skip(name, actor))


@routes.post(
    "/jobs/{name}/backfill",
    summary="Run slots of the past that had no run",
    description="Those of the present schedule from an instant to another, both included, at most "
    "1,000. An instant without an offset is in the job's zone.",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="backfill",
    openapi_extra=_TAKES_RANGE,
)
def backfill(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "from", "to", "dry_run")
    for key in ("from", "to"):
        if key not in body:
            raise Invalid("is required", code="missing", where=key)
    start, end = member(body, "from", str, ""), member(body, "to", str, "")
    dry_run = member(body, "dry_run", bool, default=False)
    return Answer(fleet.backfill(name, actor, start=start, end=end, dry_run=dry_run))


@routes.get(
    "/jobs/{name}/why",
    summary="Why a job ran at an instant, or did not",
    description="Without seconds the slot in that minute is meant, without an offset the zone of "
    "the job, without `at` its newest slot that is past. `items` has an answer for each instant "
    "that a wall time names.",
    dependencies=[needs(Role.VIEWER, job="name")],
    operation_id="why",
)
def why(
    fleet: TheFleet,
    name: str,
    at: Annotated[str | None, Query(description="ISO 8601; the newest slot")] = None,
) -> Answer:
    return Answer(fleet.why(name, at))
