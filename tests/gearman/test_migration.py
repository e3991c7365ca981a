"""The steps of examples/gearman, with real job servers in the place of its ports."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.host import Host
from tests.gearman.conftest import JobServer, command
from tests.gearman.test_runs import begin, end, output
from tests.gearman.test_worker import functions
from tests.tools.conftest import Tool, until

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "gearman"


@pytest.fixture
def folder(two: tuple[JobServer, JobServer], tmp_path: Path) -> Path:
    """The example with the ports of this test."""
    made = tmp_path / "example"
    shutil.copytree(EXAMPLE, made)
    for name in ("worker-conf.json", "client-conf.json", "jobs.yaml"):
        text = (made / name).read_text()
        for port, server in zip(("4730", "4731"), two, strict=True):
            text = text.replace(port, str(server.port))
        (made / name).write_text(text)
    return made


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.clear_away()


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    return Tool(folder, *words).end()


def test_the_steps_lead_from_job_servers_to_a_fleet(
    two: tuple[JobServer, JobServer],
    folder: Path,
    host: Host,
):
    host.up()
    state = ("--state", str(host.state))
    worker = Tool(folder, "gearman", "worker", "--config", "worker-conf.json", "--fleet", *state)
    until(lambda: all("runJob" in functions(each) for each in two))
    # 1. Clients of old find it.
    assert command(two[0], "-f", "runJob", given="report").stdout == "the report of today\n"
    # 2. Ours says how it went.
    submit = ("gearman", "submit", "--config", "client-conf.json", "--tasks")
    assert run(folder, *submit, "report", "tidy") == (0, "the report of today\ntidy\n", "")
    # 3. The fleet hands in.
    applied = host.say("apply", "-f", str(folder / "jobs.yaml"), "--yes")
    assert applied.returncode == 0, applied.stderr
    report = end(host, begin(host, "report"))
    assert report["outcome"] == "succeeded"
    assert output(host, report["id"]) == {"stdout": "the report of yesterday\n"}
    worker.send(15)
    assert worker.end()[0] == 0
    # 4. And runs the scripts itself: those that have a job by a file, and those that have none.
    host.client.delete_job("tidy", "me")
    handed_in, *_ = (folder / "jobs.yaml").read_text().split("  tidy:")
    begin_at, end_at = handed_in.index("    gearman:"), handed_in.index("    timeout:")
    run_here = f"    command: ./scripts/report\n    cwd: {folder}\n"
    (folder / "jobs.yaml").write_text(handed_in[:begin_at] + run_here + handed_in[end_at:])
    applied = host.say("apply", "-f", str(folder / "jobs.yaml"), "--yes")
    assert applied.returncode == 0, applied.stderr
    done = host.say("import", "gearman", str(folder / "worker-conf.json"), "--yes")
    assert done.returncode == 0, done.stderr
    assert "report refused: the job 'report' belongs to" in done.stdout
    assert f"tidy imported: new, runs in {folder}" in done.stdout
    for name in ("report", "tidy"):
        assert end(host, begin(host, name))["outcome"] == "succeeded"
    edited = host.say("job", "edit", "tidy", "--set", "schedule=every 6h")
    assert edited.returncode == 0, edited.stderr


def test_the_scripts_of_the_example_can_be_executed():
    for script in (EXAMPLE / "scripts").iterdir():
        assert os.access(script, os.X_OK)


def test_a_script_that_fails_is_seen_at_each_step(
    two: tuple[JobServer, JobServer], folder: Path, request: pytest.FixtureRequest
):
    process = Tool(folder, "gearman", "worker", "--config", "worker-conf.json")
    request.addfinalizer(process.end)
    request.addfinalizer(process.process.kill)
    until(lambda: all("runJob" in functions(each) for each in two))
    (folder / "scripts" / "tidy").write_text("#!/bin/sh\nexit 3\n")
    code, _, said = run(
        folder, "gearman", "submit", "--config", "client-conf.json", "--tasks", "tidy"
    )
    assert (code, said) == (1, "cronherd: tidy failed: exit code 3\n")
