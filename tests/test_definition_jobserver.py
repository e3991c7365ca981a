"""Jobs that a worker of a job server runs: as a definition says them."""

import pytest

from cronherd.definition.jobs import job_schema, read_job
from cronherd.domain.errors import InvalidInput
from cronherd.domain.jobserver import LOCAL, GearmanUse, Server

PLAIN = {"name": "a", "gearman": {"function": "f"}}


def test_a_function_takes_the_place_of_a_command():
    job = read_job(PLAIN, timezone="UTC")
    assert (job.gearman, job.command) == (GearmanUse(function="f", servers=(LOCAL,)), "")


def test_all_of_it_is_read():
    said = {"function": "f", "payload": "x\n", "servers": ["h", "[::1]:5"], "priority": "high"}
    job = read_job({"name": "a", "gearman": said}, timezone="UTC")
    assert job.gearman == GearmanUse(
        function="f", payload="x\n", servers=(Server("h"), Server("::1", 5)), priority="high"
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"payload": ""},
        {"priority": "normal"},
        {"servers": "127.0.0.1"},
        {"servers": ["127.0.0.1:4730", "127.0.0.1"]},
    ],
)
def test_what_means_the_same_is_equal(more: dict[str, object]):
    said = {"name": "a", "gearman": {"function": "f", **more}}
    assert read_job(said, timezone="UTC").spec == read_job(PLAIN, timezone="UTC").spec


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gearman": {}}, "gearman.function: is missing"),
        ({"gearman": {"function": ""}}, "gearman.function: is empty"),
        ({"gearman": {"function": "a\tb"}}, "a function's name has no control characters"),
        ({"gearman": {"function": "f" * 600}}, "a function's name has 1 to 512 bytes"),
        ({"gearman": {"function": "f", "servers": []}}, "must have 1 to 100 job servers"),
        ({"gearman": {"function": "f", "servers": ["h:x"]}}, "'x' is not a port"),
        ({"gearman": {"function": "f", "priority": "urgent"}}, "must be one of high, normal, low"),
        ({"gearman": {"function": "f", "payload": 5}}, "gearman.payload: must be text"),
        ({"gearman": "f"}, "gearman: must be"),
        ({"command": "x"}, "command: is one thing to run, and gearman another"),
        ({"task": "a:b"}, "task: is one thing to run, and gearman another"),
        ({"params": {"a": 1}}, "params: does not reach the worker"),
        ({"stdin": "x"}, "stdin: does not reach the worker"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, object], text: str):
    with pytest.raises(InvalidInput) as caught:
        read_job(PLAIN | change, timezone="UTC")
    assert text in str(caught.value)


def test_the_schema_knows_it():
    schema = job_schema()
    assert {"required": ["gearman"]} in schema["oneOf"]
    assert schema["properties"]["gearman"]
