"""/metrics and /healthz: right numbers, few labels, and no name that breaks a line."""

import http.client
import re
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cronherd.api import numbers
from cronherd.api.numbers import numbers_of
from cronherd.client import connect_to
from cronherd.domain.errors import Unavailable
from cronherd.domain.standing import Standing
from tests.api.conftest import Reply, send_raw
from tests.api.stand_in import StandIn

HOSTILE = 'a"b\\c\nd{}=,<script>é\u202e'
LINE = re.compile(
    r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? [0-9.]+'
)


class Numbers(StandIn):
    """Counts, and jobs in trouble."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def gauges(self, named: int) -> dict[str, Any]:
        words = dict.fromkeys(Standing, 0) | {Standing.ERROR: len(self.names)}
        counts = {"jobs": 7, "runs_ready": 2, **{word.value: n for word, n in words.items()}}
        return {"hold": None, "counts": counts, "troubles": {"error": self.names[:named]}}

    def list_nodes(self, limit: int = 1000, *, cursor: str | None = None) -> dict[str, Any]:
        node = {"name": HOSTILE, "alive": True, "drained": False, "live_runs": 1, "capacity": 8}
        return {"items": [node]}

    def list_alerts(self, *args: Any, **given: Any) -> dict[str, Any]:
        return {"items": [], "counts": {"waiting": 1, "failed": 0}}


def ask(path: Path, target: str, accept: str = "*/*") -> Reply:
    return send_raw(path, "GET", target, Accept=accept)


def test_the_numbers_are_told_and_names_are_escaped():
    text = numbers_of(Numbers([HOSTILE, "plain"]), 3).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert "cronherd_jobs 7.0" in lines
    assert 'cronherd_jobs_standing{standing="error"} 2.0' in lines
    assert 'cronherd_runs_live{state="ready"} 2.0' in lines
    assert 'cronherd_job_trouble{job="plain",standing="error"} 1.0' in lines
    escaped = HOSTILE.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert f'cronherd_job_trouble{{job="{escaped}",standing="error"}} 1.0' in lines
    assert f'cronherd_node_runs{{node="{escaped}"}} 1.0' in lines
    assert "cronherd_live_views 3.0" in lines


def test_jobs_that_are_named_are_so_many_at_most(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(numbers, "NAMED_JOBS", 5)
    text = numbers_of(Numbers([f"job-{n}" for n in range(50)]), 0).decode()
    assert text.count("cronherd_job_trouble{") == 5
    assert 'cronherd_jobs_standing{standing="error"} 50.0' in text


@pytest.mark.usefixtures("server")
def test_health_says_no_more_than_it_must(service: StandIn, socket_path: Path):
    reply = ask(socket_path, "/healthz")
    assert (reply.status, reply.document) == (200, {"status": "ok"})
    service.fault = Unavailable("secret host db-7 is away", code="database_lost")
    reply = ask(socket_path, "/healthz")
    assert reply.status == 503
    assert reply.document == {"status": "not ok", "code": "database_lost"}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("target", "accept", "status"),
    [
        ("/api/v1/health", "application/json", 200),
        ("/api/v1/health", "*/*", 200),
        ("/api/v1/health", "text/html, application/*;q=0.1", 200),
        ("/api/v1/health", "text/html", 406),
        ("/api/v1/health", "application/json;q=0", 406),
        ("/api/v1/health", "application/json;q=0.0, text/*", 406),
        ("/api/v1/health", "application/json;q=0.5", 200),
        ("/api/v1/stream?topic=weather", "application/json", 406),
        ("/api/v1/stream?topic=weather", "text/event-stream", 422),
        ("/healthz", "text/html", 406),
    ],
)
def test_who_takes_nothing_of_what_there_is_gets_406(
    socket_path: Path, target: str, accept: str, status: int
):
    reply = ask(socket_path, target, accept)
    assert reply.status == status
    if status == 406:
        assert reply.document["code"] == "not_acceptable"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("target", ["/metrics", "/healthz", "/api/v1/stream"])
def test_other_methods_are_refused_by_name(socket_path: Path, target: str):
    reply = send_raw(socket_path, "DELETE", target)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET")


@pytest.mark.usefixtures("server")
def test_a_head_line_that_is_no_http_ends_the_line_and_nothing_else(socket_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(5)
        connect_to(line, socket_path)
        line.sendall(b"GET \x00 nonsense\r\n\r\n")
        assert b"400" in line.recv(1000)
    with closing(http.client.HTTPConnection("localhost")):
        assert ask(socket_path, "/healthz").status == 200
