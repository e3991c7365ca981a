"""What a door refuses is on record, and cannot fill it."""

from cronherd.domain.access import Role
from cronherd.domain.errors import Unavailable
from cronherd.domain.event import EventKind
from cronherd.service.refusals import MOST, QUIET_US, Refusals
from tests.access.conftest import Site

JOBS = "/api/v1/jobs"


def told(site: Site, kind: str) -> list[tuple[str, str, str]]:
    found = site.service.list_events(500)["items"]
    return [(one["actor"], one["subject"], one["text"]) for one in found if one["kind"] == kind]


def test_what_a_role_refuses_is_on_record_once_in_a_while(site: Site):
    site.account("ann", Role.VIEWER)
    browser = site.inside("ann")
    mark = site.csrf(browser)
    for _ in range(5):
        refused = browser.post(JOBS, {"name": "x", "command": "true"}, X_CSRF_Token=mark)
        assert refused.code == "not_allowed"
    assert browser.post("/nodes/a/drain", None, X_CSRF_Token=mark).status == 403
    kept = told(site, "access_refused")
    assert [one[:2] for one in kept] == [("ann", "ann")]
    assert "POST /api/v1/jobs" in kept[0][2]
    assert "needs the role editor" in kept[0][2]
    site.clock.advance(601)
    assert browser.post("/nodes/a/drain", None, X_CSRF_Token=mark).status == 403
    after = told(site, "access_refused")
    assert len(after) == 2
    assert "and 5 more before" in after[0][2]


def test_what_a_limited_token_is_refused_is_on_record(site: Site):
    site.service.create_job({"name": "db", "command": "true"}, "root")
    token = site.token("ci", Role.OPERATOR, "web-*")
    assert site.browser().get(f"{JOBS}/db", Authorization=token).status == 404
    assert "there is no such job for you" in told(site, "access_refused")[0][2]
    assert site.browser().get(JOBS, Authorization=token).status == 403
    kept = told(site, "access_refused")
    assert [one[0] for one in kept] == ["token:ci"]
    assert "db" not in kept[0][1]


def test_a_flood_of_refusals_of_many_fills_nothing(site: Site):
    tokens = [site.token(f"t{number}", Role.VIEWER) for number in range(40)]
    for token in tokens:
        for _ in range(3):
            assert site.browser().get("/api/v1/accounts", Authorization=token).status == 403
    assert len(told(site, "access_refused")) == 40


def test_a_failed_login_is_on_record_and_many_are_one_row(site: Site):
    site.account("ann")
    browser = site.browser("127.0.0.66")
    assert browser.login("ann", "wrong").status == 401
    first = told(site, "login_failed")
    assert len(first) == 1
    assert "from 127.0.0.66" in first[0][1]
    for _ in range(20):
        browser.login("ann", "wrong")
    for number in range(10):
        browser.login(f"nobody{number}\r\nforged: line", "wrong")
    assert len(told(site, "login_failed")) == 1
    assert len(told(site, "login_refused")) >= 1
    assert "wrong" not in str(told(site, "login_failed"))


def test_by_a_token_and_by_the_api_too_a_failed_login_is_on_record(site: Site):
    site.account("ann")
    body = {"name": "ann", "password": "wrong"}
    reply = site.browser("127.0.0.67").post("/api/v1/login", body)
    assert (reply.status, reply.code) == (401, "bad_login")
    assert [one[1] for one in told(site, "login_failed")] == ["from 127.0.0.67"]
    browser = site.inside("ann")
    change = {"old": "wrong", "new": "staple battery horse"}
    assert (
        browser.post("/api/v1/me/password", change, X_CSRF_Token=site.csrf(browser)).status == 401
    )
    assert [one[1] for one in told(site, "login_failed")] == ["from 127.0.0.1", "from 127.0.0.67"]


def test_events_of_refusals_are_bounded_whoever_they_are_of():
    noted: list[str] = []
    now = [QUIET_US * 10]
    refusals = Refusals(lambda kind, subject, actor, text: noted.append(text), lambda: now[0])
    for number in range(3 * MOST):
        refusals.tell(EventKind.ACCESS_REFUSED, f"t{number}", "a", "x")
    assert len(noted) == MOST
    now[0] += QUIET_US + 1
    refusals.tell(EventKind.ACCESS_REFUSED, "new", "a", "x")
    assert len(noted) == MOST + 1
    assert len(refusals._told) == 1


def test_what_cannot_be_written_down_refuses_all_the_same():
    def note(*_: object) -> None:
        raise Unavailable("the database does not answer")

    Refusals(note, lambda: 10 * QUIET_US).tell(EventKind.LOGIN_FAILED, "a", "login", "x")
