"""How busy it was and will be: each run and each slot is counted in its step, once."""

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import parse_instant
from cronherd.pages.trend import draw_trend
from cronherd.service import Service, fleet, load
from tests.pages.conftest import Outline
from tests.store.stage import Stage


def test_each_run_and_each_slot_is_in_its_step(service: Service, stage: Stage):
    job = stage.job("a", "every 60s")
    for number, code in enumerate((0, 0, 3)):
        stage.clock.advance(10)
        stage.request(job, f"m:{number}")
        stage.end(*stage.claim(1), exit_code=code)
    told = service.load(600, 600, 60)
    steps = told["steps"]
    assert len(steps) in {20, 21}
    assert sum(sum(step["ended"].values()) for step in steps) == 3
    assert sum(step["ended"].get("failed", 0) for step in steps) == 1
    now_us = parse_instant(told["now"])
    for step in steps:
        begin_us = parse_instant(step["from"])
        assert begin_us % 60_000_000 == 0
        assert not step["slots"] or begin_us + 60_000_000 > now_us
    slots = service.next_slots("a", 50)["slots"]
    end_us = parse_instant(steps[-1]["from"]) + 60_000_000
    wanted = [slot for slot in slots if parse_instant(slot) < end_us]
    assert sum(step["slots"] for step in steps) == len(wanted) > 5


def test_what_is_paused_or_disabled_does_not_come(service: Service, stage: Stage):
    stage.job("off", enabled=False)
    stage.store.pause_job(stage.job("paused"), stage.now_us + 10**12, "tester")
    assert sum(step["slots"] for step in service.load(0, 3_600, 60)["steps"]) == 0


def test_too_much_is_said_and_not_guessed(
    service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(load, "SLOTS_COUNTED", 7)
    monkeypatch.setattr(load, "ENDED_READ", 2)
    job = stage.job("a", "every 10s")
    newest = ""
    for number in range(4):
        stage.clock.advance(5)
        newest = stage.request(job, f"m:{number}").run_id
        stage.end(*stage.claim(1))
    told = service.load(600, 600, 60)
    assert told["complete_until"] == told["now"]
    assert sum(step["slots"] for step in told["steps"]) == 7
    last = next(one for one in service.list_runs()["items"] if one["id"] != newest)
    assert told["complete_from"] == last["created_at"]


@pytest.mark.parametrize("asked", [(60, 60, 0), (10**9, 0, 60), (3_600, 3_600, 1), (-1, 0, 60)])
def test_a_picture_has_bounds(service: Service, asked: tuple[int, int, int]):
    with pytest.raises(Invalid, match="at most 31 days"):
        service.load(*asked)


def test_trends_are_told_oldest_first(service: Service, stage: Stage):
    job = stage.job("a")
    ids = []
    for number in range(4):
        stage.clock.advance(1)
        ids.append(stage.request(job, f"m:{number}").run_id)
        stage.end(*stage.claim(1))
    told = service.trends([job, "0" * 32], 3)["jobs"]
    assert [run["id"] for run in told[job]] == ids[1:]
    assert told["0" * 32] == []
    with pytest.raises(Invalid):
        service.trends([job], 0)


def test_a_trend_is_drawn_as_it_went():
    runs = [
        {"outcome": word, "duration_s": seconds}
        for word, seconds in (("succeeded", 10), ("failed", 5.0), ("skipped", None), ("lost", 1))
    ]
    page = Outline(draw_trend(runs, 30))
    assert {path["class"]: path["d"] for path in page.all("path")} == {
        "none": "M0 21.5h129",
        "ok": "M130 22v-20.0h4V22z",
        "bad": "M135 22v-10.0h4V22zM145 22v-3.0h4V22z",
        "off": "M140 22v-3.0h4V22z",
        "mark": "M135 23h4v1h-4zM145 23h4v1h-4z",
    }
    (picture,) = page.all("svg")
    assert picture["aria-label"] == "Last 4 runs: 2 of them failed"
    assert "–" in draw_trend([])


def test_totals_of_many_jobs_are_counted_for_all_who_look(
    service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet, "LARGE", 2)
    stage.job("a")
    assert service.overview()["counts"]["jobs"] == 1
    stage.job("b")
    first = service.overview()
    assert (first["counts"]["jobs"], first["counted_at"]) == (2, first["now"])
    stage.job("c")
    stage.clock.advance(1.5)
    kept = service.overview()
    assert (kept["counts"]["jobs"], kept["counted_at"]) == (2, first["now"])
    stage.clock.advance(1)
    assert service.overview()["counts"]["jobs"] == 3
