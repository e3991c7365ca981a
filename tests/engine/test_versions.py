"""An upgrade of the agent beside the supervisor of the version before, which has runs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import PATIENCE_S, Host, wait_until

COMMAND = "echo $$ > {0}.pid; echo up; until test -e {0}; do sleep 0.05; done; echo and on; exit 3"
# Another version, as far as a supervisor can tell; the range of wire versions is its first word.
ANOTHER = """
import sys
from cronherd.supervisor import client, wire
wire.MIN_VERSION, wire.VERSION = (wire.VERSION + int(step) for step in sys.argv.pop(1).split(','))
client.__version__ = '999'
from cronherd.__main__ import main; main()
"""


class Upgraded(Host):
    """Its agent is of another version, once its range is said."""

    steps = ""

    def command(self, *arguments: str) -> list[str]:
        python, _, _, *rest = super().command(*arguments)
        before = ["-c", ANOTHER, self.steps] if self.steps else ["-m", "cronherd"]
        return [python, *before, *rest]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Upgraded]:
    made = Upgraded(tmp_path)
    yield made
    made.clear_away()


def _start(host: Host) -> tuple[str, int]:
    """A run that goes on until the evidence is there, and its process."""
    job = {"name": "long", "command": COMMAND.format(host.evidence), "cwd": "/"}
    host.client.create_job(job, "local")
    run_id = str(host.client.run_job("long", "local")["run"]["id"])
    wait_until(lambda: host.client.show_run(run_id)["state"] == "running", "it never started")
    return run_id, int(host.evidence.with_suffix(".pid").read_text())


def _end(host: Host, run_id: str) -> dict[str, Any]:
    host.evidence.touch()
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    run = host.client.show_run(run_id)
    text = "".join(piece["bytes"] for piece in host.client.run_output(run_id)["items"])
    assert text == "up\nand on\n"
    return run


@pytest.mark.timeout(90)
@pytest.mark.parametrize("steps", ["0,1", "-1,0"], ids=["newer", "older"])
def test_an_agent_of_the_neighbouring_version_goes_on_with_the_runs(
    host: Upgraded, steps: str
) -> None:
    host.up()
    run_id, pid = _start(host)
    chiefs = set(host.supervisors())
    host.kill()
    host.steps = steps
    host.up()
    assert set(host.supervisors()) == chiefs
    os.kill(pid, 0)
    # What is started meanwhile is started by the supervisor that is there.
    host.client.create_job({"name": "short", "command": "true", "cwd": "/"}, "local")
    short = str(host.client.run_job("short", "local")["run"]["id"])
    wait_until(lambda: host.client.show_run(short)["outcome"] == "succeeded", "no short run")
    run = _end(host, run_id)
    assert (run["outcome"], run["exit_code"], run["attempt"]) == ("failed", 3, 1)
    host.kill()
    host.up()
    assert not chiefs & set(host.supervisors()), "it was not replaced, although it had no runs"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("steps", ["1,2", "-2,-1"], ids=["newer", "older"])
def test_an_agent_of_a_version_further_apart_is_refused_and_touches_no_run(
    host: Upgraded, steps: str
) -> None:
    host.up()
    run_id, pid = _start(host)
    host.kill()
    host.steps = steps
    told = subprocess.run(
        host.command("up"), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert told.returncode == 1
    assert "has runs and refuses this version" in told.stderr
    assert "start the version before until they have ended" in told.stderr
    os.kill(pid, 0)
    host.steps = ""
    host.up()
    run = _end(host, run_id)
    assert (run["outcome"], run["exit_code"], run["attempt"]) == ("failed", 3, 1)
