"""Where hostile strings are looked for afterwards: pages, and what a terminal is sent."""

import io
import json
import os
import re
import sys
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from cronherd.cli.main import answer
from cronherd.cli.session import Session
from tests.access.conftest import Site
from tests.cli.fakes import FakeFleet, FakeHost
from tests.pages.conftest import checked

# A line of an export may be as it was given: it is read by cron, and by nobody's terminal.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
LETS_PASS = ("/", "#", "?")


@dataclass(kw_only=True)
class Full:
    """A fleet full of hostile strings; `told` is by job what it has to say."""

    site: Site
    token: str
    told: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    refused: int = 0

    def ask(self, method: str, target: str, body: object = None) -> tuple[int, str, bytes]:
        raw = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.site.port, timeout=30)) as line:
            line.request(method, target, raw, {"Authorization": self.token, **kind})
            reply = line.getresponse()
            return reply.status, reply.headers.get("content-type", ""), reply.read()

    def fill_in(self, target: str, fields: dict[str, str]) -> int:
        """Send a form as a page does."""
        raw = urlencode(fields, errors="surrogatepass").encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        with closing(HTTPConnection("127.0.0.1", self.site.port, timeout=30)) as line:
            line.request("POST", target, raw, {"Authorization": self.token, **kind})
            return line.getresponse().status


def is_ours(full: Full, target: str) -> bool:
    status, kind, content = full.ask("GET", target)
    assert (status, kind.partition(";")[0]) == (200, "text/html"), (target, status, content[-600:])
    page = checked(content.decode())
    for tag, given in page.tags:
        assert tag not in {"iframe", "object", "embed", "base", "style", "img"}, (target, tag)
        for name in ("href", "src", "action", "formaction", "xlink:href", "hx-post", "hx-get"):
            link = given.get(name)
            if link:
                assert link.startswith(LETS_PASS), (target, tag, link)
                assert not link.startswith("//"), (target, tag, link)
                assert not urlsplit(link).netloc, (target, tag, link)
    assert "cronherd_evil" not in str([given for tag, given in page.tags if tag == "script"])
    return True


def output_of(
    full: Full,
    words: list[str],
    home: Path,
    capture: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), "utf-8"))
    token = full.token.removeprefix("Bearer ")
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "CRONHERD_TOKEN": token}
    session = Session(
        load_host=lambda: FakeHost(FakeFleet()), now_us=full.site.clock.now_us, environ=environ
    )
    capture.readouterr()
    own = ["--url", full.site.origin, "--state", str(home / "state")]
    code = answer([*own, *words], session)
    sys.stdout.flush()
    said = capture.readouterr()
    assert code == 0, (words, said.err)
    out = said.out.decode()
    if words[:2] != ["export", "crontab"]:
        found = CONTROL.search(out)
        assert not found, (words, out[max(0, found.start() - 60) : found.end() + 30])
    assert not CONTROL.search(said.err.decode()), (words, said.err)
    return out
