"""Each route that reads a body says so in the description, and all that it reads."""

import inspect
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from cronherd.api import body as bodies
from cronherd.api.app import build_app
from cronherd.api.base import PREFIX, all_routes
from cronherd.docs import openapi
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Invalid
from tests.api.always import Always
from tests.api.stand_in import StandIn

DESCRIBED = {
    operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
    for methods in openapi()["paths"].values()
    for operation in methods.values()
    if "requestBody" in operation
}


def callables(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from callables(inner)


def reading() -> dict[str, APIRoute]:
    """The routes of the API that read a body, by operation."""
    app = build_app(StandIn(), who=Always(LOCAL))
    return {
        str(route.operation_id): route
        for path, route in all_routes(app.routes)
        if isinstance(route, APIRoute)
        and path.startswith(PREFIX)
        and bodies._bytes_of in callables(route.dependant)
    }


READING = reading()
MAPPINGS = sorted(
    name for name, route in READING.items() if bodies._mapping in callables(route.dependant)
)


def test_each_route_that_reads_a_body_is_described_with_one():
    assert len(MAPPINGS) > 18
    assert sorted(READING) == sorted(DESCRIBED)


@pytest.mark.parametrize("name", MAPPINGS)
def test_the_description_names_each_member_that_is_read(name: str):
    """The route itself says which: in its answer to one that it does not know."""
    endpoint = READING[name].endpoint
    given: dict[str, object] = dict.fromkeys(inspect.signature(endpoint).parameters)
    with pytest.raises(Invalid) as caught:
        endpoint(**{**given, "body": {"no such member": 1}})
    assert caught.value.code == "unknown_key"
    known = caught.value.hint.removeprefix("known are ").split(", ")
    schema = DESCRIBED[name]
    assert sorted(known) == sorted(schema["properties"])
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(known)
