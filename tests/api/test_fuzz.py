"""Whatever the description of the API allows, and much that it does not: no answer is a fault.

Against a real `up`, one operation after the other, by schemathesis; bounded in count and time.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from cronherd.docs import openapi
from tests.api.up import port_of
from tests.engine.host import Host

CALLS = {"commit": 8, "full": 100}  # of each operation, by tier
# They end the fleet's work for whoever comes after, or never end by themselves.
LEFT_OUT = {"start_maintenance", "stream"}
PATIENCE_S = 20


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("up"))
    made.up()
    for name in ("nightly", "a b"):
        made.client.create_job({"name": name, "command": "true", "schedule": "every 1h"}, "me")
    yield made
    made.stop()
    made.clear_away()


@pytest.fixture(scope="module")
def address(host: Host) -> Iterator[str]:
    with port_of(host.state / "run" / "api.sock") as url:
        yield url


SCHEMA = schemathesis.openapi.from_dict(openapi())
NAMES = sorted(
    operation["operationId"]
    for path in openapi()["paths"].values()
    for operation in path.values()
    if operation["operationId"] not in LEFT_OUT
)


@pytest.mark.parametrize("name", NAMES)
def test_no_request_makes_the_server_fail(
    name: str, address: str, host: Host, request: pytest.FixtureRequest
):
    operation = SCHEMA.find_operation_by_id(name)
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    seen: list[int] = []

    @settings(
        max_examples=CALLS[request.config.getoption("--tier")],
        deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(right, wrong))
    def ask(case: Any) -> None:
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

    ask()
    assert seen
    assert host.client.health()["status"] == "ok"
