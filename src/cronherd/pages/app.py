"""The pages as one ASGI application, and how it stands beside the API."""

import inspect
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from cronherd.api.base import Who, all_routes, declared
from cronherd.client import Fleet
from cronherd.pages import (
    frame,
    job,
    job_changes,
    job_edit,
    jobs,
    locks,
    nodes,
    overview,
    people,
    pools,
    run,
    runs,
    settings,
    timeline,
)
from cronherd.pages.errors import ANSWERS

# What is more exact comes first: `jobs` has an address for whatever one may tell a job.
_NOUNS = (
    overview,
    job_edit,
    job_changes,
    job,
    jobs,
    run,
    runs,
    timeline,
    nodes,
    pools,
    locks,
    settings,
    people,
    frame,
)
# What the API answers, the ways in among them; every other address is a page.
_MACHINES = ("/api/", "/metrics", "/healthz", "/readyz", "/login", "/logout", "/welcome/")
_SILENT = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}


def build_pages(
    service: Fleet,
    *,
    who: Who,
) -> FastAPI:
    """The pages over a service; `who` tells who looks."""
    known = inspect.signature(FastAPI).parameters
    silent: dict[str, Any] = {"telemetry": _SILENT} if "telemetry" in known else {}
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=ANSWERS,
        **silent,
    )
    app.state.fleet = service
    app.state.who = who
    for noun in _NOUNS:
        app.include_router(noun.routes)
    for path, route in all_routes(app.routes):
        if len(declared(route)) != 1:
            raise TypeError(f"{path} does not say which role it needs")
    return app


def join(api: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """One application of both: programs ask the API, people see pages."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        machine = scope["type"] != "http" or scope["path"].startswith(_MACHINES)
        await (api if machine else pages)(scope, receive, send)

    return serve
