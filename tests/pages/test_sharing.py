"""Pools and locks: what runs share, and who may change it."""

from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from cronherd.domain.access import Role
from cronherd.service import Service
from tests.pages.conftest import Outline, checked, forms, links
from tests.store.stage import Stage

Read = Callable[..., Outline]
As = Callable[[Role], TestClient]
TOKEN = "t" * 16


def full_pool(stage: Stage, service: Service) -> tuple[str, str]:
    """One run that holds the only permit of `db`, and one behind it."""
    service.set_pool("db", 1, "tester")
    for name in ("first", "second"):
        stage.job(name, pools=["db"])
    held, waits = (service.run_job(name, "tester")["run"]["id"] for name in ("first", "second"))
    stage.start(stage.one_claim())
    return held, waits


def actions(page: Outline) -> set[str]:
    return {form["action"] for form in forms(page) if not form["action"].startswith("/prefs")}


def test_a_pool_names_who_holds_it_who_waits_and_who_asks(
    stage: Stage, service: Service, read: Read
):
    held, waits = full_pool(stage, service)
    told = read("/pools")
    assert "1 run waits" in told.text
    assert "/pools/db" in links(told)
    page = read("/pools/db")
    found = links(page)
    assert {f"/runs/{held}", f"/runs/{waits}", "/jobs/first", "/jobs/second"} <= set(found)
    assert "All its permits are held" in page.text
    assert "/pools/db" in links(read(f"/runs/{waits}"))
    assert "/pools/db" in links(read("/jobs/first"))
    assert "/pools/db" in links(read("/"))
    assert "waits for a permit of the pool db" in read("/runs").text


def test_permits_are_set_and_a_closed_pool_is_said(
    stage: Stage, service: Service, browser: TestClient
):
    stage.job("one")
    told = checked(browser.post("/pools", data={"name": "mail", "permits": "3"}).text)
    assert "The pool 'mail' has 3 permits" in told.text
    told = checked(browser.post("/pools/mail", data={"permits": "0"}).text)
    assert "The pool 'mail' is closed" in told.text
    assert service.show_pool("mail")["permits"] == 0
    told = checked(browser.post("/pools/mail", data={"permits": "many"}).text)
    assert "A pool has 0 to 10000 permits" in told.text
    told = checked(browser.post("/pools", data={"name": "<b>&", "permits": "3"}).text)
    written = {each["id"]: each.get("value") for each in told.all("input") if "id" in each}
    assert (written["name"], written["permits"]) == ("<b>&", "3")
    told = checked(browser.post("/pools/mail/remove").text)
    assert "The pool 'mail' is removed" in told.text
    assert service.list_pools()["items"] == []
    assert browser.get("/pools/mail").status_code == 404


def test_a_lock_is_shown_and_cleared(service: Service, browser: TestClient, read: Read):
    service.acquire_lock("deploy", TOKEN, "host-1:22", shared=False, expires="10m")
    page = read("/locks")
    assert "host-1:22" in page.text
    assert TOKEN not in page.text
    assert "Nobody holds it" in read("/locks?name=other").text
    told = checked(browser.post("/locks/deploy/clear").text)
    assert "The lock 'deploy' is cleared; it was held by host-1:22" in told.text
    assert service.list_locks()["items"] == []


def test_each_role_sees_what_it_may_do(service: Service, stage: Stage, browser_as: As):
    service.set_pool("free", 1, "tester")
    service.acquire_lock("deploy", TOKEN, "host-1:22", shared=False, expires="10m")
    expected: dict[Role, dict[str, Any]] = {
        Role.VIEWER: {"/pools": set(), "/pools/free": set(), "/locks": set()},
        Role.OPERATOR: {
            "/pools": {"/pools"},
            "/pools/free": {"/pools/free"},
            "/locks": {"/locks/deploy/clear"},
        },
        Role.EDITOR: {"/pools/free": {"/pools/free", "/pools/free/remove"}},
    }
    for role, pages in expected.items():
        for address, wanted in pages.items():
            answer = browser_as(role).get(address)
            assert actions(checked(answer.text)) - {"/logout"} == wanted, (role, address)
    viewer, operator = browser_as(Role.VIEWER), browser_as(Role.OPERATOR)
    forbidden = {"csrf": "token-of-ada", "permits": "9"}
    assert viewer.post("/pools/free", data=forbidden).status_code == 403
    assert viewer.post("/locks/deploy/clear", data=forbidden).status_code == 403
    assert operator.post("/pools/free/remove", data=forbidden).status_code == 403
    assert service.show_pool("free")["permits"] == 1


def test_a_job_says_what_its_runs_share(stage: Stage, read: Read):
    stage.job("one", lock={"name": "deploy", "wait": "5m"})
    page = read("/jobs/one")
    assert "one run holds it at a time, others wait up to 5m" in page.text
    assert "/locks?name=deploy" in links(page)
    stage.job("two", lock="/run/lock/two")
    assert "one run holds it at a time: /run/lock/two" in read("/jobs/two").text
