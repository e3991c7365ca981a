"""Each route says who may ask; that it keeps to it is asked in tests/access/test_matrix.py."""

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from cronherd.api import app as api_app
from cronherd.api import jobs
from cronherd.api.app import build_app
from cronherd.api.base import all_routes, declared, needs, open_to_all
from cronherd.domain.access import LOCAL, MAY, Role
from tests.api.always import Always
from tests.api.stand_in import StandIn

SAFE = {"GET", "HEAD"}
OWN = {f"/api/v1/{path}" for path in ("me", "me/password", "logout")} | {"/logout"}


def routes() -> list[tuple[str, str, Role | None]]:
    """Method, path and role of each route there is."""
    app = build_app(StandIn(), who=Always(LOCAL))
    return [
        (method, path, declared(route)[0])
        for path, route in all_routes(app.routes)
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


ROUTES = routes()


def test_roles_are_a_ladder():
    ladder = [Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN]
    for high, one in enumerate(ladder):
        for low, other in enumerate(ladder):
            assert one.covers(other) is (low <= high)
    assert list(MAY) == ladder


def test_there_are_routes_and_each_declares_one_role():
    assert len(ROUTES) > 39
    app = build_app(StandIn(), who=Always(LOCAL))
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
        build_app(StandIn(), who=Always(LOCAL))


def test_what_changes_something_is_not_for_viewers():
    changing = [one for one in ROUTES if one[0] not in SAFE]
    assert len(changing) > 20
    for method, path, role in changing:
        assert role is None or path in OWN or role.covers(Role.OPERATOR), f"{method} {path}"


def test_open_routes_are_marked():
    router = APIRouter()
    router.add_api_route("/x", lambda: None, dependencies=[open_to_all()])
    assert declared(router.routes[0]) == [None]
