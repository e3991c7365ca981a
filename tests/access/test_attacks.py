"""What a stranger, a page of somebody else, or a token with little right may try."""

from urllib.parse import unquote

import pytest
from fastapi.routing import APIRoute

from cronherd.api.app import build_app
from cronherd.api.base import Needs, all_routes
from cronherd.api.form import FORM_BYTES
from cronherd.config.web import Web
from cronherd.domain.access import LOCAL, Role
from cronherd.domain.errors import Invalid
from cronherd.pages.app import build_pages
from tests.access.conftest import PASSWORD, MakeSite, Site, raw
from tests.api.always import Always
from tests.api.stand_in import StandIn
from tests.pages.conftest import checked
from tests.store.stage import Stage

JOBS = "/api/v1/jobs"
ME = "/api/v1/me"
LISTEN = ("127.0.0.1:0",)


def job(site: Site, name: str) -> dict[str, object]:
    made = site.service.create_job({"name": name, "command": "true"}, "test")
    return dict(made)


# ------------------------------------------------------------------ CSRF


@pytest.mark.parametrize(
    "told",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1@evil.example.com"},
        {"Origin": "http://[::1"},
        {"Origin": "file://"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "sometimes"},
    ],
)
def test_a_change_from_another_site_is_refused_even_with_the_mark(site: Site, told: dict[str, str]):
    site.account("ann")
    browser = site.inside("ann")
    mark = site.csrf(browser)
    reply = browser.post(JOBS, {"name": "x", "command": "true"}, X_CSRF_Token=mark, **told)
    assert (reply.status, reply.code) == (403, "csrf")
    assert browser.login("ann", **told).status == 403  # logging others in as oneself
    assert site.service.list_jobs()["items"] == []


def test_a_page_of_ours_may_change_things(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    told = {"Origin": site.origin, "Sec_Fetch_Site": "same-origin"}
    mark = site.csrf(browser)
    reply = browser.post(JOBS, {"name": "x", "command": "true"}, X_CSRF_Token=mark, **told)
    assert reply.status == 201
    assert browser.form("/logout", {"csrf": mark}, **told).status == 303


@pytest.mark.parametrize("mark", ["", "x", "ä" * 64, "0" * 64, "0" * 100_000])
def test_a_mark_that_is_none_is_refused(site: Site, mark: str):
    site.account("ann")
    browser = site.inside("ann")
    assert browser.form("/logout", {"csrf": mark}).code == "csrf"


def test_the_mark_of_another_session_is_refused(site: Site):
    site.account("ann")
    one, other = site.inside("ann"), site.inside("ann")
    reply = one.form("/logout", {"csrf": site.csrf(other)})
    assert reply.code == "csrf"


def test_a_token_needs_no_mark_and_a_bad_one_is_not_made_good_by_a_cookie(site: Site):
    site.account("ann")
    token = site.token("ci", Role.EDITOR)
    made = site.browser().post(JOBS, {"name": "x", "command": "true"}, Authorization=token)
    assert made.status == 201
    assert site.inside("ann").get(ME, Authorization="Bearer nonsense").status == 401


# ------------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer \xc3\xa4\xc3\xb6",
        b"Authorization: Bearer \xff\xfe",
        "Authorization: Bearer chd_日本".encode(),
        b"Authorization: Bearer",
        b"Authorization: Bearer ",
        b"Authorization:",
        b"Authorization: Basic YW5uOnB3",
        b"Authorization: \xe9",
        b"Authorization: Bearer " + b"x" * 30_000,
        b"Authorization: Bearer chd_%s" % (b"x" * 43),
        b"Authorization: Bearer a b",
        b"Authorization: Bearer ' OR 1=1 --",
        b"Authorization: Bearer x\r\nAuthorization: Bearer y",
    ],
)
def test_what_is_no_token_of_ours_gives_401(site: Site, line: bytes):
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (ME.encode(), line)
    answer = raw(site.port, request)
    assert answer.split(b" ")[1] == b"401", answer[:300]
    assert b"www-authenticate: bearer" in answer.lower()


@pytest.mark.parametrize("cookie", ["ä", "x", "", "chd_" + "x" * 43, "x" * 20_000, '"', "a=b"])
def test_what_is_no_session_of_ours_gives_401(site: Site, cookie: str):
    told = f"cronherd_session={cookie}".encode().decode("latin-1")
    assert site.browser().get(ME, Cookie=told).status == 401


def test_a_revoked_token_and_one_of_a_disabled_person_open_nothing(site: Site):
    site.account("root")
    site.account("ann", Role.EDITOR)
    made = site.browser().post("/api/v1/login", {"name": "ann", "password": PASSWORD, "label": "l"})
    assert made.status == 201
    own = f"Bearer {made.document['token']}"
    assert site.browser().get(ME, Authorization=own).document["actor"] == "ann/l"
    site.service.set_role("ann", "viewer", "root")
    assert site.browser().get(ME, Authorization=own).document["role"] == "viewer"
    site.service.set_account_enabled("ann", "root", enabled=False)
    assert site.browser().get(ME, Authorization=own).status == 401
    token = site.token("ci", Role.VIEWER)
    assert site.browser().get(ME, Authorization=token).status == 200
    site.service.revoke_token("ci", "root")
    assert site.browser().get(ME, Authorization=token).status == 401


def test_logging_in_again_on_a_host_makes_the_token_before_void(site: Site):
    site.account("ann")
    site.account("bob")
    body = {"name": "ann", "password": PASSWORD, "label": "laptop"}
    first = site.browser().post("/api/v1/login", body).document["token"]
    second = site.browser().post("/api/v1/login", body).document["token"]
    assert site.browser().get(ME, Authorization=f"Bearer {first}").status == 401
    assert site.browser().get(ME, Authorization=f"Bearer {second}").status == 200
    taken = site.browser().post("/api/v1/login", {**body, "name": "bob"})
    assert taken.code == "token_exists"
    assert site.browser().get(ME, Authorization=f"Bearer {second}").status == 200
    told = {"Authorization": f"Bearer {second}"}
    assert site.browser().post("/api/v1/logout", None, **told).status == 200
    assert site.browser().get(ME, **told).status == 401


def test_what_somebody_did_is_on_record_under_the_name(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    browser.post(JOBS, {"name": "a", "command": "true"}, X_CSRF_Token=site.csrf(browser))
    token = site.token("ci", Role.EDITOR)
    site.browser().post(JOBS, {"name": "b", "command": "true"}, Authorization=token)
    run = site.browser().post(f"{JOBS}/b/runs", {}, Authorization=token).document["run"]
    site.browser().post(f"/api/v1/runs/{run['id']}/cancel", None, Authorization=token)
    found = site.service.list_events(100)["items"]
    for kind in ("run_requested", "run_cancelled"):
        assert [one["actor"] for one in found if one["kind"] == kind] == ["token:ci"]
    made = {one["subject"]: one["actor"] for one in found if one["kind"] == "job_created"}
    assert made == {"a": "ann", "b": "token:ci"}


# ------------------------------------------------------------------ objects of others (IDOR)


def test_a_limited_token_reaches_its_jobs_and_their_runs_and_nothing_else(site: Site):
    mine, other = job(site, "Web-1"), job(site, "db-1")
    told = {"Authorization": site.token("ci", Role.OPERATOR, "web-*")}
    browser = site.browser()
    for name in ("Web-1", "web-1", mine["id"]):
        assert browser.get(f"{JOBS}/{name}", **told).status == 200
    run = browser.post(f"{JOBS}/web-1/runs", {}, **told).document["run"]["id"]
    assert browser.get(f"/api/v1/runs/{run[:8]}", **told).status == 200
    assert browser.post(f"/api/v1/runs/{run}/cancel", None, **told).status == 200
    theirs = site.service.run_job("db-1", "ann")["run"]["id"]
    for target in (
        f"{JOBS}/db-1",
        f"{JOBS}/{other['id']}",
        f"{JOBS}/DB-1/next",
        f"{JOBS}/web-2",
        f"/api/v1/runs/{theirs}",
        f"/api/v1/runs/{theirs[:8]}",
        f"/api/v1/runs/{theirs}/output",
        f"/api/v1/runs/{theirs}/output?follow=true",
    ):
        reply = browser.get(target, **told)
        assert reply.status == 404
        assert "db-1" not in reply.content.decode().replace(target.rpartition("/")[2], "")
    for target in (f"{JOBS}/db-1/runs", f"{JOBS}/db-1/pause", f"/api/v1/runs/{theirs}/cancel"):
        assert browser.post(target, {}, **told).status == 404
    for target in (JOBS, "/api/v1/runs", "/api/v1/events", "/api/v1/status", "/api/v1/nodes"):
        assert browser.get(target, **told).code == "not_allowed"
    assert browser.get(ME, **told).document["jobs"] == ["web-*"]
    assert site.service.show_run(theirs)["cancel_requested"] is False


@pytest.mark.parametrize(
    ("limit", "reached"),
    [
        ("tag:web", {"a", "b"}), ("tag:data", {"b"}), ("tag:Web", set()), ("tag:w*", set()),
        ("tag:", set()), ("a", {"a"}), ("web", set()), ("*", {"a", "b", "c"}),
    ],
)  # fmt: skip
def test_a_limit_to_a_tag_is_to_those_that_have_it_now(site: Site, limit: str, reached: set[str]):
    runs = {}
    for name, tags in {"a": ["web"], "b": ["web", "data"], "c": []}.items():
        site.service.create_job({"name": name, "command": "true", "tags": tags}, "root")
        runs[name] = site.service.run_job(name, "root")["run"]["id"]
    if limit == "tag:":
        with pytest.raises(Invalid):
            site.token("ci", Role.OPERATOR, limit)
        return
    told = {"Authorization": site.token("ci", Role.OPERATOR, limit)}
    browser = site.browser()
    for address in ("/api/v1/jobs/{name}", "/api/v1/jobs/{name}/why", "/api/v1/runs/{run}"):
        for name, run in runs.items():
            reply = browser.get(address.format(name=name, run=run), **told)
            assert reply.status == (200 if name in reached else 404), (address, name)
    for name in ("a", "b"):  # a tag that is taken away takes the job and its old runs along
        site.service.edit_job(name, {"name": name, "command": "true"}, None, "root")
        left = not limit.startswith("tag:") and name in reached
        for address in (f"{JOBS}/{name}", f"/api/v1/runs/{runs[name]}"):
            assert browser.get(address, **told).status == (200 if left else 404)
    site.service.delete_job("b", "root")
    hidden = 200 if limit == "*" else 404
    assert browser.get(f"/api/v1/runs/{runs['b']}", **told).status == hidden


@pytest.mark.parametrize("limit", ["web-*", "tag:web"])
def test_a_limited_token_is_not_told_whose_runs_are_before_its_own(site: Site, limit: str):
    """Each GET about its own job and run, while a run of another holds the pool and the slot."""
    stage, service = Stage(site.store, site.clock), site.service
    service.set_pool("p", 1, "root")
    common = {"command": "true", "pools": ["p"], "schedule": "every 60s", "start_deadline": "90s"}
    service.create_job({"name": "hidden-db", **common, "params": {"x": "y"}}, "root")
    service.create_job({"name": "web-1", "tags": ["web"], **common}, "root")
    theirs = service.run_job("hidden-db", "root")["run"]["id"]
    stage.settle()
    stage.start(*stage.claim())
    stage.after(61)
    mine = service.list_runs("web-1")["items"][0]["id"]
    assert [one["id"] for one in service.show_run(mine)["holders"]] == [theirs]
    slot = service.show_run(mine)["scheduled_at"]
    assert service.why("web-1", slot)["items"][0]["in_the_way"]["id"] == theirs
    told = {"Authorization": site.token("ci", Role.OPERATOR, limit)}
    everybody = {"Authorization": site.token("all", Role.OPERATOR)}
    browser, addresses, seen, others = site.browser(), about_jobs(), 0, 0
    for _ in range(3):
        for route in addresses:
            target = f"{route.format(name='web-1', run=mine)}?at={slot}"
            others += theirs in browser.get(target, **everybody).content.decode()
            reply = browser.get(target, **told)
            assert reply.status in {200, 303, 400, 422}, (target, reply.content[:200])
            for word in ("hidden-db", theirs, theirs[:8]):
                assert word not in reply.content.decode(), target
            seen += 1
        stage.after(61)
    assert seen > 30
    assert others >= 6, "nobody was told of it, so nothing was hidden"


def about_jobs() -> set[str]:
    """The addresses that one may read about a job or a run, by what the routes declare."""
    who = Always(LOCAL)
    return {
        path
        for app in (build_app(StandIn(), who=who), build_pages(StandIn(), who=who))
        for path, route in all_routes(app.routes)
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
        for one in route.dependencies
        if isinstance(one.dependency, Needs) and (one.dependency._job or one.dependency._run)
        if Role.OPERATOR.covers(one.dependency.role or Role.ADMIN)
    }


def test_a_limit_does_not_go_with_a_role_that_can_run_any_command(site: Site):
    told = {"Authorization": site.token("root", Role.ADMIN)}
    for role in ("editor", "admin"):
        body = {"name": "ci", "role": role, "jobs": ["web-*"]}
        reply = site.browser().post("/api/v1/tokens", body, **told)
        assert reply.code == "bad_limit_to_jobs"


# ------------------------------------------------------------------ paths and methods


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1//jobs",
        "//api/v1/jobs",
        "/api/v1/./jobs",
        "/api/v1/login/../jobs",
        "/login/../api/v1/jobs",
        "/welcome/../api/v1/jobs",
        "/api/v1/login%2f..%2fjobs",
        "/api/v1/%6aobs",
        "/api/v1/jobs/",
        "/api/v1/jobs;x=/login",
        "/api/v1/jobs?x=/login",
        "/api/v1/jobs%00",
        "/API/v1/jobs",
        "/api/v1/jobs/nightly%2Fruns",
        "/api/v1/jobs/..%2f..%2fsecrets",
        "/login/",
        "/login%2f",
        "/api/v1/openapi.json",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/.env",
    ],
)
def test_no_spelling_of_an_address_gets_around_the_door(site: Site, target: str):
    job(site, "nightly")
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        answer = raw(site.port, request.encode())
        assert answer.split(b" ")[1] in {b"400", b"401", b"404", b"405", b"422"}, (method, answer)
        assert b"nightly" not in answer.replace(unquote(target).encode(), b"")


def test_a_whole_url_and_a_header_that_names_another_method_change_nothing(site: Site):
    line = b"GET http://127.0.0.1/api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert raw(site.port, line).split(b" ")[1] in {b"401", b"404"}
    site.account("ann", Role.VIEWER)
    browser = site.inside("ann")
    reply = browser.get(f"{JOBS}/x", X_HTTP_Method_Override="DELETE")
    assert reply.code == "no_such_job"  # it was a GET


# ------------------------------------------------------------------ hosts


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1:2766", "[::1]:1", "[::1]"])
def test_a_port_of_this_host_answers_to_its_own_names(site: Site, host: str):
    assert site.browser().get("/login", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example.com", "127.0.0.1.evil.example.com", "localhost.evil.example.com", "2130706433",
     "localhost@evil.example.com", "evil.example.com#localhost", "", "localhost:x", "127.0.0.2",
     "[::1].evil.example.com", "ä", "localhost, evil.example.com"],
)  # fmt: skip
def test_a_name_that_was_pointed_here_gets_nothing(site: Site, host: str):
    """DNS rebinding: a page of evil.example.com asks its own name, which is 127.0.0.1 by now."""
    line = f"GET /login HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    answer = raw(site.port, line)
    assert answer.split(b" ")[1] in {b"421", b"400"}
    assert b"<form" not in answer


@pytest.mark.parametrize("lines", [b"", b"Host: localhost\r\nHost: evil.example.com\r\n"])
def test_no_host_or_two_get_nothing(site: Site, lines: bytes):
    answer = raw(site.port, b"GET /login HTTP/1.1\r\n" + lines + b"\r\n")
    assert answer.split(b" ")[1] in {b"421", b"400"}


def test_named_hosts_are_the_only_ones(make_site: MakeSite):
    site = make_site(Web(listen=LISTEN, asked=True, hosts=("cron.example.com",)))
    assert site.browser().get("/login", Host="cron.example.com").status == 200
    assert site.browser().get("/login", Host="Cron.Example.com.:443").status == 200
    assert site.browser().get("/login", Host="localhost").code == "bad_host"


# ------------------------------------------------------------------ a proxy that says who


PROXIED = Web(
    listen=LISTEN,
    asked=True,
    trusted_header="X-Remote-User",
    trusted_proxies=("127.0.0.9/32",),
)


def test_a_trusted_proxy_says_who_somebody_is_and_nobody_else_does(make_site: MakeSite):
    site = make_site(PROXIED)
    site.account("ann", Role.OPERATOR)
    proxy = site.browser("127.0.0.9")
    me = proxy.get(ME, X_Remote_User="ann").document
    assert (me["actor"], me["role"], me["way"]) == ("ann", "operator", "proxy")
    assert proxy.get(ME).status == 401
    assert proxy.get(ME, X_Remote_User="").status == 401
    for source in ("127.0.0.1", "127.0.0.8"):
        reply = site.browser(source).get(ME, X_Remote_User="ann")
        assert (reply.status, reply.code) == (403, "untrusted_proxy")
    assert site.browser("127.0.0.8").get(ME, X_Forwarded_For="127.0.0.9").status == 401


def test_a_header_that_stands_twice_is_refused(make_site: MakeSite):
    site = make_site(Web(listen=LISTEN, asked=True, trusted_header="X-Remote-User",
                         trusted_proxies=("127.0.0.0/8",)))  # fmt: skip
    site.account("ann")
    site.account("bob", Role.VIEWER)
    lines = b"X-Remote-User: bob\r\nx-remote-user: ann\r\n"
    answer = raw(site.port, b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
    assert answer.split(b" ")[1] == b"403"


def test_the_header_means_nothing_where_none_was_set(site: Site):
    site.account("ann")
    assert site.browser().get(ME, X_Remote_User="ann").status == 401


@pytest.mark.parametrize("name", ["eve", "local", "a b", "änn", "x" * 500, "ann/token", "token:ci"])
def test_whom_a_proxy_names_and_nobody_knows_is_refused(make_site: MakeSite, name: str):
    site = make_site(PROXIED)
    told = name.encode().decode("latin-1")
    assert site.browser("127.0.0.9").get(ME, X_Remote_User=told).status == 403


def test_a_role_for_all_others_can_be_set_and_disabled_ones_stay_out(make_site: MakeSite):
    site = make_site(
        Web(
            listen=LISTEN,
            asked=True,
            trusted_header="X-Remote-User",
            trusted_proxies=("127.0.0.9/32",),
            default_role=Role.VIEWER,
        )
    )
    for name in ("root", "ann"):
        site.account(name)
    site.service.set_account_enabled("ann", "root", enabled=False)
    proxy = site.browser("127.0.0.9")
    assert proxy.get(ME, X_Remote_User="eve").document["role"] == "viewer"
    assert proxy.get(ME, X_Remote_User="ann").status == 403
    assert proxy.get(ME, X_Remote_User="local").status == 403


def test_a_change_through_a_proxy_has_to_come_from_a_page_of_ours(make_site: MakeSite):
    site = make_site(PROXIED)
    site.account("ann")
    proxy, body = site.browser("127.0.0.9"), {"name": "x", "command": "true"}
    told = {"X_Remote_User": "ann"}
    assert proxy.post(JOBS, body, **told).code == "csrf"
    assert proxy.post(JOBS, body, Origin="https://evil.example.com", **told).code == "csrf"
    assert proxy.post(JOBS, body, Sec_Fetch_Site="cross-site", **told).code == "csrf"
    assert proxy.post(JOBS, body, Origin=site.origin, **told).status == 201


def test_failures_count_for_whom_a_proxy_forwards(make_site: MakeSite):
    site = make_site(PROXIED)
    site.account("ann")
    proxy = site.browser("127.0.0.9")
    for _ in range(5):
        proxy.login("ann", "wrong", X_Forwarded_For="10.0.0.1, 192.0.2.66")
    forged = "192.0.2.7, 192.0.2.66"
    assert proxy.login("ann", X_Forwarded_For=forged).status == 429
    assert proxy.login("ann", X_Forwarded_For="192.0.2.7").status == 303
    direct = site.browser("127.0.0.8")  # whoever lies about it directly counts for himself
    for number in range(5):
        direct.login("ann", "wrong", X_Forwarded_For=f"198.51.100.{number}")
    assert direct.login("ann", X_Forwarded_For="198.51.100.99").status == 429


# ------------------------------------------------------------------ headers and sizes


def test_every_answer_says_how_careful_a_browser_has_to_be(site: Site):
    site.account("ann")
    inside = site.inside("ann")
    answers = [
        site.browser().get("/login"),
        site.browser().get(ME),
        site.browser().get("/nothing"),
        site.browser().get("/login", Host="evil.example.com"),
        site.browser().login("ann", "wrong"),
        site.browser().login("ann"),
        site.browser().get("/welcome/x"),
        inside.get(ME),
        inside.get(f"{JOBS}?limit=x"),
    ]
    for reply in answers:
        policy = reply.headers["content-security-policy"]
        assert policy.startswith(("default-src 'self';", "default-src 'none';"))
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers.get("access-control-allow-origin") is None
        assert reply.headers.get("server") is None
    pages = [reply.content for reply in answers if b"<html" in reply.content]
    assert len(pages) > 2
    for page in pages:
        checked(page.decode())  # no script or style within it


def test_what_is_too_large_is_not_read(site: Site):
    site.account("ann")
    reply = site.browser().form("/login", {"name": "x" * FORM_BYTES, "password": "x"})
    assert (reply.status, reply.code) == (413, "too_large")
    many = {f"f{n}": "x" for n in range(3_000)}
    assert site.browser().form("/login", many).code == "bad_form"
    # Nobody's megabytes are not waited for: the answer is there before they are sent.
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000\r\n\r\n"
    assert raw(site.port, head).split(b" ")[1] == b"401"
    long = site.browser().login("ann", "x" * 100_000)
    assert long.status == 401
