"""What Service itself decides, over a store of a few lists: pauses, silence, nodes, the hold."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.errors import Conflict, CronherdError, Invalid, InvalidInput, NotFound
from cronherd.domain.instant import DAY_US, HOUR_US, SECOND_US
from cronherd.domain.node import Node
from cronherd.domain.param import Value
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Attempt, Cause, Outcome, Run, RunState
from cronherd.domain.search import JobSearch
from cronherd.service import Service
from cronherd.store.base import Claim, Ending, Recorded, Requested, Store
from cronherd.store.catalog import Catalog
from cronherd.store.facts import JobRow, RunFilter
from cronherd.views import attempt_view

NOW_US = 1_795_255_200 * SECOND_US  # 2026-11-21T10:00:00Z
NIGHTLY = {"name": "nightly", "command": "true", "schedule": "30 2 * * *"}


def make_row(**given: Any) -> JobRow:
    definition = {**NIGHTLY, **given.pop("definition", {})}
    job = read_job(definition, timezone="Europe/Berlin", now_us=NOW_US)
    following = job.schedule.next_after(NOW_US) if job.schedule else None
    return replace(
        JobRow(
            id="a" * 32, job=job, version=1, enabled=True, source="command", created_us=NOW_US,
            updated_us=NOW_US, next_us=following, last_slot_us=None, live=0, last=None,
        ),
        **given,
    )  # fmt: skip


def make_node(name: str, lease_us: int = NOW_US + 10 * SECOND_US, **given: Any) -> Node:
    node = Node(
        id=f"{name[-1] * 8}{'0' * 24}", name=name, incarnation="i", boot_id="b", capacity=8,
        lease_us=lease_us, beat=3, started_us=NOW_US - HOUR_US,
    )  # fmt: skip
    return replace(node, **given)


def make_run(number: int, node: str, **given: Any) -> Run:
    run = Run(
        id=f"{number:032x}", job_id="a" * 32, job_name="nightly", cause=Cause.SCHEDULE,
        state=RunState.RUNNING, outcome=None, scheduled_us=None, created_us=NOW_US,
        started_us=NOW_US, ended_us=None, attempt=1, fence=1, node=node, suspected=True,
    )  # fmt: skip
    return replace(run, **given)


class Shelf:
    """Store and Catalog at once, as far as these desks look."""

    def __init__(self) -> None:
        self.row = make_row()
        self.hosts: list[Node] = []
        self.held: list[Claim] = []
        self.known: list[Run] = []
        self.ended: Sequence[Ending] = ()
        self.told: list[tuple[object, ...]] = []
        self.facts: dict[str, str] = {"timezone": "UTC"}
        self.asked: list[Mapping[str, Value]] = []

    def one_view(self) -> AbstractContextManager[object]:
        return nullcontext()

    def now_us(self) -> int:
        return NOW_US

    def find_job(self, name: str, *, deleted: bool = False) -> JobRow:
        return self.row

    def next_jobs(self, limit: int, after: tuple[int, str] | None = None) -> list[JobRow]:
        return [self.row, replace(make_row(), id="b" * 32)]

    def ledger(self, job_id: str | None, limit: int) -> list[Any]:
        return []

    def events(self, limit: int) -> list[Any]:
        return []

    def standings(self) -> dict[str, int]:
        return {"jobs": 3, "disabled": 1, "runs_running": len(self.known)}

    def ended_counts(self) -> dict[str, int]:
        return {"runs_failed": 2}

    def meta(self) -> dict[str, str]:
        return self.facts

    def runs(self, which: RunFilter) -> list[Run]:
        later = [run for run in self.known if which.before is None or run.id < which.before]
        return later[: which.limit]

    def job_page(
        self, search: JobSearch, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        return [self.row], None

    def run_page(self, which: RunFilter) -> tuple[list[Run], str | None]:
        found = self.runs(which)
        return found, found[-1].id if len(found) == which.limit else None

    def set_enabled(self, job_id: str, actor: str, *, enabled: bool) -> list[str]:
        self.row = replace(self.row, enabled=enabled)
        return ["r1"]

    def delete_job(self, job_id: str, actor: str) -> list[str]:
        return ["r1"]

    def request_run(
        self,
        job_id: str,
        run_id: str,
        dedup: str,
        cause: Cause,
        *,
        force: bool,
        params: Mapping[str, Value],
        target: tuple[str, str] | None = None,
        actor: str = "",
    ) -> Requested:
        self.asked.append(params)
        return Requested(run_id=run_id, repeated=False)

    def find_run(self, prefix: str) -> Run:
        return make_run(1, "", suspected=False, params=self.asked[-1])

    def pause_job(self, job_id: str, until_us: int, actor: str) -> list[str]:
        self.row = replace(self.row, paused_until_us=until_us)
        return ["r1", "r2"]

    def resume_job(self, job_id: str, actor: str) -> None:
        self.row = replace(self.row, paused_until_us=None)

    def last_pause(self, job_name: str) -> None:
        return None

    def nodes(self) -> list[Node]:
        return self.hosts

    def held_by(self, node_id: str) -> list[Claim]:
        return self.held

    def set_drained(self, node_id: str, actor: str, *, drained: bool) -> None:
        self.told.append(("set_drained", node_id[:1], drained))
        self.hosts = [replace(h, drained=drained) if h.id == node_id else h for h in self.hosts]

    def remove_node(self, node: Node, endings: Sequence[Ending], actor: str) -> Recorded:
        self.ended = endings
        return Recorded(freed=["j1"])

    def promote(self, keys: Sequence[str]) -> int:
        self.told.append(("promote", *keys))
        return 1

    def set_hold(self, actor: str, *, hold: bool) -> None:
        self.told.append(("set_hold", hold))
        self.facts["hold"] = f"2026-11-21T10:00:00Z by {actor}" if hold else ""


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def service(shelf: Shelf) -> Service:
    return Service(
        cast("Store", shelf), cast("Catalog", shelf), new_id=lambda: "n" * 32,
        wake=lambda: shelf.told.append(("wake",)), pause=lambda: False, timezone="UTC",
    )  # fmt: skip


def code_of(error: pytest.ExceptionInfo[CronherdError]) -> tuple[str, str]:
    return error.value.code, error.value.hint


# ------------------------------------------------------------------ pause


def test_a_pause_without_an_end_has_no_next_slot(service: Service, shelf: Shelf):
    paused = service.pause_job("nightly", "ann")
    assert (paused["paused"], paused["paused_until"], paused["next_at"]) == (True, None, None)
    assert paused["started_before"] == ["r1", "r2"]
    assert shelf.row.paused_until_us == FOREVER_US
    assert shelf.told == [("wake",)]
    assert service.next_slots("nightly", 3)["slots"] == []
    assert [timer["next_at"] for timer in service.timers()["items"]] == [
        "2026-11-22T01:30:00Z",
        None,
    ]
    assert service.list_jobs()["items"][0]["paused"] is True


@pytest.mark.parametrize(
    ("given", "until"),
    [
        ({"length": "2h"}, "2026-11-21T12:00:00Z"),
        ({"length": 90}, "2026-11-21T10:01:30Z"),
        ({"until": "2026-11-22T06:00"}, "2026-11-22T05:00:00Z"),  # the job's zone: Berlin
        ({"until": "2026-11-22 06:00+00:00"}, "2026-11-22T06:00:00Z"),
    ],
)
def test_a_pause_ends_when_it_was_told(service: Service, given: dict[str, Any], until: str):
    assert service.pause_job("nightly", "ann", **given)["paused_until"] == until


def test_the_next_slot_of_a_paused_job_is_the_first_after_the_pause(service: Service):
    paused = service.pause_job("nightly", "ann", until="2026-11-23T02:30")
    assert paused["next_at"] == "2026-11-23T01:30:00Z"  # the end itself is no pause any more
    assert service.next_slots("nightly", 2)["slots"] == [
        "2026-11-23T01:30:00Z",
        "2026-11-24T01:30:00Z",
    ]
    again = service.pause_job("nightly", "ann", length="30m")
    assert again["next_at"] == "2026-11-22T01:30:00Z"


def test_the_end_of_a_pause_is_no_slot(service: Service, shelf: Shelf):
    """The store looks at a paused job again when the pause ends, whatever its schedule says."""
    end_us = NOW_US + HOUR_US
    shelf.row = make_row(paused_until_us=end_us, next_us=end_us)
    assert service.show_job("nightly")["next_at"] == "2026-11-22T01:30:00Z"
    shelf.row = make_row(paused_until_us=end_us, next_us=end_us + 1)
    assert service.show_job("nightly")["next_at"] == "2026-11-21T11:00:00.000001Z"


@pytest.mark.parametrize(
    ("given", "code", "where"),
    [
        ({"until": "2026-11-21T11:00"}, "in_the_past", "until"),  # 10:00 UTC: now
        ({"until": "soon"}, "bad_instant", ""),
        ({"length": "soon"}, "bad_duration", ""),
        ({"length": "0s"}, "bad_pause", "for"),
        ({"length": "2h", "until": "2026-11-22"}, "bad_pause", "until"),
    ],
)
def test_a_pause_that_cannot_be_is_refused(
    service: Service, shelf: Shelf, given: dict[str, Any], code: str, where: str
):
    with pytest.raises(Invalid) as caught:
        service.pause_job("nightly", "ann", **given)
    assert (caught.value.code, caught.value.where) == (code, where)
    assert shelf.row.paused_until_us is None


def test_only_a_paused_job_is_resumed(service: Service, shelf: Shelf):
    shelf.row = make_row(paused_until_us=NOW_US - 1)
    with pytest.raises(Conflict) as caught:
        service.resume_job("nightly", "ann")
    assert code_of(caught) == ("not_paused", "")
    service.pause_job("nightly", "ann")
    assert service.resume_job("nightly", "ann")["paused"] is False
    shelf.row = make_row(enabled=False)
    with pytest.raises(Conflict) as caught:
        service.resume_job("nightly", "ann")
    assert "cronherd job enable nightly" in caught.value.hint


def test_runs_that_were_first_are_told(service: Service):
    assert service.set_enabled("nightly", "ann", enabled=False)["started_before"] == ["r1"]
    assert service.delete_job("nightly", "ann")["started_before"] == ["r1"]


# ------------------------------------------------------------------ silence


def test_a_run_is_unknown_after_a_day_of_silence(service: Service, shelf: Shelf):
    shelf.hosts = [
        make_node("web-1", NOW_US - SECOND_US, live=1),
        make_node("web-2", NOW_US - DAY_US - 1, live=1),
    ]
    shelf.known = [
        make_run(4, "web-1", suspected=False), make_run(3, "web-1"), make_run(2, "web-2"),
        make_run(1, "gone"),
    ]  # fmt: skip
    found = service.list_runs()["items"]
    assert [run["state"] for run in found] == ["running", "suspected", "unknown", "suspected"]
    assert [run["silent_since"] for run in found] == [
        None, "2026-11-21T09:59:59Z", "2026-11-20T09:59:59.999999Z", None,
    ]  # fmt: skip
    counts = service.status()["counts"]
    assert counts == {
        "jobs_enabled": 2,
        "jobs_disabled": 1,
        "runs_running": 4,
        "runs_failed": 2,
        "runs_suspected": 2,
        "runs_unknown": 1,
    }


def test_silent_runs_are_found_page_by_page(service: Service, shelf: Shelf):
    shelf.hosts = [make_node("web-1", NOW_US - SECOND_US)]
    shelf.known = [make_run(n, "web-1", suspected=n % 500 == 0) for n in range(2_500, 0, -1)]
    first = service.list_runs(state="suspected", limit=3)
    assert [int(run["id"], 16) for run in first["items"]] == [2_500, 2_000, 1_500]
    rest = service.list_runs(state="suspected", before=first["next"], limit=3)
    assert [int(run["id"], 16) for run in rest["items"]] == [1_000, 500]
    assert rest["next"] is None
    with pytest.raises(Invalid) as caught:
        service.list_runs(state="silent")
    assert caught.value.code == "bad_state"
    assert caught.value.hint.endswith("error, suspected, unknown")


# ------------------------------------------------------------------ nodes


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, "alive"),
        ({"drained": True}, "drained"),
        ({"lease_us": NOW_US}, "silent"),
        ({"lease_us": NOW_US - 1, "drained": True}, "silent"),
        ({"lease_us": 0}, "stopped"),
    ],
)
def test_a_node_has_one_state(service: Service, shelf: Shelf, given: dict[str, Any], state: str):
    shelf.hosts = [make_node("web-1", **given)]
    (node,) = service.list_nodes()["items"]
    assert node["state"] == state
    assert (node["silent_since"] is not None) is (state == "silent")


@pytest.mark.parametrize("name", ["web-1", "WEB-1", " web-1 ", "111111", "1" * 8 + "0" * 24])
def test_a_node_is_found_by_name_or_id(service: Service, shelf: Shelf, name: str):
    shelf.hosts = [make_node("web-1"), make_node("web-2")]
    assert service.set_drained(name, "ann", drained=True)["state"] == "drained"
    assert service.set_drained(name, "ann", drained=True)["drained"] is True
    assert shelf.told == [("set_drained", "1", True), ("wake",)]


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("web-3", "no_such_node", "did you mean 'web-2'?"),
        ("zzz", "no_such_node", "'cronherd node list' shows them all"),
        ("11111", "no_such_node", "'cronherd node list' shows them all"),
        ("DB", "ambiguous_node", "aaaaaaaa0000 (db), bbbbbbbb0000 (Db)"),
    ],
)
def test_a_node_that_cannot_be_told_is_not_found(
    service: Service, shelf: Shelf, name: str, code: str, hint: str
):
    shelf.hosts = [
        make_node("web-1"), make_node("web-2"),
        make_node("db", id="a" * 8 + "0" * 24), make_node("Db", id="b" * 8 + "0" * 24),
    ]  # fmt: skip
    with pytest.raises(NotFound) as caught:
        service.set_drained(name, "ann", drained=True)
    assert code_of(caught) == (code, hint)
    assert service.set_drained("db", "ann", drained=True)["name"] == "db"


def make_claim(number: int, **definition: Any) -> Claim:
    return Claim(
        run_id=f"{number:08x}{'0' * 24}", job_id="a" * 32, job=make_row(definition=definition).job,
        version=1, attempt=1, token=f"t{number}", fence=1, cause=Cause.SCHEDULE, slot_us=NOW_US,
        started_us=NOW_US - HOUR_US,
    )  # fmt: skip


def test_a_node_that_is_alive_is_not_removed(service: Service, shelf: Shelf):
    shelf.hosts = [make_node("web-1")]
    with pytest.raises(Conflict, match="alive, at least until 2026-11-21T10:00:10Z") as caught:
        service.remove_node("web-1", "ann", confirm_dead=True)
    assert caught.value.code == "node_alive"
    assert "cronherd node drain web-1" in caught.value.hint


def test_a_node_that_holds_runs_needs_an_oath(service: Service, shelf: Shelf):
    shelf.hosts = [make_node("web-1", NOW_US - 1)]
    shelf.held = [make_claim(number) for number in range(1, 8)]
    with pytest.raises(Conflict, match=r"holds 7 runs: 00000001 .* 00000005 and 2 more") as caught:
        service.remove_node("web-1", "ann", confirm_dead=False)
    assert caught.value.code == "node_holds_runs"
    assert "--confirm-dead" in caught.value.hint


def test_the_runs_of_a_dead_node_end_as_their_jobs_say(service: Service, shelf: Shelf):
    shelf.hosts = [make_node("web-1", NOW_US - 1)]
    shelf.held = [
        make_claim(1),
        make_claim(2, delivery="at_least_once"),
        make_claim(3, schedule="after 5m"),
    ]
    done = service.remove_node("WEB-1", "local:ann", confirm_dead=True)
    plain, again, chained = shelf.ended
    assert done["removed"] == "web-1"
    assert done["lost"] == [plain.run_id, chained.run_id]
    assert done["started_again"] == [again.run_id]
    assert {ending.verdict.outcome for ending in shelf.ended} == {Outcome.LOST}
    assert plain.exit.error_text == "its node 'web-1' was declared dead by ann"
    assert (plain.token, plain.exit.started_us, plain.exit.ended_us) == (
        "t1", NOW_US - HOUR_US, NOW_US,
    )  # fmt: skip
    assert (plain.rearms, again.verdict.wait_us) == (False, 0)
    assert chained.rearms
    assert shelf.told == [("promote", "j1"), ("wake",)]


def test_an_idle_silent_node_needs_no_oath(service: Service, shelf: Shelf):
    shelf.hosts = [make_node("web-1", NOW_US - 1)]
    done = service.remove_node("web-1", "ann", confirm_dead=False)
    assert (done["lost"], done["started_again"]) == ([], [])


# ------------------------------------------------------------------ the hold


def test_the_fleet_is_held_once(service: Service, shelf: Shelf):
    assert service.status()["hold"] is None
    assert service.set_hold("ann", hold=False)["hold"] is None
    held = {"since": "2026-11-21T10:00:00Z", "by": "ann"}
    assert service.set_hold("ann", hold=True)["hold"] == held
    assert service.set_hold("bob", hold=True)["hold"] == held
    assert service.status()["hold"] == held
    assert service.set_hold("bob", hold=False)["hold"] is None
    assert shelf.told == [("set_hold", True), ("wake",), ("set_hold", False), ("wake",)]


# ---------------------------------------------------------------- parameters

PARAMS = {"size": {"type": "integer"}, "dry": False, "to": {"required": True}}


def test_a_run_gets_its_parameters_in_the_types_of_the_job(service: Service, shelf: Shelf):
    shelf.row = make_row(definition={"params": PARAMS, "schedule": None})
    answer = service.run_job("nightly", "local:ada", params={"to": "x", "size": "5", "dry": "true"})
    assert shelf.asked == [{"size": 5, "dry": True, "to": "x"}]
    assert answer["run"]["params"] == {"size": 5, "dry": True, "to": "x"}


def test_parameters_that_do_not_fit_are_refused_before_anything_is_asked_for(
    service: Service, shelf: Shelf
):
    shelf.row = make_row(definition={"params": PARAMS, "schedule": None})
    with pytest.raises(InvalidInput) as caught:
        service.run_job("nightly", "local:ada", params={"size": "x", "siez": 1})
    assert [error.where for error in caught.value.errors] == [
        "params.size", "params.siez", "params.to",
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="is required"):
        service.run_job("nightly", "local:ada")
    shelf.row = make_row()
    with pytest.raises(InvalidInput, match="the job has no params"):
        service.run_job("nightly", "local:ada", params={"size": 5})
    assert shelf.asked == []
    service.run_job("nightly", "local:ada")
    assert shelf.asked == [{}]


@pytest.mark.parametrize(("bytes_", "shown"), [(0, None), (70 << 20, 70 << 20)])
def test_memory_that_nobody_knows_is_shown_as_unknown(bytes_: int, shown: int | None):
    attempt = Attempt(
        number=1, node="n", started_us=1, ended_us=2, exit_code=0, signal=None, killed_by="",
        error="", error_text="", cpu_us=0, peak_rss_bytes=bytes_, dropped=0,
    )  # fmt: skip
    assert attempt_view(attempt)["peak_memory_bytes"] == shown
