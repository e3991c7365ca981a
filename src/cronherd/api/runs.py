"""/runs: what happened, its output, and how to end it."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cronherd.api.base import (
    NUMBER_MAX,
    Actor,
    Answer,
    Cursor,
    Limit,
    Search,
    TheFleet,
    begin_of,
    needs,
)
from cronherd.api.hub import RUN, Hub
from cronherd.api.seat import Seat
from cronherd.api.stream import LINES, Stream, spell_lines
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.pulse import Watched
from cronherd.domain.search import RUN_KEYS, joined

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
    state: Annotated[str | None, Query(description="A state, an outcome, or `error`")] = None,
    outcome: Annotated[str | None, Query(description="Ended so; several by commas")] = None,
    tag: Annotated[str | None, Query(description="Of jobs that have this tag")] = None,
    node: Annotated[str | None, Query(description="On this node")] = None,
    cause: Annotated[str | None, Query(description="Made by this cause")] = None,
    since: Annotated[str | None, Query(alias="from", description="Made then or later")] = None,
    until: Annotated[str | None, Query(alias="to", description="Made then or earlier")] = None,
    q: Search = None,
    cursor: Cursor = None,
    before: Annotated[str | None, Query(deprecated=True, description="As cursor")] = None,
    limit: Limit = 50,
) -> Answer:
    begin = begin_of(cursor, before, "before")
    more = {"tag": tag, "node": node, "cause": cause, "since": since, "until": until}
    text = joined(q, RUN_KEYS, **more)
    return Answer(fleet.list_runs(job, state, outcome, begin, limit, q=text))


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
async def run_output(
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
        return Answer(await run_in_threadpool(fleet.run_output, run, attempt, after, limit))
    if attempt is not None or after != -1:
        raise Invalid("a followed output begins at its begin", code="bad_parameter", where="follow")
    # A run that is not there must be said before the stream begins with its 200.
    run_id = (await run_in_threadpool(fleet.show_run, run))["id"]
    hub: Hub = request.app.state.hub
    seat = Seat(frozenset({RUN + run_id}), watched=Watched(run_id=run_id))
    hub.open(seat)
    return Stream(hub, seat, spell_lines, LINES)
