"""/runs: what happened, its output, and how to end it."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cronherd.api.base import NUMBER_MAX, Actor, Answer, Limit, TheFleet, needs
from cronherd.api.stream import LINES, Seats, read_in_threads
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid

routes = APIRouter(tags=["runs"])


@routes.get(
    "/runs",
    summary="List runs, newest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_runs",
)
def list_runs(
    *,
    fleet: TheFleet,
    job: Annotated[str | None, Query(description="Of this job only")] = None,
    state: str | None = None,
    outcome: str | None = None,
    before: Annotated[str | None, Query(description="The `next` of the page before")] = None,
    limit: Limit = 50,
) -> Answer:
    return Answer(fleet.list_runs(job, state, outcome, before, limit))


@routes.get(
    "/runs/{run}",
    summary="Show a run",
    dependencies=[needs(Role.VIEWER, run="run")],
    operation_id="show_run",
)
def show_run(fleet: TheFleet, run: str) -> Answer:
    return Answer(fleet.show_run(run))


@routes.post(
    "/runs/{run}/cancel",
    summary="Cancel a run",
    dependencies=[needs(Role.OPERATOR, run="run")],
    operation_id="cancel_run",
)
def cancel_run(fleet: TheFleet, actor: Actor, run: str) -> Answer:
    return Answer(fleet.cancel_run(run, actor))


@routes.get(
    "/runs/{run}/output",
    summary="Output of a run",
    description="With follow=true a stream of application/x-ndjson until the run has ended: one "
    'piece a line, at last `{"run": …}`; empty lines say that nothing is new.',
    dependencies=[needs(Role.VIEWER, run="run")],
    operation_id="run_output",
)
def run_output(
    *,
    request: Request,
    fleet: TheFleet,
    run: str,
    attempt: Annotated[int | None, Query(ge=1, le=NUMBER_MAX)] = None,
    after: Annotated[int, Query(ge=-1, le=NUMBER_MAX)] = -1,
    limit: Limit = 64,
    follow: bool = False,
) -> Response:
    if not follow:
        return Answer(fleet.run_output(run, attempt, after, limit))
    if attempt is not None or after != -1:
        raise Invalid("a followed output begins at its begin", code="bad_parameter", where="follow")
    # A run that is not there must be said before the stream begins with its 200.
    seats: Seats = request.app.state.seats
    pieces = seats.lines(fleet.follow_output(fleet.show_run(run)["id"]))
    return StreamingResponse(read_in_threads(pieces, seats), media_type=LINES)
