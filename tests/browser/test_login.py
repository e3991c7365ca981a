"""The way in: the first link, a password, roles, a session that has ended."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.entrance import PASSWORD, be_first, first_link
from tests.browser.site import Site

Open = Callable[..., Page]


def test_the_first_admin_comes_in_once_logs_out_and_comes_back(open_page: Open, site: Site):
    log = site.log.read_text("utf-8")
    page = open_page("/jobs?q=nightly", port=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    be_first(page, log)
    page.goto("/jobs?q=by-hand")
    page.wait_for_selector("html.js", state="attached")
    page.get_by_role("button", name="Run by-hand now").click()
    expect(page.locator("#said")).to_contain_text("was asked to run")
    page.goto("/settings/tokens")
    page.get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Make the token").click()
    token = page.locator("code.secret").inner_text()
    page.goto("/settings/tokens")
    assert "ci" in page.content()
    assert token not in page.content()
    page.context.clear_cookies()  # as when a session has ended
    page.goto("/jobs?q=nightly")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/jobs\?q=nightly$"))
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(r"/login"))
    page.goto(first_link(log))
    expect(page.get_by_role("heading", level=1)).to_have_text("This link opens nothing")
