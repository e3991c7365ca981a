"""The page of one run: what became of it, what it waits for, what it wrote."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from cronherd.pages import run as page_of_run
from cronherd.service import Service
from cronherd.store.base import Chunk, Claim
from tests.pages.conftest import Outline, checked
from tests.store.stage import Stage

Read = Callable[..., Outline]


def wrote(stage: Stage, claim: Claim, *parts: tuple[int, bytes]) -> None:
    chunks = [
        Chunk(
            run_id=claim.run_id, token=claim.token, attempt=1, seq=seq, stream=stream,
            at_us=stage.now_us, dropped=0, chunk=text,
        )
        for seq, (stream, text) in enumerate(parts)
    ]  # fmt: skip
    stage.store.record([], chunks, [])


def started(stage: Stage, name: str = "one", **spec: Any) -> Claim:
    stage.request(stage.job(name, **spec), f"m:{name}")
    claim = stage.claim(1)[0]
    stage.start(claim)
    return claim


def test_output_is_lines_with_links_and_streams(stage: Stage, read: Read):
    claim = started(stage)
    wrote(stage, claim, (1, b"\x1b[32mgood\x1b[0m\n<b>bold</b>\n"), (2, b"bad\n"))
    page = read(f"/runs/{claim.run_id}?times=1")
    assert [each["id"] for each in page.all("li") if "id" in each and each["id"][0] == "L"] == [
        "L1", "L2", "L3",
    ]  # fmt: skip
    assert page.all("span", **{"class": "a-green"})
    assert page.all("b") == []
    assert "stderr: bad" in page.text
    assert page.all("li", id="L3")[0]["class"] == "err"


def test_what_is_looked_for_is_marked_without_a_script(stage: Stage, read: Read):
    claim = started(stage)
    wrote(stage, claim, (1, b"one\nTWO\nthree two\n"))
    page = read(f"/runs/{claim.run_id}?find=two")
    assert "2 lines found" in page.text
    assert [each["id"] for each in page.all("li") if "hit" in each.get("class", "")] == ["L2", "L3"]


def test_long_output_goes_on_on_a_page_of_its_own(
    stage: Stage, browser: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(page_of_run, "SHOWN_BYTES", 40)
    monkeypatch.setattr(page_of_run, "PIECES", 2)
    claim = started(stage)
    wrote(stage, claim, *[(1, f"line {number:02} of some text\n".encode()) for number in range(7)])
    seen, address = [], f"/runs/{claim.run_id}"
    for _ in range(5):
        page = checked(browser.get(address).text)
        seen += [each["id"] for each in page.all("li") if each.get("id", "")[:1] == "L"]
        onward = [each["href"] for each in page.all("a") if "after=" in each.get("href", "")]
        onward = [each for each in onward if "line=" in each and f"line={len(seen) + 1}" in each]
        if not onward:
            break
        address = onward[0]
    assert seen == [f"L{number}" for number in range(1, 8)]


def test_many_lines_of_one_piece_are_several_pages(
    stage: Stage, browser: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(page_of_run, "SHOWN_LINES", 3)
    claim = started(stage)
    wrote(stage, claim, (1, b"1\n2\n"), (1, b"3\n4\n5\n6\n7\n8\n"), (2, b"9\n"))
    pages, address = [], f"/runs/{claim.run_id}"
    while address:
        page = checked(browser.get(address).text)
        pages.append([each["id"] for each in page.all("li") if each.get("id", "")[:1] == "L"])
        follows = f"line={sum(map(len, pages)) + 1}"
        onward = [each["href"] for each in page.all("a") if follows in each.get("href", "")]
        address = onward[0].partition("#")[0] if onward else ""
    assert "1 line found on this page" in browser.get(f"/runs/{claim.run_id}?find=2").text
    assert pages == [["L1", "L2", "L3"], ["L4", "L5", "L6"], ["L7", "L8", "L9"]]


def test_a_download_is_every_byte(stage: Stage, browser: TestClient):
    claim = started(stage)
    wrote(stage, claim, (1, b"\xff\x00a\r\n"), (2, b"<html>"))
    answer = browser.get(f"/runs/{claim.run_id}/output.txt")
    assert answer.content == b"\xff\x00a\r\n<html>"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_run_that_waits_names_who_holds_what_it_waits_for(stage: Stage, read: Read):
    claim = started(stage, overlap="queue")
    job = stage.store.find_job("one")
    waits = stage.request(job.id, "m:again").run_id
    page = read(f"/runs/{waits}")
    assert "An end of the other runs of its job" in page.text
    assert f"Run {claim.run_id[:8]} of one" in page.text


def test_a_run_that_waits_for_a_node_says_so(stage: Stage, read: Read):
    run = stage.request(stage.job("one", run_on={"gpu": "yes"}), "m:1").run_id
    assert "A node with gpu" in read(f"/runs/{run}").text


def test_again_has_the_same_parameters(stage: Stage, service: Service, browser: TestClient):
    stage.job("one", None, params={"n": {"type": "integer", "default": 1}})
    first = service.run_job("one", "local", params={"n": 7})["run"]
    stage.finish_all()
    answer = browser.post(f"/runs/{first['id']}/again", follow_redirects=False)
    assert answer.status_code == 303
    made = [run for run in service.list_runs()["items"] if run["id"] != first["id"]]
    assert [run["params"] for run in made] == [{"n": 7}]
    assert answer.headers["location"] == f"/runs/{made[0]['id']}"


def test_only_what_goes_on_is_kept_live(stage: Stage, read: Read):
    claim = started(stage)
    assert (
        read(f"/runs/{claim.run_id}").all("div", id="live")[0]["data-live"] == f"run:{claim.run_id}"
    )
    stage.end(claim)
    assert "data-live" not in read(f"/runs/{claim.run_id}").all("div", id="live")[0]


def test_the_run_of_a_deleted_job_is_shown(stage: Stage, service: Service, read: Read):
    claim = started(stage)
    stage.end(claim)
    service.delete_job("one", "ada")
    assert "(deleted)" in read(f"/runs/{claim.run_id}").text
