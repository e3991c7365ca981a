"""Each page over a real service: what it shows, where it leads, what its forms do."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from cronherd.api.base import all_routes, declared
from cronherd.domain.access import LOCAL, Caller, Role, Way
from cronherd.domain.errors import Refused
from cronherd.domain.job import build_job
from cronherd.pages import frame, settings
from cronherd.pages.app import build_pages
from cronherd.service import Service, joborder
from cronherd.service import jobs as service_jobs
from cronherd.store import jobpages
from cronherd.store.facts import JobWrite
from tests.api.always import Always
from tests.pages.conftest import Outline, checked, forms, links, orders
from tests.store.stage import Stage

Read = Callable[..., Outline]
PAGES = (
    "/",
    "/?span=3d",
    "/jobs",
    "/jobs?q=state:error",
    "/jobs?q=nothing-like-this",
    "/runs",
    "/runs?q=state:failed+since:24h",
    "/nodes",
    "/pools",
    "/locks",
    "/settings",
    "/settings/secrets",
    "/settings/alerts",
    "/settings/alerts?state=failed",
    "/settings/audit",
    "/settings/health",
    "/palette?q=jo",
)
HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.evil\u202c",
    "]]></svg><style>*{}</style>",
    "x" * 10_000,
)


def populate(stage: Stage) -> None:
    """One job of each standing, and runs that ended well and badly."""
    good = stage.job("good", tags=["backup"], description="works")
    stage.job("off", enabled=False)
    stage.job("by-hand", None)
    stage.store.pause_job(stage.job("paused"), stage.now_us + 3_600_000_000, "tester")
    for number, code in enumerate((0, 0, 3)):
        stage.clock.advance(1)
        stage.request(good, f"m:{number}")
        stage.end(*stage.claim(1), exit_code=code)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_well_formed_of_an_empty_fleet_and_of_a_full_one(
    read: Read, stage: Stage, address: str
):
    read(address)
    populate(stage)
    read(address)


@pytest.mark.parametrize("address", PAGES)
def test_a_script_gets_only_the_middle(read: Read, address: str):
    page = read(address, **{"HX-Request": "true"})
    assert not page.all("nav", aria_label="Main")
    assert not page.all("script")


def test_every_route_says_which_role_it_needs(service: Service):
    async def who(request: object) -> object:
        return LOCAL

    app = build_pages(service, who=who)  # type: ignore[arg-type]
    named = [(path, declared(route)) for path, route in all_routes(app.routes)]
    assert len(named) > 30
    assert [path for path, roles in named if len(roles) != 1] == []
    assert {path for path, roles in named if roles == [None]} == {
        "/static/{mark}/{name:path}",
        "/favicon.ico",
    }


def test_every_link_of_the_lists_leads_to_something(read: Read, stage: Stage):
    populate(stage)
    mine = ("/jobs", "/runs", "/nodes", "/settings", "/?")
    others = ("/jobs/", "/runs/", "/timeline")
    seen = {link for page in ("/", "/jobs", "/runs", "/nodes") for link in links(read(page))}
    found = {each for each in seen if each.startswith(mine) and not each.startswith(others)}
    assert len(found) > 20
    for link in sorted(found):
        read(link)


# ------------------------------------------------------------------ what is shown


def test_counters_are_links_to_the_jobs_they_count(read: Read, stage: Stage):
    """D1.10: totals, each one a filter."""
    populate(stage)
    overview = read("/")
    for word, names in {"disabled": ["off"], "error": ["good"], "running": []}.items():
        address = f"/jobs?q=state%3A{word}"
        assert address in links(overview)
        assert rows(read(address)) == names


def rows(page: Outline) -> list[str]:
    return [box["value"] for box in page.all("input", name="job")]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["by-hand", "good", "off", "paused"]),
        ("q=tag:backup", ["good"]),
        ("q=works", ["good"]),
        ("q=state:paused", ["paused"]),
        ("sort=-name", ["paused", "off", "good", "by-hand"]),
        ("sort=ended", ["good", "by-hand", "off", "paused"]),
    ],
)
def test_jobs_are_searched_and_sorted_by_the_address(
    read: Read, stage: Stage, query: str, names: list[str]
):
    populate(stage)
    assert rows(read(f"/jobs?{query}")) == names


def test_columns_are_chosen_by_the_address(read: Read, stage: Stage):
    """D1.10: what the table of jobs may show."""
    populate(stage)
    page = read("/jobs?col=command&col=limit&col=nonsense")
    heads = page.text
    assert "Command" in heads
    assert "Time limit" in heads
    assert page.all("input", name="col", value="command", checked="")
    assert not page.all("input", name="col", value="trend", checked="")


def test_pages_of_jobs_join_without_gap_or_repeat(read: Read, stage: Stage):
    names = [f"job-{number:03}" for number in range(120)]
    for name in names:
        stage.job(name)
    for begin in ("/jobs", "/jobs?sort=frequency", "/jobs?q=job"):
        found: list[str] = []
        address: str | None = begin
        while address:
            page = read(address)
            found += rows(page)
            address = next((a["href"] for a in page.all("a", rel="next")), None)
        assert sorted(found) == names


def test_events_and_messages_go_on_and_are_looked_for(
    read: Read, service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settings, "EVENTS_SHOWN", 2)
    monkeypatch.setattr(settings, "ALERTS_SHOWN", 2)
    for name in ("a", "b", "c"):
        stage.job(name)
        service.pause_job(name, "ada")
        service.send_test("mail", f"{name}@example.org", "ada")
    for begin, most in (("/settings/audit?kind=job_paused", 3), ("/settings/alerts", 3)):
        seen, address = 0, begin
        for _ in range(9):
            page = read(address)
            seen += len(page.all("td", **{"class": "name"}))
            onward = page.all("a", rel="next")
            if not onward:
                break
            address = onward[0]["href"]
        assert seen == most
    page = read("/settings/audit?kind=job_paused&about=b")
    assert [way for way in links(page) if way.startswith("/jobs/")] == ["/jobs/b"]
    assert "No such event is kept" in read("/settings/audit?about=nobody").text


def test_a_message_that_nobody_takes_says_why(read: Read, service: Service, stage: Stage):
    service.send_test("mail", "ops@example.org", "ada")
    assert "no node has taken" not in read("/settings/alerts").text
    stage.clock.advance(60)
    assert "names a relay" in read("/settings/alerts").text
    assert "no node has taken it" in read("/settings/alerts").text


def test_any_job_is_found_by_a_part_of_its_name(
    browser: TestClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frame, "LOOKED_AT", 3)
    for number in range(5):
        stage.job(f"a{number}")
    for name in ("my zebra", "zebra: two", 'zebra "3"'):
        stage.job(name)
    for words, found in (("zebra", 3), ("zebra:", 1), ('"3', 1), ("nothing", 0)):
        text = browser.get("/palette", params={"q": words}).text
        assert text.count("<small>job</small>") == found, words
        assert text.count("Search all jobs") == (not found)
    text = browser.get("/palette?q=zebra").text
    assert text.index("zebra: two") < text.index("my zebra")


def test_too_many_to_be_sorted_stay_in_their_order(
    read: Read, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(joborder, "MOST", 2)
    for name in ("a", "b", "c"):
        stage.job(name)
    page = read("/jobs?sort=-name")
    assert "so they stay in the order of their names" in page.text
    assert rows(page) == ["a", "b", "c"]
    stage.delete(stage.store.find_job("b").id)
    assert rows(read("/jobs?sort=-name")) == ["c", "a"]


def test_a_search_that_found_nothing_so_far_can_go_on(
    read: Read, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobpages, "JOB_WINDOW", 2)
    monkeypatch.setattr(service_jobs, "PAGES_LOOKED_AT", 1)
    for name in ("a", "b", "c"):
        stage.job(name)
    wanted = build_job({"name": "wanted", "command": "true"})
    write = JobWrite(id=stage.new_id(), job=wanted, enabled=None, source="elsewhere")
    stage.store.save_jobs([write], "somebody")
    page = read("/jobs?q=source:elsewhere")
    assert "No job matches so far" in page.text
    (on,) = page.all("a", rel="next")
    assert rows(read(on["href"])) == ["wanted"]


def test_a_search_that_cannot_be_read_says_why(read: Read):
    page = read("/jobs?q=colour:red")
    assert "is not known here" in page.text
    assert page.all("input", name="q", value="colour:red")
    assert "Unknown state" in read("/runs?q=state:purple").text


def test_a_disabled_job_is_dimmed_and_says_so(read: Read, stage: Stage):
    stage.job("off", enabled=False)
    page = read("/jobs")
    assert page.all("tr", **{"class": "dimmed"})
    assert "disabled" in page.text
    assert "/jobs/off/enable" in orders(page)
    assert "/jobs/off/disable" not in orders(page)


def test_times_name_their_zone(browser: TestClient, stage: Stage):
    populate(stage)
    browser.cookies.set("cronherd_zone", "Asia%2FTokyo")
    page = checked(browser.get("/runs").text)
    titles = [given["title"] for given in page.all("time")]
    assert titles
    assert all("(Asia/Tokyo)" in title and title.endswith(" UTC") for title in titles)


def test_the_chart_has_the_same_numbers_as_its_table(browser: TestClient, stage: Stage):
    populate(stage)
    page = checked(browser.get("/?span=1h").text)
    told = page.all("svg", role="img")[0]["aria-label"]
    assert "3 runs ended, 1 of them badly" in told
    load = browser.app.state.fleet.load(3_600, 3_600, 60)  # type: ignore[attr-defined]
    slots = sum(step["slots"] for step in load["steps"])
    assert f"{slots} slots to come" in told.replace("\u202f", "")


def test_a_held_fleet_is_said_and_ended(browser: TestClient):
    done = browser.post("/fleet/hold", data={"back": "/"})
    assert "The fleet is held by local" in done.text
    assert "The hold has ended" in browser.post("/fleet/release", data={"back": "/"}).text


# ------------------------------------------------------------------ what is done


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [("pause", "paused", True), ("disable", "enabled", False), ("skip", "skipped_until", ...)],
)
def test_a_form_changes_a_job_and_returns_where_it_was(
    browser: TestClient, service: Service, stage: Stage, word: str, key: str, value: Any
):
    stage.job("one")
    back = "/jobs?q=one&sort=-took"
    done = browser.post(f"/jobs/one/{word}", data={"back": back})
    assert str(done.url).endswith(back)
    assert "'one'" in Outline(done.text).text
    told = service.show_job("one")[key]
    assert told == value if value is not ... else told is not None


def test_run_now_asks_for_a_run(browser: TestClient, service: Service, stage: Stage):
    """D1.11: executed now."""
    stage.job("one")
    assert "was asked to run" in browser.post("/jobs/one/run", data={}).text
    assert [run["job"] for run in service.list_runs()["items"]] == ["one"]


def test_many_jobs_are_changed_and_what_one_refuses_is_told(
    browser: TestClient, service: Service, stage: Stage
):
    for name in ("a", "b", "c"):
        stage.job(name)
    done = browser.post("/jobs/bulk", data={"do": "pause", "job": ["a", "b"]})
    assert "2 jobs were paused" in done.text
    assert [job["paused"] for job in service.list_jobs()["items"]] == [True, True, False]
    done = browser.post("/jobs/bulk", data={"do": "resume", "job": ["a", "c", "gone"]})
    text = Outline(done.text).text
    assert "1 job was resumed" in text
    assert "'c': the job 'c' is not paused" in text
    assert "'gone'" in text
    assert "No job was chosen" in browser.post("/jobs/bulk", data={"do": "pause"}).text
    assert "nothing that jobs can be told" in browser.post("/jobs/bulk", data={"do": "x"}).text


def test_a_run_is_cancelled(browser: TestClient, service: Service, stage: Stage):
    run = stage.request(stage.job("one"), "m:1").run_id
    browser.post(f"/runs/{run}/cancel", data={"back": "/runs"})
    assert service.show_run(run)["outcome"] == "cancelled"


def test_a_node_is_drained_and_resumed(browser: TestClient, service: Service, stage: Stage):
    assert "starts nothing more" in browser.post("/nodes/one/drain", data={}).text
    assert service.list_nodes()["items"][0]["drained"]
    assert "starts runs again" in browser.post("/nodes/one/resume", data={}).text


def test_what_was_done_is_told_once(browser: TestClient, stage: Stage):
    stage.job("one")
    assert "'one' is paused" in Outline(browser.post("/jobs/one/pause", data={}).text).text
    assert "'one' is paused until" not in Outline(browser.get("/jobs").text).text


def test_a_page_that_keeps_itself_up_to_date_takes_no_message_away(
    browser: TestClient, stage: Stage
):
    stage.job("one")
    browser.post("/jobs/one/pause", data={"back": "/nodes"}, follow_redirects=False)
    assert "is paused" not in browser.get("/jobs", headers={"X-Live": "1"}).text
    assert "is paused" in browser.get("/jobs").text


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:x",
        "/a\r\nX: y",
        "",
    ],
)
def test_a_form_leads_nowhere_else(browser: TestClient, stage: Stage, back: str):
    stage.job("one")
    answer = browser.post("/jobs/one/pause", data={"back": back}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/jobs"


def test_each_form_sends_the_token_of_its_session(
    browser_as: Callable[[Role], TestClient], stage: Stage
):
    populate(stage)
    ada = browser_as(Role.ADMIN)
    for address in ("/", "/jobs", "/runs", "/nodes", "/settings", "/settings/secrets"):
        page = checked(ada.get(address).text)
        assert len(forms(page)) == len(page.all("input", name="csrf", value="token-of-ada"))


def test_what_one_may_not_do_is_not_offered_and_refused(
    browser_as: Callable[[Role], TestClient], stage: Stage
):
    populate(stage)
    viewer = browser_as(Role.VIEWER)
    page = checked(viewer.get("/jobs").text)
    assert orders(page) == {"/prefs/theme", "/logout"}
    assert not page.all("form", id="order")
    assert "/jobs/new" not in links(page)
    refused = viewer.post("/jobs/good/pause", data={})
    assert refused.status_code == 403
    assert "needs the role operator" in checked(refused.text).text
    assert viewer.get("/settings/secrets").status_code == 403


def test_whoever_is_refused_is_told_as_whom_and_what_would_be_needed(
    browser_as: Callable[[Role], TestClient], service: Service, stage: Stage
):
    populate(stage)
    page = checked(browser_as(Role.VIEWER).get("/settings/people").text)
    told = " ".join(page.text.split())
    assert "You are ada, with the role viewer: you may look at everything but accounts" in told
    assert "Needed is the role admin : to manage accounts" in told.replace("admin:", "admin :")
    assert page.all("form", action="/logout")  # to come in as somebody else
    assert "token-of-ada" in {given.get("value") for given in page.all("input", name="csrf")}
    # What is there for nobody, or is no question of the role, says nothing of it.
    limited = Caller(actor="token:ci", role=Role.ADMIN, way=Way.TOKEN, jobs=("web-*",))
    hidden = TestClient(build_pages(service, who=Always(limited))).get("/jobs/good")
    assert (hidden.status_code, "Needed is the role" in hidden.text) == (404, False)
    for address in ("/nowhere", "/jobs/nothing"):
        other = checked(browser_as(Role.VIEWER).get(address).text)
        assert "Needed is the role" not in other.text


# ------------------------------------------------------------------ errors and hostile texts


def test_an_error_is_a_page_that_says_what_to_do(read: Read):
    page = read("/nowhere", 404)
    assert "No page has the address /nowhere" in page.text
    assert "/jobs" in links(page)


@pytest.mark.parametrize(
    ("code", "sender", "goal"),
    [
        (
            "login_needed",
            "http://testserver/jobs/a%20b/edit?as=text",
            "/login?next=%2Fjobs%2Fa%2520b",
        ),
        ("csrf", "http://testserver/jobs/a%20b/edit?as=text", "/jobs/a%20b/edit?as=text"),
        ("csrf", "http://elsewhere/jobs", None),
        ("csrf", "http://testserver//elsewhere", "/"),
    ],
)
def test_a_form_of_a_session_that_has_ended_leads_back_to_its_page(
    service: Service, code: str, sender: str, goal: str | None
):
    class Nobody(Always):
        async def __call__(self, request: Request) -> Caller:
            raise Refused("nobody is logged in", code=code)

    browser = TestClient(build_pages(service, who=Nobody(LOCAL)))
    answer = browser.post("/jobs/a%20b/edit", headers={"Referer": sender})
    tags = checked(answer.text).tags
    ways = [way["href"] for tag, way in tags if tag == "a" and way.get("class") == "btn primary"]
    assert [way[: len(goal or "")] for way in ways] == ([goal] if goal else [])


def test_a_nul_is_refused(browser: TestClient):
    assert browser.post("/jobs/one/pause", data={"back": "\x00"}).status_code == 422


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_breaks_no_page(browser: TestClient, stage: Stage, text: str):
    name = "n" + "".join(c for c in text if c not in "/\\\u202e\u202c")[:100].strip()
    stage.job(name, description=text[:1_000], tags=[text[:60].strip()], command=text)
    stage.request(stage.store.find_job(name).id, "m:1")
    stage.end(*stage.claim(1), exit_code=3)
    every = "&".join(f"col={key}" for key in ("description", "command", "tags", "source"))
    for address in ("/", "/jobs", f"/jobs?{every}", "/runs", "/settings/audit", "/palette?q=n"):
        page = checked(browser.get(address).text)
        assert not [given for given in page.all("img") if given]
        if address != "/palette?q=n":
            assert name in page.text or name in {box["value"] for box in page.all("input")}
    for address in ("/jobs", "/runs", "/palette", "/search", "/", "/settings/alerts"):
        for key in ("q", "sort", "after", "before", "col", "span", "state"):
            answer = browser.get(address, params={key: text})
            assert answer.status_code in {200, 404, 422}, (address, key)
            checked(answer.text)


def test_a_form_of_the_settings_that_is_refused_keeps_what_was_written(browser: TestClient):
    token = {"name": "ci", "role": "operator", "expires": "soon", "jobs": "web-* tag:b&c"}
    told = checked(browser.post("/settings/tokens", data=token).text)
    assert "'soon'" in told.text
    named = [each for each in told.all("input") if each.get("id") == each.get("name")]
    written = {each["name"]: each["value"] for each in named}
    assert written == {key: value for key, value in token.items() if key != "role"}
    assert [each["value"] for each in told.all("option", selected="")] == ["operator"]
    told = checked(browser.post("/settings/people", data={"name": "a/b", "role": "editor"}).text)
    assert told.all("input", id="name", value="a/b")
    assert [each["value"] for each in told.all("input", checked="")] == ["editor"]
    fresh = checked(browser.get("/settings/people").text)
    assert [each["value"] for each in fresh.all("input", checked="")] == ["viewer"]
