"""How a test comes in by a port: the first link, an account, a password."""

import re

from playwright.sync_api import Page, expect

PASSWORD = "correct horse battery staple"


def first_link(log: str) -> str:
    """The link for the first login, as the process told it."""
    found = re.search(r"http://\S+/welcome/\S+", log)
    assert found
    return found[0]


def be_first(page: Page, log: str, name: str = "ada") -> None:
    """Make the first account, an admin, and come in with it."""
    page.goto(first_link(log))
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def log_in(page: Page, name: str, goal: str = "/") -> None:
    """From wherever it is to a page, by name and password."""
    page.goto(f"/login?next={goal}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Log in")
