"""Jobs in another order: what the pages, the API and the command sort by."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cronherd.cli.job import list_command
from cronherd.domain.errors import Invalid
from cronherd.domain.joborder import JobKey, JobOrder, read_order
from cronherd.service import Service, joborder
from tests.store.stage import Stage

Job = Mapping[str, Any]


def last(key: str) -> Callable[[Job], Any]:
    return lambda job: (job["last_run"] or {}).get(key)


# What a list shows of a job, by what it is sorted by.
SHOWN: Mapping[str, Callable[[Job], Any]] = {
    "name": lambda job: job["name"].casefold(),
    "status": lambda job: job["standing"],
    "frequency": lambda job: job["schedule"],
    "result": last("outcome"),
    "next": lambda job: job["next_at"],
    "active": lambda job: job["enabled"],
    "description": lambda job: job["description"],
    "command": lambda job: job["command"],
    "window": lambda job: str(job["window"] or ""),
    "limit": lambda job: job["timeout_s"],
    "started": last("started_at"),
    "ended": last("ended_at"),
    "took": last("duration_s"),
    "worker": last("node"),
    "live": lambda job: job["live_runs"],
    "zone": lambda job: job["timezone"],
    "tags": lambda job: ",".join(job["tags"]),
    "source": lambda job: job["source"],
}


def believable(stage: Stage) -> None:
    """Jobs that differ in all of it, two of them alike."""
    zones = ("UTC", "Europe/Berlin", "Asia/Tokyo")
    for number, name in enumerate(("delta", "Alpha", "charlie", "Bravo", "echo", "echo-2", "golf")):
        job_id = stage.job(
            name,
            None if number == 6 else f"every {90 - 7 * min(number, 4)}s",
            command=f"run {number * 5 % 7}",
            timezone=zones[number % 3],
            description="" if number % 4 == 1 else f"text {number * 3 % 5}",
            tags=[f"t{number % 3}"] * (number % 2),
            timeout=None if number == 2 else f"{60 + number * 11 % 50}s",
            window="08:00-18:00" if number == 3 else None,
            overlap="allow",
        )
        if number % 3 != 2:
            stage.request(job_id, f"m:{number}")
            claims = stage.claim()
            stage.start(*claims)
            stage.clock.advance(7 - number)
            stage.end(*claims, exit_code=number % 2)
        if number == 4:
            stage.request(job_id, "m:live")
        if number == 1:
            stage.store.set_enabled(job_id, "ada", enabled=False)


@pytest.mark.parametrize("key", JobKey)
def test_each_fact_sorts_both_ways(service: Service, stage: Stage, key: JobKey):
    believable(stage)
    value = SHOWN[key]
    named = service.list_jobs()["items"]
    known = [job for job in named if value(job) not in (None, "")]
    without = [job["name"] for job in named if value(job) in (None, "")]
    for sort, down in ((key.value, False), (f"-{key}", True)):
        wanted = [job["name"] for job in sorted(known, key=value, reverse=down)] + without
        told = service.list_jobs(sort=sort)
        assert [job["name"] for job in told["items"]] == wanted
        assert told["sort"] == sort


def test_only_those_that_match_and_as_they_are_in_any_list(service: Service, stage: Stage):
    believable(stage)
    told = service.list_jobs(q="tag:t1 run", sort="-took")
    assert [job["name"] for job in told["items"]] == ["Alpha"]
    everything = {job["name"]: job for job in service.list_jobs()["items"]}
    assert told["items"][0] == everything["Alpha"]


def test_pages_of_an_order_join(service: Service, stage: Stage):
    believable(stage)
    whole = [job["name"] for job in service.list_jobs(sort="-command")["items"]]
    found, after = list[str](), None
    while True:
        told = service.list_jobs(after, 3, sort="-command")
        found += [job["name"] for job in told["items"]]
        after = told["next"]
        if after is None:
            break
    assert found == whole
    assert service.list_jobs(limit=len(whole), sort="-command")["next"] is None
    assert service.list_jobs("7", 3, sort="-command")["items"] == []


def test_a_node_is_asked_for_in_an_order_too(service: Service, stage: Stage):
    stage.job("here", run_on={"node": stage.node.name})
    stage.join("other")
    stage.job("anywhere")
    told = service.list_jobs(node=stage.node.name, sort="-name")
    assert [job["name"] for job in told["items"]] == ["here"]


def test_more_than_are_sorted_are_refused(
    service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(joborder, "MOST", 2)
    for name in ("a", "b", "c"):
        stage.job(name, tags=["few"] * (name != "b"))
    with pytest.raises(Invalid, match="more than 2 jobs may match") as refused:
        service.list_jobs(sort="took")
    assert refused.value.code == "too_many_to_sort"
    assert len(service.list_jobs(q="tag:few", sort="took")["items"]) == 2


@pytest.mark.parametrize("after", ["a", "-1", "10000000", "1.5", "²"])
def test_a_place_is_a_number(service: Service, stage: Stage, after: str):
    with pytest.raises(Invalid) as refused:
        service.list_jobs(after, sort="took")
    assert refused.value.code == "bad_cursor"


def test_the_command_names_all_that_it_sorts_by():
    told = list_command.help or ""
    said = told.partition("sorted by is ")[2].partition(";")[0]
    assert set(said.replace(" or ", ", ").replace("\n", " ").replace(",", " ").split()) == set(
        JobKey
    )


def test_an_order_is_read_as_it_is_written():
    assert read_order("-took") == JobOrder(JobKey.TOOK, down=True)
    for key in JobKey:
        for text in (key.value, f"-{key}"):
            assert str(read_order(text)) == text
    for text in ("", "-", "--took", "Took", "took ", "nonsense"):
        with pytest.raises(Invalid) as refused:
            read_order(text)
        assert refused.value.code == "bad_sort"
