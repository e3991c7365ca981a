"""A browser, and a real cronherd for it to look at."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser.site import FLAGS, Site, chromium, serve

JOBS = """
jobs:
  - {name: quick, command: "echo quick", schedule: every 2s, tags: [demo], description: Every 2 s}
  - {name: broken, command: "exit 3", schedule: every 3s, tags: [demo]}
  - {name: long, command: "sleep 600", schedule: "0 0 1 1 *"}
  - {name: nightly, command: "true", schedule: "30 2 * * *", timezone: Europe/Berlin,
     tags: [backup], timeout: 1h, description: Every night}
  - {name: off, command: "true", schedule: "0 9 1 7 *", enabled: false}
  - {name: by-hand, command: "echo hand"}
  - {name: shares, command: "true", pools: [database, mail], lock: free,
     overlap: queue, retries: 3, mailto: ops@example.org}
  - {name: a-job-whose-name-is-longer-than-any-column-would-like-it-to-be-and-goes-on-for-a-while,
     command: "true", schedule: "0 1 * * *", description: "<b>not bold</b>"}
"""
PATIENCE_MS = 15_000  # for whatever a page is to show; a busy machine is slow
# Pages that say what is not right: a password, a role, an address, a version, a value.
REFUSED = re.compile(r"status of (401|403|404|409|422)")
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}


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
        expect.set_options(timeout=PATIENCE_MS)
        browser = tool.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def contexts(chrome: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """One for all tests that ask for the same: it has read our static files already."""
    made: dict[str, BrowserContext] = {}

    def give(url: str, **options: Any) -> BrowserContext:
        key = repr((url, sorted(options.items())))
        if key not in made:
            made[key] = chrome.new_context(base_url=url, **options)
            made[key].set_default_timeout(PATIENCE_MS)
        return made[key]

    yield give
    for context in made.values():
        context.close()


def _said(message: ConsoleMessage) -> list[str]:
    loud = message.type in {"error", "warning"} and not REFUSED.search(message.text)
    return [message.text] if loud else []


def _wrong(text: str) -> list[str]:
    # The browser's own, about its fade from page to page when the next one is quicker.
    return [] if text.startswith("Transition was") else [text]


@pytest.fixture
def open_page(
    chrome: Browser, contexts: Callable[..., BrowserContext], site: Site
) -> Iterator[Callable[..., Page]]:
    """A page of a browser that knows no cookie; whatever its console complains of fails the test.

    With `clock` its time can be moved. By `port` it comes to where one has to log in.
    """
    opened: list[Page] = []
    own: list[BrowserContext] = []
    complaints: list[str] = []

    def make(
        address: str = "/", *, clock: bool = False, port: bool = False, **options: Any
    ) -> Page:
        given = {"viewport": DESKTOP, "timezone_id": "Europe/Berlin", **options}
        given["reduced_motion"] = "reduce"
        url = site.port_url if port else site.url
        if clock:  # is one for a whole context
            context = chrome.new_context(base_url=url, **given)
            own.append(context)
        else:
            context = contexts(url, **given)
        if not opened:
            context.clear_cookies()
        page = context.new_page()
        opened.append(page)
        page.on("console", lambda message: complaints.extend(_said(message)))
        page.on("pageerror", lambda error: complaints.extend(_wrong(str(error))))
        if clock:
            page.clock.install()
        page.goto(address)
        if options.get("java_script_enabled", True) and not port:
            page.wait_for_selector("html.js", state="attached")
        return page

    yield make
    for page in opened:
        page.close()
    for context in own:
        context.close()
    assert complaints == []
