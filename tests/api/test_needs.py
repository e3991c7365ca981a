"""Each route says who may ask, and is closed to who may not: made from the routes themselves."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request

from cronherd.api import app as api_app
from cronherd.api import jobs
from cronherd.api.app import build_app
from cronherd.api.base import all_routes, always, declared, needs, open_to_all
from cronherd.api.server import ApiServer
from cronherd.domain.access import LOCAL, MAY, Caller, Role
from tests.api.conftest import send_raw
from tests.api.stand_in import StandIn

SAFE = {"GET", "HEAD"}
OWN = {f"/api/v1/{path}" for path in ("me", "me/password", "logout")} | {"/logout"}
DOORS = {"no_entrance"}  # nobody can log in where this server stands


def routes() -> list[tuple[str, str, Role | None]]:
    """Method, path and role of each route there is."""
    app = build_app(StandIn(), who=always(LOCAL))
    return [
        (method, path, declared(route)[0])
        for path, route in all_routes(app.routes)
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


ROUTES = routes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server at which the caller says of himself who he is."""

    async def who(request: Request) -> Caller:
        jobs = request.headers.get("X-Jobs")
        limited = tuple(jobs.split()) if jobs is not None else None
        return replace(LOCAL, actor="ann", role=Role(request.headers["X-Role"]), jobs=limited)

    socket = tmp_path_factory.mktemp("s") / "s"
    server = ApiServer(build_app(StandIn(), who=who), socket)
    server.start()
    yield socket
    server.stop()


def test_roles_are_a_ladder():
    ladder = [Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN]
    for high, one in enumerate(ladder):
        for low, other in enumerate(ladder):
            assert one.covers(other) is (low <= high)
    assert list(MAY) == ladder


def test_there_are_routes_and_each_declares_one_role():
    assert len(ROUTES) > 39
    app = build_app(StandIn(), who=always(LOCAL))
    assert [path for path, route in all_routes(app.routes) if len(declared(route)) != 1] == []


@pytest.mark.parametrize("dependencies", [[], [needs(Role.VIEWER), needs(Role.ADMIN)]])
def test_a_route_without_one_role_makes_no_api(
    monkeypatch: pytest.MonkeyPatch, dependencies: list[object]
):
    forgotten = APIRouter()
    forgotten.add_api_route("/x", lambda: None, dependencies=dependencies)  # type: ignore[arg-type]
    monkeypatch.setattr(jobs, "routes", forgotten)
    assert jobs in api_app._NOUNS
    with pytest.raises(TypeError, match="does not say which role"):
        build_app(StandIn(), who=always(LOCAL))


def test_what_changes_something_is_not_for_viewers():
    changing = [one for one in ROUTES if one[0] not in SAFE]
    assert len(changing) > 20
    for method, path, role in changing:
        assert role is None or path in OWN or role.covers(Role.OPERATOR), f"{method} {path}"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "template", "needed"), ROUTES)
def test_a_route_answers_to_its_role_and_those_above(
    path: Path, method: str, template: str, needed: Role | None, role: Role
):
    if needed is None:  # a door, which has its own tests: tests/access
        return
    target = re.sub(r"\{\w+\}", "none", template)
    reply = send_raw(path, method, target, X_Role=role.value)
    is_json = "json" in (reply.headers["Content-Type"] or "")
    code = reply.document.get("code") if reply.content and is_json else None
    if not role.covers(needed):
        assert (reply.status, code) == (403, "not_allowed")
        assert f"needs the role {needed}" in reply.document["detail"]
    else:
        assert reply.status not in {401, 403} or code in DOORS
        assert code not in {"not_allowed", "internal"}


@pytest.mark.parametrize(("method", "template", "needed"), ROUTES)
def test_who_is_limited_to_some_jobs_is_told_of_no_others(
    path: Path, method: str, template: str, needed: Role | None
):
    """IDOR: each route about one job or its runs hides the others; all else is refused."""
    if needed is None or template in OWN:
        return
    target = re.sub(r"\{\w+\}", "none", template)
    reply = send_raw(path, method, target, X_Role="admin", X_Jobs="web-* db")
    assert reply.status in {403, 404}
    about_one = "/jobs/{name}" in template or "/runs/{run}" in template
    codes = {"no_such_job", "no_such_run"} if about_one else {"not_allowed"}
    assert reply.document["code"] in codes


def test_open_routes_are_marked():
    router = APIRouter()
    router.add_api_route("/x", lambda: None, dependencies=[open_to_all()])
    assert declared(router.routes[0]) == [None]
