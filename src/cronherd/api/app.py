"""The API as one ASGI application."""

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import compile_path

from cronherd import __version__
from cronherd.api import alerts, audit, fleet, jobs, nodes, runs, secrets, slots
from cronherd.api.base import PREFIX, PROBLEMS, refuse_nul
from cronherd.api.problem import ANSWERS, Methods
from cronherd.api.stream import Seats
from cronherd.client import Fleet

_NOUNS = (audit, jobs, slots, runs, nodes, secrets, alerts, fleet)

# Newer FastAPI sends traces wherever the environment says; what leaves a host is our decision.
_SILENT = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}


def build_app(service: Fleet, *, actor: Callable[[Request], str]) -> FastAPI:
    """The API over a service; `actor` tells who makes a request."""
    app = FastAPI(
        title="cronherd",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # both would load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_nul)],
        responses=PROBLEMS,
        exception_handlers=ANSWERS,
        **_silence(),
    )
    app.state.fleet = service
    app.state.actor = actor
    app.state.seats = Seats()
    app.state.methods = [pair for noun in _NOUNS for pair in _methods(noun.routes)]
    for noun in _NOUNS:
        app.include_router(noun.routes, prefix=PREFIX)
    return app


def _methods(router: APIRouter) -> Methods:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    return [
        (compile_path(PREFIX + route.path)[0], method)
        for route in routes
        for method in route.methods or ()
    ]


def _silence() -> dict[str, Any]:
    known = inspect.signature(FastAPI).parameters
    return {"telemetry": _SILENT} if "telemetry" in known else {}
