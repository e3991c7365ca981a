"""Pages of one job: what it says, making and editing it, its versions."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from cronherd.domain.access import Role
from cronherd.service import Service
from tests.pages.conftest import Outline, checked, links
from tests.store.stage import Stage

Read = Callable[..., Outline]
HOSTILE = ("<script>alert(1)<script>", '"><img src=x>', "a'b\"c", "ﷺ x", "{{ 7*7 }}")


def make(service: Service, **given: Any) -> dict[str, Any]:
    definition = {"name": "one", "command": "true", "schedule": "30 2 * * *", **given}
    return service.create_job(definition, "ada")


def draft(**given: str) -> dict[str, str]:
    return {"as": "form", **{f"f.{key}": value for key, value in given.items()}}


def test_a_job_says_what_it_does_when_and_how(service: Service, read: Read):
    make(service, timeout="1h", overlap="queue", retries=2, timezone="Europe/Berlin")
    text = read("/jobs/one").text
    assert "At 02:30 every day." in text
    assert "waits for its turn" in text
    assert "1h; then it gets TERM" in text
    assert "up to 2 more tries when it fails" in text
    assert "CET" in text or "CEST" in text


def test_a_job_of_a_file_is_marked_and_edits_warn(service: Service, read: Read):
    service.apply_jobs(
        [{"name": "one", "command": "true"}], "file:/etc/jobs.yaml", "ada", dry_run=False
    )
    assert "managed by file:/etc/jobs.yaml" in read("/jobs/one").text
    assert "puts its own definition back" in read("/jobs/one/edit").text


def test_a_job_made_by_hand_has_no_such_mark(service: Service, read: Read):
    make(service)
    assert "managed by" not in read("/jobs/one").text
    assert "puts its own definition back" not in read("/jobs/one/edit").text


def test_an_edit_after_its_file_was_applied_is_marked_and_leads_to_the_difference(
    service: Service, read: Read
):
    """Here and in the list, and in no other job; a search finds it."""
    said = [{"name": "one", "command": "true"}, {"name": "two", "command": "true"}]
    service.apply_jobs(said, "file:/etc/jobs.yaml", "ada", dry_run=False)
    assert "drifted" not in read("/jobs/one").text + read("/jobs").text
    service.edit_job("one", {"name": "one", "command": "echo edited"}, None, "ada")
    difference = "/jobs/one/changes?from=1&to=2"
    for address in ("/jobs/one", "/jobs", "/jobs?q=drift:yes"):
        page = read(address)
        compares = [link["href"] for link in page.all("a") if "changes?from=" in link["href"]]
        assert compares == [difference]
    assert "two" not in read("/jobs?q=drift:yes").text
    compared = read(difference).text
    assert "Version 1" in compared
    assert "echo edited" in compared
    assert "drifted" not in read("/jobs/two").text


def test_why_answers_for_any_instant(service: Service, read: Read):
    make(service, timezone="UTC")
    assert "It does not match the schedule's" in read("/jobs/one?at=2036-01-01T03:00").text
    assert "will run" in read("/jobs/one?at=2036-01-01T02:30").text
    assert "bad" in str(read("/jobs/one?at=nonsense").all("p", role="alert"))


@pytest.mark.parametrize("at", ["", "2026-11-21T10:00:00Z", "x" * 900])
def test_why_never_breaks_the_page(service: Service, read: Read, at: str):
    make(service)
    read(f"/jobs/one?at={at}")


def test_a_job_is_made_by_a_form(service: Service, browser: TestClient):
    """D1.11: added in the page."""
    sent = draft(
        name="new one", command="[df, -h]", schedule="0 4 * * *\n0 5 * * *", tags="a, b",
        retries="{max: 3, backoff: 45s}", timeout="90", run_on="{zone: eu}",
    )  # fmt: skip
    answer = browser.post("/jobs/new", data=sent, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/new%20one")
    assert service.show_job("new one")["definition"] == {
        "name": "new one",
        "command": ["df", "-h"],
        "timezone": "Europe/Berlin",
        "schedule": ["0 4 * * *", "0 5 * * *"],
        "tags": ["a", "b"],
        "retries": {"max": 3, "backoff": "45s"},
        "timeout": "1m30s",
        "run_on": {"zone": "eu"},
    }


def test_faults_stand_at_their_fields_and_nothing_is_made(service: Service, browser: TestClient):
    sent = draft(name="x", command="true", schedule="61 * * * *", timeout="soon")
    answer = browser.post("/jobs/new", data=sent)
    page = checked(answer.text)
    assert answer.status_code == 422
    assert page.all("textarea", id="f-schedule")[0]["aria-invalid"] == "true"
    assert page.all("input", id="f-timeout")[0]["aria-invalid"] == "true"
    assert "aria-invalid" not in page.all("input", id="f-name")[0]
    assert service.list_jobs()["items"] == []


def test_the_form_and_the_text_say_the_same(service: Service, browser: TestClient):
    make(service, params={"n": 3}, env={"A": "1"}, tags=["x", "y"], description="a\nb")
    as_text = browser.post(
        "/jobs/one/edit", data={**_fields(browser.get("/jobs/one/edit").text), "do": "text"}
    )
    text = _area(as_text.text, "text")
    assert "params:" in text
    assert "command: 'true'" in text
    again = browser.post("/jobs/one/edit", data={"as": "text", "text": text, "do": "review"})
    assert "there is nothing to save" in again.text


def test_editing_shows_what_differs_and_saves_it(service: Service, browser: TestClient):
    make(service, env={"A": "1"})
    fields = _fields(browser.get("/jobs/one/edit").text) | {"f.command": "date"}
    review = checked(browser.post("/jobs/one/edit", data={**fields, "do": "review"}).text)
    assert "command: date" in review.text
    assert service.show_job("one")["version"] == 1
    browser.post("/jobs/one/edit", data={**fields, "do": "save"})
    job = service.show_job("one")
    assert (job["version"], job["command"], job["definition"]["env"]) == (2, "date", {"A": "1"})


def test_what_was_written_of_a_job_that_is_gone_can_be_made_a_new_one(
    service: Service, browser: TestClient
):
    make(service)
    fields = {**_fields(browser.get("/jobs/one/edit").text), "f.command": "better"}
    service.delete_job("one", "bob")
    answer = browser.post("/jobs/one/edit", data={**fields, "do": "review"})
    assert answer.status_code == 409
    assert "was deleted or renamed meanwhile" in answer.text
    page = checked(answer.text)
    assert page.all("form", id="draft")[0]["action"] == "/jobs/new"
    browser.post("/jobs/new", data={**_fields(answer.text), "do": "save"})
    assert service.show_job("one")["command"] == "better"


def test_editing_leaves_the_switch_alone(service: Service, browser: TestClient):
    make(service)
    service.set_enabled("one", "ada", enabled=False)
    fields = _fields(browser.get("/jobs/one/edit").text) | {"f.command": "date", "do": "save"}
    browser.post("/jobs/one/edit", data=fields)
    assert service.show_job("one")["enabled"] is False


def test_two_editors_meet_and_both_may_be_kept(service: Service, browser: TestClient):
    make(service)
    mine = _fields(browser.get("/jobs/one/edit").text) | {"f.command": "mine", "do": "save"}
    service.edit_job("one", {"name": "one", "command": "true", "description": "theirs"}, 1, "bob")
    answer = browser.post("/jobs/one/edit", data=mine)
    page = checked(answer.text)
    assert answer.status_code == 409
    assert service.show_job("one")["version"] == 2
    assert "bob saved version 2" in page.text
    assert "description: theirs" in page.text
    assert "command: mine" in page.text
    merged = [text for text in _areas(answer.text, "text") if "theirs" in text]
    sent = {"as": "text", "version": "2", "do": "save", "text": merged[0]}
    browser.post("/jobs/one/edit", data=sent)
    job = service.show_job("one")
    assert (job["version"], job["command"], job["description"]) == (3, "mine", "theirs")
    assert job["schedule"] is None  # theirs took it out, mine did not touch it


def test_two_editors_of_one_setting_are_told_so(service: Service, browser: TestClient):
    make(service)
    mine = _fields(browser.get("/jobs/one/edit").text) | {"f.command": "mine", "do": "review"}
    service.edit_job("one", {"name": "one", "command": "theirs"}, 1, "bob")
    answer = browser.post("/jobs/one/edit", data=mine)
    assert "Both changed the same" in answer.text
    assert answer.status_code == 409


def test_a_preview_has_words_times_and_faults(service: Service, browser: TestClient):
    headers = {"HX-Request": "true"}
    sent = draft(name="", command="", schedule="30 2 * * *", timezone="Europe/Berlin")
    page = checked(browser.post("/jobs/preview", data=sent, headers=headers).text)
    assert "At 02:30 every day." in page.text
    assert len([given for tag, given in page.tags if tag == "time"]) >= 5
    assert page.all("p", id="fault-command", hx_swap_oob="true")
    assert "is missing" in page.text


def test_a_preview_marks_the_change_of_a_clock(service: Service, browser: TestClient, stage: Stage):
    sent = draft(name="x", command="true", schedule="30 2 * 3 0", timezone="Europe/Berlin")
    text = browser.post("/jobs/preview", data=sent, headers={"HX-Request": "true"}).text
    assert "warn-text" in text


def test_versions_are_told_with_what_differs_and_one_may_go_back(
    service: Service, browser: TestClient, read: Read
):
    make(service)
    service.edit_job("one", {"name": "one", "command": "worse"}, 1, "bob")
    page = read("/jobs/one/changes")
    assert "2 settings changed: command, schedule" in page.text
    assert "bob" in page.text
    assert "command: 'true'" in read("/jobs/one/rollback?to=1").text
    assert service.show_job("one")["version"] == 2
    browser.post("/jobs/one/rollback", data={"to": "1", "version": "2"})
    job = service.show_job("one")
    assert (job["version"], job["command"], job["schedule"]) == (3, "true", "30 2 * * *")


def test_going_back_meets_a_newer_version(service: Service, browser: TestClient):
    make(service)
    service.edit_job("one", {"name": "one", "command": "two"}, 1, "bob")
    service.edit_job("one", {"name": "one", "command": "three"}, 2, "bob")
    answer = browser.post("/jobs/one/rollback", data={"to": "1", "version": "2"})
    assert "changed by somebody else" in answer.text
    assert service.show_job("one")["command"] == "three"


def test_a_copy_has_everything_but_the_name(service: Service, browser: TestClient):
    job = make(service, env={"A": "1"}, tags=["x"])
    fields = _fields(browser.get(f"/jobs/new?from={job['id']}").text)
    browser.post("/jobs/new", data={**fields, "do": "save"})
    copy = service.show_job("one copy")
    assert copy["definition"] == {**job["definition"], "name": "one copy"}


def test_parameters_are_asked_for_and_checked(service: Service, browser: TestClient):
    params = {"stage": {"choices": ["a", "b"], "required": True}, "copies": 2, "dry": False}
    make(service, params=params, schedule=None)
    page = checked(browser.get("/jobs/one/run").text)
    assert "required" in page.all("select", id="p-stage")[0]
    first = [given["id"] for _, given in page.tags if given.get("id", "").startswith("p-")]
    assert first == ["p-stage", "p-copies", "p-dry"]
    answer = browser.post("/jobs/one/run", data={"param.copies": "many"})
    assert answer.status_code == 422
    assert "must be a whole number" in answer.text
    assert "is required" in answer.text
    assert service.list_runs()["items"] == []
    sent = {"param.stage": "b", "param.copies": "5", "param.dry": "true"}
    answer = browser.post("/jobs/one/run", data=sent, follow_redirects=False)
    run = service.list_runs()["items"][0]
    assert answer.headers["location"] == f"/runs/{run['id']}"
    assert run["params"] == {"stage": "b", "copies": 5, "dry": True}


def test_a_script_that_cannot_ask_for_parameters_goes_where_they_are_asked_for(
    service: Service, browser: TestClient
):
    make(service, params={"stage": {"required": True}}, schedule=None)
    sent = {"back": "/jobs"}
    answer = browser.post("/jobs/one/run", data=sent, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["x-go"]) == (422, "/jobs/one/run")


def test_a_form_that_is_sent_twice_asks_once(service: Service, browser: TestClient):
    once = {"once": "a1" * 16}
    for data in ({"f.name": "one", "f.command": "true", "f.overlap": "allow"},) * 2:
        answer = browser.post("/jobs/new", data={**data, **once, "do": "save", "as": "form"})
        assert "'one' is made" in Outline(answer.text).text
    for _ in range(2):
        answer = browser.post("/jobs/one/run", data=once, follow_redirects=False)
        assert answer.headers["location"].startswith("/runs/")
    run = service.list_runs()["items"][0]["id"]
    for _ in range(2):
        browser.post(f"/runs/{run}/again", data={"once": "b2" * 16})
    assert len(service.list_runs()["items"]) == 2
    assert service.list_jobs()["items"][0]["version"] == 1
    assert len({form["value"] for form in _once(browser, 2)}) == 2


def _once(browser: TestClient, times: int) -> list[dict[str, str]]:
    pages = (Outline(browser.get("/jobs/one/run").text) for _ in range(times))
    return [page.all("input", name="once")[0] for page in pages]


def test_whoever_is_in_the_way_may_be_passed(service: Service, browser: TestClient):
    make(service)
    browser.post("/jobs/one/run")
    page = Outline(browser.post("/jobs/one/run", data={"back": "/jobs"}).text)
    assert "'one' already runs as often as it may" in page.text
    way = "/jobs/one/run?force=yes"
    assert way in links(page)
    assert "checked" in checked(browser.get(way).text).all("input", name="force")[0]
    assert "not yet" in browser.get("/runs").text
    browser.post("/jobs/one/run", data={"force": "yes"})
    assert len(service.list_runs()["items"]) == 2


def test_a_pause_until_nothing_is_no_pause_for_ever(service: Service, browser: TestClient):
    make(service)
    answer = browser.post("/jobs/one/pause", data={"until": "", "set": "until"})
    assert "Choose until when" in answer.text
    assert not service.show_job("one")["paused"]


def test_skipping_is_said_and_undone_where_it_is_said(browser: TestClient, service: Service):
    make(service)
    page = checked(browser.post("/jobs/one/skip", data={"back": "/jobs/one"}).text)
    assert "It skips its slots up to" in page.text
    assert len(page.all("form", action="/jobs/one/unskip")) == 2
    checked(browser.post("/jobs/one/pause", data={"back": "/jobs/one", "for": "1h"}).text)


def test_a_pause_may_have_an_end(service: Service, browser: TestClient, read: Read):
    make(service, timezone="Europe/Berlin")
    browser.post("/jobs/one/pause", data={"until": "2036-05-01T12:00"})
    assert service.show_job("one")["paused_until"] == "2036-05-01T10:00:00Z"
    assert "12:00 CEST" in read("/jobs/one").text
    browser.post("/jobs/one/pause", data={"for": "1h", "until": ""})
    assert service.show_job("one")["paused_until"] < "2036"


def test_deleting_asks_first(service: Service, browser: TestClient, read: Read):
    """D1.11: deleted in the page."""
    make(service)
    assert "Its runs and their output stay" in read("/jobs/one/delete").text
    browser.post("/jobs/one/delete")
    assert service.list_jobs()["items"] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_break_nothing(service: Service, browser: TestClient, read: Read, text: str):
    make(
        service, name=f"n {text}", description=text, command=text, tags=[f"t {text}"],
        params={"p": {"default": text, "description": text}}, env={"A": text},
    )  # fmt: skip
    job = service.list_jobs()["items"][0]
    for verb in ("", "/runs", "/changes", "/edit", "/edit?as=text", "/run", "/delete", "?at="):
        page = read(f"/jobs/{job['id']}{verb}")
        assert not page.all("img"), verb
    made = browser.post(f"/jobs/{job['id']}/run").url.path
    read(made)
    read("/timeline")
    again = _fields(browser.get(f"/jobs/{job['id']}/edit").text) | {"do": "review"}
    assert "there is nothing to save" in browser.post(f"/jobs/{job['id']}/edit", data=again).text


def test_a_viewer_sees_no_button_and_may_press_none(
    service: Service, browser_as: Callable[[Role], TestClient]
):
    make(service, params={"n": 1})
    viewer, operator = browser_as(Role.VIEWER), browser_as(Role.OPERATOR)
    page = checked(viewer.get("/jobs/one").text)
    assert [form for form in page.all("form", method="post") if "/jobs/" in form["action"]] == []
    for verb in ("edit", "rollback", "delete", "preview"):
        assert operator.post(f"/jobs/one/{verb}").status_code == 403
    assert operator.post("/jobs/new").status_code == 403
    assert viewer.post("/jobs/one/run").status_code == 403


def _fields(text: str) -> dict[str, str]:
    """What the form of a draft would send as it is."""
    page = Outline(text)
    sent = {"as": "form"}
    for given in page.all("input"):
        if given.get("name", "").startswith("f.") or given.get("name") == "version":
            sent[given["name"]] = given["value"]
    for name in [given["name"] for given in page.all("textarea") if "name" in given]:
        sent[name] = _area(text, name)
    for name in [given["name"] for given in page.all("select")]:
        sent[name] = _chosen(text, name)
    return sent


def _areas(text: str, name: str) -> list[str]:
    pattern = rf'<textarea[^>]*name="{re.escape(name)}"[^>]*>\n?(.*?)</textarea>'
    found = re.findall(pattern, text, re.DOTALL)
    return [html.unescape(each) for each in found]


def _area(text: str, name: str) -> str:
    return _areas(text, name)[0]


def _chosen(text: str, name: str) -> str:
    found = re.search(rf'<select[^>]*name="{re.escape(name)}".*?</select>', text, re.DOTALL)
    chosen = re.search(r"<option selected>(.*?)</option>", found[0]) if found else None
    return chosen[1] if chosen else ""


def test_going_back_leaves_the_switch_alone(service: Service, browser: TestClient):
    make(service, enabled=False)
    service.set_enabled("one", "ada", enabled=True)
    service.edit_job("one", {"name": "one", "command": "worse"}, 1, "bob")
    browser.post("/jobs/one/rollback", data={"to": "1", "version": "2"})
    job = service.show_job("one")
    assert (job["command"], job["enabled"]) == ("true", True)
    told = service.list_versions("one")["items"]
    assert [each for each in told if "enabled" in each["definition"]] == []


def test_a_text_that_names_the_switch_shows_it(service: Service, browser: TestClient):
    make(service)
    text = "name: one\ncommand: 'true'\nschedule: 30 2 * * *\nenabled: {}\n"
    sent = {"as": "text", "do": "review", "text": text.format("false")}
    assert "enabled: false" in checked(browser.post("/jobs/one/edit", data=sent).text).text
    same = {**sent, "text": text.format("true")}
    assert "there is nothing to save" in browser.post("/jobs/one/edit", data=same).text
    told = service.preview_job({"name": "one", "command": "true", "enabled": False}, "one")
    assert [each["key"] for each in told["changes"]] == ["enabled", "schedule"]
