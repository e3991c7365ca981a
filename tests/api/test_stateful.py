"""Operations one after the other, as their links say: create, run, look, cancel, delete.

Against a real `up`, by schemathesis; no answer is a fault of the server, whatever came before.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import GenerationMode

from cronherd.docs import openapi
from tests.api.up import port_of
from tests.engine.host import Host

REQUESTS = {"commit": 50, "full": 8_000}  # at least so many, by tier
ROUNDS = {"commit": 4, "full": 10}  # before it begins anew
STEPS = 25  # of a round
PATIENCE_S = 20
LEFT_OUT = {"stream"}  # it never ends by itself; tests/api/test_stream.py has it
NODES = "/api/v1/nodes/{name}"
# Jobs that can be, beside what the schema of the document lets be anything at all.
JOB = {
    "type": "object",
    "required": ["name", "command"],
    "additionalProperties": False,
    "properties": {
        "name": {"enum": ["one", "two", "Three 3", "v\u00e4r"]},
        "command": {"enum": ["true", "echo hello", "exit 3", "sleep 3"]},
        "schedule": {"enum": ["every 1s", "30 2 * * *", "every 1h", "@reboot"]},
        "overlap": {"enum": ["skip", "queue", "replace", "allow"]},
        "retries": {"enum": [0, 2]},
        "pools": {"enum": [["p"], {"p": 2}]},
        "timeout": {"enum": ["1s", "1h"]},
        "enabled": {"type": "boolean"},
        "tags": {"enum": [[], ["a"], ["a", "b"]]},
        "params": {"enum": [{"day": "today"}, {"n": 3}]},
    },
}


def document(node: str) -> dict[str, Any]:
    """The description, with words that lead somewhere; `node` is the one there is."""
    told: dict[str, Any] = json.loads(json.dumps(openapi()))
    for path, methods in told["paths"].items():
        for method in [one for one in methods if methods[one]["operationId"] in LEFT_OUT]:
            del methods[method]
        for operation in methods.values():
            for answer in operation["responses"].values():
                for name in LEFT_OUT & answer.get("links", {}).keys():
                    del answer["links"][name]
            if operation["operationId"] in {"create_job", "edit_job"}:
                content = operation["requestBody"]["content"]["application/json"]
                content["schema"] = JOB
            if operation["operationId"] == "run_output":  # it would wait for the end
                kept = [one for one in operation["parameters"] if one["name"] != "follow"]
                operation["parameters"] = kept
            if path.startswith(NODES):
                named = next(one for one in operation["parameters"] if one["name"] == "name")
                named["schema"] = {"enum": [node, "gone"]}
    return told


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("up"))
    made.up()
    yield made
    made.stop()
    made.clear_away()


def test_what_makes_a_thing_leads_to_all_that_can_be_done_with_it():
    paths = openapi()["paths"]
    made = paths["/api/v1/jobs"]["post"]["responses"]["201"]["links"]
    assert {"run_job", "show_job", "pause_job", "delete_job"} <= made.keys()
    ran = paths["/api/v1/jobs/{name}/runs"]["post"]["responses"]["201"]["links"]
    assert {"show_run", "run_output", "cancel_run"} <= ran.keys()


@pytest.mark.timeout(3600)  # the long form; the short one takes seconds
def test_no_order_of_requests_makes_the_server_fail(host: Host, request: pytest.FixtureRequest):
    tier = request.config.getoption("--tier")
    faults: dict[str, str] = {}
    seen: dict[int, int] = {}
    node = host.client.list_nodes()["items"][0]["name"]
    schema = schemathesis.openapi.from_dict(document(node))
    schema.config.generation.update(modes=[GenerationMode.POSITIVE])  # what is wrong: test_fuzz
    with port_of(host.state / "run" / "api.sock") as url:

        class Machine(schema.as_state_machine()):  # type: ignore[misc]
            def get_call_kwargs(self, case: Any) -> dict[str, Any]:
                del case
                return {"base_url": url, "timeout": PATIENCE_S}

            def teardown(self) -> None:
                """A round may have held the fleet or drained its node: not the next one too."""
                super().teardown()
                host.client.set_hold("test", hold=False)
                host.client.set_drained(node, "test", drained=False)

            def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
                status = response.status_code
                seen[status] = seen.get(status, 0) + 1
                name = case.operation.definition.raw["operationId"]
                if status >= 500:
                    faults.setdefault(f"{name} {status}", response.text[:600])
                elif status >= 400 and "problem+json" not in str(response.headers["content-type"]):
                    faults.setdefault(f"{name} {status}", "no problem document")

        while sum(seen.values()) < REQUESTS[tier] and not faults:
            # What a real server answers depends on more than what was drawn: then it is drawn anew.
            with suppress(Flaky):
                run_state_machine_as_test(
                    Machine,
                    settings=settings(
                        max_examples=ROUNDS[tier], stateful_step_count=STEPS, deadline=None,
                        database=None, derandomize=tier == "commit" and not seen,
                        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
                    ),
                )  # fmt: skip
    print(f"answers by status: {dict(sorted(seen.items()))}")  # noqa: T201 - shown by -s
    assert faults == {}
    assert [one["name"] for one in host.client.list_nodes()["items"]] == [node]
    assert seen.get(200, 0) + seen.get(201, 0) > REQUESTS[tier] // 10
    assert host.client.health()["status"] == "ok"
