"""Every error of this API is one shape: RFC 9457 problem+json with cronherd's own members."""

import json
import re
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cronherd.domain.errors import (
    Conflict,
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
Methods = list[tuple[re.Pattern[str], str]]  # of each route: its path, one of its methods
QUOTED = 80  # characters of somebody's input that a sentence repeats

# Codes that HTTP has a better word for than the one of their kind.
_BY_CODE = {
    "version_conflict": HTTPStatus.PRECONDITION_FAILED,
    "version_required": HTTPStatus.PRECONDITION_REQUIRED,
    "not_acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "not_json": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "bad_json": HTTPStatus.BAD_REQUEST,
    "bad_host": HTTPStatus.MISDIRECTED_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_slow": HTTPStatus.REQUEST_TIMEOUT,
    "login_needed": HTTPStatus.UNAUTHORIZED,
    "bad_login": HTTPStatus.UNAUTHORIZED,
    "bad_token": HTTPStatus.UNAUTHORIZED,
    "too_many_attempts": HTTPStatus.TOO_MANY_REQUESTS,
    "bad_link": HTTPStatus.NOT_FOUND,
    "bad_password": HTTPStatus.UNPROCESSABLE_ENTITY,
}
_BY_KIND = (
    (Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.FORBIDDEN),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(Response):
    """The answer to a request that failed."""

    media_type = MEDIA_TYPE

    def __init__(self, error: CronherdError, headers: Mapping[str, str] | None = None) -> None:
        status = status_of(error)
        super().__init__(dump(problem_of(error)), status, {**headers_of(error), **(headers or {})})


def headers_of(error: CronherdError) -> dict[str, str]:
    """What HTTP wants to be said beside a refusal."""
    unknown = status_of(error) == HTTPStatus.UNAUTHORIZED
    told = {"WWW-Authenticate": "Bearer"} if unknown else {}
    if isinstance(error, Refused) and error.wait_s:
        told["Retry-After"] = str(error.wait_s)
    return told


def dump(document: object) -> bytes:
    """Compact UTF-8; half a surrogate pair, which no encoding knows, becomes `?`."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def status_of(error: CronherdError) -> int:
    """The HTTP status of an error; one that is none of the four kinds is our own fault."""
    of_kind = (status for kind, status in _BY_KIND if isinstance(error, kind))
    status = next(of_kind, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, Invalid | Conflict | Refused):
        status = _BY_CODE.get(error.code, status)
    return int(status)


def problem_of(error: CronherdError) -> dict[str, Any]:
    """The document of an error."""
    document = _shape(status_of(error), error)
    if isinstance(error, InvalidInput):
        document["errors"] = [_members(fault) for fault in error.errors]
    return document


def _members(error: CronherdError) -> dict[str, Any]:
    return {
        "code": error.code,
        "detail": error.text,
        "hint": error.hint,
        "where": error.where,
    }


def _shape(status: int, error: CronherdError) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, **_members(error)}


async def _cronherd_error(request: Request, error: CronherdError) -> Response:
    if error.code == "login_needed" and _is_page(request):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        query = urlencode({"next": target}) if request.method == "GET" else ""
        return RedirectResponse(f"/login?{query}", HTTPStatus.SEE_OTHER)
    return Problem(error)


def _is_page(request: Request) -> bool:
    """Whether somebody looks at it in a browser."""
    asks = "text/html" in request.headers.get("accept", "")
    return asks and not request.url.path.startswith("/api/")


async def _bad_parameters(request: Request, error: RequestValidationError) -> Response:
    del request
    return Problem(InvalidInput([_fault(part) for part in error.errors()]))


def _fault(part: Mapping[str, Any]) -> Invalid:
    """FastAPI's finding about a parameter in our words."""
    name = str(part["loc"][-1])[:QUOTED]
    if part["type"] == "missing":
        return Invalid("is required", code="missing", where=name)
    given = str(part.get("input"))[:QUOTED]
    sentence = str(part["msg"]).replace("Input should be", "must be")
    return Invalid(f"'{given}' does not fit: {sentence}", code="bad_parameter", where=name)


async def _http_error(request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    path = request.url.path[:QUOTED]
    fault = CronherdError(str(error.detail), code=status.name.lower())
    if status == HTTPStatus.NOT_FOUND:
        fault = NotFound(f"nothing is at {path}", code="no_route", hint="see openapi.json")
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "")
        fault = Invalid(
            f"{path} does not take {request.method[:QUOTED]}",
            code="method_not_allowed",
            hint=f"it takes {headers['Allow']}",
        )
    return Response(dump(_shape(status, fault)), status, headers, MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """Every method of an address: Starlette names those of the first route that fits."""
    path = request.scope["path"]
    known: Methods = request.app.state.methods
    return ", ".join(sorted({method for route, method in known if route.fullmatch(path)}))


async def _internal(request: Request, error: Exception) -> Response:
    del request, error
    sentence = "cronherd failed at this request"
    return Problem(CronherdError(sentence, code="internal", hint="its log says more"))


ANSWERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    CronherdError: _cronherd_error,
    RequestValidationError: _bad_parameters,
    HTTPException: _http_error,
    # Starlette raises it again after this answer, so that uvicorn logs the traceback to stderr.
    Exception: _internal,
}
