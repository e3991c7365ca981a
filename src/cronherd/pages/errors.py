"""Errors as pages: what happened, and what to do now."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cronherd.api.problem import status_of
from cronherd.domain.access import MAY
from cronherd.domain.errors import (
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
)
from cronherd.pages.base import HEADERS, show
from cronherd.pages.forms import local
from cronherd.pages.view import View

_TITLES = {
    HTTPStatus.NOT_FOUND: "Nothing is here",
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.UNAUTHORIZED: "Log in first",
    HTTPStatus.CONFLICT: "Somebody was first",
    HTTPStatus.UNPROCESSABLE_ENTITY: "This does not fit",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not reachable at the moment",
    HTTPStatus.INTERNAL_SERVER_ERROR: "cronherd failed here",
}
# A form of a session that has ended; programs are told of tokens.
_LOGIN, _CSRF = "login_needed", "csrf"
_ENDED = Refused("your session has ended", code="login_needed", hint="log in, and do it again")
# When not even the frame can be drawn, as its clock is the database's.
_BARE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>cronherd</title>
<h1>Not reachable at the moment</h1><p>The database does not answer. What runs goes on.
Load this page again in a moment; <code>cronherd doctor</code> says more.</p></html>"""


def show_error(request: Request, error: CronherdError, status: HTTPStatus) -> Response:
    """The page of an error."""
    faults = error.errors if isinstance(error, InvalidInput) else [error]
    title = _TITLES.get(status, status.phrase)
    try:
        view = View(request)
        again = _again(view, error)
        if again:
            title, faults = "This was not done", [_ENDED if error.code == _LOGIN else error]
        told = {"title": title, "faults": faults, "number": status, "may": MAY}
        return show(view, "error.html", status, **told, again=again)
    except Unavailable:
        return HTMLResponse(_BARE, HTTPStatus.SERVICE_UNAVAILABLE, dict(HEADERS))


def _again(view: View, error: CronherdError) -> str:
    """Where whoever's session has ended goes on: at the page that sent the form, else nothing."""
    if error.code not in {_LOGIN, _CSRF} or view.request.method == "GET":
        return ""
    page = urlsplit(view.request.headers.get("referer", ""))
    if page.netloc != view.request.headers.get("host"):
        return ""
    return local(f"{page.path}?{page.query}".removesuffix("?"), "/")


async def _cronherd_error(request: Request, error: CronherdError) -> Response:
    status = HTTPStatus(status_of(error))
    if status == HTTPStatus.UNAUTHORIZED and request.method == "GET":
        return RedirectResponse(f"/login?{urlencode({'next': View(request).here})}", 303)
    return await run_in_threadpool(show_error, request, error, status)


async def _bad_parameters(request: Request, error: RequestValidationError) -> Response:
    del error
    fault = Invalid("the address of this page has a value that does not fit", code="bad_parameter")
    return await run_in_threadpool(show_error, request, fault, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _http_error(request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    fault = CronherdError(str(error.detail), code=status.name.lower())
    if status == HTTPStatus.NOT_FOUND:
        fault = NotFound(
            f"no page has the address {request.url.path[:80]}",
            code="no_route",
            hint="it may have been renamed: search for it",
        )
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        fault = Invalid("this address is only for forms", code="method_not_allowed")
    return await run_in_threadpool(show_error, request, fault, status)


async def _internal(request: Request, error: Exception) -> Response:
    del error
    fault = CronherdError("this page could not be made", code="internal", hint="the log says why")
    return await run_in_threadpool(show_error, request, fault, HTTPStatus.INTERNAL_SERVER_ERROR)


ANSWERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    CronherdError: _cronherd_error,
    RequestValidationError: _bad_parameters,
    HTTPException: _http_error,
    Exception: _internal,
}
