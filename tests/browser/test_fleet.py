"""A fleet on PostgreSQL in a real browser: two agents and a `web`, accounts, and a node that dies.

One story, since the long part of it is a lease that runs out: meanwhile somebody else looks.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from cronherd.client import Client
from tests.browser.entrance import be_first, log_in
from tests.browser.site import end, free_port
from tests.engine.host import Host, wait_until
from tests.torture.node import descendants

LEASE_MS = 40_000  # until a node counts as silent, with what a busy machine adds
JOBS = """
jobs:
  - {name: careful, command: "echo begun; sleep 45", prefer: {disk: fast}}
  - {name: stubborn, command: "echo begun on $CRONHERD_NODE; sleep 45", prefer: {disk: fast},
     delivery: at_least_once}
  - {name: backup, command: "true", pools: [database]}
"""


class Estate:
    """Two nodes and a web process on one database, each with a state directory of its own."""

    def __init__(self, folder: Path, database: str, stack: ExitStack) -> None:
        self.database = database
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self._stack = stack
        self.one, self.web = self._host(folder, "one"), self._host(folder, "web")
        self.two = self._host(folder, "two", ", labels: {disk: fast}")
        self.one.write_config(f"database: {database}\nnode: {{name: one}}\n{JOBS}")
        assert self.one.say("db", "upgrade").returncode == 0
        self._start(self.one, "agent")
        self._start(self.two, "agent")
        self._start(self.web, "web", "--listen", self.address)
        assert self.one.say("apply", "--yes").returncode == 0
        token = self.one.say("token", "create", "tester", "--role", "admin", "-o", "json")
        assert token.returncode == 0, token.stderr
        self.fleet = Client.over_url(self.url, json.loads(token.stdout)["token"])
        wait_until(lambda: "/welcome/" in self.log, "the link for the first login")
        wait_until(lambda: self._up(self.one) and self._up(self.two), "two nodes")
        self.fleet.set_pool("database", 1, "tester")

    def _host(self, folder: Path, name: str, more: str = "") -> Host:
        place = folder / name
        place.mkdir()
        host = Host(place)
        host.write_config(f"database: {self.database}\nnode: {{name: {name}{more}}}\n")
        return host

    def _start(self, host: Host, *words: str) -> None:
        with host.log.open("ab") as log:
            process = subprocess.Popen(
                host.command(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        host.process = process
        self._stack.callback(end, process)

    def _up(self, host: Host) -> bool:
        return " is up" in host.log.read_text("utf-8")

    @property
    def log(self) -> str:
        return self.web.log.read_text("utf-8")

    def run(self, job: str) -> str:
        """A run that was asked for, and has begun on the node that the job prefers."""
        run: str = self.fleet.run_job(job, "tester")["run"]["id"]
        wait_until(lambda: self.fleet.show_run(run)["state"] == "running", f"{job} runs")
        assert self.fleet.show_run(run)["node"] == "two"
        return run

    def kill_node(self, host: Host) -> None:
        """As when a machine loses its power: agent, supervisor and commands at once."""
        assert host.process is not None
        for pid in [host.process.pid, *descendants([host.process.pid])]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def expire_sessions(self, account: str) -> None:
        """As when their time has come."""
        with psycopg.connect(self.database, autocommit=True) as database:
            ended = database.execute(
                "UPDATE session SET expires_us = 1 WHERE account_id ="
                " (SELECT id FROM account WHERE name = %s)",
                (account,),
            )
            assert ended.rowcount > 0


@pytest.fixture
def estate(tmp_path: Path, empty_database: Callable[[str], str]) -> Iterator[Estate]:
    with ExitStack() as stack:
        yield Estate(tmp_path, empty_database("postgresql"), stack)


@pytest.fixture
def come(chrome: Browser, estate: Estate) -> Iterator[Callable[[], Page]]:
    """A page of somebody's own browser."""
    with ExitStack() as stack:

        def make() -> Page:
            context = chrome.new_context(base_url=estate.url, reduced_motion="reduce")
            context.set_default_timeout(15_000)
            stack.callback(context.close)
            return context.new_page()

        yield make


@pytest.mark.timeout(150)
def test_a_node_dies_while_people_look(estate: Estate, come: Callable[[], Page]):
    admin = come()
    be_first(admin, estate.log)
    for name, role in {"vera": "viewer", "olaf": "operator"}.items():
        estate.fleet.add_account(name, role, "ada", password="correct horse battery staple")
    careful, stubborn = estate.run("careful"), estate.run("stubborn")
    watched, other = admin, admin.context.new_page()
    for page, run in ((watched, careful), (other, stubborn)):
        page.goto(f"/runs/{run}")
        expect(page.locator("#log")).to_contain_text("begun")
        page.evaluate("() => { window.notReloaded = true; }")
    estate.kill_node(estate.two)

    a_viewer_sees_no_buttons_that_are_not_his(come())
    an_operator_sets_and_does_not_remove(come())
    a_session_that_ends_leads_back(come(), estate)

    expect(watched.locator(".status .badge")).to_have_text("suspected", timeout=LEASE_MS)
    expect(watched.locator(".banner.warn")).to_contain_text("Its node two has been silent since")
    remover = admin.context.new_page()
    remover.goto("/nodes")
    row = remover.locator("tr#two")
    expect(row.locator(".badge")).to_have_text("silent")
    row.get_by_role("link", name="Remove…").click()
    remover.get_by_role("checkbox").check()
    remover.get_by_role("button", name="Remove").click()
    expect(remover.locator("#said")).to_contain_text("1 run lost, 1 run started again")
    expect(watched.locator(".status .badge")).to_have_text("lost")
    expect(other.locator(".facts")).to_contain_text("one")
    expect(other.locator("#log")).to_contain_text("begun on one")
    for page in (watched, other):
        assert page.evaluate("window.notReloaded")


def a_viewer_sees_no_buttons_that_are_not_his(page: Page) -> None:
    log_in(page, "vera")
    for address in ("/jobs", "/jobs/backup", "/runs", "/nodes", "/pools", "/pools/database"):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        forms = page.locator("main form[method=post]").all()
        assert [form.get_attribute("action") for form in forms] == [], address
        expect(page.locator("main a[href$='/edit'], main a[href='/jobs/new']")).to_have_count(0)
    page.goto("/jobs/backup/edit")
    expect(page.get_by_role("heading", level=1)).to_have_text("You may not do this")


def an_operator_sets_and_does_not_remove(page: Page) -> None:
    log_in(page, "olaf", "/pools/database")
    page.get_by_label("Permits", exact=True).fill("3")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#said")).to_contain_text("The pool 'database' has 3 permits")
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.goto("/settings")
    expect(page.get_by_role("link", name="Accounts")).to_have_count(0)


def a_session_that_ends_leads_back(page: Page, estate: Estate) -> None:
    log_in(page, "vera", "/jobs?q=backup")
    expect(page).to_have_url(re.compile(r"/jobs\?q=backup$"))
    expect(page.locator("tr[data-row]")).to_have_count(1)
    estate.expire_sessions("vera")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in", timeout=20_000)
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/jobs\?q=backup$"))
