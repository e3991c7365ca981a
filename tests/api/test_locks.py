"""Locks over the API: the real Service on a real file, and no answer with a token in it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Invalid, NotFound
from cronherd.service import Service
from tests.api.always import Always
from tests.engine.stand_in import Rig

ONE, TWO = 32 * "a", 32 * "b"


@pytest.fixture
def client(tmp_path: Path, folder: Path) -> Iterator[Client]:
    rig = Rig(tmp_path)
    service = Service(
        rig.store,
        rig.store,
        new_id=rig.new_id,
        wake=lambda: None,
        pause=lambda: False,
        timezone="UTC",
    )
    server = ApiServer(build_app(service, who=Always(replace(LOCAL, actor="ann"))), folder / "s")
    server.start()
    yield Client.over_socket(folder / "s")
    server.stop()


def test_a_lock_says_who_is_in_the_way_and_never_by_which_token(client: Client):
    first = client.acquire_lock("report", ONE, "web1:42", shared=False, expires="1h")
    second = client.acquire_lock("report", TWO, "web2:7", shared=True, expires="1h")
    assert (first["held"], second["held"], second["lock"]) == (True, False, None)
    (holder,) = second["holders"]
    assert holder == {**first["lock"], "held_s": holder["held_s"], "left_s": holder["left_s"]}
    assert (holder["holder"], holder["mode"]) == ("web1:42", "exclusive")
    assert 3_590 < holder["left_s"] <= 3_600
    assert holder["fence"] > 0
    assert client.list_locks()["items"][0]["name"] == "report"
    assert ONE not in json.dumps([first, second, client.list_locks(), client.list_events()])


def test_only_its_token_renews_and_releases_it(client: Client):
    client.acquire_lock("report", ONE, "web1:42", shared=False, expires="1h")
    assert not client.renew_lock("report", TWO, expires="1h")["held"]
    assert not client.release_lock("report", TWO)["released"]
    assert client.renew_lock("report", ONE, expires=10)["held"]
    assert client.release_lock("report", ONE)["released"]
    assert client.list_locks()["items"] == []


def test_a_shared_one_has_no_fence(client: Client):
    taken = client.acquire_lock("report", ONE, "web1:42", shared=True, expires="1h")
    assert (taken["lock"]["mode"], taken["lock"]["fence"]) == ("shared", None)


def test_a_cleared_lock_is_an_event_with_its_actor(client: Client):
    client.acquire_lock("report", ONE, "web1:42", shared=False, expires="1h")
    cleared = client.clear_lock("report", "ignored")
    assert [holder["holder"] for holder in cleared["holders"]] == ["web1:42"]
    event = client.list_events(1)["items"][0]
    assert (event["kind"], event["subject"], event["actor"]) == ("lock_cleared", "report", "ann")
    with pytest.raises(NotFound):
        client.clear_lock("report", "ignored")


@pytest.mark.parametrize(
    ("name", "token", "holder", "expires", "code"),
    [
        ("a b", ONE, "web", "1h", "bad_lock_name"),
        (121 * "x", ONE, "web", "1h", "bad_lock_name"),
        ("report", "short", "web", "1h", "bad_lock_token"),
        ("report", f"{30 * 'a'}'", "web", "1h", "bad_lock_token"),
        ("report", ONE, "", "1h", "bad_holder"),
        ("report", ONE, 201 * "x", "1h", "bad_holder"),
        ("report", ONE, "web", 0.5, "bad_expiry"),
        ("report", ONE, "web", "366d", "bad_expiry"),
        ("report", ONE, "web", "soon", "bad_duration"),
    ],
)
def test_what_cannot_be_a_lock_is_refused(
    client: Client, name: str, token: str, holder: str, expires: str | float, code: str
):
    with pytest.raises(Invalid) as refused:
        client.acquire_lock(name, token, holder, shared=False, expires=expires)
    assert refused.value.code == code
