"""Jobs and runs in a real browser: made, edited by two, gone back, run, followed, cancelled."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.pages.test_output import VECTORS

Open = Callable[..., Page]
PARAMS = {
    "version": {"required": True},
    "stage": {"choices": ["test", "staging"], "default": "test"},
    "copies": 2,
}


@pytest.fixture
def job(site: Site, request: pytest.FixtureRequest) -> Callable[..., str]:
    """A job of this test alone, by whatever its definition says."""
    made: list[str] = []

    def make(**given: object) -> str:
        name = f"{request.node.name[5:40].strip('[]-')} {len(made)}"
        site.fleet.create_job({"name": name, "command": "true", **given}, "local")
        made.append(name)
        return name

    return make


@pytest.fixture(autouse=True)
def tidy(site: Site) -> Iterator[None]:
    """No other test sees the jobs that one has made."""
    before = set(_names(site))
    yield
    for name in set(_names(site)) - before:
        site.fleet.delete_job(name, "local")


def _names(site: Site) -> list[str]:
    return [job["name"] for job in site.fleet.list_jobs()["items"]]


def test_a_job_is_made_with_a_preview_and_seen_to_run(open_page: Open):
    page = open_page("/jobs")
    page.get_by_role("link", name="New job").click()
    page.get_by_label("Name").fill("made here")
    preview = page.get_by_label("Preview")
    page.get_by_label("Schedule", exact=True).fill("61 * * * *")
    expect(page.locator("#fault-schedule")).to_contain_text("61")
    page.get_by_label("Schedule", exact=True).fill("every 1s")
    expect(preview).to_contain_text("Every 1s")
    expect(page.locator("#fault-schedule")).to_be_empty()
    expect(preview.locator("ol time[datetime]:not([data-distance])")).to_have_count(5)
    expect(page.get_by_label("Schedule", exact=True)).to_be_focused()
    page.get_by_label("Command").fill("echo hello from a form")
    expect(preview).to_contain_text("no faults")
    page.get_by_role("button", name="Make the job").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("made here")
    expect(page.get_by_text("'made here' is made")).to_be_visible()
    expect(page.locator(".badge", has_text="succeeded").first).to_be_visible()
    page.locator("tr[data-row] .name a").first.click()
    expect(page.locator("#log")).to_contain_text("hello from a form")


def test_what_was_written_outlives_a_network_that_is_gone(open_page: Open, job: Callable[..., str]):
    name = job(schedule="@daily")
    page = open_page(f"/jobs/{name}/edit")
    page.get_by_label("Description").fill("an hour of work")
    expect(page.get_by_label("Preview")).to_contain_text("an hour of work")
    page.route("**/preview", lambda route: route.fulfill(status=409))
    page.get_by_label("Command").fill("false")
    expect(page.get_by_label("Preview")).to_contain_text("what was written before")
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/jobs")
    page.goto(f"/jobs/{name}/edit")
    page.get_by_role("button", name="Take it up again").click()
    expect(page.get_by_label("Command")).to_have_value("false")
    page.get_by_role("button", name="Review and save").click()
    page.get_by_role("button", name="Save version 2").click()
    expect(page.get_by_text("is saved as version 2")).to_be_visible()
    page.goto(f"/jobs/{name}/edit")
    expect(page.locator("html.js")).to_be_attached()
    expect(page.locator("#kept")).to_be_hidden()


def test_a_button_that_did_nothing_says_so(open_page: Open, job: Callable[..., str]):
    name = job(params=PARAMS)
    page = open_page(f"/jobs?q={name}")
    page.route("**/pause", lambda route: route.fulfill(status=409))
    page.get_by_role("button", name=f"Pause {name}").click()
    expect(page.locator("#said")).to_contain_text("was not done")
    page.get_by_role("button", name=f"Run {name} now").click()
    expect(page.get_by_label("version")).to_be_visible()
    page.goto(f"/jobs?q={name}")
    page.get_by_role("button", name=f"More for {name}").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#said")).to_contain_text("is disabled")
    expect(page.get_by_role("button", name="Enable")).to_be_hidden()


def test_output_comes_live_and_a_run_is_cancelled(open_page: Open, job: Callable[..., str]):
    """D1.9: what a run writes is followed in the page."""
    loop = "i=0; while :; do i=$((i+1)); printf '\\033[32mstep\\033[0m %s\\n' $i; sleep 0.2; done"
    name = job(command=loop)
    page = open_page(f"/jobs/{name}")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/runs/*")
    log = page.locator("#log")
    expect(log).to_contain_text("step 2")
    expect(log.locator(".a-green").first).to_have_text("step")
    expect(log).to_contain_text("step 5")
    numbers = log.evaluate("each => [...each.querySelectorAll('.ln')].map((n) => n.textContent)")
    assert len(numbers) == len(set(numbers)) > 4
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".status .badge")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(log).to_contain_text("step 5")


def test_a_run_that_ends_at_once_has_no_button_to_cancel_it_any_more(
    open_page: Open, job: Callable[..., str], site: Site
):
    name = job(run_on={"gpu": "none here"})
    run = site.fleet.run_job(name, "local")["run"]["id"]
    page = open_page(f"/runs/{run}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".status .badge")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_scrolling_up_stops_following(open_page: Open, job: Callable[..., str], site: Site):
    name = job(
        command="for i in $(seq 200); do echo line $i; done; while :; do echo x; sleep 0.1; done"
    )
    run = site.fleet.run_job(name, "local")["run"]["id"]
    page = open_page(f"/runs/{run}#output")  # as "Last output" leads there
    log, follow = page.locator("#log"), page.get_by_role("button", name="Follow")
    expect(log).to_contain_text("line 200")
    expect(follow).to_be_hidden()
    log.evaluate("each => { each.scrollTop = 0; }")
    expect(follow).to_contain_text("new line")
    assert log.evaluate("each => each.scrollTop") == 0
    follow.click()
    expect(follow).to_be_hidden()
    assert log.evaluate("each => each.scrollHeight - each.scrollTop - each.clientHeight") < 30
    site.fleet.cancel_run(run, "local")


def test_output_is_searched_and_a_line_has_an_address(
    open_page: Open, job: Callable[..., str], site: Site
):
    name = job(command="for i in $(seq 300); do echo line $i; done")
    run = site.fleet.run_job(name, "local")["run"]["id"]
    page = open_page(f"/runs/{run}")
    expect(page.locator("#log")).to_contain_text("line 300")
    page.keyboard.press("/")
    page.keyboard.type("line 29")
    expect(page.locator("#found")).to_have_text("11 lines found")
    page.keyboard.press("Enter")
    expect(page.locator("li.hit.at")).to_have_text(re.compile("line 29$"))
    assert "find=line+29" in page.url
    page.locator("#L299 .ln").click()
    assert page.url.endswith("#L299")


def test_both_ways_of_drawing_output_agree(open_page: Open):
    page = open_page("/")
    script = """async (texts) => {
        const place = document.querySelector('script[type=module]').src.replace('app.js', 'log.js');
        const { spans, Pen } = await import(place);
        return texts.map((text) => spans(text, new Pen()));
    }"""
    told = page.evaluate(script, [text for text, _ in VECTORS])
    assert json.loads(json.dumps(told)) == [[list(pair) for pair in spans] for _, spans in VECTORS]


def test_two_editors_meet(open_page: Open, job: Callable[..., str], site: Site):
    name = job(description="as it was")
    mine, theirs = open_page(f"/jobs/{name}/edit"), open_page(f"/jobs/{name}/edit")
    theirs.get_by_label("Description").fill("theirs")
    theirs.get_by_role("button", name="Review and save").click()
    expect(theirs.locator(".diff .add")).to_contain_text("theirs")
    theirs.get_by_role("button", name="Save version 2").click()
    expect(theirs.get_by_text("saved as version 2")).to_be_visible()
    mine.get_by_label("Command").fill("echo mine")
    mine.get_by_role("button", name="Review and save").click()
    expect(mine.get_by_role("heading", level=1)).to_contain_text("Somebody else saved")
    mine.get_by_role("button", name="Review both together").click()
    mine.get_by_role("button", name="Save version 3").click()
    expect(mine.get_by_text("saved as version 3")).to_be_visible()
    saved = site.fleet.show_job(name)
    assert (saved["command"], saved["description"]) == ("echo mine", "theirs")


def test_going_back_to_a_version(open_page: Open, job: Callable[..., str], site: Site):
    name = job(description="good")
    site.fleet.edit_job(name, {"name": name, "command": "false"}, 1, "local")
    page = open_page(f"/jobs/{name}/changes")
    page.get_by_role("link", name="Go back to this").click()
    expect(page.locator(".diff .add", has_text="good")).to_be_visible()
    page.get_by_role("button", name="Go back to version 1").click()
    expect(page.get_by_text("this is version 3")).to_be_visible()
    assert site.fleet.show_job(name)["command"] == "true"


def test_a_run_with_parameters(open_page: Open, job: Callable[..., str]):
    name = job(params=PARAMS, command="echo $PARAM_VERSION on $PARAM_STAGE, $PARAM_COPIES times")
    page = open_page(f"/jobs/{name}")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Run now").click()
    expect(dialog).to_be_visible()  # the browser itself asks for what is required
    dialog.get_by_label("version").fill("1.2")
    dialog.get_by_label("stage").select_option("staging")
    dialog.get_by_role("button", name="Run now").click()
    expect(page.locator("#log")).to_contain_text("1.2 on staging, 2 times")


def test_all_of_it_without_a_script(open_page: Open, job: Callable[..., str], site: Site):
    name = job(params=PARAMS)
    page = open_page(f"/jobs/{name}", java_script_enabled=False)
    page.get_by_role("link", name="Run now").click()
    page.get_by_label("version").fill("7")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Run")
    page.goto(f"/jobs/{name}")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="8 h").click()
    expect(page.get_by_text("It is paused until")).to_be_visible()
    other = job(schedule="30 2 * * *")
    page.goto(f"/jobs/{other}")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Schedule", exact=True).fill("45 3 * * *")
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.get_by_label("Preview").first).to_contain_text("At 03:45 every day.")
    page.get_by_role("button", name="Review and save").click()
    page.get_by_role("button", name="Save version 2").click()
    assert site.fleet.show_job(other)["schedule"] == "45 3 * * *"
    page.goto("/timeline")
    page.get_by_text("The same as a table").click()
    expect(page.locator("details table")).to_be_visible()


def test_keys_of_a_job(open_page: Open, job: Callable[..., str]):
    name = job(schedule="30 2 * * *")
    page = open_page(f"/jobs/{name}")
    page.keyboard.press("p")
    expect(page.locator("#pausing")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.wait_for_url("**/edit")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/timeline")


def test_the_timeline_zooms_by_its_address(open_page: Open):
    page = open_page("/timeline?span=1h")
    expect(page.get_by_role("link", name="1 h")).to_have_attribute("aria-current", "true")
    page.locator(".lane a[href^='/runs/']").first.evaluate(
        "each => each.dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    page.wait_for_url("**/runs/*")
    page.go_back()
    page.get_by_role("link", name="24 h").click()
    page.wait_for_url("**span=24h*")
    page.get_by_role("link", name="nodes", exact=True).click()
    expect(page.get_by_role("link", name="no node yet")).to_be_visible()
