"""/login, /logout and /welcome/{key}: forms that work in any browser, and lead to a session."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cronherd.api.access import (
    Origin,
    TheEntrance,
    begin_session,
    check_same_origin,
    end_session,
    session_key,
)
from cronherd.api.base import needs, open_to_all
from cronherd.api.entrypage import EntryPages
from cronherd.api.form import Form, field
from cronherd.api.line import arrival_of
from cronherd.api.problem import headers_of, status_of
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Refused
from cronherd.service.entrance import bad_link

routes = APIRouter(include_in_schema=False)

SEE_OTHER = 303


async def _pages(request: Request) -> EntryPages:
    pages: EntryPages = request.app.state.entry_pages
    return pages


ThePages = Annotated[EntryPages, Depends(_pages)]


def _page(html: str, error: CronherdError | None = None) -> Response:
    if error is None:
        return Response(html, media_type="text/html")
    return Response(html, status_of(error), headers_of(error), media_type="text/html")


@routes.get("/login", dependencies=[open_to_all()])
async def login_page(pages: ThePages, entrance: TheEntrance, next: str = "/") -> Response:  # noqa: A002 - the word in the address
    first = not await run_in_threadpool(entrance.has_admin)
    return _page(pages.login(goal=goal_of(next), name="", error=None, first=first))


@routes.post("/login", dependencies=[open_to_all()])
async def login(
    request: Request, form: Form, pages: ThePages, entrance: TheEntrance, origin: Origin
) -> Response:
    goal, name = goal_of(field(form, "next")), field(form, "name").strip()
    try:
        check_same_origin(request, arrival_of(request), must=False)
        password = field(form, "password")
        opened = await run_in_threadpool(entrance.login, name, password, origin)
    except Refused as error:
        return _page(pages.login(goal=goal, name=name, error=error, first=False), error)
    answer = RedirectResponse(goal, SEE_OTHER)
    begin_session(request, answer, opened)
    return answer


@routes.post("/logout", dependencies=[needs(Role.VIEWER, own=True)])
async def logout(request: Request, entrance: TheEntrance) -> Response:
    key = session_key(request)
    if key:
        await run_in_threadpool(entrance.logout, key)
    answer = RedirectResponse("/login", SEE_OTHER)
    end_session(request, answer)
    return answer


@routes.get("/welcome/{key}", dependencies=[open_to_all()])
async def welcome_page(key: str, pages: ThePages, entrance: TheEntrance) -> Response:
    """Looking uses nothing up: programs that preview links look, too."""
    link = await run_in_threadpool(entrance.link, key)
    if link is None:
        error = bad_link()
        return _page(pages.refused(error=error), error)
    return _page(pages.welcome(key=key, account=link.account, name="", error=None))


@routes.post("/welcome/{key}", dependencies=[open_to_all()])
async def welcome(
    request: Request,
    key: str,
    form: Form,
    pages: ThePages,
    entrance: TheEntrance,
    origin: Origin,
) -> Response:
    name, password = field(form, "name").strip(), field(form, "password")
    try:
        check_same_origin(request, arrival_of(request), must=False)
        if password != field(form, "again"):
            raise Refused("the two passwords differ", code="bad_password")
        opened = await run_in_threadpool(entrance.use_link, key, name, password, origin)
    except CronherdError as error:
        if error.code == "bad_link":
            return _page(pages.refused(error=error), error)
        link = await run_in_threadpool(entrance.link, key)
        account = link.account if link else None
        return _page(pages.welcome(key=key, account=account, name=name, error=error), error)
    answer = RedirectResponse("/", SEE_OTHER)
    begin_session(request, answer, opened)
    return answer


def goal_of(asked: str) -> str:
    """Where to go after a login: a path of ours, never another site."""
    plain = asked.isascii() and asked.isprintable() and "\\" not in asked and len(asked) < 2_000
    inside = asked.startswith("/") and not asked.startswith("//")
    return asked if plain and inside and not asked.startswith("/login") else "/"
