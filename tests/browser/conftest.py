"""A browser, and a real cronherd for it to look at."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.site import FLAGS, Site, chromium, serve

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
JOBS = """
jobs:
  - {name: quick, command: "echo quick", schedule: every 2s, tags: [demo], description: Every 2 s}
  - {name: broken, command: "exit 3", schedule: every 3s, tags: [demo]}
  - {name: long, command: "sleep 600", schedule: "0 0 1 1 *"}
  - {name: nightly, command: "true", schedule: "30 2 * * *", timezone: Europe/Berlin,
     tags: [backup], timeout: 1h, description: Every night}
  - {name: off, command: "true", schedule: "0 9 1 7 *", enabled: false}
  - {name: by-hand, command: "echo hand"}
  - {name: a-job-whose-name-is-longer-than-any-column-would-like-it-to-be-and-goes-on-for-a-while,
     command: "true", schedule: "0 1 * * *", description: "<b>not bold</b>"}
"""
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serve(JOBS) as running:
        yield running


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        reason = "there is no Chromium: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chrome: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A page of a fresh browser; whatever its console complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(address: str = "/", *, clock: bool = False, **options: Any) -> Page:
        given = {"viewport": DESKTOP, "timezone_id": "Europe/Berlin", **options}
        context = chrome.new_context(base_url=site.url, **given)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if clock:
            page.clock.install()
        page.goto(address)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html.js", state="attached")
        return page

    def note(message: ConsoleMessage) -> None:
        refusals = ("409 (Conflict)", "422 (Unprocessable")  # pages that say what does not fit
        if message.type in {"error", "warning"} and not any(r in message.text for r in refusals):
            complaints.append(message.text)

    yield make
    for context in contexts:
        context.close()
    assert complaints == []
