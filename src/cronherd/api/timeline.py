"""/timeline: a stretch of the past and the future."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import NUMBER_MAX, Answer, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["fleet"])


@routes.get(
    "/timeline",
    summary="What ran, what did not and what will, between two instants",
    description="At most 31 days. Slots of one job within one `step` (seconds) are one with a "
    "`count`. Complete from `complete_from` to `complete_until`.",
    dependencies=[needs(Role.VIEWER)],
    operation_id="timeline",
)
def timeline(
    *,
    fleet: TheFleet,
    start: Annotated[str, Query(alias="from", description="RFC 3339")],
    end: Annotated[str, Query(alias="to", description="RFC 3339")],
    step: Annotated[int, Query(ge=1, le=NUMBER_MAX, description="Seconds")] = 60,
    job: Annotated[str | None, Query(description="Of this job only")] = None,
) -> Answer:
    return Answer(fleet.timeline(start, end, step, job=job))
