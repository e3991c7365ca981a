"""The timeline: each run, missed slot and slot to come is in its lane and in the table."""

import re
from collections.abc import Callable

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import format_instant, parse_instant
from cronherd.service import Service, timeline
from tests.pages.conftest import Outline
from tests.store.stage import Stage

Read = Callable[..., Outline]
HOUR_US = 3_600_000_000


def around(stage: Stage, back: int = HOUR_US, ahead: int = HOUR_US) -> tuple[str, str]:
    edges = (format_instant(stage.now_us - back), format_instant(stage.now_us + ahead))
    return str(edges[0]), str(edges[1])


def test_runs_slots_and_what_was_missed(service: Service, stage: Stage):
    job = stage.job("a", "every 60s")
    stage.job("b", None)
    stage.clock.advance(60)
    stage.fire()
    stage.finish_all()
    stage.store.skip_next(job, 1, "ada")
    stage.clock.advance(60)
    stage.fire()
    told = service.timeline(*around(stage))
    assert [run["job"] for run in told["runs"]] == ["a"]
    assert [each["reason"] for each in told["missed"]] == ["skipped"]
    slots = service.next_slots("a", 100)["slots"]
    wanted = [slot for slot in slots if parse_instant(slot) <= parse_instant(told["to"])]
    assert sum(slot["count"] for slot in told["slots"]) == len(wanted) > 50
    assert (told["complete_from"], told["complete_until"]) == (told["from"], told["to"])


def test_slots_of_one_step_are_one(service: Service, stage: Stage):
    stage.job("a", "every 10s")
    told = service.timeline(*around(stage, 0, 600_000_000), 60)
    assert sum(slot["count"] for slot in told["slots"]) == 60
    assert len(told["slots"]) in {10, 11}


def test_a_run_that_began_before_is_there(service: Service, stage: Stage):
    stage.request(stage.job("a"), "m:1")
    claim = stage.claim(1)[0]
    stage.start(claim)
    stage.clock.advance(5 * 3_600)
    (run,) = service.timeline(*around(stage))["runs"]
    listed = service.list_runs()["items"][0]
    assert run == {key: listed[key] for key in run}
    assert (run["id"], run["state"]) == (claim.run_id, "suspected")  # its node is silent


def test_only_one_job_and_only_the_stretch(service: Service, stage: Stage):
    for name in ("a", "b"):
        stage.request(stage.job(name), f"m:{name}")
    stage.finish_all()
    told = service.timeline(*around(stage), job="a")
    assert {run["job"] for run in told["runs"]} == {"a"}
    assert {slot["job"] for slot in told["slots"]} == {"a"}
    later = str(format_instant(stage.now_us + 10 * HOUR_US))
    empty = service.timeline(str(format_instant(stage.now_us + 9 * HOUR_US)), later)
    assert empty["runs"] == []
    assert all(slot["at"] >= empty["from"] for slot in empty["slots"])


def test_too_much_is_said(service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timeline, "SLOTS_COUNTED", 5)
    monkeypatch.setattr(timeline, "RUNS_READ", 2)
    job = stage.job("a", "every 60s")
    for number in range(4):
        stage.clock.advance(2)
        stage.request(job, f"m:{number}")
        stage.finish_all()
    told = service.timeline(*around(stage))
    assert len(told["runs"]) == 2
    assert told["complete_from"] > told["from"]
    assert told["complete_until"] == told["slots"][-1]["last"] < told["to"]


@pytest.mark.parametrize("hours", [0, -1, 24 * 32])
def test_a_stretch_has_bounds(service: Service, stage: Stage, hours: int):
    with pytest.raises(Invalid, match="at most 31 days"):
        service.timeline(*around(stage, 0, hours * HOUR_US))


def test_the_page_has_lanes_and_the_same_as_a_table(stage: Stage, read: Read):
    stage.job("a", "every 60s")
    stage.clock.advance(60)
    stage.fire()
    stage.finish_all()
    page = read("/timeline?span=1h")
    run = stage.runs()[0].id
    assert [each for each in page.all("a", href=f"/runs/{run}") if "tabindex" in each]
    assert [each for each in page.all("a", href=f"/runs/{run}") if "tabindex" not in each]
    assert "to come" in page.text
    assert "no node yet" in read("/timeline?span=24h&by=node").text


def test_slots_too_near_to_tell_apart_are_one_bar(stage: Stage, read: Read):
    stage.job("often", "every 60s")
    stage.job("rarely", "every 1h")
    text = read("/timeline?span=6h").text
    assert len(set(re.findall(r"often: (?:179|180) slots to come", text))) == 1
    assert len(re.findall(r"rarely: 1 slot to come", text)) == 3


@pytest.mark.parametrize(
    "query",
    ["span=x", "at=nonsense", "job=nobody", "by=z", "at=9999-12-31T23:59:59Z", "at=0001-01-01"],
)
def test_an_odd_address_is_a_page(stage: Stage, read: Read, query: str):
    stage.job("a", "every 60s")
    read(f"/timeline?{query}")


def test_what_rare_jobs_do_not_need_is_for_the_others(
    service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timeline, "SLOTS_COUNTED", 70)
    for name in ("a", "b", "c"):
        stage.job(name, "0 0 1 1 *")
    stage.job("often", "every 60s")
    told = service.timeline(*around(stage))
    assert told["complete_until"] == told["to"]
    assert sum(slot["count"] for slot in told["slots"]) in {59, 60, 61}


def test_what_ended_before_is_not_there(service: Service, stage: Stage):
    stage.request(stage.job("a"), "m:1")
    stage.finish_all()
    stage.clock.advance(1_200)
    assert service.timeline(*around(stage, 600_000_000))["runs"] == []
    assert len(service.timeline(*around(stage, 1_300_000_000))["runs"]) == 1
