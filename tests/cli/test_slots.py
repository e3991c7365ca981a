"""`job skip-next`, `backfill`, `job pause --tag`: slots to come, slots of the past, many jobs."""

import json

import pytest

from cronherd.domain.errors import Unavailable
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

BACKUP = (
    "job",
    "create",
    "backup",
    "-s",
    "30 2 * * *",
    "-c",
    "true",
    "--timezone",
    "Europe/Berlin",
)
STRETCH = ("backfill", "backup", "--from", "2026-11-01", "--to", "2026-11-20")


def add(fleet: FakeFleet, name: str, **more: object) -> None:
    definition = {"name": name, "command": "true", "schedule": "30 2 * * *", **more}
    fleet.create_job(definition, "test")


# ------------------------------------------------------------------ skip-next


def test_the_slots_that_are_skipped_are_named_in_the_zone_of_the_job(
    cronherd: Shell, fleet: FakeFleet
):
    cronherd(*BACKUP)
    said = cronherd("job", "skip-next", "backup", "--count", "2")
    assert said.err == (
        "'backup' skips 2026-11-22 02:30:00 CET, 2026-11-23 02:30:00 CET "
        "and runs next at 2026-11-24 02:30:00 CET\n"
    )
    assert "skips:    up to 2026-11-23" in cronherd("job", "show", "backup").out
    said = cronherd("job", "skip-next", "backup", "--count", "7")
    assert "skips 7 slots, 2026-11-22 02:30:00 CET to 2026-11-28 02:30:00 CET" in said.err
    said = cronherd("job", "skip-next", "backup", "--undo")
    assert said.err == "'backup' skips nothing any more: 2026-11-28 02:30:00 CET\n"
    said = cronherd("job", "skip-next", "backup", "--undo")
    assert said.err == "'backup' had nothing to skip\n"
    assert "skips:" not in cronherd("job", "show", "backup").out
    assert fleet.calls == ["skip backup 2", "skip backup 7", "undo backup", "undo backup"]


def test_a_slot_that_its_jitter_delays_shows_when_it_fires(
    cronherd: Shell, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
):
    cronherd(*BACKUP)
    slots = fleet.next_slots("backup", 1)
    assert "FIRES" not in cronherd("next", "backup").out
    slots["fires_at"] = ["2026-11-22T01:37:00Z"]
    monkeypatch.setattr(fleet, "next_slots", lambda *_: slots)
    head, line = cronherd("next", "backup").out.splitlines()
    assert head.split() == ["NEXT", "LEFT", "FIRES"]
    assert "02:30:00 CET  15h 37m  2026-11-22 02:37:00 CET" in line


def test_to_take_back_takes_back_all(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    said = cronherd("job", "skip-next", "backup", "--undo", "--count", "1")
    assert (said.code, fleet.calls) == (2, [])


def test_many_jobs_skip_a_slot_where_they_have_one(cronherd: Shell, fleet: FakeFleet):
    for name in ("a", "b", "c"):
        add(fleet, name)
    fleet.jobs["b"]["next_at"] = None
    said = cronherd("job", "skip-next", "--all")
    assert (said.code, said.err) == (0, "2 jobs are to skip 1 more\n")
    assert fleet.calls == ["skip a 1", "skip c 1"]
    said = cronherd("job", "skip-next", "--all", "--undo")
    assert said.err == "2 jobs are skipping nothing any more\n"


# ------------------------------------------------------------------ many jobs


def test_the_jobs_of_a_tag_are_paused_and_resumed(cronherd: Shell, fleet: FakeFleet):
    for number in range(5):
        add(fleet, f"j{number}", tags=["night"] if number % 2 else [])
    listed = cronherd("job", "list", "--tag", "night", "-o", "name").out.split()
    assert listed == ["j1", "j3"]
    fleet.first = ["r1", "r2"]
    said = cronherd("job", "pause", "--tag", "night", "--for", "2h")
    assert said.err == "2 jobs are paused; 4 runs had started before\n"
    assert fleet.calls == ["pause j1 None 2h", "pause j3 None 2h"]
    fleet.first = []
    assert cronherd("job", "pause", "--all").err == "5 jobs are paused\n"
    fleet.resume_job("j3", "ann")
    said = cronherd("job", "resume", "--tag", "night", "-o", "json")
    document = json.loads(said.out)
    assert [job["name"] for job in document["items"]] == ["j1"]  # what is not paused is left alone
    assert document["errors"] == []


def test_the_jobs_of_a_node_are_paused(cronherd: Shell, fleet: FakeFleet):
    add(fleet, "anywhere")
    add(fleet, "here", run_on={"node": "web-1"})
    said = cronherd("job", "pause", "--node", "web-1")
    assert (said.err, fleet.calls) == ("1 job is paused\n", ["pause here None None"])
    assert cronherd("job", "list", "--node", "web-1", "-o", "name").out == "here\n"
    assert cronherd("job", "list", "--node", "web-2").err == "there are no such jobs\n"


@pytest.mark.parametrize("verb", ["pause", "skip-next"])
def test_the_error_of_one_job_stops_no_other(cronherd: Shell, fleet: FakeFleet, verb: str):
    for name in ("a", "b", "c"):
        add(fleet, name)
    fleet.stuck = {"b"}
    said = cronherd("job", verb, "--all")
    assert said.code == 1
    assert "cronherd: b: 'b' is stuck\n" in said.err
    assert said.err.endswith(", 1 failed\n")
    assert [call.split()[1] for call in fleet.calls] == ["a", "c"]
    fleet.calls.clear()
    said = cronherd("job", verb, "a", "b", "c")
    assert (said.code, len(fleet.calls)) == (1, 2)
    said = cronherd("job", verb, "a", "b", "c", "-o", "json")
    document = json.loads(said.out)
    assert (said.code, len(document["items"])) == (1, 2)
    assert [(each["job"], each["code"]) for each in document["errors"]] == [("b", "stuck")]


def test_who_does_not_answer_is_not_asked_again(
    cronherd: Shell, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a", "b", "c"):
        add(fleet, name)
    asked: list[str] = []

    def gone(name: str, actor: str, **more: object) -> dict[str, object]:
        asked.append(name)
        if len(asked) == 2:
            raise Unavailable("no answer", code="no_answer")
        return {"name": name}

    monkeypatch.setattr(fleet, "pause_job", gone)
    said = cronherd("job", "pause", "--all")
    assert (said.code, len(asked)) == (1, 2)
    assert "no answer; 1 of 3 jobs are done, 2 are left" in said.err


@pytest.mark.parametrize(
    "given", [(), ("a", "--all"), ("--tag", "x", "--all"), ("--node", "x", "--tag", "y")]
)
@pytest.mark.parametrize("verb", ["pause", "resume", "skip-next"])
def test_jobs_are_chosen_in_one_way(
    cronherd: Shell, fleet: FakeFleet, verb: str, given: tuple[str, ...]
):
    said = cronherd("job", verb, *given)
    assert (said.code, fleet.calls) == (2, [])
    assert "give names, or one of --tag, --node and --all" in said.err


def test_a_tag_that_no_job_has_is_an_error(cronherd: Shell, fleet: FakeFleet):
    add(fleet, "a")
    said = cronherd("job", "pause", "--tag", "nihgt")
    assert (said.code, fleet.calls) == (1, [])
    assert "there are no jobs with the tag 'nihgt'" in said.err


def test_a_server_that_cannot_choose_is_not_believed(cronherd: Shell, fleet: FakeFleet):
    """An older one would answer with all jobs, and all of them would be paused."""
    add(fleet, "a", tags=["night"])
    fleet.old = True
    said = cronherd("job", "pause", "--tag", "night")
    assert (said.code, fleet.calls) == (1, [])
    assert "too old to choose jobs" in said.err
    assert cronherd("job", "pause", "--all").code == 0
    assert "or to sort them" in cronherd("job", "list", "--sort", "-took").err


# ------------------------------------------------------------------ backfill


def slots(count: int, ran: int = 0) -> list[dict[str, object]]:
    return [
        {"slot": f"2026-11-{1 + n // 24:02}T{n % 24:02}:00:00Z", "run": "a" * 32, "ran": n < ran}
        for n in range(count)
    ]


def test_a_few_slots_are_made_up_for_unasked(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.slots = slots(12, ran=2)
    said = cronherd(*STRETCH)
    assert said.code == 0
    assert said.err == (
        "10 runs of 'backup' made, 2 slots had run already: cronherd run list backup\n"
    )
    assert fleet.calls == [
        "backfill 2026-11-01 2026-11-20 dry",
        "backfill 2026-11-01T00:00:00Z 2026-11-01T11:00:00Z",
    ]


def test_more_are_asked_about(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.slots = slots(11)
    said = cronherd(*STRETCH)
    assert (said.code, len(fleet.calls)) == (2, 1)
    assert "Run 11 slots of 'backup'?" in said.err
    assert cronherd(*STRETCH, "--yes").code == 0
    assert len(fleet.calls) == 3


def test_many_are_made_a_part_at_a_time(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.slots = slots(250, ran=1)
    said = cronherd(*STRETCH, "-y", "-o", "json")
    document = json.loads(said.out)
    assert (document["made"], document["ran"], len(document["slots"])) == (249, 1, 250)
    assert [call.split()[1] for call in fleet.calls[1:]] == [
        "2026-11-01T00:00:00Z", "2026-11-05T04:00:00Z", "2026-11-09T08:00:00Z",
    ]  # fmt: skip


def test_a_dry_run_names_the_slots(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.slots = slots(3, ran=1)
    said = cronherd(*STRETCH, "--dry-run")
    assert [line.split()[-1] for line in said.out.splitlines()] == ["RUN", "aaaaaaaa", "new", "new"]
    assert "2026-11-01 01:00:00 CET" in said.out
    assert said.err == "2 runs would be made, 1 slot had run already; nothing was done\n"
    assert fleet.calls == ["backfill 2026-11-01 2026-11-20 dry"]


def test_nothing_to_make_up_for_is_said(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    assert cronherd(*STRETCH).err == "'backup' has no slot there that is past\n"
    fleet.slots = slots(2, ran=2)
    assert "nothing to do, 2 slots had run already" in cronherd(*STRETCH).err
    assert len(fleet.calls) == 2
