"""What Service decides of slots and of many jobs: which will run, which are made up for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from cronherd.domain.errors import Conflict, Invalid, NotFound
from cronherd.domain.instant import DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_instant
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Run
from cronherd.domain.search import JobSearch
from cronherd.service import Service
from cronherd.service.told import COUNT_LIMIT
from cronherd.service.versions import Versions, previous_slot
from cronherd.store.base import Store
from cronherd.store.catalog import Catalog
from cronherd.store.facts import Backfilled, JobRow
from tests.api.test_service import NOW_US, Shelf, code_of, make_node, make_row, make_run

HOURLY: dict[str, Any] = {"schedule": "0 * * * *"}


class Slots(Shelf):
    """The shelf, with the verbs of slots and more than one job."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[JobRow] = []
        self.pages = 0
        self.made: list[int] = []

    def job_page(
        self, search: JobSearch, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """So many rows are looked at, and those that fit are told."""
        self.pages += 1
        later = [row for row in self.rows if after is None or row.job.key > after][:limit]
        tag = search.tag
        found = [row for row in later if tag is None or tag in row.job.spec.get("tags", ())]
        return found, later[-1].job.key if len(later) == limit else None

    def skip_next(self, job_id: str, count: int, actor: str) -> list[int]:
        assert self.row.next_us is not None
        assert self.row.job.schedule is not None
        slots = [self.row.next_us]
        while len(slots) < count:
            slots.append(self.row.job.schedule.next_after(slots[-1]) or 0)
        self.row = replace(self.row, skip_us=slots[-1])
        self.told.append(("skip_next", count, actor))
        return slots

    def undo_skip(self, job_id: str, actor: str) -> None:
        self.row = replace(self.row, skip_us=None)

    def slot_runs(self, job_id: str, from_us: int, to_us: int, limit: int) -> list[Run]:
        return [run for run in self.known if from_us <= (run.scheduled_us or 0) <= to_us]

    def backfill(
        self, job_id: str, runs: Sequence[tuple[str, int]], actor: str
    ) -> list[Backfilled]:
        self.told.append(("backfill", len(runs), actor))
        self.made += [slot_us for _, slot_us in runs]
        return [Backfilled(slot_us=slot_us, run_id=run_id, made=True) for run_id, slot_us in runs]


@pytest.fixture
def shelf() -> Slots:
    return Slots()


@pytest.fixture
def service(shelf: Slots) -> Service:
    numbers = iter(range(1, 10_000))
    return Service(
        cast("Store", shelf), cast("Catalog", shelf), new_id=lambda: f"{next(numbers):032x}",
        wake=lambda: shelf.told.append(("wake",)), pause=lambda: False, timezone="UTC",
    )  # fmt: skip


def shown(service: Service, count: int = 3, from_us: int | None = None) -> list[str]:
    return [str(slot)[8:16] for slot in service.next_slots("nightly", count, from_us)["slots"]]


# ------------------------------------------------------------------ slots to come


def test_the_slots_that_are_shown_are_those_that_run(service: Service, shelf: Slots):
    shelf.row = make_row(definition=HOURLY)
    assert shown(service) == ["21T11:00", "21T12:00", "21T13:00"]
    answer = service.skip_next("nightly", "ann", count=2)
    assert answer["slots"] == ["2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"]
    assert answer["next_at"] == "2026-11-21T13:00:00Z"
    assert shelf.told == [("skip_next", 2, "ann"), ("wake",)]
    assert shown(service, 2) == ["21T13:00", "21T14:00"]
    assert service.timers()["items"][0]["next_at"] == "2026-11-21T13:00:00Z"
    listed = service.next_slots("nightly", 1)
    assert listed["skipped_until"] == "2026-11-21T12:00:00Z"
    undone = service.undo_skip("nightly", "bob")
    assert undone["undone"] == ["2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"]
    assert undone["next_at"] == "2026-11-21T11:00:00Z"
    assert service.undo_skip("nightly", "bob")["undone"] == []


def test_max_runs_ends_what_is_shown(service: Service, shelf: Slots):
    shelf.row = make_row(definition={**HOURLY, "max_runs": 5}, fired=3)
    assert shown(service, 9) == ["21T11:00", "21T12:00"]
    # Those before the instant one asks from are counted too.
    assert shown(service, 9, NOW_US + HOUR_US) == ["21T12:00"]
    assert shown(service, 9, NOW_US + 2 * HOUR_US) == []
    shelf.row = replace(shelf.row, skip_us=NOW_US + HOUR_US)  # a skipped one is no run
    assert shown(service, 9) == ["21T12:00", "21T13:00"]


def test_nobody_counts_slots_for_ever(service: Service, shelf: Slots):
    many = {"schedule": "every 1s", "max_runs": 1_000_000}
    shelf.row = make_row(definition=many)
    with pytest.raises(Invalid) as caught:
        service.next_slots("nightly", 1, NOW_US + (COUNT_LIMIT + 10) * SECOND_US)
    assert (caught.value.code, caught.value.where) == ("too_many_slots", "from")


def test_what_is_decided_is_not_shown_again(service: Service, shelf: Slots):
    shelf.row = make_row(definition=HOURLY, last_slot_us=NOW_US + HOUR_US)
    assert shown(service, 1) == ["21T12:00"]
    shelf.row = make_row(definition=HOURLY)
    assert shown(service, 1, NOW_US - DAY_US) == ["21T11:00"]


def test_a_slot_fires_later_by_its_jitter(service: Service, shelf: Slots):
    shelf.row = make_row(definition={**HOURLY, "jitter": "40m"}, last_slot_us=NOW_US)
    job = shelf.row.job
    answer = service.next_slots("nightly", 3)
    fires = [format_instant(job.due_at(NOW_US + hour * HOUR_US)) for hour in (1, 2, 3)]
    assert answer["fires_at"] == fires
    assert answer["fires_at"] != answer["slots"]
    # The slot of ten o'clock has passed, and fires only then.
    due_us = job.due_at(NOW_US)
    assert due_us > NOW_US + MINUTE_US
    shelf.row = replace(shelf.row, next_us=due_us, last_slot_us=NOW_US - HOUR_US)
    assert shown(service, 2) == ["21T10:00", "21T11:00"]
    assert shown(service, 1, due_us) == ["21T11:00"]


@pytest.mark.parametrize(
    "given",
    [{"enabled": False}, {"paused_until_us": FOREVER_US}, {"definition": {"schedule": None}}],
)
def test_a_job_that_does_not_start_has_no_slots_to_come(
    service: Service, shelf: Slots, given: dict[str, Any]
):
    shelf.row = make_row(**given)
    assert shown(service) == []


def test_the_next_slot_of_a_chain_that_is_skipped_comes_a_delay_later(
    service: Service, shelf: Slots
):
    chain = {"definition": {"schedule": "after 5m"}, "next_us": NOW_US + MINUTE_US}
    shelf.row = make_row(**chain)
    assert shown(service) == ["21T10:01"]
    service.skip_next("nightly", "ann")
    assert shown(service) == ["21T10:06"]
    assert service.undo_skip("nightly", "ann")["undone"] == ["2026-11-21T10:01:00Z"]


@pytest.mark.parametrize("count", [0, 1_001])
def test_so_many_slots_are_not_skipped(service: Service, shelf: Slots, count: int):
    with pytest.raises(Invalid) as caught:
        service.skip_next("nightly", "ann", count=count)
    assert caught.value.code == "bad_count"
    assert shelf.told == []


# ------------------------------------------------------------------ slots of the past


def backfill(service: Service, start: str, end: str, **more: Any) -> dict[str, Any]:
    return service.backfill("nightly", "ann", start=start, end=end, **more)


def test_the_slots_of_a_stretch_that_had_no_run_are_made_up_for(service: Service, shelf: Slots):
    shelf.row = make_row(definition=HOURLY, last_slot_us=NOW_US)
    ran = make_run(9, "web-1", suspected=False, scheduled_us=NOW_US - HOUR_US)
    shelf.known = [ran]
    # In the job's zone, both ends included: 08:00, 09:00 and 10:00 UTC.
    plan = backfill(service, "2026-11-21 09:00", "2026-11-21 11:00", dry_run=True)
    assert [(slot["slot"][11:16], slot["ran"]) for slot in plan["slots"]] == [
        ("08:00", False), ("09:00", True), ("10:00", False),
    ]  # fmt: skip
    assert (plan["made"], plan["ran"], plan["dry_run"], shelf.told) == (0, 1, True, [])
    done = backfill(service, "2026-11-21 09:00", "2026-11-21 11:00")
    assert (done["made"], done["ran"]) == (2, 1)
    assert [slot["run"] for slot in done["slots"]] == [f"{1:032x}", ran.id, f"{2:032x}"]
    assert shelf.made == [NOW_US - 2 * HOUR_US, NOW_US]
    assert shelf.told == [("backfill", 2, "ann"), ("wake",)]


def test_a_backfill_ends_where_the_schedule_goes_on(service: Service, shelf: Slots):
    shelf.row = make_row(definition=HOURLY, last_slot_us=NOW_US - HOUR_US)
    done = backfill(service, "2026-11-21T08:00Z", "2026-11-30T00:00Z")
    assert shelf.made == [NOW_US - 2 * HOUR_US, NOW_US - HOUR_US]
    assert done["to"] == "2026-11-21T09:00:00Z"
    nothing = backfill(service, "2026-11-21T10:00Z", "2026-11-30T00:00Z")
    assert (nothing["made"], nothing["slots"]) == (0, [])


def test_a_thousand_slots_are_the_most(service: Service, shelf: Slots):
    shelf.row = make_row(definition={"schedule": "every 1m"}, last_slot_us=NOW_US)
    done = backfill(service, "2026-11-20T17:21Z", "2026-11-21T10:00Z")
    assert (done["made"], shelf.made[0]) == (1_000, NOW_US - 999 * MINUTE_US)
    with pytest.raises(Invalid, match="has 1,001 slots in this range, at most 1,000") as caught:
        backfill(service, "2026-11-20T17:20Z", "2026-11-21T10:00Z")
    assert code_of(caught) == (
        "too_many_slots",
        "end it at 2026-11-21T09:59:00Z, then go on from there",
    )
    with pytest.raises(Invalid, match="has at least 100,000 slots"):
        backfill(service, "2020-01-01", "2026-11-21T10:00Z")
    assert len(shelf.made) == 1_000


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ({"schedule": "after 5m"}, "after 5m the end of its previous run"),
        ({"schedule": None}, "has no schedule"),
        ({"schedule": "@reboot"}, "when its host starts"),
    ],
)
def test_a_job_without_dates_has_no_slots_of_the_past(
    service: Service, shelf: Slots, definition: dict[str, Any], why: str
):
    shelf.row = make_row(definition=definition, last_slot_us=NOW_US)
    with pytest.raises(Invalid, match=why) as caught:
        backfill(service, "2026-11-20", "2026-11-21")
    assert code_of(caught) == ("no_slots", "cronherd job run nightly")


def test_a_hint_can_be_typed_as_it_stands_whatever_the_name(service: Service, shelf: Slots):
    definition = {"name": "two words", "schedule": None}
    shelf.row = make_row(definition=definition, last_slot_us=NOW_US)
    with pytest.raises(Invalid) as caught:
        backfill(service, "2026-11-20", "2026-11-21")
    assert code_of(caught) == ("no_slots", "cronherd job run 'two words'")


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-11-21", "2026-11-20", "2026-11-21T00:00:00Z is not before the end, 2026-11-20"),
        ("2026-11-21", "2026-11-21", "is not before the end"),
        ("2020-01-01", "2026-11-21", "at most 400 days"),
    ],
)
def test_an_audit_says_what_is_wrong_with_its_stretch(
    service: Service, shelf: Slots, start: str, end: str, words: str
):
    shelf.row = make_row(definition={"timezone": "UTC"}, last_slot_us=NOW_US)
    with pytest.raises(Invalid, match=words) as caught:
        service.audit("nightly", start, end)
    assert (caught.value.code, caught.value.where) == ("bad_stretch", "from")


def test_a_stretch_ends_behind_its_beginning(service: Service):
    with pytest.raises(Invalid) as caught:
        backfill(service, "2026-11-21", "2026-11-20")
    assert (caught.value.code, caught.value.where) == ("bad_range", "to")
    with pytest.raises(Invalid) as caught:
        backfill(service, "soon", "2026-11-20")
    assert caught.value.code == "bad_instant"


# ------------------------------------------------------------------ many jobs


def many_rows(count: int, **definition: Any) -> list[JobRow]:
    return [
        make_row(definition={"name": f"job-{number:04}", **definition}) for number in range(count)
    ]


def names(document: dict[str, Any]) -> list[str]:
    return [job["name"] for job in document["items"]]


def test_jobs_are_chosen_by_their_tag(service: Service, shelf: Slots):
    shelf.rows = many_rows(10)
    for number in (2, 5, 9):
        tagged = {"name": f"job-{number:04}", "tags": ["db", "night"]}
        shelf.rows[number] = make_row(definition=tagged)
    everything = service.list_jobs(tag="night")
    assert names(everything) == ["job-0002", "job-0005", "job-0009"]
    assert (everything["tag"], everything["next"]) == ("night", None)
    assert names(service.list_jobs(tag="nigh")) == []
    assert "tag" not in service.list_jobs()
    first = service.list_jobs(tag="db", limit=2)
    assert (names(first), first["next"]) == (["job-0002", "job-0005"], "job-0005")
    rest = service.list_jobs(first["next"], 2, tag="db")
    assert (names(rest), rest["next"]) == (["job-0009"], None)


def test_a_page_that_is_full_goes_on_behind_its_last_job(service: Service, shelf: Slots):
    shelf.rows = many_rows(10)
    for number in (2, 4, 5):
        shelf.rows[number] = make_row(definition={"name": f"job-{number:04}", "tags": ["db"]})
    first = service.list_jobs(limit=2, tag="db")  # the third one was looked at with the second
    assert (names(first), first["next"]) == (["job-0002", "job-0004"], "job-0004")
    assert names(service.list_jobs(first["next"], 2, tag="db")) == ["job-0005"]


def test_a_page_looks_at_so_many_jobs_and_no_more(service: Service, shelf: Slots):
    shelf.rows = many_rows(60)
    shelf.rows[59] = make_row(definition={"name": "job-0059", "tags": ["db"]})
    first = service.list_jobs(limit=2, tag="db")
    assert (names(first), first["next"], shelf.pages) == ([], "job-0009", 5)
    rest = service.list_jobs(first["next"], 20, tag="db")
    assert (names(rest), rest["next"]) == (["job-0059"], None)


def test_jobs_of_a_node_are_those_that_no_other_may_run(service: Service, shelf: Slots):
    shelf.hosts = [
        make_node("web-1", labels={"zone": "eu", "gpu": "yes"}),
        make_node("web-2", labels={"zone": "eu"}),
    ]
    shelf.rows = [
        make_row(definition={"name": "any"}),
        make_row(definition={"name": "both", "run_on": {"zone": "eu"}}),
        make_row(definition={"name": "gpu", "run_on": {"gpu": "yes"}}),
        make_row(definition={"name": "here", "run_on": {"node": "web-1"}}),
        make_row(definition={"name": "nowhere", "run_on": {"zone": "us"}}),
        make_row(definition={"name": "there", "run_on": {"node": "web-2"}}),
    ]
    assert names(service.list_jobs(node="WEB-1")) == ["gpu", "here"]
    assert names(service.list_jobs(node="web-2")) == ["there"]
    shelf.hosts = shelf.hosts[:1]
    assert names(service.list_jobs(node="web-1")) == ["any", "both", "gpu", "here"]
    with pytest.raises(NotFound) as caught:
        service.list_jobs(node="web-9")
    assert caught.value.code == "no_such_node"


# ------------------------------------------------------------------ the slot before


@pytest.mark.parametrize(
    ("schedule", "before"),
    [
        ("every 10m", "2026-11-21T09:50:00Z"),
        ("30 2 * * *", "2026-11-21T01:30:00Z"),
        ("0 0 29 2 *", "2024-02-28T23:00:00Z"),
        ("at 2026-11-21 10:59:59", "2026-11-21T09:59:59Z"),
        ("at 2026-11-21 11:00", None),
        ("at 2015-01-01", None),  # longer ago than ten years
    ],
)
def test_the_slot_before_is_found_from_both_sides(schedule: str, before: str | None):
    job = make_row(definition={"schedule": ["at 2030-01-01", schedule]}).job
    assert job.schedule is not None
    assert format_instant(previous_slot(job.schedule, NOW_US)) == before


def test_the_slots_around_are_those_of_what_was_in_force():
    def version(number: int, schedule: str, at_us: int) -> Any:
        spec = {"name": "job", "command": "true", "schedule": schedule}
        return number, spec, "ann", at_us

    edited_us = NOW_US + 30 * MINUTE_US
    versions = Versions(
        [version(2, "15 * * * *", edited_us), version(1, "0 * * * *", NOW_US - 2 * HOUR_US)]
    )
    assert versions.at(NOW_US - 2 * HOUR_US) is None
    numbers = [found.number for at in (edited_us, edited_us + 1) if (found := versions.at(at))]
    assert numbers == [1, 2]  # what was due at the very instant was of the old one
    assert versions.next(NOW_US) == NOW_US + 75 * MINUTE_US  # by the old one it was 11:00
    assert versions.next(NOW_US - 1) == NOW_US
    assert versions.previous(edited_us + 1) == NOW_US
    assert versions.previous(NOW_US - HOUR_US) is None
    unreadable = Versions([(1, {"name": "job"}, "ann", NOW_US - HOUR_US)])
    found = unreadable.at(NOW_US)
    assert found is not None
    assert found.job is None
    assert unreadable.next(NOW_US) is None


def test_what_cannot_be_skipped_says_so(service: Service, shelf: Slots):
    def refuse(job_id: str, count: int, actor: str) -> list[int]:
        raise Conflict("there is nothing to skip", code="no_next")

    shelf.skip_next = refuse  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        service.skip_next("nightly", "ann")
    assert shelf.told == []
