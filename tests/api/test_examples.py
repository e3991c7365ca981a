"""The description of the API is whole, and each of its examples does what it says, for real."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cronherd.api.examples import EXAMPLES, NAMES
from cronherd.docs import openapi
from tests.api.up import port_of
from tests.engine.host import Host, wait_until

ROOT = Path(__file__).resolve().parents[2]
# What is there before others are asked about, and what ends it: in this order, the rest between.
FIRST = [
    "create_job",
    "edit_job",
    "run_job",
    "set_secret",
    "set_pool",
    "acquire_lock",
    "add_account",
    "set_password",
]
LAST = [
    "run_output",
    "cancel_run",
    "delete_job",
    "remove_secret",
    "remove_pool",
    "remove_account",
    "remove_node",
]
# Their examples need something that is not there: a node of that name, a run that still runs, a
# login of one's own, a token that was drawn. The answer says so and is no fault.
REFUSED = {
    "resume_node", "drain_node", "remove_node", "cancel_run", "change_password", "login", "logout",
    "me", "deliver_run", "run_delivered",
}  # fmt: skip
STREAMS = {"stream"}


def operations() -> dict[str, dict[str, Any]]:
    found = {}
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            found[operation["operationId"]] = {**operation, "path": path, "method": method}
    return found


OPERATIONS = operations()


def test_every_operation_is_described_whole():
    for name, told in OPERATIONS.items():
        assert told["summary"], name
        assert told["tags"], name
        if told["x-role"] is None:
            assert told["security"] == [], name
            assert told["description"].endswith("For everybody."), name
        else:
            assert told["security"] == [{"token": []}], name
            assert f"Needs the role {told['x-role']}" in told["description"], name
            assert {"401", "403"} <= told["responses"].keys(), name
        assert {"422", "4XX", "5XX"} <= told["responses"].keys(), name
        assert told["x-codeSamples"][0]["source"].startswith("curl "), name
        if "requestBody" in told:
            assert told["requestBody"]["content"]["application/json"]["example"], name


def test_the_description_is_of_openapi_31_and_has_no_example_too_many():
    assert openapi()["openapi"].startswith("3.1")
    assert set(EXAMPLES) <= set(OPERATIONS)
    assert "HTTPValidationError" not in json.dumps(openapi())


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    host = Host(tmp_path_factory.mktemp("up"))
    host.up()
    with port_of(host.state / "run" / "api.sock") as url:
        yield url
    host.stop()
    host.clear_away()


def shell(source: str, url: str, run: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "CRONHERD_URL": url, "CRONHERD_TOKEN": "none", "RUN": run}
    command = source.replace("curl ", 'curl -w "\\n%{http_code}" --max-time 10 ', 1)
    return subprocess.run(
        ["sh", "-c", command], env=environ, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_each_example_does_what_it_says(address: str):
    run = ""
    rest = sorted(set(OPERATIONS) - {*FIRST, *LAST})
    for name in [*FIRST, *rest, *LAST]:
        if name not in OPERATIONS:
            continue
        source = OPERATIONS[name]["x-codeSamples"][0]["source"]
        if name in STREAMS:
            source = source.replace("curl ", "curl --max-time 2 ", 1)
        done = shell(source, address, run)
        content, _, status = done.stdout.rpartition("\n")
        if name in REFUSED and status[0] == "4":
            assert json.loads(content)["code"] not in {"internal", "no_route"}, (name, content)
            continue
        assert status in {"200", "201"}, (name, source, content, done.stderr)
        if name == "run_job":
            run = json.loads(content)["run"]["id"]
            assert run
        if name == "run_output":
            assert "hello" in content
    assert set(NAMES.values()) - {"db-1"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_of_the_guide_work(address: str):
    """Each block of docs/api.md in its order; `…` in the guide stands for what is not shown."""
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    blocks = [part.split("```")[0] for part in text.split("```sh\n")[1:]]
    commands = [line for block in blocks for line in _joined(block) if line.startswith("curl")]
    assert len(commands) > 8
    run = ""
    for command in commands:
        if "stream" in command or "follow" in command:
            command = command.replace("curl ", "curl --max-time 2 ", 1)  # noqa: PLW2901
        done = shell(command, address, run)
        content, _, status = done.stdout.rpartition("\n")
        assert status in {"200", "201"}, (command, content, done.stderr)
        if "/runs" in command and "-X POST" in command:
            run = json.loads(content[content.index("{") :])["run"]["id"]
            wait_until(lambda run=run: _has_ended(address, run), "the run never ended")  # type: ignore[misc]


def _has_ended(address: str, run: str) -> bool:
    content = shell(f'curl -sS "$CRONHERD_URL/api/v1/runs/{run}"', address).stdout
    return '"finished"' in content


def _joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()
