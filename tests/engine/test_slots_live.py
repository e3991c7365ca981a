"""Slots on a real node: skipped, asked about, and made up for."""

import json
from typing import Any

from tests.engine.host import Host, wait_until


def _done(host: Host, *words: str) -> str:
    done = host.say(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _why(host: Host, at: str | None = None) -> dict[str, Any]:
    words = ["why", "beat", "-o", "json", *(["--at", at] if at else [])]
    (item,) = json.loads(_done(host, *words))["items"]
    return dict(item)


def _runs(host: Host) -> list[dict[str, Any]]:
    return list(host.client.list_runs(job="beat", limit=100)["items"])


def test_a_slot_is_skipped_explained_and_made_up_for(host: Host) -> None:
    host.up()
    job = {"name": "beat", "command": "true", "cwd": "/", "schedule": "every 2s"}
    host.client.create_job({**job, "overlap": "allow"}, "local")
    told = json.loads(_done(host, "job", "skip-next", "beat", "--count", "3", "-o", "json"))
    skipped = told["slots"]
    assert len(skipped) == 3
    item = _why(host, skipped[2])
    assert (item["answer"], item["reason"]) in {
        ("will_not_run", "skipped"), ("did_not_run", "skipped"),
    }  # fmt: skip
    assert item["event"]["actor"].startswith("local")

    def behind() -> list[dict[str, Any]]:
        return [run for run in _runs(host) if run["scheduled_at"] > skipped[2]]

    wait_until(lambda: bool(behind()), "nothing runs behind the skipped slots")
    wait_until(lambda: behind()[-1]["outcome"] == "succeeded", "the first run never ended")
    first = behind()[-1]
    for slot in skipped:
        item = _why(host, slot)
        assert (item["answer"], item["reason"], item["runs"]) == ("did_not_run", "skipped", [])
    item = _why(host, first["scheduled_at"])
    assert (item["answer"], item["runs"][0]["id"]) == ("ran", first["id"])
    assert "did not run: somebody said that it is to be skipped" in _done(
        host, "why", "beat", "--at", skipped[0]
    )

    told = _done(host, "backfill", "beat", "--from", skipped[0], "--to", skipped[2])
    assert "3 runs of 'beat' made: cronherd run list beat" in told

    def made() -> list[dict[str, Any]]:
        return [run for run in _runs(host) if run["cause"] == "backfill"]

    wait_until(lambda: [run["outcome"] for run in made()] == ["succeeded"] * 3, "not all ended")
    assert sorted(run["scheduled_at"] for run in made()) == skipped
    told = _done(host, "backfill", "beat", "--from", skipped[0], "--to", skipped[2])
    assert "nothing to do, 3 slots had run already" in told
    item = _why(host, skipped[1])
    assert (item["answer"], item["reason"]) == ("did_not_run", "skipped")
    assert [run["outcome"] for run in item["runs"]] == ["succeeded"]
    assert "1 job is paused" in _done(host, "job", "pause", "--all")
