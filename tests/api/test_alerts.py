"""The outbox over the API: the real Service on a real file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.api.app import build_app
from cronherd.api.server import ApiServer
from cronherd.client import Client
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import Conflict, Invalid
from cronherd.sealing import Vault
from cronherd.service import Service
from tests.api.always import Always
from tests.engine.stand_in import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def path(rig: Rig, tmp_path: Path, folder: Path) -> Iterator[Path]:
    service = Service(
        rig.store, rig.store, new_id=rig.new_id, wake=lambda: None, pause=lambda: False,
        timezone="UTC", seals=Vault(path=tmp_path / "secret.key", makes=True),
    )  # fmt: skip
    served = ApiServer(build_app(service, who=Always(replace(LOCAL, actor="ann"))), folder / "s")
    served.start()
    yield folder / "s"
    served.stop()


@pytest.fixture
def fleet(path: Path) -> Client:
    return Client.over_socket(path)


def test_a_test_message_is_listed_and_a_retry_counts_what_failed(fleet: Client):
    made = fleet.send_test("webhook", "https://x.org/very-secret?key=1", "me")["alert"]
    (item,) = fleet.list_alerts()["items"]
    assert item == made
    assert (item["target"], item["event"], item["job"]) == ("https://x.org", "test", None)
    assert "very-secret" not in str(fleet.list_alerts())
    assert fleet.list_alerts()["counts"] == {"waiting": 1, "sent": 0, "failed": 0}
    assert fleet.list_alerts(state="sent")["items"] == []
    assert fleet.retry_alerts("me")["retried"] == 0


@pytest.mark.parametrize(
    ("channel", "target", "code"),
    [
        ("pigeon", "x", "bad_channel"),
        ("mail", "a b@x.org", "bad_mailto"),
        ("mail", "a@x.org>\r\nRCPT TO:<b@x.org", "bad_text"),
        ("webhook", "ftp://x.org", "bad_url"),
        ("ping", "http://user:word@x.org", "bad_url"),
        ("ping", "http://x.org/a b", "bad_url"),
    ],
)
def test_what_cannot_be_sent_to_is_refused(fleet: Client, channel: str, target: str, code: str):
    with pytest.raises(Invalid) as caught:
        fleet.send_test(channel, target, "me")
    assert caught.value.code == code
    assert fleet.list_alerts()["items"] == []


def test_an_unknown_state_or_limit_is_refused(fleet: Client, path: Path):
    with pytest.raises(Invalid, match="is not a state"):
        fleet.list_alerts(state="lost")
    with pytest.raises(Invalid, match="limit"):
        fleet.list_alerts(limit=0)


def test_a_secret_that_signs_a_webhook_is_in_use(fleet: Client, rig: Rig):
    fleet.set_secret("hook", "correct horse", "me")
    rig.request("told", webhook={"url": "https://x.org", "secret": "hook"})
    with pytest.raises(Conflict, match="is used by told"):
        fleet.remove_secret("hook", "me")
