"""`cronherd locks` and the words of `cronherd lock`: what people and programs see."""

import json

import pytest

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet

REPORT = {
    "name": "report",
    "holder": "web1:42",
    "mode": "exclusive",
    "since_at": "2026-11-21T09:50:00Z",
    "until_at": "2026-11-21T10:50:00Z",
    "held_s": 600.0,
    "left_s": 3000.0,
    "fence": 17,
}
SHARED = {**REPORT, "name": "cache", "holder": "web2:7", "mode": "shared", "fence": None}


def test_locks_are_listed_with_their_holders_d2_7(cronherd: Shell, fleet: FakeFleet):
    fleet.locks = [SHARED, REPORT]
    said = cronherd("locks", "list")
    head, *rows = said.out.splitlines()
    assert head.split() == ["NAME", "HOLDER", "MODE", "SINCE", "UNTIL", "FENCE"]
    assert [row.split()[0] for row in rows] == ["cache", "report"]
    assert "web2:7" in rows[0]
    assert rows[0].split()[-1] == "-"
    assert ("exclusive" in rows[1], rows[1].split()[-1]) == (True, "17")
    document = json.loads(cronherd("locks", "list", "-o", "json").out)
    assert document["items"] == [SHARED, REPORT]
    assert cronherd("locks", "ls", "-o", "name").out == "cache\nreport\n"


def test_one_lock_is_listed_by_its_name(cronherd: Shell, fleet: FakeFleet):
    fleet.locks = [SHARED, REPORT]
    assert cronherd("locks", "list", "report", "-o", "name").out == "report\n"
    nobody = cronherd("locks", "list", "other")
    assert (nobody.code, nobody.err) == (0, "nobody holds it\n")


def test_a_lock_is_cleared_on_a_yes_d2_7(cronherd: Shell, fleet: FakeFleet):
    fleet.locks = [SHARED, REPORT]
    asked = cronherd("locks", "clear", "report")
    assert asked.code == 2
    assert "repeat it with --yes" in asked.err
    assert len(fleet.locks) == 2
    done = cronherd("locks", "clear", "report", "--yes")
    assert (done.code, done.err) == (0, "'report' is cleared; it was held by web1:42\n")
    assert fleet.locks == [SHARED]
    none = cronherd("locks", "clear", "report", "-y")
    assert none.code == 1
    assert "nobody holds the lock 'report'" in none.err


def test_a_file_tells_nobody_who_holds_it(cronherd: Shell):
    said = cronherd("locks", "list", "/run/lock/report")
    assert said.code != 0
    assert "does not tell who holds it" in said.err
    said = cronherd("locks", "clear", "/run/lock/report", "-y")
    assert said.code != 0
    assert "free when its holder ends" in said.err


def test_a_question_repeats_no_password(cronherd: Shell):
    said = cronherd("locks", "clear", "redis://:hunter2@127.0.0.1:1/report")
    assert "'report'" in said.err
    assert "hunter2" not in said.err


@pytest.mark.parametrize("words", [("a b", "true"), ("", "true"), (121 * "x", "true")])
def test_a_name_that_is_none_is_refused(cronherd: Shell, words: tuple[str, str]):
    said = cronherd("lock", *words)
    assert said.code == 2
