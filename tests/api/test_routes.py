"""Each word of a fleet, said by Client over a real Unix socket."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client, Fleet
from cronherd.domain.access import LOCAL, Caller
from cronherd.domain.errors import Conflict, Invalid, InvalidInput, NotFound
from cronherd.service import Service
from tests.api.always import Always
from tests.api.conftest import Send, send_raw
from tests.api.stand_in import StandIn

NIGHTLY = {"name": "nightly", "command": "true"}


def words_of(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


# ------------------------------------------------------------------ one contract


@pytest.mark.parametrize("kind", [Service, Client, StandIn])
def test_it_has_the_same_words_here_and_elsewhere(kind: type):
    assert words_of(Fleet)
    words = words_of(kind)
    if kind is not Client:  # what is served has more, for live views
        words = {name: words[name] for name in words_of(Fleet)}
    assert words == words_of(Fleet)


def test_it_fits_the_protocol_for_the_type_checker():
    kinds: list[type[Fleet]] = [Service, Client, StandIn]
    assert kinds


def test_it_lets_the_app_say_who_asks(service: StandIn, folder: Path):
    class ByHeader(Always):
        async def __call__(self, request: Request) -> Caller:
            name = request.headers.get("X-Who")
            if name is None:
                raise Invalid("who are you?", code="nobody")
            return replace(LOCAL, actor=name)

    server = ApiServer(build_app(service, who=ByHeader(LOCAL)), folder / "s")
    server.start()
    body = json.dumps(NIGHTLY).encode()
    assert send_raw(folder / "s", "POST", "/api/v1/jobs", body, X_Who="ann").status == 201
    assert send_raw(folder / "s", "POST", "/api/v1/jobs", body).document["code"] == "nobody"
    server.stop()
    assert service.heard == [("create_job", "nightly", "ann", "command")]


# ------------------------------------------------------------------ jobs


def test_it_creates_a_job_and_shows_it(client: Client, service: StandIn):
    made = client.create_job(NIGHTLY, "ignored", "jobs.yaml")
    assert made["definition"] == NIGHTLY
    assert made == {**client.show_job("nightly"), "repeated": False}
    assert client.show_job("nightly") == service.jobs["nightly"]
    assert service.heard == [("create_job", "nightly", "local", "jobs.yaml")]


def test_it_answers_a_creation_with_its_place_and_version(send: Send):
    reply = send("POST", "/jobs", b'{"name": "a b%"}')
    assert reply.status == 201
    assert reply.headers["Location"] == "/api/v1/jobs/a%20b%25"
    assert reply.headers["ETag"] == '"1"'
    assert send("GET", "/jobs/a%20b%25").headers["ETag"] == '"1"'


def test_it_lists_jobs_page_by_page(client: Client):
    for name in ("a", "b", "c"):
        client.create_job({"name": name}, "me")
    assert [job["name"] for job in client.list_jobs(limit=2)["items"]] == ["a", "b"]
    assert [job["name"] for job in client.list_jobs("b", 2)["items"]] == ["c"]


def test_it_edits_the_version_that_was_read(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    edited = client.edit_job("nightly", {"name": "nightly", "command": "false"}, 1, "me")
    assert edited["version"] == 2
    assert service.heard[-1] == ("edit_job", "nightly", 1, "local")
    with pytest.raises(Conflict) as caught:
        client.edit_job("nightly", NIGHTLY, 1, "me")
    assert (caught.value.code, caught.value.hint) == ("version_conflict", "look again")


def test_it_edits_whatever_version_there_is_when_none_was_read(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    client.edit_job("nightly", NIGHTLY, None, "me")
    assert service.heard[-1] == ("edit_job", "nightly", None, "local")


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"1"', 200), ("1", 200), ("*", 200), ('"7"', 412), ('W/"1"', 422), ("x", 422), ("", 422)],
)
def test_it_takes_the_version_from_if_match(send: Send, client: Client, tag: str, status: int):
    client.create_job(NIGHTLY, "me")
    reply = send("PUT", "/jobs/nightly", b'{"name": "nightly"}', If_Match=tag)
    assert reply.status == status
    assert reply.headers["ETag"] == ('"2"' if status == 200 else None)


def test_it_enables_and_disables(client: Client):
    client.create_job(NIGHTLY, "me")
    assert client.set_enabled("nightly", "me", enabled=False)["enabled"] is False
    assert client.set_enabled("nightly", "me", enabled=True)["enabled"] is True


@pytest.mark.parametrize(
    "given",
    [{}, {"until": "2027-01-01 06:00"}, {"length": "2h"}, {"length": 90}, {"length": 1.5}],
)
def test_it_pauses_and_resumes(client: Client, service: StandIn, given: dict[str, Any]):
    client.create_job(NIGHTLY, "me")
    run = client.run_job("nightly", "me")["run"]["id"]
    assert client.pause_job("nightly", "me", **given)["started_before"] == [run]
    assert client.resume_job("nightly", "me")["paused"] is False
    assert service.heard[-2:] == [
        ("pause_job", "nightly", "local", given.get("until"), given.get("length")),
        ("resume_job", "nightly", "local"),
    ]
    with pytest.raises(Conflict) as caught:
        client.resume_job("nightly", "me")
    assert caught.value.code == "not_paused"


def test_it_pauses_without_a_body(client: Client, send: Send, service: StandIn):
    client.create_job(NIGHTLY, "me")
    reply = send("POST", "/jobs/nightly/pause")
    assert (reply.status, reply.headers["ETag"]) == (200, '"1"')
    assert service.heard[-1] == ("pause_job", "nightly", "local", None, None)


def test_it_deletes_a_job(client: Client):
    client.create_job(NIGHTLY, "me")
    assert client.delete_job("NIGHTLY", "me") == {
        "deleted": "nightly",
        "id": "id0",
        "started_before": [],
    }
    with pytest.raises(NotFound, match="there is no job 'nightly'"):
        client.show_job("nightly")


def test_it_tells_every_fault_of_a_definition(client: Client):
    with pytest.raises(InvalidInput) as caught:
        client.create_job({}, "me")
    faults = [(fault.code, fault.text, fault.hint, fault.where) for fault in caught.value.errors]
    assert faults == [
        ("missing", "is required", "", "name"),
        ("unknown", "unknown setting", "did you mean 'timeout'?", ""),
    ]


@pytest.mark.parametrize("dry_run", [True, False])
def test_it_applies_definitions(client: Client, service: StandIn, dry_run: bool):  # noqa: FBT001
    answer = client.apply_jobs(["x", None, {}], "jobs.yaml", "me", dry_run=dry_run)
    assert answer["applied"] is not dry_run
    assert [change["name"] for change in answer["changes"]] == ["x", "None", "{}"]
    assert service.heard == [("apply_jobs", 3, "jobs.yaml", "local", dry_run)]
    may = {"prune": True, "allow_empty": True, "adopt": True}
    client.apply_jobs([], "x", "me", dry_run=dry_run, plan="f00", **may)
    assert service.heard[-1] == ("prune", True, True, True, "f00")


def test_it_takes_twenty_thousand_jobs_at_once(client: Client, service: StandIn):
    definitions = [{"name": f"job {n}", "command": "x" * 1_000} for n in range(20_000)]
    client.apply_jobs(definitions, "big", "me", dry_run=True)
    assert service.heard == [("apply_jobs", 20_000, "big", "local", True)]


def test_it_skips_slots_and_takes_it_back(client: Client, service: StandIn, send: Send):
    client.create_job(NIGHTLY, "ignored")
    assert client.skip_next("nightly", "ignored", count=3)["slots"] == ["x"] * 3
    assert send("POST", "/jobs/nightly/skip-next").document["slots"] == ["x"]
    assert client.undo_skip("nightly", "ignored")["slots"] == []
    assert service.heard[1:] == [
        ("skip_next", "nightly", "local", 3),
        ("skip_next", "nightly", "local", 1),
        ("undo_skip", "nightly", "local"),
    ]
    for body in (b'{"count": "3"}', b'{"count": true}', b'{"number": 3}'):
        assert send("POST", "/jobs/nightly/skip-next", body).status == 422


def test_it_backfills_a_stretch(client: Client, service: StandIn, send: Send):
    client.create_job(NIGHTLY, "ignored")
    assert client.backfill("nightly", "x", start="a", end="b")["made"] == 1
    assert client.backfill("nightly", "x", start="a", end="b", dry_run=True)["made"] == 0
    heard = [call[3:] for call in service.heard if call[0] == "backfill"]
    assert heard == [("a", "b", False), ("a", "b", True)]
    reply = send("POST", "/jobs/nightly/backfill", b'{"from": "a"}')
    assert (reply.status, reply.document["code"]) == (422, "missing")
    assert send("POST", "/jobs/nightly/backfill", b'{"from": 1, "to": "b"}').status == 422


def test_it_says_why(client: Client, send: Send):
    client.create_job(NIGHTLY, "ignored")
    assert client.why("nightly")["items"] == [{"at": None}]
    assert client.why("nightly", "2026-11-21 02:30+01:00")["items"] == [
        {"at": "2026-11-21 02:30+01:00"}
    ]
    assert send("GET", "/jobs/nobody/why").status == 404


def test_it_lists_the_jobs_of_a_tag_and_of_a_node(client: Client, send: Send):
    assert client.list_jobs(tag="a b")["tag"] == "a b"
    assert client.list_jobs(node="web-1")["node"] == "web-1"
    assert client.list_jobs(sort="-took")["sort"] == "-took"
    assert not {"tag", "node", "sort"} & client.list_jobs().keys()
    assert send("GET", "/jobs?tag=night&node=web-1").document["tag"] == "night"


def test_it_tells_the_next_slots_to_the_microsecond(client: Client):
    client.create_job(NIGHTLY, "me")
    slots = client.next_slots("nightly", 2, 1_800_000_000_000_001)["slots"]
    assert slots == ["2027-01-15T08:00:00.000001Z"] * 2
    assert client.next_slots("nightly", 1)["slots"] == [None]


# ------------------------------------------------------------------ runs


def test_it_runs_a_job_once_per_request(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    first = client.run_job("nightly", "me", request_id="r1", force=True)
    again = client.run_job("nightly", "me", request_id="r1")
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["run"] == again["run"]
    assert service.heard[-1] == ("run_job", "nightly", "local", "r1", True, {})
    assert client.run_job("nightly", "me")["run"]["id"] != first["run"]["id"]


def test_it_hands_on_the_parameters_of_a_run(client: Client, service: StandIn, send: Send):
    client.create_job(NIGHTLY, "me")
    given = {"size": 5, "dry": True, "to": "Zürich"}
    client.run_job("nightly", "me", params=given)
    assert service.heard[-1] == ("run_job", "nightly", "local", None, False, given)
    reply = send("POST", "/jobs/nightly/runs", b'{"params": {"size": 0.5}}')
    assert (reply.status, service.heard[-1][-1]) == (201, {"size": 0.5})
    for body in (b'{"params": [1]}', b'{"params": null}'):
        reply = send("POST", "/jobs/nightly/runs", body)
        assert (reply.status, reply.document["detail"]) == (422, "must be a mapping")
        assert reply.document["where"] == "params"


def test_it_takes_the_idempotency_key_as_the_request(send: Send, client: Client):
    client.create_job(NIGHTLY, "me")
    keys = ["abc", '"abc"']
    replies = [send("POST", "/jobs/nightly/runs", Idempotency_Key=key) for key in keys]
    assert [reply.status for reply in replies] == [201, 200]
    body = b'{"request_id": "abc"}'
    assert send("POST", "/jobs/nightly/runs", body, Idempotency_Key="abc").status == 200
    reply = send("POST", "/jobs/nightly/runs", body, Idempotency_Key="other")
    assert (reply.status, reply.document["code"]) == (422, "bad_request_id")


def test_it_lists_runs_by_what_was_asked(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    ids = [client.run_job("nightly", "me")["run"]["id"] for _ in range(3)]
    service.finish(ids[0])
    assert [run["id"] for run in client.list_runs()["items"]] == ids[::-1]
    assert len(client.list_runs(job="nightly", limit=2)["items"]) == 2
    assert [run["id"] for run in client.list_runs(state="finished")["items"]] == ids[:1]
    assert [run["id"] for run in client.list_runs(outcome="succeeded")["items"]] == ids[:1]
    assert [run["id"] for run in client.list_runs(before=ids[1])["items"]] == ids[:1]
    with pytest.raises(NotFound):
        client.list_runs(job="other")


def test_it_shows_and_cancels_a_run(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    run = client.run_job("nightly", "me")["run"]["id"]
    assert client.show_run(run)["attempts"] == []
    assert client.cancel_run(run, "me")["cancel_requested"] is True
    assert service.heard[-1] == ("cancel_run", run, "local")
    service.finish(run)
    with pytest.raises(Conflict) as caught:
        client.cancel_run(run, "me")
    assert caught.value.code == "already_ended"


def test_it_shows_output_after_a_piece(client: Client, service: StandIn):
    client.create_job(NIGHTLY, "me")
    run = client.run_job("nightly", "me")["run"]["id"]
    every_byte = bytes(range(256)).decode("latin-1")
    for text in ("a", every_byte, "c"):
        service.add_piece(run, text)
    answer = client.run_output(run, attempt=1, after=0, limit=1)
    assert [piece["bytes"] for piece in answer["items"]] == [every_byte]
    assert client.run_output(run, attempt=2)["items"] == []


# ------------------------------------------------------------------ nodes


def test_it_drains_resumes_and_removes_a_node(client: Client, service: StandIn):
    assert client.set_drained("DB-1", "me", drained=True)["drained"] is True
    assert client.set_drained("db-1", "me", drained=False)["drained"] is False
    assert service.heard == [
        ("set_drained", "DB-1", "local", True),
        ("set_drained", "db-1", "local", False),
    ]
    for alive, code in ((True, "node_alive"), (False, "node_holds_runs")):
        service.nodes["db-1"]["alive"] = alive
        with pytest.raises(Conflict) as caught:
            client.remove_node("db-1", "me", confirm_dead=False)
        assert caught.value.code == code
    assert client.remove_node("db-1", "me", confirm_dead=True)["removed"] == "db-1"
    assert service.heard[-1] == ("remove_node", "db-1", "local", True)
    with pytest.raises(NotFound) as lost:
        client.set_drained("db-1", "me", drained=True)
    assert (lost.value.code, lost.value.hint) == ("no_such_node", "see 'node list'")


def test_it_holds_the_fleet_and_lets_it_go_on(client: Client, service: StandIn):
    assert client.set_hold("me", hold=True)["hold"] == {"since": "x", "by": "local"}
    assert client.set_hold("me", hold=False)["hold"] is None
    assert service.heard == [("set_hold", "local", True), ("set_hold", "local", False)]


# ------------------------------------------------------------------ locks


def test_it_takes_renews_and_gives_back_a_lock(client: Client, service: StandIn):
    token = "0123456789abcdef"
    taken = client.acquire_lock("a:b", token, "web:1", shared=True, expires="2h")
    assert (taken["held"], taken["lock"]) == (True, {"fence": 7})
    assert client.list_locks()["items"] == [{"name": "a:b"}]
    assert client.renew_lock("a:b", token, expires=90)["held"]
    assert client.release_lock("a:b", token, gap=1.5)["released"]
    assert service.heard == [
        ("acquire_lock", "a:b", token, "web:1", True, "2h"),
        ("renew_lock", "a:b", token, 90),
        ("release_lock", "a:b", token, 1.5),
    ]


def test_it_clears_a_lock(client: Client, service: StandIn):
    service.locks["report"] = "token"
    assert client.clear_lock("report", "me")["cleared"] == "report"
    assert service.heard == [("clear_lock", "report", "local")]
    with pytest.raises(NotFound, match="nobody holds"):
        client.clear_lock("report", "me")


@pytest.mark.parametrize(
    "body",
    [b'{"shared": 1}', b'{"expires": true}', b'{"expires": []}', b'{"token": 1}', b'{"name": "x"}'],
)
def test_it_refuses_a_lock_that_is_asked_for_wrongly(send: Send, body: bytes):
    assert send("POST", "/locks/report/acquire", body).status == 422


# ------------------------------------------------------------------ the whole


def test_it_tells_about_the_fleet(client: Client):
    client.create_job(NIGHTLY, "me")
    assert client.health()["status"] == "ok"
    assert client.status()["counts"] == {"enabled": 1}
    assert client.list_nodes()["items"] == [{"name": "db-1", "alive": True}]
    assert client.timers(7)["items"] == [{"limit": 7}]
    assert client.list_ledger("nightly", 8)["items"] == [{"job": "nightly", "limit": 8}]
    assert client.list_ledger()["items"] == [{"job": None, "limit": 50}]
    assert client.list_events(9)["items"] == [{"kind": "job_created", "limit": 9}]


def test_it_describes_every_route(send: Send):
    described = send("GET", "/openapi.json").document
    operations = [one for path in described["paths"].values() for one in path.values()]
    assert len(operations) == len({one["operationId"] for one in operations}) == 78
    for one in operations:
        assert one["summary"]
        assert one["tags"]
        assert "application/problem+json" in one["responses"]["4XX"]["content"]
    assert "HTTPValidationError" not in str(described)


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "name",
    ["a b", "a.b", "...", "100%", "%41", "a%2Fb", "Grüße", "日本語", "🕐", "a?b#c", "a+b&c=d",
     "runs", "a:b@c", "~", "'\"<b>;", "x" * 120],
)  # fmt: skip
def test_it_finds_a_job_by_any_name(client: Client, name: str):
    client.create_job({"name": name}, "me")
    assert client.show_job(name)["name"] == name
    assert client.set_enabled(name, "me", enabled=False)["name"] == name
    assert client.run_job(name, "me")["run"]["job"] == name
    assert len(client.list_runs(job=name)["items"]) == 1
    assert client.next_slots(name, 1)["job"] == name
    assert client.pause_job(name, "me")["name"] == name
    assert client.resume_job(name, "me")["name"] == name
    assert client.delete_job(name, "me")["deleted"] == name


@pytest.mark.parametrize("name", ["", "/", "a/b", "../runs", "a/enable"])
def test_it_finds_no_job_by_what_is_no_name(client: Client, name: str):
    with pytest.raises(NotFound):
        client.show_job(name)


def test_it_audits_one_job_or_a_page_of_all(client: Client, service: StandIn):
    assert client.audit("nightly", "2027-01-01", "2027-02-01")["items"][0]["job"] == "nightly"
    client.audit(after="a b", limit=7)
    assert service.heard == [
        ("audit", "nightly", "2027-01-01", "2027-02-01", None, 50),
        ("audit", None, None, None, "a b", 7),
    ]


# ------------------------------------------------------------------ edits, keys, pages


def test_an_edit_says_what_it_edits(send: Send, client: Client):
    client.create_job(NIGHTLY, "me")
    body = json.dumps(NIGHTLY).encode()
    reply = send("PUT", "/jobs/nightly", body)
    assert (reply.status, reply.document["code"]) == (428, "version_required")
    assert send("PUT", "/jobs/nightly", body, If_Match='"1"').headers["ETag"] == '"2"'
    reply = send("PUT", "/jobs/nightly", body, If_Match='"1"')
    assert (reply.status, reply.document["code"]) == (412, "version_conflict")
    assert send("PUT", "/jobs/nightly", body, If_Match="*").headers["ETag"] == '"3"'
    assert client.edit_job("nightly", NIGHTLY, None, "me")["version"] == 4


def test_a_creation_that_is_sent_again_makes_nothing(send: Send, service: StandIn):
    body = json.dumps(NIGHTLY).encode()
    replies = [send("POST", "/jobs", body, Idempotency_Key=key) for key in ("k", '"k"')]
    assert [reply.status for reply in replies] == [201, 200]
    assert [reply.document["repeated"] for reply in replies] == [False, True]
    assert len(service.heard) == 1
    assert send("POST", "/jobs", body, Idempotency_Key="other").status == 409


def test_lists_begin_at_a_cursor(send: Send, client: Client):
    for name in ("a", "b", "c"):
        client.create_job({"name": name}, "me")
        client.set_secret(name, "value", "me")
    for word in ("cursor", "after"):
        found = send("GET", f"/jobs?{word}=a").document["items"]
        assert [job["name"] for job in found] == ["b", "c"]
    reply = send("GET", "/jobs?cursor=a&after=b")
    assert (reply.status, reply.document["code"]) == (422, "bad_cursor")
    runs = [client.run_job("a", "me")["run"]["id"] for _ in range(3)]
    for word in ("cursor", "before"):
        found = send("GET", f"/runs?{word}={runs[1]}").document["items"]
        assert [run["id"] for run in found] == runs[:1]
    assert [one["name"] for one in client.list_secrets(cursor="b")["items"]] == ["c"]
    assert client.list_nodes(cursor="db-1")["items"] == []
    assert client.list_events(3, cursor="5.1", kind="k", subject="s")["items"] == [
        {"kind": "k", "limit": 3, "cursor": "5.1", "subject": "s"}
    ]
    assert client.list_ledger("a", 3, cursor="5.1", reason="r")["items"] == [
        {"job": "a", "limit": 3, "cursor": "5.1", "reason": "r"}
    ]
    assert client.timers(3, "9.a")["items"] == [{"limit": 3, "cursor": "9.a"}]
    assert client.list_alerts("sent", 3, cursor="9.1")["items"][0]["cursor"] == "9.1"


def test_parameters_of_a_list_become_one_search(send: Send):
    query = "state=error&q=backup&source=a%20b"
    assert send("GET", f"/jobs?{query}").document["q"] == 'state:error source:"a b" backup'
    assert send("GET", "/jobs?state=odd").status == 422
    query = "tag=t&node=n&cause=api&from=2h&to=1h&q=x"
    found = send("GET", f"/runs?{query}").document["q"]
    assert found == "tag:t node:n cause:api since:2h until:1h x"
    reply = send("GET", "/runs?q=color:red")
    assert (reply.status, reply.document["code"]) == (422, "bad_search")
    reply = send("GET", "/runs?q=tag:a&tag=b")
    assert (reply.status, reply.document["code"]) == (422, "bad_search")
