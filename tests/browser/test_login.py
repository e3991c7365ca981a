"""The way in: the first link, a password, roles, a session that has ended."""

import re

from playwright.sync_api import Browser, expect

from tests.browser.conftest import JOBS
from tests.browser.site import serve

PASSWORD = "correct horse battery staple"


def test_the_first_admin_comes_in_once_logs_out_and_comes_back(chrome: Browser):
    with serve(JOBS, open_port=True) as site:
        context = chrome.new_context(base_url=site.url)
        page = context.new_page()
        page.goto("/jobs?q=nightly")
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        found = re.search(r"http://\S+/welcome/\S+", site.log.read_text("utf-8"))
        assert found
        page.goto(found[0])
        page.get_by_label("Your name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("The same once more").fill(PASSWORD)
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
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
        context.clear_cookies()  # as when a session has ended
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
        page.goto(found[0])
        expect(page.get_by_role("heading", level=1)).to_have_text("This link opens nothing")
        context.close()
