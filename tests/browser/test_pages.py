"""What a person does with the pages, in a real browser against a real cronherd."""

import re
from collections.abc import Callable
from contextlib import suppress

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.site import Site

Open = Callable[..., Page]


def names(page: Page) -> list[str]:
    return page.locator("tr[data-row] td.name > a").all_inner_texts()


def row(page: Page, name: str) -> Locator:
    return page.locator("tr[data-row]", has=page.get_by_role("link", name=name, exact=True))


def test_a_counter_leads_to_its_jobs_and_back(open_page: Open):
    page = open_page("/")
    page.get_by_role("navigation", name="How jobs stand").get_by_text("Disabled").click()
    page.wait_for_url("**/jobs?q=state%3Adisabled")
    assert names(page) == ["off"]
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_typing_searches_and_the_address_keeps_it(open_page: Open):
    page = open_page("/jobs")
    count = len(names(page))
    assert count >= 7, "others may have made some"
    page.keyboard.press("/")
    page.keyboard.type("tag:backup")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/jobs\?q=tag%3Abackup"))
    page.reload()
    assert names(page) == ["nightly"]
    page.get_by_role("link", name="Remove tag:backup").click()
    expect(page.locator("tr[data-row]")).to_have_count(count)
    page.go_back()
    expect(page.locator("tr[data-row]")).to_have_count(1)


def test_filters_and_columns_stay_in_the_address(open_page: Open):
    page = open_page("/jobs")
    page.get_by_role("navigation", name="Filter by how jobs stand").get_by_text("Disabled").click()
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("checkbox", name="Command").check()
    page.get_by_role("checkbox", name="Last 30 runs").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Command")).to_be_visible()
    assert names(page) == ["off"]
    page.get_by_role("columnheader", name="Command").get_by_role("link").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Command")
    assert "col=command" in page.url
    assert "q=state%3Adisabled" in page.url


def test_a_job_is_run_without_leaving_the_page(open_page: Open, site: Site):
    page = open_page("/jobs?q=by-hand")
    page.get_by_role("button", name="Run by-hand now").click()
    expect(page.locator("#said")).to_contain_text("'by-hand' was asked to run")
    expect(row(page, "by-hand")).to_contain_text("succeeded")
    assert site.fleet.list_runs("by-hand")["items"]


def test_many_jobs_are_paused_and_resumed(open_page: Open, site: Site):
    page = open_page("/jobs")
    bar = page.locator("#bulk")
    expect(bar).to_be_hidden()
    for name in ("nightly", "long"):
        page.get_by_role("checkbox", name=f"Choose {name}").check()
    expect(bar).to_contain_text("2 jobs chosen")
    bar.get_by_role("button", name="Pause").click()
    expect(page.locator("#said")).to_contain_text("2 jobs were paused")
    paused = [job["name"] for job in site.fleet.list_jobs(q="state:paused")["items"]]
    assert paused == ["long", "nightly"]
    page.goto("/jobs?q=state:paused")
    page.locator("[data-every]").check()
    bar.get_by_role("button", name="Resume").click()
    expect(page.locator("#said")).to_contain_text("2 jobs were resumed")
    expect(page.locator("#live")).to_contain_text("No job matches")


def test_keys_walk_open_pause_and_go(open_page: Open, site: Site):
    page = open_page("/jobs?q=nightly")
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_contain_text("nightly")
    page.keyboard.press("p")
    expect(page.locator("#said")).to_contain_text("'nightly' is paused")
    assert site.fleet.show_job("nightly")["paused"]
    page.keyboard.press("j")
    page.keyboard.press("p")
    expect(page.locator("#said")).to_contain_text("'nightly' goes on")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    for key, title in {"r": "Runs", "n": "Nodes", "o": "Overview", "j": "Jobs"}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(page.locator("html.js")).to_be_attached()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("settings")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Settings")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_letters_that_are_typed_are_no_keys(open_page: Open, site: Site):
    page = open_page("/jobs?q=nightly")
    page.keyboard.press("/")
    page.keyboard.press("End")
    page.keyboard.type(" rpgo?")
    expect(page.get_by_role("searchbox")).to_have_value("nightly rpgo?")
    assert not site.fleet.show_job("nightly")["paused"]


def test_the_page_follows_what_happens(open_page: Open, site: Site):
    page = open_page("/runs")
    newest = page.locator("tr[data-row] td.name > a").first
    before = newest.get_attribute("href")
    expect(newest).not_to_have_attribute("href", before or "", timeout=20_000)
    expect(page.locator("#fresh")).to_contain_text("updated")
    assert site.process.poll() is None


def test_a_server_that_is_gone_is_said(open_page: Open):
    page = open_page("/jobs", clock=True)
    expect(page.locator("#stale")).to_be_hidden()
    page.evaluate("() => { htmx.ajax = () => Promise.resolve(); }")
    for _ in range(3):  # a look that was under way may come back once more
        page.clock.fast_forward(40_000)
        with suppress(AssertionError):
            expect(page.locator("#stale")).to_be_visible(timeout=3_000)
            return
    expect(page.locator("#stale")).to_be_visible()


def test_nothing_is_asked_in_a_hidden_tab(open_page: Open):
    page = open_page("/jobs", clock=True)
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", {value: true, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(30_000)
    assert asked == []
    page.evaluate("() => { delete document.hidden; }")
    with page.expect_request("**/jobs"):
        page.evaluate('() => document.dispatchEvent(new Event("visibilitychange"))')


def test_an_update_leaves_what_somebody_chose_and_where_they_are(open_page: Open):
    page = open_page("/jobs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_contain_text("broken")
    with page.expect_response(lambda answer: answer.request.headers.get("x-live") == "1"):
        page.evaluate('() => document.dispatchEvent(new Event("cronherd:refresh"))')
    expect(page.locator("tr.at")).to_contain_text("broken")
    page.get_by_role("checkbox", name="Choose nightly").check()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate('() => document.dispatchEvent(new Event("cronherd:refresh"))')
    page.get_by_role("checkbox", name="Choose nightly").uncheck()
    assert asked == []


def test_without_a_script_one_reads_searches_runs_and_pauses(open_page: Open, site: Site):
    page = open_page("/jobs", java_script_enabled=False)
    assert "nightly" in names(page)
    page.get_by_role("searchbox").fill("nightly")
    page.get_by_role("searchbox").press("Enter")
    assert names(page) == ["nightly"]
    page.get_by_role("button", name="Pause nightly").click()
    expect(page.locator("#said")).to_contain_text("'nightly' is paused")
    page.get_by_role("button", name="Resume nightly").click()
    expect(page.locator("#said")).to_contain_text("'nightly' goes on")
    page.goto("/jobs")
    page.get_by_role("checkbox", name="Choose long").check()
    page.locator("#bulk").get_by_role("button", name="Skip next").click()
    expect(page.locator("#said")).to_contain_text("told to skip")
    assert site.fleet.undo_skip("long", "local")["undone"]


def test_the_theme_stays(open_page: Open):
    page = open_page("/", color_scheme="light")
    body = page.locator("body")
    light = body.evaluate("each => getComputedStyle(each).backgroundColor")
    page.get_by_role("navigation", name="Main").get_by_role("button", name="Dark theme").click()
    expect(body).not_to_have_css("background-color", light)
    page.goto("/jobs")
    expect(body).not_to_have_css("background-color", light)


def test_by_touch_on_a_phone(open_page: Open, site: Site):
    page = open_page("/jobs", viewport=PHONE, has_touch=True)
    page.get_by_role("button", name="Columns").tap()
    expect(page.get_by_role("button", name="Show these")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    page.goto("/jobs?q=by-hand")
    expect(page.locator("html.js")).to_be_attached()
    page.get_by_role("button", name="Run by-hand now").tap()
    expect(page.locator("#said")).to_contain_text("'by-hand' was asked to run")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Pools").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pools")


def test_a_text_of_a_job_is_never_markup(open_page: Open):
    page = open_page("/jobs")
    expect(page.get_by_text("<b>not bold</b>")).to_be_visible()


def test_no_request_leaves_the_host(open_page: Open, site: Site):
    page = open_page("/settings")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for address in ("/", "/jobs", "/runs"):
        page.goto(address)
    assert asked
    assert all(url.startswith(site.url) for url in asked)
