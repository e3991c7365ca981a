"""A real port over a real store, a clock moved by hand, and browsers that keep cookies.

What takes long is made once: the schema, the application, and the server of the usual port. A test
gets a store, a service and people of its own behind them.
"""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from starlette.routing import BaseRoute

from cronherd.access.keys import Keys
from cronherd.access.passwords import Passwords
from cronherd.api.access import Door
from cronherd.api.app import build_app
from cronherd.api.base import all_routes
from cronherd.api.ports import Ports, open_ports
from cronherd.api.server import ApiServer
from cronherd.config.web import Web
from cronherd.domain.access import LOCAL, Role
from cronherd.engine.clock import FakeClock
from cronherd.pages.app import build_pages, join
from cronherd.pages.entry import PrettyPages
from cronherd.service import Service
from cronherd.service.entrance import Entrance
from tests.api.always import Always
from tests.api.stand_in import StandIn
from tests.store.backends import SqliteBackend

PASSWORD = "correct horse battery"
LOCALLY = Web(listen=("127.0.0.1:0",), asked=True)


class Counted(Passwords):
    """Cheap ones, and how many were checked."""

    def __init__(self) -> None:
        super().__init__(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.checks = 0

    def fits(self, hashed: str | None, password: str) -> bool:
        self.checks += 1
        return super().fits(hashed, password)


@dataclass(kw_only=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """The machine code of a problem; '' for an answer that is none."""
        kind = self.headers.get("content-type", "")
        return str(self.document["code"]) if "problem" in kind else ""


@dataclass(kw_only=True)
class Browser:
    """Keeps cookies and sends them, whoever asks for it; `page` says it is a page of ours."""

    port: int
    source: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, target: str, body: bytes | None = None, /, **headers: str) -> Reply:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies and "Cookie" not in told:
            told["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(self.source, 0)
        )
        with closing(connection):
            connection.request(method, target, body, told)
            answer = connection.getresponse()
            reply = Reply(status=answer.status, headers=answer.headers, content=answer.read())
        for line in reply.headers.get_all("set-cookie") or ():
            for name, cookie in SimpleCookie(line).items():
                self.cookies[name] = cookie.value
        return reply

    def get(self, target: str, **headers: str) -> Reply:
        return self.send("GET", target, **headers)

    def form(self, target: str, fields: dict[str, str], **headers: str) -> Reply:
        headers["Content_Type"] = "application/x-www-form-urlencoded"
        return self.send("POST", target, urlencode(fields).encode(), **headers)

    def post(self, target: str, body: object = None, method: str = "POST", **headers: str) -> Reply:
        raw = None if body is None else json.dumps(body).encode()
        if raw is not None:
            headers["Content_Type"] = "application/json"
        return self.send(method, target, raw, **headers)

    def login(self, name: str, password: str = PASSWORD, **headers: str) -> Reply:
        return self.form("/login", {"name": name, "password": password}, **headers)


@dataclass(kw_only=True)
class Site:
    """One fleet with its door open."""

    store: Any
    clock: FakeClock
    service: Service
    entrance: Entrance
    passwords: Counted
    keys: Keys
    ports: Ports
    stop: Callable[[], None]

    @property
    def port(self) -> int:
        return int(self.ports.sockets[0].getsockname()[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def browser(self, source: str = "127.0.0.1") -> Browser:
        return Browser(port=self.port, source=source)

    def account(self, name: str, role: Role = Role.ADMIN) -> None:
        self.service.add_account(name, role.value, "test", password=PASSWORD)

    def inside(self, name: str) -> Browser:
        """Logged in as somebody."""
        browser = self.browser()
        assert browser.login(name).status == 303
        return browser

    def csrf(self, browser: Browser) -> str:
        """What a page of this session would have in its forms."""
        return self.keys.csrf(next(iter(browser.cookies.values())))

    def token(self, name: str, role: Role, *jobs: str) -> str:
        made = self.service.create_token(name, role.value, "test", jobs=jobs)
        return f"Bearer {made['token']}"


MakeSite = Callable[..., Site]


class Yard:
    """An application and a port that one site after the other stands behind."""

    def __init__(self) -> None:
        self.backend = SqliteBackend()
        self.ports = open_ports(LOCALLY, has_accounts=True)
        self._api = build_app(StandIn(), who=Always(LOCAL), entry_pages=PrettyPages())
        self._pages = build_pages(StandIn(), who=Always(LOCAL))
        self.app = join(self._api, self._pages)
        self.server = ApiServer(self.app, None, self.ports)
        self.server.start()

    def house(self, service: Service, entrance: Entrance) -> None:
        """From now on it is this service, and these people, that it answers for."""
        for state in (self._api.state, self._pages.state):
            state.fleet, state.who = service, Door(entrance)
        self._api.state.entrance = entrance

    def routes(self) -> Iterator[tuple[str, BaseRoute]]:
        """Of the API and of the pages, each with its whole path."""
        for app in (self._api, self._pages):
            yield from all_routes(app.routes)


@pytest.fixture(scope="session")
def yard() -> Iterator[Yard]:
    made = Yard()
    yield made
    made.server.stop()


@pytest.fixture
def make_site(yard: Yard, tmp_path: Path) -> Iterator[MakeSite]:
    """Sites over one store; each with its own rules for its port. The last one made is open."""
    with sites(yard, tmp_path) as make:
        yield make


@contextmanager
def sites(yard: Yard, folder: Path) -> Iterator[MakeSite]:
    clock = FakeClock()
    store = yard.backend.open(folder, clock)
    servers: list[ApiServer] = []

    def make(web: Web = LOCALLY) -> Site:
        keys = Keys()
        passwords = Counted()
        keys.__dict__["_passwords"] = passwords
        service = Service(
            store,
            store,
            new_id=store._events.new_id,
            wake=lambda: None,
            pause=lambda: False,
            timezone="UTC",
            keys=keys,
            address="http://127.0.0.1:2766",
        )
        entrance = Entrance(
            store, keys, new_id=store._events.new_id, now_us=clock.now_us,
            proxy_role=web.default_role,
        )  # fmt: skip
        yard.house(service, entrance)
        ports, server = yard.ports, yard.server
        if web is not LOCALLY:
            ports = open_ports(replace(web, listen=web.listen or LOCALLY.listen), has_accounts=True)
            server = ApiServer(yard.app, None, ports)
            server.start()
            servers.append(server)
        return Site(
            store=store,
            clock=clock,
            service=service,
            entrance=entrance,
            passwords=passwords,
            keys=keys,
            ports=ports,
            stop=server.stop,
        )

    yield make
    for server in servers:
        server.stop()
    yard.backend.close(store)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


def raw(port: int, request: bytes) -> bytes:
    """Bytes as they are, and all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        # Not by closing this side: a server stops to answer whom it takes for gone.
        line.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b""
        while part := line.recv(65536):
            answer += part
    return answer
