"""/trends and /load: what ran lately and what comes, as numbers to draw."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import NUMBER_MAX, Answer, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["fleet"])


@routes.get(
    "/trends",
    summary="The last runs of several jobs, oldest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="trends",
)
def trends(
    fleet: TheFleet,
    job: Annotated[list[str] | None, Query(description="Ids of jobs")] = None,
    count: Annotated[int, Query(description="How many runs of each")] = 30,
) -> Answer:
    return Answer(fleet.trends(job or [], count))


@routes.get(
    "/load",
    summary="How many runs ended and how many slots come, step by step",
    dependencies=[needs(Role.VIEWER)],
    operation_id="load",
)
def load(
    fleet: TheFleet,
    past: Annotated[int, Query(ge=0, le=NUMBER_MAX, description="Seconds back")] = 10_800,
    future: Annotated[
        int, Query(alias="next", ge=0, le=NUMBER_MAX, description="Seconds ahead")
    ] = 10_800,
    step: Annotated[int, Query(ge=1, le=NUMBER_MAX, description="Seconds of a step")] = 300,
) -> Answer:
    return Answer(fleet.load(past, future, step))
