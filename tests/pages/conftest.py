"""Pages over a real service on a real store; a clock and a fleet moved by hand."""

from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from cronherd.domain.access import LOCAL, Caller, Role, Way
from cronherd.engine.clock import FakeClock
from cronherd.pages.app import build_pages
from cronherd.service import Service
from cronherd.store.sqlstore import SqlStore
from tests.api.always import Always
from tests.store.backends import SqliteBackend
from tests.store.stage import Stage

VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"))
BLOCKS = frozenset(("div", "dl", "form", "h1", "h2", "nav", "ol", "p", "section", "table", "ul"))


class Outline(HTMLParser):
    """Which elements a page has, and whether each that was opened was closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag in BLOCKS and "p" in self._open:
            self.faults.append(f"a browser ends <p> before <{tag}>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.faults.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        named = {key.replace("_", "-"): value for key, value in wanted.items()}
        return [
            given
            for name, given in self.tags
            if name == tag and all(given.get(key) == value for key, value in named.items())
        ]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def _backend() -> SqliteBackend:
    return SqliteBackend()


@pytest.fixture
def store(_backend: SqliteBackend, clock: FakeClock, tmp_path: Path) -> Iterator[SqlStore]:
    opened = _backend.open(tmp_path, clock)
    yield opened
    _backend.close(opened)


@pytest.fixture
def stage(store: SqlStore, clock: FakeClock) -> Stage:
    return Stage(store, clock)


@pytest.fixture
def service(store: SqlStore, stage: Stage) -> Service:
    return Service(
        store,
        store,
        new_id=stage.new_id,
        wake=lambda: None,
        pause=lambda: False,
        timezone="Europe/Berlin",
    )


@pytest.fixture
def browser(service: Service) -> TestClient:
    """A browser of the local admin that follows redirects."""
    return TestClient(build_pages(service, who=Always(LOCAL)), raise_server_exceptions=True)


@pytest.fixture
def browser_as(service: Service) -> Callable[[Role], TestClient]:
    def make(role: Role) -> TestClient:
        caller = Caller(actor="ada", role=role, way=Way.SESSION, account="ada", csrf="token-of-ada")
        return TestClient(build_pages(service, who=Always(caller)))

    return make


@pytest.fixture
def read(browser: TestClient) -> Callable[..., Outline]:
    """A page that is there, well formed, and has no script or style of its own."""

    def read(address: str, status: int = 200, **headers: str) -> Outline:
        answer = browser.get(address, headers=headers)
        assert answer.status_code == status, answer.text[-500:]
        return checked(answer.text)

    return read


def checked(text: str) -> Outline:
    page = Outline(text)
    assert not page.faults
    assert "Undefined" not in text
    for tag, given in page.tags:
        assert "style" not in given, (tag, given)
        assert not [key for key in given if key.startswith("on")], (tag, given)
        if tag == "script":
            assert given.get("src", "").startswith("/static/"), given
    return page


def links(page: Outline) -> list[str]:
    return [given["href"] for given in page.all("a") if "href" in given]


def forms(page: Outline) -> list[dict[str, Any]]:
    return page.all("form", method="post")


def orders(page: Outline) -> set[str]:
    """Where the page sends anything to: forms, and buttons that send the page's own form."""
    sent = {form["action"] for form in forms(page) if "action" in form}
    return sent | {button["formaction"] for button in page.all("button", form="order")}
