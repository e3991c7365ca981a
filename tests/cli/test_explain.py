"""`cronherd explain`, and what `next` and `job show` say of clock changes."""

import json

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

BERLIN = ("--timezone", "Europe/Berlin", "--from", "2027-03-27 12:00")


def test_a_schedule_in_words_with_its_next_slots(cronherd: Shell):
    said = cronherd(
        *("explain", "30 2 * * *", *BERLIN, "--window", "Mon-Sun 02:00-04:00"),
        *("--excluding", "Mon", "--excluding", "holidays DE", "-n", "2"),
    )
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "At 02:30 every day."
    assert "Only from 02:00 to 04:00." in lines
    assert "Not on Monday." in lines
    assert "Not on public holidays of DE." in lines
    assert any("moved: 02:30 does not exist on this day" in line for line in lines)
    assert any(line.startswith("2027-03-30 02:30:00") for line in lines)


def test_it_is_a_document_too(cronherd: Shell):
    said = cronherd("explain", "30", "2", "*", "*", "*", *BERLIN, "-n", "1", "-o", "json")
    document = json.loads(said.out)
    assert document["slots"] == ["2027-03-28T01:00:00Z"]
    assert document["marks"] == {"2027-03-28T01:00:00Z": "moved: 02:30 does not exist on this day"}
    assert document["explained"][0] == "At 02:30 every day."
    assert document["timezone"] == "Europe/Berlin"


def test_policies_of_clock_changes_may_be_tried(cronherd: Shell):
    said = cronherd("explain", "30 2 * * *", *BERLIN, "--dst-gap", "skip", "-n", "1", "-o", "name")
    assert said.out.split() == ["2027-03-29T00:30:00Z"]


def test_what_never_fires_is_refused(cronherd: Shell):
    said = cronherd("explain", "30 2 * * *", "--excluding", "02:00-03:00")
    assert said.code == 1
    assert "never fires" in said.err


def test_a_start_of_the_host_has_words_and_no_slots(cronherd: Shell):
    said = cronherd("explain", "@reboot")
    assert (said.code, said.out) == (0, "Once at each start of a host.\n")


def test_next_shows_the_marks_of_an_expression(cronherd: Shell):
    said = cronherd("next", "30 2 * * *", *BERLIN, "-n", "1")
    assert "CLOCK CHANGE" in said.out
    assert "moved: 02:30 does not exist on this day" in said.out


def test_the_page_of_a_job_has_its_words_and_marks(cronherd: Shell, fleet: FakeFleet):
    cronherd("job", "create", "backup", "--schedule", "30 2 * * *", "--", "true")
    shown = fleet.show_job("backup") | {
        "explained": ["At 02:30 every day."],
        "upcoming": ["2027-03-28T01:00:00Z"],
        "marks": {"2027-03-28T01:00:00Z": "moved: 02:30 does not exist on this day"},
        "timezone": "Europe/Berlin",
    }
    fleet.show_job = lambda name: shown  # type: ignore[method-assign]
    said = cronherd("job", "show", "backup")
    assert "\nAt 02:30 every day.\n" in said.out
    assert "2027-03-28 03:00:00 CEST" in said.out
    assert "moved: 02:30 does not exist on this day" in said.out
