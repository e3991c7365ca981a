"""Hostile bytes that a run writes or tells, and hostile words of nodes, holders and actors.

What they would do is looked for in pages, on the command line, in JSON, in events and in metrics.
The strings of definitions and of requests are in test_hostile.py, those of the log in
tests/engine/test_log.py.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.cli.playback import harmless
from cronherd.client import Client, connect_to
from cronherd.domain.access import LOCAL, Role
from tests.access.conftest import Yard, sites
from tests.access.harmless import CONTROL, Full, is_ours, output_of
from tests.access.hostile import STRINGS
from tests.api.always import Always
from tests.store.stage import Stage, chunk

BYTES = (
    b"\xff\xfe\xc3(\xed\xa0\x80",
    b"10%\r\x1b[31m60%\r<b>100%</b>\r",
    b"\x1b[" + b"9" * 5_000 + b"m",
    b"\x1b[38;5;" + b"9" * 400 + b"mx\x1b[48;2;9999;0;" + b"1" * 4_400 + b"my",
    b"x" * 1_000_000,
    b"\n\ndata: {}\n\nevent: end\ndata: {}\nid: 9.9\n\nretry: 1\n\n",
    b"\n\r\n\r\r\n</code></pre></li></ol><script>alert(1)</script>",
    bytes(range(256)) * 2,
)
TEXTS = tuple(text for text in STRINGS if text and len(text) < 6_000 and "\ud800" not in text)
FEW = TEXTS[1::4]  # of the short form
LATIN = tuple(text for text in TEXTS if all(ord(char) < 256 for char in text))
NUMBERS = [1e15, 1e-300]  # of a progress: its share is more than a float can be
PAGES = (
    "/", "/runs", "/nodes", "/jobs/nightly", "/timeline", "/locks", "/pools", "/settings/audit",
    "/settings/people", "/settings/tokens", "/settings/alerts", "/settings/health",
)  # fmt: skip
COMMANDS = (
    "status", "run list", "logs nightly -o json", "node list", "node list -o wide", "locks list",
    "job show nightly", "job list -o wide", "why nightly", "node list -o json",
    "node list -o yaml", "node list -o name", "locks list -o yaml", "user sessions ann",
)  # fmt: skip


@dataclass(kw_only=True)
class Ran(Full):
    """A fleet with a run for each of the strings; `runs` by id, with what it was given."""

    runs: dict[str, tuple[bytes, str]]
    texts: tuple[str, ...]


@pytest.fixture(scope="module")
def ran(
    yard: Yard, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Ran]:
    texts = TEXTS if request.config.getoption("--tier") == "full" else FEW
    with sites(yard, tmp_path_factory.mktemp("ran")) as make:
        site = make()
        made = Ran(site=site, token=site.token("t", Role.ADMIN), runs={}, texts=texts)
        stage = Stage(site.store, site.clock)
        site.service.create_job(
            {"name": "nightly", "command": "true", "overlap": "allow"}, "root", "a\x1b[31m\nb<i>"
        )
        job = site.store.find_job("nightly").id
        _say_elsewhere(made, stage)
        for number, raw in enumerate([*BYTES, *(text.encode() for text in texts)]):
            text = texts[number % len(texts)]
            made.runs[_run(stage, job, number, raw, text)] = raw, text
        yield made


def _say_elsewhere(made: Ran, stage: Stage) -> None:
    """Words of nodes, holders, actors and browsers, each as bad as its place lets it be."""
    service = made.site.service
    made.site.account("ann")
    for number, text in enumerate(made.texts):
        stage.join(f"n{number} {text[:60]}", **{text[:40]: text[:40]})
        service.set_pool("p", number, text[:60])
        if len(text) <= 200:
            service.acquire_lock(f"l{number}", f"{number:016}", text, shared=False, expires="1h")
    for text in LATIN:
        plain = "".join(char for char in text if char not in "\r\n\x00")
        made.site.browser().login("ann", User_Agent=plain[:150])


def _run(stage: Stage, job: str, number: int, raw: bytes, text: str) -> str:
    """A run that writes the bytes to both streams, and tells the text wherever a task may."""
    stage.request(job, f"m:{number}")
    claim = stage.one_claim()
    stage.start(claim)
    told = (
        {"progress": [*NUMBERS, text]},
        {"result": {text: [text]}},
        {"error": {"type": text, "message": text, "traceback": text}},
        {"note": text},
    )
    lines = "\n".join(json.dumps(one) for one in told).encode() + b"\n"
    pieces = [chunk(claim, 0, raw), chunk(claim, 1, raw, 2), chunk(claim, 2, lines, 3)]
    stage.store.record([], pieces, [])
    stage.end(claim, exit_code=None, error="not_executable", error_text=text[:200])
    return claim.run_id


# ------------------------------------------------------------------ where it is looked at


def test_no_page_has_anything_of_a_run_but_as_text(ran: Ran):
    for run in ran.runs:
        assert is_ours(ran, f"/runs/{run}")
    for page in PAGES:
        assert is_ours(ran, page)


def test_output_and_results_come_back_byte_for_byte(ran: Ran):
    for run, (raw, text) in ran.runs.items():
        status, kind, content = ran.ask("GET", f"/api/v1/runs/{run}")
        assert (status, kind) == (200, "application/json")
        assert json.loads(content)["result"] == {text: [text]}
        items = json.loads(ran.ask("GET", f"/api/v1/runs/{run}/output")[2])["items"]
        assert {item["bytes"].encode("latin-1") for item in items} == {raw}
        status, kind, content = ran.ask("GET", f"/runs/{run}/output.txt")
        assert (status, kind, content) == (200, "text/plain; charset=utf-8", raw + raw)


def test_no_command_sends_a_terminal_what_a_run_or_a_node_says(
    ran: Ran,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    commands = [command.split() for command in COMMANDS]
    for run in ran.runs:
        commands += [["run", "show", run], ["run", "logs", run, "-o", "json"]]
    for words in commands:
        out = output_of(ran, words, tmp_path, capfdbinary, monkeypatch)
        if "json" in words:
            assert json.loads(out)
        if words[-1] == "name":
            assert len(out.splitlines()) == 1 + len(ran.texts)
    for raw, _ in ran.runs.values():
        assert not CONTROL.search(harmless(raw.decode("utf-8", "backslashreplace")))


def test_metrics_of_such_a_fleet_are_read_by_a_parser(ran: Ran):
    status, _, content = ran.ask("GET", "/metrics")
    assert status == 200
    families = list(text_string_to_metric_families(content.decode()))
    assert all(one.name.startswith("cronherd_") for one in families)
    names = {value for one in families for each in one.samples for value in each.labels.values()}
    assert {f"n{number} {text[:60]}" for number, text in enumerate(ran.texts)} <= names


# ------------------------------------------------------------------ what is sent live


@pytest.fixture(scope="module")
def live(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    app = build_app(ran.site.service, who=Always(LOCAL))
    path = tmp_path_factory.mktemp("live") / "s"
    server = ApiServer(app, path)
    server.start()
    yield path
    app.state.hub.close()
    server.stop()


def test_no_output_makes_an_event_or_a_line_of_its_own(ran: Ran, live: Path):
    for run, (raw, _) in ran.runs.items():
        events = list(_events(live, f"/api/v1/stream?topic=run:{run}"))
        assert {event["event"] for event in events} <= {"run", "output", "end"}
        assert [event["event"] for event in events].count("end") == 1
        outputs = [event["data"]["items"] for event in events if event["event"] == "output"]
        pieces = [piece for items in outputs for piece in items]
        assert {piece["bytes"].encode("latin-1") for piece in pieces} == {raw}
        lines = list(Client.over_socket(live).follow_output(run))
        assert [line["bytes"].encode("latin-1") for line in lines[:-1]] == [raw, raw]
        assert lines[-1]["run"]["id"] == run


def _events(path: Path, target: str) -> Iterator[dict[str, Any]]:
    """As the specification reads them: a line ends at CR, LF or both, an event at an empty one."""
    with (
        closing(HTTPConnection("localhost")) as line,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line.sock,
    ):
        line.sock.settimeout(20)
        connect_to(line.sock, path)
        line.request("GET", target)
        answer = line.getresponse()
        event: dict[str, Any] = {}
        while True:
            read = answer.readline()
            assert read, "it ended without an end"
            assert b"\r" not in read
            name, _, value = read.rstrip(b"\n").partition(b": ")
            if name:
                assert name in {b"id", b"event", b"data", b":"}, read[:200]
                assert name.decode() not in event, read[:200]
                event[name.decode()] = json.loads(value) if name == b"data" else value.decode()
            elif event:
                if "event" in event:
                    yield event
                    if event["event"] == "end":
                        return
                event = {}
