"""/audit: the slots of the past, recounted."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Answer, Limit, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["fleet"])


@routes.get(
    "/audit",
    summary="Recount the slots of the past",
    description="For one job, or for a page of all of them in the order of their names. "
    "Instants without an offset are in the zone of each job; the last seven days without `from`.",
    dependencies=[needs(Role.VIEWER)],
    operation_id="audit",
)
def audit(
    fleet: TheFleet,
    job: Annotated[str | None, Query(description="Only this one")] = None,
    start: Annotated[str | None, Query(alias="from", description="RFC 3339")] = None,
    end: Annotated[str | None, Query(alias="to", description="RFC 3339; now")] = None,
    after: Annotated[str | None, Query(description="The `next` of the page before")] = None,
    limit: Limit = 50,
) -> Answer:
    return Answer(fleet.audit(job, start, end, after, limit))
