"""`cronherd job pause`, `node drain`, `maintenance`: what keeps runs from starting."""

import json

import pytest

from cronherd.cli.table import coloured
from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet, make_run

BACKUP = ("job", "create", "backup", "-s", "30 2 * * *", "-c", "true")
BERLIN = (*BACKUP, "--timezone", "Europe/Berlin")
FIRST = [f"{number:08x}{'0' * 24}" for number in (0xABC12345, 0xDEF67890)]

# ------------------------------------------------------------------ pause


def test_a_job_is_paused_until_it_is_resumed(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    assert cronherd("job", "pause", "BACKUP").err == "'backup' is paused until it is resumed\n"
    assert fleet.calls == ["pause backup None None"]
    assert cronherd("job", "list").out.splitlines()[1].split()[:2] == ["backup", "paused"]
    assert "paused:   paused until it is resumed\n" in cronherd("job", "show", "backup").out
    document = json.loads(cronherd("job", "show", "backup", "-o", "json").out)
    assert (document["paused"], document["paused_until"]) == (True, None)
    said = cronherd("job", "resume", "backup")
    assert said.err == "'backup' is resumed and runs next at 2026-11-22 02:30:00 UTC\n"
    assert "paused:" not in cronherd("job", "show", "backup").out


@pytest.mark.parametrize(
    ("given", "call"),
    [(("--for", "2h"), "None 2h"), (("--until", "2026-11-22T06:00"), "2026-11-22T06:00 None")],
)
def test_the_end_of_a_pause_is_told_in_the_zone_of_the_job(
    cronherd: Shell, fleet: FakeFleet, given: tuple[str, ...], call: str
):
    cronherd(*BERLIN)
    said = cronherd("job", "pause", "backup", *given)
    assert said.err == "'backup' is paused until 2026-11-22 06:00:00 CET\n"
    assert fleet.calls == [f"pause backup {call}"]
    assert "2026-11-22 05:00:00 UTC" in cronherd("job", "pause", "backup", *given, "--utc").err


def test_a_paused_job_says_who_paused_it_and_why(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BERLIN)
    cronherd("job", "pause", "backup")
    fleet.jobs["backup"] |= {
        "paused_by": "finisher",
        "paused_at": "2026-11-22T05:00:00Z",
        "pause_reason": "3 runs in a row failed",
    }
    line = (
        "paused until it is resumed: 3 runs in a row failed (by finisher, 2026-11-22 06:00:00 CET)"
    )
    assert f"paused:   {line}\n" in cronherd("job", "show", "backup").out
    fleet.jobs["backup"]["pause_reason"] = None
    said = cronherd("job", "show", "backup").out
    assert "paused until it is resumed (by finisher, 2026-11-22 06:00:00 CET)\n" in said


def test_a_pause_has_one_end(cronherd: Shell, fleet: FakeFleet):
    cronherd(*BACKUP)
    said = cronherd("job", "pause", "backup", "--for", "2h", "--until", "2026-11-22")
    assert (said.code, fleet.calls) == (2, [])
    assert "give --for or --until, not both" in said.err


def test_what_is_not_paused_cannot_be_resumed(cronherd: Shell):
    cronherd(*BACKUP)
    said = cronherd("job", "resume", "backup", "-o", "json")
    assert (said.code, json.loads(said.err)["error"]["code"]) == (1, "not_paused")


def test_several_jobs_are_paused_or_none(cronherd: Shell, fleet: FakeFleet):
    for name in ("a", "b"):
        cronherd("job", "create", name, "-c", "true")
    assert cronherd("job", "pause", "a", "nobody").code == 1
    assert fleet.jobs["a"]["paused"] is False
    document = json.loads(cronherd("job", "pause", "a", "b", "-o", "json").out)
    assert [job["paused"] for job in document["items"]] == [True, True]


def test_a_paused_job_has_no_next_time(cronherd: Shell):
    cronherd(*BACKUP)
    cronherd("job", "pause", "backup")
    assert cronherd("next", "backup").err == "the job is paused until it is resumed\n"


@pytest.mark.parametrize(
    ("verb", "done"),
    [
        (("pause",), "is paused until it is resumed"),
        (("disable",), "is disabled"),
        (("delete", "-y"), "is deleted"),
    ],
)
def test_runs_that_were_first_are_named(
    cronherd: Shell, fleet: FakeFleet, verb: tuple[str, ...], done: str
):
    fleet.first = FIRST
    cronherd(*BACKUP)
    assert cronherd("job", *verb, "backup").err == (
        f"'backup' {done}; 2 runs had started before: abc12345 def67890 "
        "(cancel them with 'cronherd run cancel')\n"
    )
    fleet.first = FIRST[:1]
    cronherd(*BACKUP)
    said = cronherd("job", *verb, "backup").err
    assert "; 1 run had started before: abc12345 (cancel it with 'cronherd run cancel')\n" in said
    cronherd(*BACKUP)
    document = json.loads(cronherd("job", *verb, "backup", "-o", "json").out)
    assert document["started_before"] == FIRST[:1]


def test_a_hundred_runs_that_were_first_are_counted(cronherd: Shell, fleet: FakeFleet):
    fleet.first = [f"{number:032x}" for number in range(100)]
    cronherd(*BACKUP)
    said = cronherd("job", "disable", "backup").err
    assert "; 100 runs had started before: " in said
    assert " and 90 more (cancel them" in said


# ------------------------------------------------------------------ nodes


def test_nodes_show_their_state_and_lease(cronherd: Shell, fleet: FakeFleet):
    fleet.nodes = {"web-1": True, "web-2": False, "web-3": True}
    fleet.drained = {"web-2", "web-3"}
    header, *rows = cronherd("node", "list").out.splitlines()
    assert header.split() == [
        "NAME", "STATE", "RUNS", "CAPACITY", "LABELS", "STARTED", "LEASE", "VERSION",
    ]  # fmt: skip
    assert "  alive  " in rows[0]
    assert "  10s left  " in rows[0]
    assert "silent since 2026-11-21 09:55:00 UTC (drained)" in rows[1]
    assert "  5m ago  " in rows[1]
    assert "  drained  " in rows[2]
    assert "b1" in cronherd("node", "list", "-o", "wide").out
    document = json.loads(cronherd("node", "list", "-o", "json").out)
    assert [node["state"] for node in document["items"]] == ["alive", "silent", "drained"]
    assert coloured("silent since 2026") != "silent since 2026"


@pytest.mark.parametrize("words", [("status",), ("node", "list")], ids=" ".join)
def test_a_mix_of_zone_rules_is_named(cronherd: Shell, fleet: FakeFleet, words: tuple[str, ...]):
    fleet.nodes = {"web-1": True, "web-2": True, "web-3": False}
    fleet.rules = {"web-3": "2020.1"}  # who is silent plans nothing
    assert "zone rules" not in cronherd(*words).err
    fleet.rules["web-2"] = "2025.2"
    said = "zone rules differ between nodes: 2025.2 on web-2; 2026.1 on web-1: install one version"
    assert said in cronherd(*words).err


def test_a_node_is_drained_and_resumed(cronherd: Shell, fleet: FakeFleet):
    said = cronherd("node", "drain", "web-1")
    assert (said.code, said.err) == (0, "'web-1' is drained: it starts nothing more\n")
    fleet.first = FIRST
    assert "; 2 runs of it still to end" in cronherd("node", "drain", "web-1").err
    assert cronherd("node", "resume", "web-1").err == "'web-1' may start runs\n"
    fleet.nodes["web-1"] = False
    assert cronherd("node", "resume", "web-1").err == "'web-1' may start runs, but it is silent\n"
    said = cronherd("node", "drain", "web-9", "-o", "json")
    assert (said.code, json.loads(said.err)["error"]["code"]) == (1, "no_such_node")


@pytest.mark.parametrize("verb", ["remove", "rm"])
def test_a_node_is_removed_and_its_runs_are_named(cronherd: Shell, fleet: FakeFleet, verb: str):
    fleet.first = FIRST
    said = cronherd("node", verb, "web-1", "--confirm-dead")
    assert fleet.calls == ["remove web-1 for dead"]
    assert said.err.splitlines() == [
        "'web-1' is removed",
        "1 run: abc12345 ended as lost",
        "1 run: def67890 to be started again",
    ]


def test_a_node_without_runs_is_removed_without_an_oath(cronherd: Shell, fleet: FakeFleet):
    assert cronherd("node", "remove", "web-1", "-o", "name").out == "web-1\n"
    assert fleet.calls == ["remove web-1"]


# ------------------------------------------------------------------ the whole


def test_maintenance_is_loud_in_the_status(cronherd: Shell):
    assert "MAINTENANCE" not in cronherd("status").out
    held = "on since 2026-11-21 09:59:00 UTC by ann: nothing fires, no silent node is judged"
    assert cronherd("maintenance", "on").err == f"maintenance is {held}\n"
    said = cronherd("status")
    assert f"\nMAINTENANCE is {held}\n" in said.out
    assert "cronherd maintenance off" in said.err
    assert json.loads(cronherd("status", "-o", "json").out)["hold"]["by"] == "ann"
    assert cronherd("maintenance", "off").err == "maintenance is off\n"
    assert json.loads(cronherd("maintenance", "off", "-o", "json").out)["hold"] is None
    assert cronherd("maintenance", "on", "-o", "name").out == "on\n"


def test_the_status_counts_nodes_by_their_state(cronherd: Shell, fleet: FakeFleet):
    fleet.nodes = {"web-1": True, "web-2": False, "web-3": True}
    fleet.drained = {"web-3"}
    assert "nodes: 1 alive, 1 drained, 1 silent\n" in cronherd("status").out
    fleet.nodes = {}
    assert "nodes: 0 alive\n" in cronherd("status").out


@pytest.mark.parametrize("state", ["suspected", "unknown"])
def test_a_run_of_a_silent_node_says_since_when(cronherd: Shell, fleet: FakeFleet, state: str):
    silent = {"state": state, "outcome": None, "silent_since": "2026-11-21T09:55:00Z"}
    fleet.started = make_run(9, **silent)
    fleet.ended = [fleet.started]
    said = cronherd("run", "show", "00000009").out
    assert f"result:    {state}\n" in said
    assert "silent:    its node is silent since 2026-11-21 09:55:00 UTC, so how it goes" in said
    assert f"  {state}  " in cronherd("run", "list").out
    assert coloured(state) != state
