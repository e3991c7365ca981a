"""What the routes share: the fleet they serve, who asks, how an answer looks."""

import re
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from cronherd.api.problem import MEDIA_TYPE, dump
from cronherd.client import Fleet
from cronherd.domain.errors import Invalid

PREFIX = "/api/v1"
NUMBER_MAX = 2**31 - 1  # what every database holds as an integer

_NUL = re.compile(rb"%00|\x00")
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
    fleet: Fleet = request.app.state.fleet
    return fleet


async def _actor(request: Request) -> str:
    actor: str = request.app.state.actor(request)
    return actor


async def refuse_nul(request: Request) -> None:
    """PostgreSQL's text has no NUL, and no name, id or word of ours has one."""
    scope = request.scope
    if "\x00" in scope["path"] or _NUL.search(scope["query_string"]):
        raise Invalid("the address contains a NUL", code="bad_text")


TheFleet = Annotated[Fleet, Depends(_fleet)]
Actor = Annotated[str, Depends(_actor)]
Limit = Annotated[int, Query(description="How many at most")]


def job_answer(job: dict[str, Any], status: int = HTTPStatus.OK) -> Answer:
    """A job with its version as an entity tag, which If-Match takes back."""
    headers = {"ETag": f'"{job["version"]}"'}
    if status == HTTPStatus.CREATED:
        headers["Location"] = f"{PREFIX}/jobs/{quote(job['name'], safe='')}"
    return Answer(job, status, headers)


def version_of(tag: str | None) -> int | None:
    """The version an If-Match names; None: whatever there is."""
    if tag is None or tag.strip() == "*":
        return None
    found = _TAG.fullmatch(tag.strip())
    if not found:
        raise Invalid("is not a version", code="bad_version", hint='send "3"', where="If-Match")
    return int(found[1] or found[2])
