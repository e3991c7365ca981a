"""/metrics for Prometheus, and /healthz for whoever watches whether cronherd is well.

Both lie beside the API, at addresses that such programs expect.
"""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cronherd.api.base import Answer, TheFleet, needs, open_to_all
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError

routes = APIRouter(tags=["fleet"])


@routes.get(
    "/metrics",
    summary="Numbers for Prometheus",
    description="In the text format. Jobs are named only while they are in error or overdue, at "
    "most 100 of each.",
    dependencies=[needs(Role.VIEWER)],
    operation_id="metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    from cronherd.api.numbers import CONTENT_TYPE, numbers_of  # noqa: PLC0415 - its library

    hub, fleet = request.app.state.hub, request.app.state.fleet
    return Response(numbers_of(fleet, hub.viewers, hub.looks), media_type=CONTENT_TYPE)


@routes.get(
    "/healthz",
    summary="Whether this cronherd and its database are well",
    description="For everybody, and so without any more: 200 with `ok`, or 503 with the code.",
    dependencies=[open_to_all()],
    operation_id="healthz",
)
def healthz(fleet: TheFleet) -> Answer:
    try:
        fleet.health()
    except CronherdError as error:
        document = {"status": "not ok", "code": error.code}
        return Answer(document, HTTPStatus.SERVICE_UNAVAILABLE)
    return Answer({"status": "ok"})
