"""`cronherd why`: the account of one instant, in words."""

import json
from typing import Any

import pytest

from cronherd.domain.timing.misfit import Cut
from cronherd.domain.why import Answer, Because
from tests.cli.conftest import ROOT, Shell
from tests.cli.fakes import FakeFleet, make_run

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
WAY = make_run(0xABC12345, state="running", outcome=None, started_at="2026-11-21T01:00:00Z")


def item(answer: str, reason: str | None = None, **given: Any) -> dict[str, Any]:
    """An answer about half past two in Berlin, of a job that nothing happened to."""
    plain: dict[str, Any] = {
        "at": "2026-11-21T01:30:00Z",
        "asked": "2026-11-21T01:30:00Z",
        "answer": answer,
        "reason": reason,
        "details": [],
        "schedule": "30 2 * * *",
        "version": {"number": 1, "by": "ann", "at": "2026-11-01T09:00:00Z", "present": True},
        "fires_at": None,
        "runs": [],
        "ledger": None,
        "in_the_way": None,
        "event": None,
        "account_from": "2026-11-01T09:00:00Z",
        "previous": "2026-11-20T01:30:00Z",
        "next": None,
        "also": [],
    }
    return plain | given


def row(reason: str, **given: Any) -> dict[str, Any]:
    plain = {
        "job": "backup", "from": "2026-11-21T01:30:00Z", "to": "2026-11-21T01:30:00Z", "count": 1,
        "reason": reason, "ref": None, "recorded_at": "2026-11-21T01:30:01Z",
    }  # fmt: skip
    return plain | given


def event(kind: str, text: str = "") -> dict[str, Any]:
    return {
        "at": "2026-11-20T17:00:00Z",
        "kind": kind,
        "subject": "backup",
        "actor": "local:ann",
        "text": text,
    }


RAN = make_run(0xDEF67890, cause="schedule", late_s=0.2, late_because=[], waited_for=None)
LATE = RAN | {"late_s": 190.0, "late_because": ["permit", "retry"], "attempt": 2}
LATE |= {"waited_for": WAY["id"]}
NEVER = RAN | {"started_at": None, "outcome": "not_started"}
FUTURE = {"fires_at": "2026-11-21T01:37:00Z"}

# What was found, and what must stand on the first line, and on the others.
BY_HOOK = RAN | {"outcome": "skipped", "error": "when: shop:is_open said no"}
CASES: list[tuple[dict[str, Any], str, list[str]]] = [
    (item("ran", runs=[RAN]), "ran",
     ["run:       def67890, succeeded on web-1 in 3.0s", "output:    cronherd run logs def67890",
      "schedule:  30 2 * * * (Europe/Berlin)", "previous:  2026-11-20 02:30:00 CET",
      "next:      -"]),
    (item("ran", runs=[LATE]), "ran",
     ["late:      3m 10s: it waited for the end of run abc12345, an earlier attempt failed",
      "attempts:  2"]),
    (item("waiting", "permit", in_the_way=WAY), "has not started yet: the job runs as often as it",
     ["in the way:  run abc12345, running on web-1, started 2026-11-21"]),
    (item("waiting", "no_node", details=["gpu=yes"]), "asks for (gpu=yes)", []),
    (item("did_not_run", "overlap", in_the_way=WAY, ledger=row("overlap", ref=WAY["id"])),
     "did not run: the job was already running as often as it may",
     ["in the way:  run abc12345", "recorded:    2026-11-21 01:30:01 UTC"]),
    (item("did_not_run", "overlap", ledger=row("overlap", ref="a" * 32)), "did not run:",
     ["in the way:  run aaaaaaaa, which is not on record any more"]),
    (item("did_not_run", "paused", event=event("job_paused", "until resumed"),
          ledger=row("paused", count=12, to="2026-12-02T01:30:00Z")),
     "did not run: the job was paused",
     ["by:        local:ann, 2026-11-20 18:00:00 CET (job paused: until resumed)",
      "range:     12 slots with this reason, 2026-11-21 02:30:00 CET to 2026-12-02 02:30:00 CET"]),
    (item("did_not_run", "catchup_none",
          ledger=row("catchup_none", count=100_000, ref="at least", to="2026-12-02T01:30:00Z")),
     "did not run:", ["range:     at least 100,000 slots"]),
    (item("did_not_run", "not_started", runs=[NEVER]),
     "did not run: the command could not be started, or was given up before",
     ["run:       def67890, not started"]),
    (item("did_not_run", "skipped", runs=[BY_HOOK]),
     "did not run: one of the job's `when` or `skip` said no", ["run:       def67890, skipped"]),
    (item("did_not_run", "skipped", ledger=row("skipped")),
     "did not run: somebody said that it is to be skipped", []),
    (item("did_not_run", "skipped"), "did not run: somebody said that it is to be skipped", []),
    (item("due", "hold"), "is due and not decided yet: the fleet is held for maintenance", []),
    (item("due", "jitter", fires_at="2026-11-21T01:37:00Z"),
     "is due and not decided yet: it fires at 2026-11-21 02:37:00 CET by its jitter", []),
    (item("due", "poisoned", details=["no zone"]), "it is tried again every minute (no zone)", []),
    (item("will_run"), "will run", []),
    (item("will_run", **FUTURE), "will run, at 2026-11-21 02:37:00 CET by its jitter", []),
    (item("will_not_run", "paused", event=event("job_paused")), "will not run: the job is paused",
     ["by:        local:ann, 2026-11-20 18:00:00 CET (job paused)"]),
    (item("will_not_run", "over"), "will not run: max_runs ends the schedule before it", []),
    (item("no_slot", "field", details=["minute", "hour"]),
     "no slot: it does not match the schedule's minute and hour", []),
    (item("no_slot", "excluded", details=["Sat,Sun"]), "no slot: Sat,Sun is left out", []),
    (item("no_slot", "before_start", details=["2026-12-01T00:00:00Z"]),
     "no slot: the schedule begins at 2026-12-01 01:00:00 CET", []),
    (item("no_slot", "clock", details=["02:30"]), "no slot: the clock shows 02:30 twice", []),
    (item("unknown", "before_job"), "; it was made 2026-11-01 10:00:00 CET", []),
    (item("unknown", "forgotten"), "does not go back so far; it begins after 2026-11-01", []),
    (item("will_run", version={"number": 3, "by": "bob", "at": "2026-11-01T09:00:00Z",
                               "present": False}), "will run",
     ["version:   3, by bob since 2026-11-01 10:00:00 CET; not today's"]),
    (item("will_run", also=["2026-11-21T01:30:10Z"]), "will run",
     ["also:      1 more slot in this minute: say the second"]),
]  # fmt: skip


@pytest.mark.parametrize(("told", "head", "lines"), CASES)
def test_it_says_what_is_on_record(
    cronherd: Shell, fleet: FakeFleet, told: dict[str, Any], head: str, lines: list[str]
):
    cronherd(*BACKUP)
    fleet.told = [told]
    said = cronherd("why", "backup", "--at", "2026-11-21 02:30")
    assert (said.code, said.err) == (0, "")
    first, *rest = said.out.splitlines()
    assert first.startswith("2026-11-21 02:30:00 CET: ")
    assert head in first
    found = [" ".join(line.split()) for line in rest]
    for line in lines:
        wanted = " ".join(line.split())
        assert any(one.startswith(wanted) for one in found), (wanted, found)
    assert fleet.calls == ["why 2026-11-21 02:30"]


def test_a_time_that_comes_twice_is_told_twice(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.told = [item("will_run"), item("no_slot", "clock", details=["02:30"])]
    said = cronherd("why", "backup")
    assert said.err == "the clock shows this time twice: here are both\n"
    first, second = (line for line in said.out.splitlines() if line.startswith("2026"))
    assert first == "2026-11-21 02:30:00 CET: will run"
    assert second.endswith("the clock shows 02:30 twice, and only the first one counts")
    assert fleet.calls == ["why None"]


def test_programs_get_the_answer_as_it_is(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    fleet.told = [item("did_not_run", "overlap")]
    document = json.loads(cronherd("why", "backup", "-o", "json").out)
    assert document["items"] == fleet.told
    assert cronherd("why", "backup", "-o", "name").out == "did_not_run\n"
    assert cronherd("why", "nobody").code == 1


def test_each_word_of_an_answer_is_in_the_docs():
    text = (ROOT / "docs" / "why.md").read_text("utf-8")
    words = [*Answer, *Because, *Cut]
    assert [str(word) for word in words if f"`{word}`" not in text] == []
