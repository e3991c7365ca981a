"""Route by role by way in by object: made from the routes, so a new one is tested before it is
merged. One test walks all routes for one caller and reports every wrong cell."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi.routing import APIRoute

from cronherd.api.app import build_app
from cronherd.api.base import Needs, all_routes
from cronherd.domain.access import LOCAL, Role
from cronherd.pages.app import build_pages
from tests.access.conftest import Browser, Reply, Site, Yard, sites
from tests.api.always import Always
from tests.api.stand_in import StandIn

SAFE = {"GET", "HEAD"}
DOORS = {"/login", "/welcome/{key}", "/api/v1/login", "/healthz", "/favicon.ico"}
DOORS |= {"/static/{mark}/{name:path}"}
ENDS = {"/logout", "/api/v1/logout"}  # what is sent with them is over afterwards
NOBODY = {"login_needed", "bad_token"}
REFUSALS = NOBODY | {"not_allowed", "csrf"}
HIDDEN = {"no_such_job", "no_such_run"}
PAGE_CODE = re.compile(r"Code: <code>(\w+)</code>")
PAGE_ERROR = re.compile(r'<section class="card pad error">.*</section>', re.DOTALL)
ABSENT = {"runs": "f" * 32}


class Route(NamedTuple):
    """One method of one address, and what it declares."""

    method: str
    path: str
    needs: Needs

    @property
    def role(self) -> Role:
        assert self.needs.role is not None
        return self.needs.role

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api/", "/metrics", "/log"))

    @property
    def about_a_job(self) -> bool:
        return bool(self.needs._job or self.needs._run)


ROUTES = [
    Route(method, path, one.dependency)
    for app in (
        build_app(StandIn(), who=Always(LOCAL)),
        build_pages(StandIn(), who=Always(LOCAL)),
    )
    for path, route in all_routes(app.routes)
    if isinstance(route, APIRoute)
    for one in route.dependencies
    if isinstance(one.dependency, Needs)
    for method in sorted(route.methods or ())
]
CLOSED = [route for route in ROUTES if route.needs.role is not None]


@dataclass(kw_only=True)
class Crowd:
    """A fleet with people of each role, and one object of each kind."""

    site: Site
    tokens: dict[Role, str]
    theirs: dict[str, str] = field(default_factory=dict)  # first step of an address: what is there
    mine: dict[str, str] = field(default_factory=dict)  # the same, that a limited token may touch

    def target(self, route: Route, objects: dict[str, str]) -> str:
        """The address about one of these objects; about none that exists when there is none."""
        noun = f"{route.path}/".removeprefix("/api/v1").removeprefix("/settings").split("/")[1]
        return re.sub(r"\{[\w:]+\}", objects.get(noun, "none"), route.path)


@pytest.fixture(scope="module")
def crowd(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    with sites(yard, folder) as make:
        site = make()
        for role in Role:
            site.account(role.value, role)
        made = Crowd(site=site, tokens={one: site.token(f"t-{one.value}", one) for one in Role})
        for name, objects in (("db", made.theirs), ("web-1", made.mine)):
            tags = {"tags": ["web", "both"]} if name == "web-1" else {"tags": ["data"]}
            site.service.create_job({"name": name, "command": "true", **tags}, "root")
            run = site.service.run_job(name, "root")["run"]["id"]
            objects |= {"jobs": name, "runs": run}
        site.service.set_pool("db", 1, "root")
        made.theirs |= dict.fromkeys(("accounts", "people"), "admin")
        made.theirs |= {"tokens": "t-admin", "pools": "db"}
        yield made


# ------------------------------------------------------------------ what an answer says


def code_of(reply: Reply) -> str:
    """The code of a problem, of either kind; where a page sends somebody to log in, that."""
    if reply.status == 303 and reply.headers["location"].startswith("/login?"):
        return "login_needed"
    found = PAGE_CODE.search(reply.content.decode()) if reply.status >= 400 else None
    return reply.code or (found[1] if found else "")


def refusal(reply: Reply) -> str:
    """'' when it was let in, whatever became of it then."""
    code = code_of(reply)
    if reply.status >= 500 and code != "no_sealing":
        return f"failed: {reply.content[:300]!r}"
    if code not in REFUSALS:
        return "" if reply.status not in {401, 403} else f"{reply.status} without a reason"
    right = {401, 303} if code in NOBODY else {403}
    return code if reply.status in right else f"{code} with status {reply.status}"


def said(reply: Reply) -> tuple[int, str]:
    """All that an answer tells but its frame, which has times in it."""
    found = PAGE_ERROR.search(reply.content.decode())
    return reply.status, found[0] if found else reply.content.decode()


def answer(browser: Browser, route: Route, target: str, **told: str) -> Reply:
    return browser.send(route.method, target, None, **told)


@dataclass
class Wrong:
    """Every cell that is not as it should be; a test ends with `none`."""

    cells: list[str] = field(default_factory=list)
    seen: int = 0

    def expect(self, route: Route, wanted: str, found: str, about: str = "") -> None:
        self.seen += 1
        if found != wanted:
            cell = f"{route.method} {route.path} {about}"
            self.cells.append(f"{cell}: {(found or 'let in')[:300]}, not {wanted or 'let in'}")

    def none(self) -> None:
        assert self.seen >= len(CLOSED)
        assert not self.cells, "\n".join(self.cells)


def refused_alike(
    crowd: Crowd, wrong: Wrong, browser: Browser, route: Route, code: str, **told: str
) -> str:
    """The refusal is the same for what exists and what does not: it tells nothing of either.

    Its words.
    """
    answers = []
    for objects in (crowd.theirs, ABSENT):
        target = crowd.target(route, objects)
        reply = answer(browser, route, target, **told)
        wrong.expect(route, code, refusal(reply), f"as {target}")
        answers.append(said(reply))
    wrong.expect(route, "alike", "alike" if answers[0] == answers[1] else f"{answers}")
    return answers[0][1]


# ------------------------------------------------------------------ the walks


def test_the_open_routes_are_these_and_no_others():
    """Whoever opens one more says so here."""
    assert {route.path for route in ROUTES if route.needs.role is None} == DOORS
    assert len(CLOSED) > 120


@pytest.mark.parametrize("told", ["", "Bearer chd_" + "x" * 43])
def test_nobody_is_let_in(crowd: Crowd, told: str):
    wrong, browser = Wrong(), crowd.site.browser()
    headers = {"Authorization": told} if told else {}
    for route in CLOSED:
        led = route.method in SAFE and route.is_page  # to where one logs in
        code = "bad_token" if told and not led else "login_needed"
        refused_alike(crowd, wrong, browser, route, code, **headers)
    wrong.none()


@pytest.mark.parametrize("role", Role)
def test_a_token_is_let_in_by_its_role(crowd: Crowd, role: Role):
    wrong, browser = Wrong(), crowd.site.browser()
    for number, route in enumerate(CLOSED):
        token = crowd.tokens[role]
        if route.path in ENDS:
            token = crowd.site.token(f"end-{role}-{number}", role)
        if role.covers(route.role):
            reply = answer(browser, route, crowd.target(route, ABSENT), Authorization=token)
            wrong.expect(route, "", refusal(reply))
        else:
            told = refused_alike(crowd, wrong, browser, route, "not_allowed", Authorization=token)
            named = f"needs the role {route.role}" in told
            wrong.expect(route, "the role named", "the role named" if named else told)
    wrong.none()


@pytest.mark.parametrize("role", Role)
def test_a_session_is_let_in_by_its_role_and_changes_only_with_its_mark(crowd: Crowd, role: Role):
    wrong, browser = Wrong(), crowd.site.inside(role.value)
    for route in CLOSED:
        mark, target = crowd.site.csrf(browser), crowd.target(route, ABSENT)
        forged = [
            {},
            {"X_CSRF_Token": mark[:-1] + "x"},
            {"X_CSRF_Token": mark, "Origin": "https://evil.example.com"},
        ]
        for told in forged if route.method not in SAFE else ():
            wrong.expect(route, "csrf", refusal(answer(browser, route, target, **told)), str(told))
        reply = answer(browser, route, target, X_CSRF_Token=mark)
        wrong.expect(route, "" if role.covers(route.role) else "not_allowed", refusal(reply))
        if route.path in ENDS:
            browser = crowd.site.inside(role.value)
    wrong.none()


@pytest.mark.parametrize("limit", ["web-*", "tag:web"])
def test_a_limited_token_is_told_the_same_of_what_is_not_its_own_and_of_what_is_not(
    crowd: Crowd, limit: str
):
    """IDOR: each route about one job or its runs hides the others; all else is refused."""
    name = f"limited-{limit[0]}"
    told = {"Authorization": crowd.site.token(name, Role.OPERATOR, limit)}
    wrong, browser = Wrong(), crowd.site.browser()
    for route in CLOSED:
        if route.needs._own:
            continue
        if not route.about_a_job or not Role.OPERATOR.covers(route.role):
            refused_alike(crowd, wrong, browser, route, "not_allowed", **told)
            continue
        answers = []
        for objects in (crowd.theirs, ABSENT):
            target = crowd.target(route, objects)
            reply = answer(browser, route, target, **told)
            hidden = code_of(reply) in HIDDEN and reply.status == 404
            wrong.expect(route, "hidden", "hidden" if hidden else f"{reply.content[:200]!r}")
            answers.append(said(reply))
        wrong.expect(route, "alike", "alike" if answers[0] == answers[1] else f"{answers}")
        if route.method in SAFE:
            reply = answer(browser, route, crowd.target(route, crowd.mine), **told)
            wrong.expect(route, "", refusal(reply) or ("hidden" * (code_of(reply) in HIDDEN)))
    wrong.none()
