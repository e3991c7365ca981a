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

CALLS = {"commit": 4, "full": 100}  # of each operation, by tier
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


@pytest.mark.timeout(1800)  # the long form; the short one takes seconds
def test_no_request_makes_the_server_fail(address: str, host: Host, request: pytest.FixtureRequest):
    """All operations one after the other: a test for each would cost a fleet for each worker."""
    calls = CALLS[request.config.getoption("--tier")]
    faults: dict[str, str] = {}
    for name in NAMES:
        try:
            assert ask(name, address, calls) >= 1
        except (AssertionError, OSError) as error:
            faults[name] = str(error)[:500]
    assert faults == {}
    assert host.client.health()["status"] == "ok"


def ask(name: str, address: str, calls: int) -> int:
    """Send that many requests of one operation; how many were answered."""
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
    @given(st.one_of(right, wrong))
    def each(case: Any) -> None:
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
    return len(seen)
