"""Logging in and out: sessions, fixation, floods, and the first link."""

import pytest

from cronherd.domain.access import Role
from cronherd.domain.throttle import OF_ADDRESS
from tests.access.conftest import PASSWORD, MakeSite, Site
from tests.pages.conftest import checked

HOUR_S = 3_600
ME = "/api/v1/me"


def test_a_login_begins_a_session_that_a_script_cannot_read(site: Site):
    site.account("ann", Role.OPERATOR)
    browser = site.browser()
    assert browser.get(ME).status == 401
    reply = browser.login("ANN")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"].lower()
    assert cookie.startswith("cronherd_session=chd_")
    for word in ("httponly", "samesite=lax", "path=/", "max-age=604800"):
        assert word in cookie
    me = browser.get(ME).document
    assert (me["actor"], me["role"], me["way"]) == ("ann", "operator", "session")


def test_a_planted_cookie_becomes_nobodys_session(site: Site):
    """Fixation: whoever gives a browser a key beforehand holds nothing after the login."""
    site.account("ann")
    planted = "chd_" + "p" * 43
    victim = site.browser()
    victim.cookies["cronherd_session"] = planted
    assert victim.login("ann").status == 303
    assert victim.cookies["cronherd_session"] != planted
    attacker = site.browser()
    attacker.cookies["cronherd_session"] = planted
    assert attacker.get(ME).status == 401


def test_a_login_ends_the_session_the_browser_had(site: Site):
    site.account("ann")
    site.account("bob")
    browser = site.inside("ann")
    before = dict(browser.cookies)
    browser.login("bob")
    thief = site.browser()
    thief.cookies = before
    assert thief.get(ME).status == 401
    assert browser.get(ME).document["actor"] == "bob"


def test_a_logout_ends_the_session_not_only_the_cookie(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    kept = dict(browser.cookies)
    reply = browser.form("/logout", {"csrf": site.csrf(browser)})
    assert (reply.status, reply.headers["location"]) == (303, "/login")
    assert 'cronherd_session=""' in reply.headers["set-cookie"]
    browser.cookies = kept
    assert browser.get(ME).status == 401


def test_a_page_of_somebody_else_cannot_log_anybody_out(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    assert browser.form("/logout", {}).code == "csrf"
    assert browser.get(ME).status == 200


def test_a_session_ends_when_idle_and_when_it_is_old(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    site.clock.advance(12 * HOUR_S)
    assert browser.get(ME).status == 401
    browser = site.inside("ann")
    for _ in range(7 * 24 - 1):
        site.clock.advance(HOUR_S)
        assert browser.get(ME).status == 200
    site.clock.advance(HOUR_S)
    assert browser.get(ME).status == 401


def test_what_an_admin_does_counts_at_the_next_request(site: Site):
    site.account("root")
    site.account("ann", Role.EDITOR)
    browser = site.inside("ann")
    site.service.set_role("ann", "viewer", "root")
    assert browser.get(ME).document["role"] == "viewer"
    site.service.set_account_enabled("ann", "root", enabled=False)
    assert browser.get(ME).status == 401
    assert site.browser().login("ann").status == 401
    site.service.set_account_enabled("ann", "root", enabled=True)
    assert browser.get(ME).status == 401  # what has ended stays so
    assert site.browser().login("ann").status == 303


def test_who_changes_the_own_password_stays_and_all_others_go(site: Site):
    site.account("ann")
    here, there = site.inside("ann"), site.inside("ann")
    mark = {"X_CSRF_Token": site.csrf(here)}
    new = "another good password"
    wrong = here.post("/api/v1/me/password", {"old": "no no no", "new": new}, **mark)
    assert (wrong.status, wrong.code) == (401, "bad_login")
    short = here.post("/api/v1/me/password", {"old": PASSWORD, "new": "short"}, **mark)
    assert (short.status, short.code) == (422, "bad_password")
    done = here.post("/api/v1/me/password", {"old": PASSWORD, "new": new}, **mark)
    assert done.status == 200
    assert (here.get(ME).status, there.get(ME).status) == (200, 401)
    assert site.browser().login("ann").status == 401
    assert site.browser().login("ann", new).status == 303


@pytest.mark.parametrize(
    ("asked", "goal"),
    [
        ("/jobs?q=state:failed", "/jobs?q=state:failed"),
        ("//evil.example.com/", "/"),
        ("https://evil.example.com/", "/"),
        ("/\\evil.example.com", "/"),
        ("\\\\evil.example.com", "/"),
        ("javascript:alert(1)", "/"),
        ("/\nSet-Cookie: x=y", "/"),
        ("/\t/evil.example.com", "/"),
        ("/login", "/"),
        ("", "/"),
        ("/" + "x" * 3000, "/"),
    ],
)
def test_a_login_leads_to_a_page_of_ours(site: Site, asked: str, goal: str):
    site.account("ann")
    fields = {"name": "ann", "password": PASSWORD, "next": asked}
    reply = site.browser().form("/login", fields)
    assert (reply.status, reply.headers["location"]) == (303, goal)


def test_a_page_sends_who_is_not_logged_in_to_the_login(site: Site):
    reply = site.browser().send("POST", "/logout", Accept="text/html")
    assert (reply.status, reply.headers["location"]) == (303, "/login?")
    assert site.browser().get(ME, Accept="text/html, */*").status == 401  # a program asks


# ------------------------------------------------------------------ floods


def test_unknown_and_known_names_get_the_same_answer_after_the_same_work(make_site: MakeSite):
    site = make_site()
    for name in ("ann", "off"):
        site.account(name)
    site.service.set_account_enabled("off", "ann", enabled=False)
    site.service.add_account("bare", "viewer", "ann")
    answers = set()
    for number, name in enumerate(("ann", "nobody", "off", "bare", "änn", "x" * 500)):
        before = site.passwords.checks
        reply = site.browser(f"127.0.1.{number + 1}").login(name, "wrong password")
        assert site.passwords.checks == before + 1
        told = checked(reply.content.decode())
        assert told.all("input", name="name")[0]["value"] == name
        answers.add((reply.status, reply.content.replace(f'"{name}"'.encode(), b"NAME")))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


def test_a_flood_from_one_address_waits_and_harms_nobody_else(site: Site):
    site.account("ann")
    inside = site.inside("ann")
    flood = site.browser("127.0.0.66")
    for _ in range(OF_ADDRESS.free):
        assert flood.login("ann", "wrong").status == 401
    checks = site.passwords.checks
    for _ in range(20):
        reply = flood.login("ann")  # even with the right one
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert site.passwords.checks == checks  # nothing is hashed for them
    assert inside.get(ME).status == 200
    assert site.browser("127.0.0.7").login("ann").status == 303
    site.clock.advance(1)
    assert flood.login("ann").status == 303


def test_a_flood_from_everywhere_leaves_the_logged_in_alone_and_ends_soon(site: Site):
    site.account("ann")
    inside = site.inside("ann")
    for number in range(40):
        site.browser(f"127.0.2.{number + 1}").login("ann", "wrong")
    assert inside.get(ME).status == 200
    assert site.browser("127.0.0.7").login("ann").status == 429
    site.clock.advance(31)
    assert site.browser("127.0.0.7").login("ann").status == 303


def test_an_outsider_cannot_keep_the_counter_going_while_it_waits(site: Site):
    site.account("ann")
    flood = site.browser("127.0.0.66")
    for _ in range(OF_ADDRESS.free):
        flood.login("ann", "wrong")
    waits = {flood.login("ann", "wrong").headers["retry-after"] for _ in range(30)}
    assert waits == {"1"}


def test_a_program_that_guesses_waits_as_well(site: Site):
    site.account("ann")
    bad = {"name": "ann", "password": "wrong"}
    browser = site.browser("127.0.0.66")
    codes = [browser.post("/api/v1/login", bad).code for _ in range(7)]
    assert codes == ["bad_login"] * 5 + ["too_many_attempts"] * 2


# ------------------------------------------------------------------ links


def test_the_first_link_lets_somebody_choose_name_and_password_once(site: Site):
    link = site.service.make_link(None, "local")["link"]
    assert link["url"] == f"http://127.0.0.1:2766{link['path']}"
    browser = site.browser()
    for _ in range(3):  # looking uses nothing up
        assert b'name="name"' in browser.get(link["path"]).content
    fields = {"name": "ann", "password": PASSWORD, "again": PASSWORD}
    short = browser.form(link["path"], {**fields, "password": "short", "again": "short"})
    assert (short.status, b"at least 12 characters" in short.content) == (422, True)
    differ = browser.form(link["path"], {**fields, "again": "other"})
    assert (differ.status, b"differ" in differ.content) == (422, True)
    done = browser.form(link["path"], fields)
    assert (done.status, done.headers["location"]) == (303, "/")
    assert browser.get(ME).document["role"] == "admin"
    for reply in (site.browser().get(link["path"]), site.browser().form(link["path"], fields)):
        assert reply.status == 404
        assert b"cronherd login --link" in reply.content


def test_an_invited_person_has_the_name_and_role_that_were_given(site: Site):
    site.account("root")
    link = site.service.add_account("eve", "viewer", "root")["link"]
    browser = site.browser()
    page = browser.get(link["path"]).content
    assert b"eve" in page
    assert not checked(page.decode()).all("input", name="name", type="text")
    fields = {"name": "root", "role": "admin", "password": PASSWORD, "again": PASSWORD}
    assert browser.form(link["path"], fields).status == 303
    me = browser.get(ME).document
    assert (me["actor"], me["role"]) == ("eve", "viewer")


def test_a_link_is_void_after_an_hour_and_for_who_guesses(site: Site):
    link = site.service.make_link(None, "local")["link"]
    for guess in ("chd_" + "x" * 43, "x", "..", "%2e%2e", link["path"][9:-1], "%00"):
        assert site.browser().get(f"/welcome/{guess}").status in {404, 422}
    site.clock.advance(HOUR_S)
    assert site.browser().get(link["path"]).status == 404


def test_hostile_names_do_nothing_in_a_page(site: Site):
    evil = '"><script>alert(1)</script>'
    reply = site.browser().form("/login", {"name": evil, "password": "x", "next": evil})
    assert checked(reply.content.decode()).all("input", name="name")[0]["value"] == evil
    link = site.service.make_link(None, "local")["link"]
    fields = {"name": evil, "password": PASSWORD, "again": PASSWORD}
    reply = site.browser().form(link["path"], fields)
    assert reply.status == 422
    assert checked(reply.content.decode()).all("input", name="name")[0]["value"] == evil


# ------------------------------------------------------------------ what is kept


def test_nothing_that_opens_a_door_is_kept_or_told(site: Site):
    site.account("ann")
    browser = site.inside("ann")
    token = site.token("ci", Role.VIEWER).removeprefix("Bearer ")
    link = site.service.make_link("ann", "root")["link"]["path"].rpartition("/")[2]
    secret = [PASSWORD, browser.cookies["cronherd_session"], site.csrf(browser), token, link]
    kept = b""
    with site.store.db.read() as connection:
        for table in ("account", "session", "api_token", "login_link", "event", "meta"):
            rows = connection.fetch("SELECT * FROM " + table)  # noqa: S608 - names of ours
            kept += repr([tuple(row) for row in rows]).encode()
    shown = repr([
        site.service.list_accounts(), site.service.list_tokens(), site.service.list_sessions(),
        site.service.list_events(500),
    ])  # fmt: skip
    for one in secret:
        assert one.encode() not in kept
        assert one not in shown
