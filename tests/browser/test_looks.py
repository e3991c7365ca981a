"""Every page in both themes and on a phone: axe, no sideways scrolling, targets for fingers."""

from collections.abc import Callable
from itertools import cycle

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.entrance import first_link
from tests.browser.looks import too_small, too_wide, violations
from tests.browser.site import Site

Open = Callable[..., Page]
PAGES = (
    "/",
    "/jobs",
    "/jobs?q=zzz",
    "/jobs?q=colour:red",
    "/jobs/nightly",
    "/jobs/nightly?at=",
    "/jobs/shares",
    "/jobs/quick/runs",
    "/jobs/nightly/changes",
    "/jobs/nightly/rollback?to=1",
    "/jobs/nightly/edit",
    "/jobs/nightly/edit?as=text",
    "/jobs/nightly/run",
    "/jobs/nightly/delete",
    "/jobs/new",
    "/jobs/quick/last",
    "/jobs/broken/last",
    "/runs",
    "/timeline?span=1h&table=1",
    "/timeline?by=node&span=7d",
    "/nodes",
    "/pools",
    "/pools/database",
    "/locks",
    "/locks?name=free",
    "/settings",
    "/settings/people",
    "/settings/tokens",
    "/settings/secrets",
    "/settings/alerts",
    "/settings/audit",
    "/settings/health",
    "/nowhere",
)
THEMES = ("light", "dark")
PARTS = 3


@pytest.fixture
def furnished(site: Site) -> Site:
    """With somebody in each list."""
    fleet = site.fleet
    if not any(one["name"] == "vera" for one in fleet.list_accounts()["items"]):
        fleet.add_account("vera", "viewer", "local")
        fleet.create_token("looks", "viewer", "local")
        fleet.set_secret("LOOKS", "something secret", "local")
        fleet.set_pool("database", 2, "local")
        fleet.acquire_lock("taken", "t" * 16, "a test", shared=False, expires="1h")
    return site


def look(page: Page, address: str, *themes: str) -> list[str]:
    """What is wrong with the page that is open, in each of the themes and on a phone."""
    found, whole = [], len(themes) > 1
    for theme in themes:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found += [f"{address} {theme}: {each}" for each in violations(page, repeated=whole)]
    if wide := too_wide(page):
        found.append(f"{address} is {wide} pixels wider than the window")
    page.set_viewport_size(PHONE)
    if whole:
        found += [f"{address} on a phone: {each}" for each in violations(page)]
    if wide := too_wide(page):
        found.append(f"{address} is {wide} pixels wider than a phone")
    found += [f"{address} on a phone: {each}" for each in too_small(page)]
    page.set_viewport_size(DESKTOP)
    return found


def walk(open_page: Open, addresses: tuple[str, ...], themes: tuple[str, ...]) -> list[str]:
    page = open_page("/")
    found = []
    for address, theme in zip(addresses, cycle(THEMES), strict=False):
        page.goto(address)
        expect(page.locator("html.js")).to_be_attached()
        found += look(page, address, *(themes or (theme,)))
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_a_page_looks_right_in_one_theme_and_on_a_phone(
    open_page: Open, furnished: Site, part: int
):
    assert walk(open_page, PAGES[part::PARTS], ()) == []


@pytest.mark.full
@pytest.mark.timeout(180)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_looks_right_in_both_themes_and_on_a_phone(
    open_page: Open, furnished: Site, part: int
):
    assert walk(open_page, PAGES[part::PARTS], THEMES) == []


def test_the_ways_in_look_right(open_page: Open, site: Site):
    page = open_page("/")
    link = first_link(site.log.read_text("utf-8"))
    for address in (f"{site.port_url}/login", link, f"{site.port_url}/welcome/none"):
        page.goto(address)
        assert look(page, address, "light", "dark") == []
