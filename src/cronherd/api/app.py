"""The API as one ASGI application."""

import inspect
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import compile_path

from cronherd import __version__
from cronherd.api import (
    accounts,
    alerts,
    audit,
    changes,
    deliveries,
    entry,
    fleet,
    jobs,
    live,
    load,
    locks,
    me,
    metrics,
    nodes,
    pools,
    runs,
    secrets,
    slots,
    timeline,
)
from cronherd.api.base import (
    PREFIX,
    PROBLEMS,
    Answer,
    Who,
    all_routes,
    declared,
    needs,
    refuse_nul,
    refuse_other_media,
)
from cronherd.api.describe import describe
from cronherd.api.entrypage import EntryPages, PlainPages
from cronherd.api.hub import Hub, Served
from cronherd.api.problem import ANSWERS, Methods
from cronherd.domain.access import Role
from cronherd.service.entrance import Entrance

_NOUNS = (
    audit,
    jobs,
    changes,
    slots,
    runs,
    deliveries,
    timeline,
    nodes,
    pools,
    secrets,
    locks,
    alerts,
    live,
    load,
    accounts,
    me,
    fleet,
)

# Newer FastAPI sends traces wherever the environment says; what leaves a host is our decision.
_SILENT = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}


def build_app(
    service: Served,
    *,
    who: Who,
    entrance: Entrance | None = None,
    entry_pages: EntryPages | None = None,
) -> FastAPI:
    """The API over a service; `who` tells who makes a request, `entrance` lets people in."""
    app = FastAPI(
        title="cronherd",
        version=__version__,
        openapi_url=None,  # a route without a role; ours is below
        docs_url=None,  # both would load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_nul), Depends(refuse_other_media)],
        responses=PROBLEMS,
        exception_handlers=ANSWERS,
        **_silence(),
    )
    app.state.fleet = service
    app.state.who = who
    app.state.entrance = entrance
    app.state.entry_pages = entry_pages or PlainPages()
    app.state.hub = Hub(service)
    app.state.methods = [
        *(pair for noun in _NOUNS for pair in _methods(noun.routes, PREFIX)),
        *_methods(metrics.routes, ""),
    ]
    for noun in _NOUNS:
        app.include_router(noun.routes, prefix=PREFIX)
    app.include_router(entry.routes)
    app.include_router(metrics.routes)
    _serve_description(app)
    _refuse_undeclared(app)
    return app


def _serve_description(app: FastAPI) -> None:
    async def openapi() -> Answer:
        return Answer(describe(app))

    app.add_api_route(
        f"{PREFIX}/openapi.json",
        openapi,
        dependencies=[needs(Role.VIEWER)],
        include_in_schema=False,
    )


def _refuse_undeclared(app: FastAPI) -> None:
    """A route that says not who may ask is a fault of ours; better no API than an open one."""
    for path, route in all_routes(app.routes):
        if len(declared(route)) != 1:
            raise TypeError(f"{path} does not say which role it needs")


def _methods(router: APIRouter, prefix: str) -> Methods:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    return [
        (compile_path(prefix + route.path)[0], method)
        for route in routes
        for method in route.methods or ()
    ]


def _silence() -> dict[str, Any]:
    known = inspect.signature(FastAPI).parameters
    return {"telemetry": _SILENT} if "telemetry" in known else {}
