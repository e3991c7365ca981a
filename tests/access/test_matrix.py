"""Route by role by way in: made from the routes, so a new one is tested before it is merged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from cronherd.api.app import build_app
from cronherd.api.base import all_routes, always, declared
from cronherd.domain.access import LOCAL, Role
from tests.access.conftest import Browser, MakeSite, Site, make_site
from tests.api.stand_in import StandIn

SAFE = {"GET", "HEAD"}
ROUTES = [
    (method, path, declared(route)[0])
    for path, route in all_routes(build_app(StandIn(), who=always(LOCAL)).routes)
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
CLOSED = [route for route in ROUTES if route[2] is not None]
DOORS = {"/login", "/welcome/{key}", "/api/v1/login", "/healthz"}
ENDS = {"/logout", "/api/v1/logout"}  # what is sent with them is over afterwards


@pytest.fixture(scope="module")
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@dataclass(kw_only=True)
class Crowd:
    site: Site
    tokens: dict[Role, str]


@pytest.fixture(scope="module")
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = make_site.__wrapped__(tmp_path)  # type: ignore[attr-defined]
    make: MakeSite = next(made)
    site = make()
    for role in Role:
        site.account(role.value, role)
    tokens = {role: site.token(f"t-{role.value}", role) for role in Role}
    yield Crowd(site=site, tokens=tokens)
    for _ in made:
        pass


def target_of(template: str) -> str:
    return re.sub(r"\{\w+\}", "none", template)


def is_refused(browser: Browser, method: str, template: str, **headers: str) -> str:
    """The code of a refusal; '' when it was let in, whatever became of it then."""
    reply = browser.post(target_of(template), None, method, **headers)
    assert reply.status < 500 or reply.code == "no_sealing", reply.content
    refusals = {"login_needed", "bad_token", "not_allowed", "csrf"}
    if reply.code in refusals:
        assert reply.status == (401 if reply.code in {"login_needed", "bad_token"} else 403)
        return reply.code
    assert reply.status not in {401, 403}
    return ""


def test_the_open_routes_are_these_and_no_others():
    """Whoever opens one more says so here."""
    assert {path for _, path, role in ROUTES if role is None} == DOORS


@pytest.mark.parametrize(("method", "template", "needed"), CLOSED)
def test_nobody_is_let_in(crowd: Crowd, method: str, template: str, needed: Role):
    assert is_refused(crowd.site.browser(), method, template) == "login_needed"
    bad = "Bearer chd_" + "x" * 43
    assert is_refused(crowd.site.browser(), method, template, Authorization=bad) == "bad_token"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "template", "needed"), CLOSED)
def test_a_token_is_let_in_by_its_role(
    crowd: Crowd, method: str, template: str, needed: Role, role: Role
):
    token = crowd.tokens[role]
    if template in ENDS:
        token = crowd.site.token(f"end-{method}-{role}-{len(template)}", role)
    found = is_refused(crowd.site.browser(), method, template, Authorization=token)
    assert found == ("" if role.covers(needed) else "not_allowed")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "template", "needed"), CLOSED)
def test_a_session_is_let_in_by_its_role_and_changes_only_with_its_mark(
    crowd: Crowd, method: str, template: str, needed: Role, role: Role
):
    browser = crowd.site.inside(role.value)
    mark = crowd.site.csrf(browser)
    if method not in SAFE:
        assert is_refused(browser, method, template) == "csrf"
        assert is_refused(browser, method, template, X_CSRF_Token=mark[:-1] + "x") == "csrf"
        other = "https://evil.example.com"
        assert is_refused(browser, method, template, X_CSRF_Token=mark, Origin=other) == "csrf"
    found = is_refused(browser, method, template, X_CSRF_Token=mark)
    assert found == ("" if role.covers(needed) else "not_allowed")
