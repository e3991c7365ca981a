"""What the routes share: the fleet they serve, who may ask, how an answer looks."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any, Protocol
from urllib.parse import quote

from fastapi import Depends, Query
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cronherd.api.limited import JobLimit, fleet_for
from cronherd.api.line import KEY, Arrival
from cronherd.api.problem import MEDIA_TYPE, dump
from cronherd.client import Fleet
from cronherd.domain.access import Caller, Role
from cronherd.domain.errors import Conflict, Invalid, NotFound, Refused

PREFIX = "/api/v1"
BESIDE = ("/metrics", "/healthz")  # where such programs look
NUMBER_MAX = 2**31 - 1  # what every database holds as an integer

_NUL = re.compile(rb"%00|\x00")
_REFUSES = re.compile(r"\bq=0(\.0*)?\s*(;|$)")
_TAG = re.compile(r'(?:"(\d{1,9})"|(\d{1,9}))')

# What FastAPI would otherwise describe as its own list of findings.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    family: {"description": meaning, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for family, meaning in (("4XX", "The request"), ("5XX", "cronherd or its database"))
}


class Answer(Response):
    """A document as it is: it was built by views.py, a second validation would only cost."""

    media_type = "application/json"

    def __init__(
        self,
        content: object,
        status_code: int = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(dump(content), status_code, headers)


# These are coroutines because FastAPI would send a plain function through the thread pool.


async def _fleet(request: Request) -> Fleet:
    return fleet_of(request)


def fleet_of(request: Request) -> Fleet:
    """The fleet that a request is about, as whoever asks may see it."""
    return fleet_for(request.app.state.fleet, getattr(request.state, "caller", None))


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller  # a route without `needs` fails here, and has no caller
    return caller


async def _actor(request: Request) -> str:
    return (await _caller(request)).actor


async def refuse_nul(request: Request) -> None:
    """PostgreSQL's text has no NUL, and no name, id or word of ours has one."""
    scope = request.scope
    if "\x00" in scope["path"] or _NUL.search(scope["query_string"]):
        raise Invalid("the address contains a NUL", code="bad_text")


async def refuse_other_media(request: Request) -> None:
    """Whoever takes nothing that this address has to give gets no answer that surprises."""
    wanted, path = request.headers.get("accept"), request.scope["path"]
    if not wanted or not path.startswith((PREFIX, *BESIDE)):
        return
    offered = next((found for end, found in _OFFERS if path.endswith(end)), _JSON)
    kinds = [part.partition(";") for part in wanted.lower().split(",")]
    taken = [kind.strip() for kind, _, rest in kinds if not _REFUSES.search(rest)]
    if not any(_fits(kind, offer) for kind in taken for offer in offered):
        raise Invalid(
            f"this address gives {', '.join(offered)}", code="not_acceptable", where="Accept"
        )


def _fits(kind: str, offer: str) -> bool:
    return kind in {"*/*", offer, offer.partition("/")[0] + "/*"}


_JSON = ("application/json", MEDIA_TYPE)
_OFFERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/stream", ("text/event-stream", MEDIA_TYPE)),
    ("/output", (*_JSON, "application/x-ndjson")),
    ("/metrics", ("text/plain", "application/openmetrics-text", MEDIA_TYPE)),
)

TheFleet = Annotated[Fleet, Depends(_fleet)]
TheCaller = Annotated[Caller, Depends(_caller)]
Actor = Annotated[str, Depends(_actor)]
Limit = Annotated[int, Query(description="How many at most, 1 to 1,000")]
Cursor = Annotated[str | None, Query(description="The `next` of the page before")]
Search = Annotated[
    str | None, Query(description="Tokens such as `state:error tag:backup text`; see the guide")
]


# ------------------------------------------------------------------ who may ask


class Who(Protocol):
    """Tells who asks, and is told what that one may not do."""

    async def __call__(self, request: Request) -> Caller:
        """The caller of a request. Raises Refused."""

    def tell_refused(self, caller: Caller, what: str) -> None:
        """A route refused it."""


class Needs:
    """The least role of a route; None: it is open to everybody, who have no caller then.

    `job` and `run` name the parameters of the path that say which job is meant, `own` is about
    oneself: only such routes answer to who is limited to some jobs.
    """

    def __init__(
        self, role: Role | None, *, job: str = "", run: str = "", own: bool = False
    ) -> None:
        self.role = role
        self._own = own
        self._job = job
        self._run = run

    async def __call__(self, request: Request) -> None:
        if self.role is None:
            return
        who: Who = request.app.state.who
        caller = await who(request)
        try:
            await self._check(request, caller, self.role)
        except (Refused, NotFound) as error:
            request.state.refused = caller, self.role  # for the page that says so
            what = f"{request.method} {request.scope['path'][:200]}: {error.text}"
            await run_in_threadpool(who.tell_refused, caller, what)
            raise
        request.state.caller = caller

    async def _check(self, request: Request, caller: Caller, role: Role) -> None:
        if not caller.may(role):
            raise Refused(
                f"this needs the role {role}, and {caller.actor} has the role {caller.role}",
                hint="ask an admin of this fleet",
            )
        if caller.jobs is not None and not self._own:
            await self._limit(request, caller)

    async def _limit(self, request: Request, caller: Caller) -> None:
        """Whoever is limited to some jobs learns nothing of the others, not even their names.

        The thing itself is asked for its job: a job is found by its id as well, a run by a prefix.
        """
        fleet: Fleet = request.app.state.fleet
        show: Callable[[str], Any] = fleet.show_job
        limit = JobLimit(fleet, caller)
        hidden = NotFound("there is no such job for you", code="no_such_job")
        if self._job:
            given, name, job_id = self._job, "name", "id"
        elif self._run:
            given, show, name, job_id = self._run, fleet.show_run, "job", "job_id"
            hidden = NotFound("there is no such run for you", code="no_such_run")
        else:
            raise Refused(f"{caller.actor} is limited to some jobs, and this is about more")
        with suppress(NotFound):  # its hint names others
            found = await run_in_threadpool(show, request.path_params[given])
            if await run_in_threadpool(limit.holds, found[name], found[job_id]):
                return
        raise hidden


def needs(role: Role, *, job: str = "", run: str = "", own: bool = False) -> Any:
    """For `dependencies=[…]` of a route: who asks must have at least this role."""
    return Depends(Needs(role, job=job, run=run, own=own))


def open_to_all() -> Any:
    """For `dependencies=[…]` of a route that answers before anybody has logged in."""
    return Depends(Needs(None))


def all_routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, BaseRoute]]:
    """Each route with its whole path, those of included routers too."""
    for route in routes:
        inner = getattr(route, "original_router", None)  # newer FastAPI keeps them as they are
        if inner is None:
            yield prefix + str(getattr(route, "path", "")), route
        else:
            yield from all_routes(inner.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]


def declared(route: BaseRoute) -> list[Role | None]:
    """The roles a route declares; whoever finds none, or more than one, has found a fault."""
    if not isinstance(route, APIRoute):
        return []
    asked = [one.dependency for one in route.dependencies]
    return [one.role for one in asked if isinstance(one, Needs)]


def by_tls(request: Request) -> bool:
    """Whether cookies of this answer may only travel by TLS: of ours, or of a proxy's."""
    arrival = request.scope.get(KEY)
    return isinstance(arrival, Arrival) and arrival.secure


# ------------------------------------------------------------------ answers


def takes(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """For `openapi_extra`: a body of these members."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    content = {"application/json": {"schema": {**schema, "required": list(required)}}}
    return {"requestBody": {"required": bool(required), "content": content}}


def begin_of(cursor: str | None, before: str | None, name: str) -> str | None:
    """Where a page begins: `cursor`, or the older name of the same. Raises Invalid for both."""
    if cursor and before:
        raise Invalid("is the older name of cursor: give one", code="bad_cursor", where=name)
    return cursor or before


def job_answer(job: dict[str, Any], status: int = HTTPStatus.OK) -> Answer:
    """A job with its version as an entity tag, which If-Match takes back."""
    headers = {"ETag": f'"{job["version"]}"'}
    if status == HTTPStatus.CREATED:
        headers["Location"] = f"{PREFIX}/jobs/{quote(job['name'], safe='')}"
    return Answer(job, status, headers)


def version_of(tag: str | None) -> int | None:
    """The version an If-Match names; None: whatever there is, since it says `*`.

    Raises Conflict without one: whoever edits says what was read, so that no edit is lost.
    """
    if tag is None:
        raise Conflict(
            "say which version you edit",
            code="version_required",
            hint='send If-Match: "3" with the ETag you have read, or *',
            where="If-Match",
        )
    if tag.strip() == "*":
        return None
    found = _TAG.fullmatch(tag.strip())
    if not found:
        raise Invalid("is not a version", code="bad_version", hint='send "3"', where="If-Match")
    return int(found[1] or found[2])
