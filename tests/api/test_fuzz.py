"""Whatever the description of the API allows, and much that it does not: no answer is a fault.

Against a real `up`, one operation after the other, by schemathesis; bounded in count and time. Half
of the requests name what is there: of a name that is not, hardly more is asked than its look-up.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from cronherd.docs import openapi
from cronherd.domain.errors import Conflict
from tests.api.up import port_of
from tests.engine.host import Host

CALLS = {"commit": 4, "full": 100}  # of each operation, by tier
LEFT_OUT = {"stream"}  # it never ends by itself; tests/api/test_stream.py has it
# What nothing that is drawn can do here: tests of their own do it, or test_stateful.py.
NEVER_DONE = {
    "cancel_run", "change_password", "create_job", "deliver_run", "login", "remove_node",
    "rollback_job", "run_delivered", "timeline",
}  # fmt: skip
PATIENCE_S = 20


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("up"))
    made.up()
    yield made
    made.stop()
    made.clear_away()


@pytest.fixture(scope="module")
def address(host: Host) -> Iterator[str]:
    with port_of(host.state / "run" / "api.sock") as url:
        yield url


def furnish(host: Host) -> dict[str, str]:
    """Things of each noun, and the fleet at work, whatever the operation before did; their names.

    The first secret makes the key that seals them.
    """
    client = host.client
    client.set_hold("me", hold=False)
    node = str(client.list_nodes()["items"][0]["name"])
    client.set_drained(node, "me", drained=False)
    client.set_secret("db", "correct horse", "me")
    client.set_pool("p", 2, "me")
    client.acquire_lock("l", "0123456789abcdef", "me", shared=False, expires="1h")
    job = {"name": "nightly", "command": "true", "schedule": "every 1h", "overlap": "allow"}
    with suppress(Conflict):
        client.create_job(job, "me")
    with suppress(Conflict):
        client.add_account("ann", "viewer", "me")
    with suppress(Conflict):
        client.create_token("robot", "viewer", "me")
    client.edit_job("nightly", job, None, "me")
    run = str(client.run_job("nightly", "me")["run"]["id"])
    return {
        "jobs": "nightly", "runs": run, "nodes": node, "pools": "p", "secrets": "db",
        "locks": "l", "accounts": "ann", "tokens": "robot",
    }  # fmt: skip


SCHEMA = schemathesis.openapi.from_dict(openapi())
NAMES = sorted(
    operation["operationId"]
    for path in openapi()["paths"].values()
    for operation in path.values()
    if operation["operationId"] not in LEFT_OUT
)


@pytest.mark.timeout(1800)  # the long form; the short one takes seconds
def test_no_request_makes_the_server_fail(address: str, host: Host, request: pytest.FixtureRequest):
    """All operations one after the other: a test for each would cost a fleet for each worker."""
    calls = CALLS[request.config.getoption("--tier")]
    faults: dict[str, str] = {}
    seen: dict[str, list[int]] = {}
    known: dict[str, str] = {}  # while nothing may have changed them
    for name in NAMES:
        try:
            known = known or furnish(host)
            seen[name] = ask(name, address, calls, known)
            assert seen[name]
        except (AssertionError, OSError) as error:
            faults[name] = str(error)[:500]
        if SCHEMA.find_operation_by_id(name).method != "get":
            known = {}
    assert faults == {}
    if calls == CALLS["full"]:  # few may all be wrong by chance
        assert {name for name, told in seen.items() if min(told) >= 300} <= NEVER_DONE
    assert host.client.health()["status"] == "ok"


def ask(name: str, address: str, calls: int, known: Mapping[str, str]) -> list[int]:
    """Send that many requests of one operation; the status of each answer."""
    operation = SCHEMA.find_operation_by_id(name)
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    seen: list[int] = []

    @settings(
        max_examples=calls,
        deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(right, wrong), st.booleans())
    def each(case: Any, is_known: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        if is_known and case.path_parameters:
            noun = case.path.split("/")[3]
            case.path_parameters = dict.fromkeys(case.path_parameters, known[noun])
            case.headers = {**(case.headers or {}), "If-Match": "*"}
        if name == "run_output":
            case.query = {**(case.query or {}), "follow": "false"}
        answer = case.call(base_url=address, timeout=PATIENCE_S)
        seen.append(answer.status_code)
        assert answer.status_code < 500, (answer.status_code, answer.text[:500])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            document = json.loads(answer.text)
            assert document["code"] != "internal"
            assert document["status"] == answer.status_code

    each()
    return seen
