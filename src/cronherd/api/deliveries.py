"""/runs/{run}/delivery: what workers of job servers ask before they start a run."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import NUMBER_MAX, Answer, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["runs"])

Attempt = Annotated[int, Query(ge=1, le=NUMBER_MAX, description="Which attempt of the run")]
Token = Annotated[str, Query(description="16 to 32 hexadecimal digits of the worker's own")]


@routes.post(
    "/runs/{run}/delivery",
    summary="Take a run that a job server delivered",
    dependencies=[needs(Role.OPERATOR, run="run")],
    operation_id="deliver_run",
)
def deliver_run(
    *,
    fleet: TheFleet,
    run: str,
    attempt: Attempt,
    token: Token,
    worker: Annotated[str, Query(max_length=120, description="Its name, for people")] = "",
) -> Answer:
    return Answer(fleet.deliver_run(run, attempt, token, worker))


@routes.put(
    "/runs/{run}/delivery",
    summary="Say that a delivered run goes on, or how it ended",
    dependencies=[needs(Role.OPERATOR, run="run")],
    operation_id="run_delivered",
)
def run_delivered(
    *,
    fleet: TheFleet,
    run: str,
    attempt: Attempt,
    token: Token,
    code: Annotated[int | None, Query(ge=0, le=255, description="Its exit code")] = None,
) -> Answer:
    return Answer(fleet.run_delivered(run, attempt, token, code))
