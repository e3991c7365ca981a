"""--url and a token make every command of a fleet work from elsewhere: made from all commands.

A command that is not named here fails: say whether it is about a fleet, and how it is called.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from cronherd.cli.host import Place
from cronherd.cli.main import answer, root
from cronherd.cli.session import Session
from cronherd.client import Client, Fleet
from cronherd.config.load import Config
from cronherd.domain.oldtable import OldRow, OldTable
from tests.api.up import port_of
from tests.cli.fakes import NOW_US, FakeFleet, FakeHost
from tests.engine.host import Host

# About this host, or about nothing but their own words.
LOCAL = {
    "up", "agent", "agent reload", "tick", "explain", "lock", "timestart", "timeout", "publish",
    "db upgrade", "config show", "doctor", "completion", "web",
    "gearman worker", "gearman submit", "gearman status",
    "schedule list", "schedule test", "schedule work", "task list", "task run",
    "login", "logout",  # they make and forget the token itself, and have tests of their own
}  # fmt: skip
JOB = ["job"]
# How each is called. `RUN` is a run that has ended.
CALLS: dict[str, list[str]] = {
    "status": [],
    "job list": ["--tag", "t", "--sort", "-took"],
    "job show": ["job"],
    "job create": ["made", "--", "true"],
    "job edit": ["job", "--set", "description=new"],
    "job disable": ["job"],
    "job enable": ["job"],
    "job pause": ["job", "--for", "1h"],
    "job resume": ["job"],
    "job skip-next": ["job"],
    "job run": ["job", "--wait"],
    "job versions": ["job"],
    "job rollback": ["job", "--to", "1"],
    "schedule clear-lock": ["job", "--yes"],
    "job delete": ["spare", "--yes"],
    "run list": ["-q", "state:finished"],
    "run show": ["RUN"],
    "run logs": ["RUN"],
    "run cancel": ["RUN"],
    "logs": ["job"],
    "timers": [],
    "next": ["job"],
    "audit": [],
    "why": ["job"],
    "backfill": ["job", "--from", "2026-11-01", "--to", "2026-11-02", "--dry-run"],
    "node list": [],
    "node drain": ["away"],
    "node resume": ["away"],
    "node remove": ["away"],
    "pool set": ["p", "3"],
    "pool list": [],
    "pool show": ["p"],
    "pool remove": ["p"],
    "locks list": [],
    "locks clear": ["none", "--yes"],
    "user add": ["ann", "--role", "viewer"],
    "user list": [],
    "user role": ["ann", "viewer"],
    "user disable": ["ann"],
    "user enable": ["ann"],
    "user invite": ["ann"],
    "user password": ["ann"],
    "user sessions": ["ann"],
    "user remove": ["ann", "--yes"],
    "token create": ["ci", "--role", "viewer"],
    "token list": [],
    "token revoke": ["ci"],
    "secret list": [],
    "secret set": ["S"],
    "secret reseal": [],
    "secret remove": ["S"],
    "alerts list": [],
    "alerts test": ["mail", "a@example.org"],
    "alerts retry": [],
    "maintenance on": [],
    "maintenance off": [],
    "apply": ["-f", "jobs.yaml", "--yes"],
    "diff": ["-f", "jobs.yaml"],
    "import crontab": ["crontab.txt", "--yes"],
    "import gearman": ["conf.json", "--yes"],
    "import distributed-cron": ["--database", "mysql://old@db/cron", "--yes"],
    "export crontab": [],
    "export yaml": [],
    "crontab": ["-l"],
}
# What these find nothing to do with; the server was asked all the same.
REFUSED = {
    "run cancel", "node drain", "node resume", "node remove", "job resume", "secret remove",
    "pool show", "pool remove", "locks clear", "job rollback", "user role", "user disable",
    "user enable",
    "user invite", "user password", "user sessions", "user remove", "token revoke",
}  # fmt: skip


DIFFERENT = 3
OLD_TABLE = OldTable(
    rows=(OldRow(id=1, description="", command="true", active=1, start_s=None, stop_s=None,
                 frequency=60, max_run_time=1),),
    zone="UTC",
)  # fmt: skip


class NoHost(FakeHost):
    """A machine room that must not be entered."""

    def open_fleet(self, config: Config, place: Place) -> AbstractContextManager[Fleet]:
        raise AssertionError("the command went past the URL, to a database of this host")


def leaves(command: click.Command, path: str = "") -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, f"{path} {name}".strip())


@dataclass(frozen=True)
class Elsewhere:
    """A real fleet behind an address, and what it heard."""

    url: str
    client: Client
    run: str
    heard: list[bytes]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    host = Host(tmp_path_factory.mktemp("up"))
    host.up()
    client: Client = host.client
    for name in ("job", "spare"):
        client.create_job(
            {"name": name, "command": "echo hi", "schedule": "0 0 1 1 *", "tags": ["t"]}, "me"
        )
    run = client.run_job("job", "me")["run"]["id"]
    assert [piece["bytes"] for piece in client.follow_output(run) if "bytes" in piece] == ["hi\n"]
    heard: list[bytes] = []
    with port_of(host.state / "run" / "api.sock", heard) as url:
        yield Elsewhere(url, client, str(run), heard)
    host.stop()
    host.clear_away()


def test_every_command_is_local_or_of_a_fleet():
    known = set(leaves(root))
    assert known - LOCAL == set(CALLS)
    assert not LOCAL & set(CALLS)


@pytest.mark.parametrize("command", CALLS)
def test_a_command_of_a_fleet_works_by_its_url(
    command: str,
    elsewhere: Elsewhere,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    elsewhere.client.set_enabled("job", "me", enabled=True)  # whatever the test before did
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(b"correct horse battery"), "utf-8")
    )
    monkeypatch.setattr("cronherd.jobtable.read_job_table", lambda *_: OLD_TABLE)
    Path("jobs.yaml").write_text(f"jobs:\n  by-{command}:\n    command: 'true'\n")
    Path("crontab.txt").write_text("0 1 * * * true\n")
    servers = [{"server": "127.0.0.1", "port": 4730}]
    conf = {"job_servers": servers, "jobs": [{"task1": "/bin/true"}]}
    Path("conf.json").write_text(json.dumps(conf))
    words = [elsewhere.run if word == "RUN" else word for word in CALLS[command]]
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "CRONHERD_TOKEN": "t0ken"}
    session = Session(load_host=lambda: NoHost(FakeFleet()), now_us=lambda: NOW_US, environ=environ)
    before = len(elsewhere.heard)
    own = ["--url", elsewhere.url, "--state", str(tmp_path / "state")]
    code = answer([*own, *command.split(), *words], session)
    said = capfdbinary.readouterr()
    heard = elsewhere.heard[before:]
    assert heard, f"nobody was asked: {said.err.decode()}"
    assert all(b"\r\nAuthorization: Bearer t0ken\r\n" in one for one in heard)
    right = DIFFERENT if command == "diff" else 0
    assert code == right or command in REFUSED, said.err.decode()
    assert b"t0ken" not in said.out + said.err
