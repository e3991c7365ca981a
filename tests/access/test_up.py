"""Real processes: `up`, `web`, and the commands that reach them from elsewhere."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.access.conftest import Browser
from tests.conftest import Record, needing_server
from tests.engine.host import wait_until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)(/welcome/\S+)")


def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TZ": "UTC"}


def say(home: Path, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cronherd", *words]
    return subprocess.run(
        command, env=environ(home), cwd=home, input=given, capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip


@contextmanager
def serving(home: Path, *words: str) -> Iterator[list[str]]:
    """A command that serves; what it said until its pages were there and a line more."""
    command = [sys.executable, "-m", "cronherd", *words]
    with subprocess.Popen(
        command, env=environ(home), cwd=home, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        said: list[str] = []
        try:
            for line in running.stderr:
                said.append(line.strip())
                if "first login" in line:
                    break
                if "look with" in line and any("no pages" in one for one in said):
                    break
            yield said
        finally:
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.communicate(timeout=20)
            running.kill()


def test_from_the_printed_link_to_a_command_elsewhere(tmp_path: Path):
    state = ("--state", str(tmp_path / "s"))
    with serving(tmp_path, *state, "up", "--listen", "127.0.0.1:0") as said:
        found = LINK.search(said[-1])
        assert found, said
        port, path = int(found[1]), found[2]
        browser, url = Browser(port=port), f"http://127.0.0.1:{port}"
        fields = {"name": "ann", "password": PASSWORD, "again": PASSWORD}
        assert browser.form(path, fields).status == 303
        assert browser.get("/api/v1/me").document["role"] == "admin"

        refused = say(tmp_path, "--url", url, "job", "list")
        assert (refused.returncode, "log in" in refused.stderr) == (1, True)
        wrong = say(tmp_path, "login", "ann", "--url", url, given="not this one\n")
        assert (wrong.returncode, "name or password is wrong" in wrong.stderr) == (1, True)
        done = say(tmp_path, "login", "ann", "--url", url, given=f"{PASSWORD}\n")
        assert done.returncode == 0, done.stderr
        kept = tmp_path / ".config" / "cronherd" / "tokens.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "chd_" not in done.stdout + done.stderr
        made = say(tmp_path, "--url", url, "job", "create", "nightly", "--", "true")
        assert made.returncode == 0, made.stderr
        assert say(tmp_path, "--url", url, "job", "list", "-o", "name").stdout == "nightly\n"
        events = say(tmp_path, *state, "status", "-o", "json").stdout
        assert '"actor": "ann/ann@' in events

        token = say(tmp_path, *state, "token", "create", "ci", "--role", "viewer").stdout.strip()
        told = {"Authorization": f"Bearer {token}"}
        assert Browser(port=port).get("/api/v1/jobs", **told).status == 200
        assert say(tmp_path, *state, "token", "revoke", "ci").returncode == 0
        assert Browser(port=port).get("/api/v1/jobs", **told).status == 401

        assert say(tmp_path, "logout", "--url", url).returncode == 0
        assert say(tmp_path, "--url", url, "job", "list").returncode == 1
    # Nobody needs a first link any more, and a port for others is no longer refused for that.
    beyond = say(tmp_path, *state, "up", "--listen", "0.0.0.0:0")
    assert (beyond.returncode, "in the clear" in beyond.stderr) == (1, True)


def test_a_port_for_others_is_refused_while_nobody_can_log_in(tmp_path: Path):
    words = ("--state", str(tmp_path / "s"), "up", "--listen", "0.0.0.0:0", "--behind-proxy")
    refused = say(tmp_path, *words)
    assert (refused.returncode, "there is no account yet" in refused.stderr) == (1, True)


def test_a_port_that_was_asked_for_and_is_taken_ends_up(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ("--state", str(tmp_path / "s"), "up", "--listen", f"127.0.0.1:{port}")
        refused = say(tmp_path, *words)
    assert (refused.returncode, "another program listens" in refused.stderr) == (1, True)


def test_jobs_run_although_somebody_else_has_the_usual_port(
    tmp_path: Path, request: pytest.FixtureRequest
):
    other = socket.socket()
    request.addfinalizer(other.close)

    def taken() -> bool:
        """Whoever has it for a moment, as another test may, gives it back."""
        with suppress(OSError):
            other.bind(("127.0.0.1", 2766))
            return True
        return False

    wait_until(taken, "somebody keeps the usual port")
    other.listen()
    state = ("--state", str(tmp_path / "s"))
    with other, serving(tmp_path, *state, "up") as said:
        assert any("no pages: another program listens at 127.0.0.1:2766" in line for line in said)
        assert say(tmp_path, *state, "job", "create", "x", "--", "true").returncode == 0


def test_a_host_without_an_agent_serves_the_pages_of_a_fleet(
    tmp_path: Path, empty_database: Callable[[str], str], record_property: Record
):
    with needing_server("postgresql", record_property):
        url = empty_database("postgresql")
    words = ("--state", str(tmp_path / "s"), "--database", url)
    assert say(tmp_path, *words, "db", "upgrade").returncode == 0
    with serving(tmp_path, *words, "web", "--listen", "127.0.0.1:0") as said:
        found = LINK.search(said[-1])
        assert found, said
        browser = Browser(port=int(found[1]))
        fields = {"name": "ann", "password": PASSWORD, "again": PASSWORD}
        assert browser.form(found[2], fields).status == 303
        assert browser.get("/api/v1/status").document["nodes"] == []
        assert "ann" in say(tmp_path, *words, "user", "list").stdout
