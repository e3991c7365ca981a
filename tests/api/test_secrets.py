"""Secrets over the API: the real Service on a real file, and no answer with a value in it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Conflict, Invalid, NotFound, Unavailable
from cronherd.sealing import Vault
from cronherd.service import Service
from tests.api.always import Always
from tests.api.conftest import Send, send_raw
from tests.api.stand_in import StandIn
from tests.engine.stand_in import Rig

VALUE = "correct horse battery staple"


def make_service(rig: Rig, vault: Vault | None) -> Service:
    return Service(
        rig.store, rig.store, new_id=rig.new_id, wake=lambda: None, pause=lambda: False,
        timezone="UTC", seals=vault,
    )  # fmt: skip


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(path=tmp_path / "secret.key", makes=True)


@pytest.fixture
def path(rig: Rig, vault: Vault, folder: Path) -> Iterator[Path]:
    served = ApiServer(
        build_app(make_service(rig, vault), who=Always(replace(LOCAL, actor="ann"))), folder / "s"
    )
    served.start()
    yield folder / "s"
    served.stop()


@pytest.fixture
def fleet(path: Path) -> Client:
    return Client.over_socket(path)


def value_of(rig: Rig, vault: Vault, name: str) -> object:
    return vault.open_all([name], rig.store.sealed([name]))[name]


# ------------------------------------------------------------------ the words


def test_it_sets_lists_and_removes(fleet: Client, rig: Rig, vault: Vault):
    made = fleet.set_secret("db", VALUE, "ignored")
    assert (made["name"], made["set_by"], made["masked"]) == ("db", "ann", True)
    assert made["key_made"] == str(vault.path)
    assert value_of(rig, vault, "db") == VALUE
    (known,) = fleet.list_secrets()["items"]
    assert known == {"name": "db", "set_at": made["set_at"], "set_by": "ann"}
    assert fleet.set_secret("db", VALUE * 2, "ignored")["key_made"] is None
    assert value_of(rig, vault, "db") == VALUE * 2
    assert fleet.remove_secret("db", "ignored") == {"removed": "db", "used_by": []}
    assert fleet.list_secrets()["items"] == []


def test_a_short_one_is_said_not_to_be_masked(fleet: Client):
    assert fleet.set_secret("pin", "123", "me")["masked"] is False


def test_what_jobs_use_is_removed_only_by_force(fleet: Client, rig: Rig):
    fleet.set_secret("db", VALUE, "me")
    for name in "abcdefg":
        rig.request(name, secrets=["db"])
    with pytest.raises(Conflict) as caught:
        fleet.remove_secret("db", "me")
    assert caught.value.code == "secret_in_use"
    assert "a, b, c, d, e and 2 more" in caught.value.text
    assert "--force" in caught.value.hint
    assert [secret.name for secret in rig.store.secrets()] == ["db"]
    assert fleet.remove_secret("db", "me", force=True)["used_by"] == list("abcdefg")
    assert rig.store.secrets() == []


def test_what_is_not_there_is_said_with_a_close_name(fleet: Client):
    fleet.set_secret("db-password", VALUE, "me")
    with pytest.raises(NotFound, match="no secret 'db-pasword'") as caught:
        fleet.remove_secret("db-pasword", "me")
    assert (caught.value.code, caught.value.hint) == (
        "no_such_secret",
        "did you mean 'db-password'?",
    )


def test_the_key_is_made_for_the_first_secret_of_all_and_for_no_other(
    fleet: Client, rig: Rig, vault: Vault
):
    rig.store.set_secret("elsewhere", b"sealed by another node", "bob")
    with pytest.raises(Unavailable) as caught:
        fleet.set_secret("db", VALUE, "me")
    assert caught.value.code == "no_secret_key"
    assert not vault.path.exists()
    assert [secret.name for secret in rig.store.secrets()] == ["elsewhere"]


def test_it_seals_all_anew_and_names_what_no_key_opens(fleet: Client, rig: Rig, vault: Vault):
    fleet.set_secret("a", VALUE, "me")
    fleet.set_secret("b", VALUE, "me")
    rig.store.set_secret("lost", b"sealed elsewhere", "bob")
    old = vault.path.read_text()
    fresh = Vault(path=vault.path.with_name("fresh"), makes=True)
    fresh.begin()
    vault.path.write_text(fresh.path.read_text() + old)
    before = rig.store.sealed()
    assert fleet.reseal_secrets("me") == {"api_version": "v1", "resealed": 2, "closed": ["lost"]}
    vault.path.write_text(fresh.path.read_text())
    assert value_of(rig, vault, "a") == value_of(rig, vault, "b") == VALUE
    assert rig.store.sealed(["lost"]) == {"lost": before["lost"]}


def test_a_service_that_cannot_seal_says_so(rig: Rig):
    for verb in (
        lambda service: service.set_secret("db", VALUE, "me"),
        lambda service: service.reseal_secrets("me"),
    ):
        with pytest.raises(Unavailable) as caught:
            verb(make_service(rig, None))
        assert caught.value.code == "no_sealing"


# ------------------------------------------------------------------ values


BAD = [
    {"value": "hunter2\0"},
    {"value": "hunter2\ud800"},
    {"value": "hunter2" + "x" * 70_000},
    {"value": ["hunter2"]},
    {"value": {"hunter2": 1}},
    {"value": 12_345_678},
    {"value": "hunter2", "more": "hunter2"},
    {"wrong": "hunter2"},
    ["hunter2"],
    "hunter2",
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_no_refusal_repeats_a_value(path: Path, rig: Rig, body: object):
    for raw in (json.dumps(body).encode(), json.dumps(body).encode()[:-1] + b"\xff"):
        reply = send_raw(path, "PUT", "/api/v1/secrets/db", raw)
        assert 400 <= reply.status < 500
        assert b"hunter2" not in reply.content
        assert b"12345678" not in reply.content
    assert rig.store.secrets() == []


def test_a_name_that_cannot_be_one_is_refused(fleet: Client):
    with pytest.raises(Invalid) as caught:
        fleet.set_secret("a b", VALUE, "me")
    assert caught.value.code == "bad_secret_name"


def test_no_answer_no_event_and_no_log_has_a_value(
    path: Path, rig: Rig, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"value": VALUE}).encode()
    rig.request("job", secrets=["db"])
    told = [
        send_raw(path, method, f"/api/v1{target}", content).content
        for method, target, content in (
            ("PUT", "/secrets/db", body),
            ("GET", "/secrets", None),
            ("GET", "/jobs/job", None),
            ("GET", "/runs", None),
            ("GET", "/status", None),
            ("GET", "/events", None),
            ("POST", "/secrets/reseal", None),
            ("DELETE", "/secrets/db", None),
            ("DELETE", "/secrets/db?force=true", None),
        )
    ]
    assert len(told) == 9
    assert not any(VALUE.encode() in content for content in told)
    assert VALUE not in caplog.text
    rows = rig.store.events(100)
    assert [str(row.kind) for row in reversed(rows) if str(row.kind).startswith("secret")] == [
        "secret_set",
        "secrets_resealed",
        "secret_removed",
    ]
    assert VALUE not in repr(rows)


def test_no_value_can_be_asked_for(send: Send, service: StandIn):
    service.secrets["db"] = VALUE
    assert send("GET", "/secrets/db").status == 405
    assert VALUE.encode() not in send("GET", "/secrets").content


def test_the_client_says_each_word(client: Client, service: StandIn):
    client.set_secret("a.b-C_1", VALUE, "me")
    assert service.secrets == {"a.b-C_1": VALUE}
    client.reseal_secrets("me")
    client.remove_secret("a.b-C_1", "me", force=True)
    assert service.heard == [
        ("set_secret", "a.b-C_1", "local"),
        ("reseal_secrets", "local"),
        ("remove_secret", "a.b-C_1", "local", True),
    ]
