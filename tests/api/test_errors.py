"""Every error is one shape, whoever made it: the fleet, FastAPI, Starlette or a fault of ours."""

import json
from typing import Any

import pytest

from cronherd.client import Client
from cronherd.domain.errors import (
    Conflict,
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Unavailable,
)
from tests.api.conftest import Reply, Send
from tests.api.stand_in import StandIn

MEMBERS = {"type", "title", "status", "code", "detail", "hint", "where"}


def problem(reply: Reply) -> Any:
    assert reply.headers["Content-Type"] == "application/problem+json"
    document = reply.document
    assert set(document) - {"errors"} == MEMBERS
    assert document["type"] == "about:blank"
    assert document["status"] == reply.status
    assert document["detail"]
    return document


# ------------------------------------------------------------------ errors of the fleet

ERRORS = [
    (422, Invalid("no", code="bad_limit", hint="less", where="limit")),
    (422, InvalidInput([Invalid("a", code="x", where="p"), Invalid("b", hint="h")])),
    (404, NotFound("no job 'a'", hint="did you mean 'b'?")),
    (404, NotFound("no node 'a'", code="no_such_node", hint="did you mean 'b'?")),
    (404, NotFound("2 nodes are meant", code="ambiguous_node")),
    (409, Conflict("taken", code="name_taken", where="name")),
    (409, Conflict("it is not paused", code="not_paused")),
    (409, Conflict("it is alive", code="node_alive", hint="stop it first")),
    (409, Conflict("it holds runs", code="node_holds_runs")),
    (422, Invalid("it has passed", code="in_the_past", where="until")),
    (412, Conflict("edited", code="version_conflict")),
    (503, Unavailable("the disk is full", code="disk_full", hint="free some space")),
    (500, CronherdError("odd")),
]


@pytest.mark.parametrize(("status", "error"), ERRORS, ids=lambda value: str(value)[:12])
def test_it_gives_an_error_its_status(
    service: StandIn, send: Send, status: int, error: CronherdError
):
    service.fault = error
    document = problem(send("GET", "/health"))
    assert document["status"] == status
    told = (document["code"], document["detail"], document["hint"], document["where"])
    assert told == (error.code, error.text, error.hint, error.where)


@pytest.mark.parametrize(("status", "error"), ERRORS, ids=lambda value: str(value)[:12])
def test_it_raises_the_same_error_elsewhere(
    service: StandIn, client: Client, status: int, error: CronherdError
):
    service.fault = error
    with pytest.raises(CronherdError) as caught:
        client.health()
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert (caught.value.code, caught.value.hint) == (error.code, error.hint)


def test_it_hides_what_it_did_not_expect(
    service: StandIn, client: Client, send: Send, caplog: pytest.LogCaptureFixture
):
    service.fault = ZeroDivisionError("a secret")
    reply = send("GET", "/health")
    document = problem(reply)
    assert (document["status"], document["code"]) == (500, "internal")
    assert b"secret" not in reply.content
    with pytest.raises(CronherdError, match="cronherd failed") as caught:
        client.health()
    assert caught.value.code == "internal"
    # uvicorn's log, which goes to stderr; it wrote of the first before it heard the second
    assert "ZeroDivisionError: a secret" in caplog.text


def test_it_survives_half_a_surrogate_pair_in_a_sentence(service: StandIn, send: Send):
    service.fault = NotFound("no job '\udc80'")
    assert problem(send("GET", "/health"))["detail"] == "no job '?'"


# ------------------------------------------------------------------ routes and methods


@pytest.mark.parametrize(
    "target",
    ["", "/", "/job", "/jobs/", "/jobs/a/b", "/jobs/a%2Fb", "/jobs//runs", "/../x", "/docs"],
)
def test_it_knows_no_such_route(send: Send, target: str):
    document = problem(send("GET", target))
    assert (document["status"], document["code"]) == (404, "no_route")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("PATCH", "/jobs/a", {"GET", "PUT", "DELETE"}),
        ("DELETE", "/jobs", {"GET", "POST"}),
        ("GET", "/apply", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("GET", "/jobs/a/enable", {"POST"}),
        ("GET", "/jobs/a/pause", {"POST"}),
        ("GET", "/nodes/a", {"DELETE"}),
        ("GET", "/maintenance/on", {"POST"}),
    ],
)
def test_it_refuses_another_method(send: Send, method: str, target: str, allowed: set[str]):
    reply = send(method, target)
    document = problem(reply)
    assert (document["status"], document["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["Allow"].split(", ")) == allowed


# ------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("target", "code", "where"),
    [
        ("/jobs?limit=many", "bad_parameter", "limit"),
        ("/jobs?limit=", "bad_parameter", "limit"),
        ("/runs/a/output?after=-2", "bad_parameter", "after"),
        ("/runs/a/output?after=99999999999999999999", "bad_parameter", "after"),
        ("/runs/a/output?attempt=0", "bad_parameter", "attempt"),
        ("/runs/a/output?follow=perhaps", "bad_parameter", "follow"),
    ],
)
def test_it_translates_a_bad_parameter(send: Send, target: str, code: str, where: str):
    document = problem(send("GET", target))
    assert document["status"] == 422
    assert [(fault["code"], fault["where"]) for fault in document["errors"]] == [(code, where)]
    assert "pydantic" not in json.dumps(document)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/jobs?limit=0", "bad_limit"),
        ("/jobs/a/next?from=tomorrow", "bad_instant"),
        ("/jobs/a%00b", "bad_text"),
        ("/runs?job=a%00b", "bad_text"),
        ("/runs/a/output?follow=true&after=3", "bad_parameter"),
    ],
)
def test_it_refuses_what_no_value_can_be(send: Send, target: str, code: str):
    document = problem(send("GET", target))
    assert (document["status"], document["code"]) == (422, code)


# ------------------------------------------------------------------ bodies

DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES = [
    (b"", 400, "bad_json"),
    (b"{", 400, "bad_json"),
    (b"{'a': 1}", 400, "bad_json"),
    (b'"\xff"', 400, "bad_json"),
    ('{"name": "a"}'.encode("utf-16"), 400, "bad_json"),
    ('\ufeff{"name": "a"}'.encode(), 400, "bad_json"),
    (b'{"a": NaN}', 400, "bad_json"),
    (b'{"a": 1e999}', 400, "bad_json"),
    (b'{"a": ' + b"9" * 5_000 + b"}", 400, "bad_json"),
    (b'{"a": 1, "a": 2}', 422, "duplicate_key"),
    (b'{"name": "a\\u0000"}', 422, "bad_text"),
    (b'{"a\\u0000": 1}', 422, "bad_text"),
    (b'{"name": "\\ud800"}', 422, "bad_text"),
    (b'{"name": [[["\\udc80"]]]}', 422, "bad_text"),
    (DEEP, 422, "too_deep"),
    (b"[" * 33 + b"1" + b"]" * 33, 422, "too_deep"),
    (b"[" + b"[]," * 1_000_000 + b"[]]", 422, "too_many"),
    (b" " * ((32 << 20) + 1), 413, "too_large"),
    (b"[]", 422, "missing"),
    (b"null", 422, "missing"),
]


def test_it_takes_a_body_up_to_its_limits(send: Send):
    name = b'{"name": "a", "env": ' + b"[" * 31 + b"1" + b"]" * 31 + b"}"
    assert send("POST", "/jobs", name + b" " * ((32 << 20) - len(name))).status == 201


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=lambda value: str(value)[:20])
def test_it_refuses_a_bad_body(send: Send, service: StandIn, body: bytes, status: int, code: str):
    document = problem(send("POST", "/jobs", body))
    assert (document["status"], document["code"]) == (status, code)
    assert len(document["detail"]) < 400
    assert service.heard == []


def test_it_measures_a_body_whose_length_nobody_announced(send: Send):
    chunks = (b" " * (1 << 20) for _ in range(33))
    reply = send("POST", "/jobs", chunks)
    assert problem(reply)["code"] == "too_large"


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-yaml", "json", "\xff"])
def test_it_takes_json_only(send: Send, content_type: str | None):
    for method, target in (("POST", "/jobs"), ("PUT", "/jobs/a"), ("POST", "/apply")):
        document = problem(send(method, target, b'{"name": "a"}', content_type))
        assert (document["status"], document["code"]) == (415, "not_json")


def test_it_takes_json_with_a_charset(send: Send):
    reply = send("POST", "/jobs", b'{"name": "a"}', "Application/JSON; charset=utf-8")
    assert reply.status == 201


@pytest.mark.parametrize(
    ("target", "body", "where"),
    [
        ("/apply", {}, "definitions"),
        ("/apply", {"definitions": []}, "source"),
        ("/apply", {"definitions": {}, "source": "x"}, "definitions"),
        ("/apply", {"definitions": [], "source": 1}, "source"),
        ("/apply", {"definitions": [], "source": "x", "dry_run": "yes"}, "dry_run"),
        ("/apply", {"definitions": [], "source": "x", "dry-run": True}, "dry-run"),
        ("/jobs/a/runs", {"force": 1}, "force"),
        ("/jobs/a/runs", {"request_id": 1}, "request_id"),
        ("/jobs/a/runs", {"params": []}, "params"),
        ("/jobs/a/runs", {"param": {}}, "param"),
        ("/jobs/a/runs", [], ""),
        ("/jobs/a/pause", {"until": 1}, "until"),
        ("/jobs/a/pause", {"for": True}, "for"),
        ("/jobs/a/pause", {"for": ["2h"]}, "for"),
        ("/jobs/a/pause", {"length": "2h"}, "length"),
        ("/jobs/a/pause", [], ""),
        ("/apply", 7, ""),
    ],
)
def test_it_refuses_members_that_do_not_fit(
    send: Send, service: StandIn, target: str, body: object, where: str
):
    document = problem(send("POST", target, json.dumps(body).encode()))
    assert (document["status"], document["where"]) == (422, where)
    assert service.heard == []
