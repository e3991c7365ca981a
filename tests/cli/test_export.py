"""`cronherd export` and `cronherd crontab`: what came in is given back, or said why not."""

import json
import os
from pathlib import Path

import pytest

from cronherd.cli.exporting import made_crontab
from cronherd.cli.session import Session, user_name
from cronherd.definition.jobs import read_job
from cronherd.domain.crontab import Kind, parse_crontab
from cronherd.domain.errors import InvalidInput
from cronherd.domain.imported import definition_of_entry
from tests.cli.conftest import Shell
from tests.cli.fakes import NOW_US, FakeFleet

OWN = Path(__file__).resolve().parents[1] / "crontabs"
CORPUS = os.environ.get("CRONHERD_CORPUS", "")
ZONE = "Europe/Berlin"


def texts() -> list[tuple[str, str]]:
    paths = [*OWN.glob("*.crontab"), *(Path(CORPUS).glob("*.crontab") if CORPUS else ())]
    return [(p.name, p.read_bytes().decode("utf-8", "backslashreplace")) for p in sorted(paths)]


def taken(text: str, kind: Kind) -> list[dict[str, object]]:
    """Canonical definitions of each line that a fleet takes."""
    found = []
    for entry in parse_crontab(text, kind).entries:
        job = definition_of_entry(
            entry, node="web-1", timezone=ZONE, agent_user=user_name(), refusal_of=lambda _: ""
        )
        try:
            found.append(dict(read_job(job.definition, timezone="UTC", now_us=NOW_US).spec))
        except InvalidInput:
            continue
    return found


def exported(jobs: list[dict[str, object]], kind: Kind) -> tuple[str, list[str]]:
    session = Session(load_host=None, now_us=lambda: NOW_US, environ={})  # type: ignore[arg-type]
    text, left = made_crontab(session, jobs, place="web-1", kind=kind, owner=None, zone=ZONE)
    return text, [f"{one.name}: {one.reason}" for one in left]


@pytest.mark.parametrize(("name", "text"), texts(), ids=[name for name, _ in texts()])
def test_what_came_in_is_given_back_and_read_as_the_same_jobs(name: str, text: str):
    del name
    for kind in (Kind.USER, Kind.SYSTEM):
        jobs = taken(text, kind)
        given, left = exported(jobs, kind)
        assert not left
        again = {str(job["name"]): job for job in taken(given, kind)}
        assert again == {str(job["name"]): job for job in jobs}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"timeout": "10m"}, "a crontab cannot say its timeout"),
        ({"overlap": "skip", "retries": 2}, "a crontab cannot say its overlap, retries"),
        ({"schedule": "every 90s"}, "no line of a crontab is read as this job"),
        ({"schedule": ["0 1 * * *", "0 3 * * *"]}, "it has no schedule of cron"),
        ({"command": ["a", "b"]}, "its command is no line of a shell"),
        ({"command": "a\nb"}, "a crontab has no line breaks within a value"),
        ({"env": {}}, "a crontab cannot say its env"),
        ({"enabled": False}, "it is disabled"),
        ({"description": "two\nlines"}, "a crontab cannot say its description"),
        ({"command": "alpha  "}, "a crontab cannot say its command"),
    ],
)
def test_what_a_crontab_cannot_say_is_a_comment_with_the_reason(
    more: dict[str, object], reason: str
):
    plain = taken("0 4 * * * alpha\n0 5 * * * beta\n", Kind.USER)
    text, left = exported([plain[0] | more, plain[1]], Kind.USER)
    assert left == [f"alpha: {reason}"]
    assert f"# not in this crontab: 'alpha': {reason}\n" in text
    assert [job["name"] for job in taken(text, Kind.USER)] == ["beta"]


def test_jobs_that_leave_no_room_for_each_other_are_told_apart():
    jobs = taken("A=1\n0 4 * * * alpha\n", Kind.USER) + taken("B=2\n0 4 * * * beta\n", Kind.USER)
    text, left = exported(jobs, Kind.USER)
    assert left == ["beta: it has no A, which other jobs set: export the jobs of one file"]
    assert [job["name"] for job in taken(text, Kind.USER)] == ["alpha"]


def test_a_path_that_is_set_is_put_back_for_the_jobs_below():
    jobs = taken("PATH=/opt\n0 4 * * * alpha\n", Kind.USER)
    jobs += taken("A=1\n0 4 * * * beta\n", Kind.USER)
    text, left = exported(jobs, Kind.USER)
    assert not left
    assert taken(text, Kind.USER) == jobs


TAB = b"""\
SHELL=/bin/bash
MAILTO=ops
# Copies the orders
15 * * * * copy --to \\%here
# Counts them
CRON_TZ=Asia/Tokyo
0 3 * * 1-5 cat%one%two
@reboot warm-up
"""


def test_an_exported_crontab_imports_without_any_change(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    (tmp_path / "tab").write_bytes(TAB)
    assert cronherd("import", "crontab", "tab", "--yes").code == 0
    before = {name: job["definition"] for name, job in fleet.jobs.items()}
    assert len(before) == 3
    said = cronherd("export", "crontab")
    assert (said.code, said.err) == (0, "")
    again = cronherd("import", "crontab", "-", "--yes", given=said.out.encode())
    assert again.code == 0, again.err
    assert again.out.count("(unchanged)") == 3
    assert {name: job["definition"] for name, job in fleet.jobs.items()} == before
    assert {job["source"] for job in fleet.jobs.values()} == {f"crontab:web-1:{tmp_path}/tab"}


def test_a_crontab_is_of_one_user_one_node_and_one_file(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    fleet.nodes = {"web-1": True, "web-2": True}
    (tmp_path / "mine").write_text("0 1 * * * mine\n")
    (tmp_path / "system").write_text("0 2 * * * nobody theirs\n")
    one = ("--node", "web-1", "--yes")
    assert cronherd("import", "crontab", "mine", *one).code == 0
    assert cronherd("import", "crontab", "system", "--system", *one).code == 0
    fleet.set_enabled("theirs", "me", enabled=True)
    fleet.jobs["theirs"]["definition"].pop("enabled", None)
    given = ("export", "crontab", "--node", "web-1")
    own = cronherd(*given, "--user", user_name()).out
    assert "0 1 * * * mine\n" in own
    assert "theirs" not in own
    assert "0 2 * * * theirs\n" in cronherd(*given, "--user", "nobody").out
    both = cronherd(*given)
    assert "0 2 * * * nobody theirs\n" in both.out
    assert "# not in this crontab: 'mine': it names no user" in both.out
    assert "1 job left out" in both.err
    assert "theirs" not in cronherd(*given, "--source", str(tmp_path / "mine")).out
    assert "mine" not in cronherd("export", "crontab", "--node", "web-2").out


def test_yaml_is_what_apply_takes_without_a_change(cronherd: Shell, tmp_path: Path):
    (tmp_path / "tab").write_bytes(TAB)
    assert cronherd("import", "crontab", "tab", "--yes").code == 0
    said = cronherd("export", "yaml")
    (tmp_path / "jobs.yaml").write_text(said.out)
    said = cronherd("diff", "-f", "jobs.yaml", "--adopt")
    assert said.out.count("belongs to this source from now on") == said.out.count("\n") == 3
    assert cronherd("apply", "-f", "jobs.yaml", "--adopt", "--yes").code == 0
    assert cronherd("diff", "-f", "jobs.yaml").err == "nothing differs\n"
    one = cronherd("export", "yaml", "warm-up").out
    assert one.count("- name:") == 1


# ------------------------------------------------------------------ cronherd crontab


def test_a_user_sees_the_own_jobs_as_a_crontab(cronherd: Shell, tmp_path: Path):
    (tmp_path / "tab").write_bytes(TAB)
    assert cronherd("import", "crontab", "tab", "--yes").code == 0
    said = cronherd("crontab", "-l")
    assert "15 * * * * copy --to \\%here\n" in said.out
    other = cronherd("crontab", "-l", "-u", "nobody")
    assert (other.out, other.err) == ("", "no jobs for nobody on web-1\n")


FAULTY = b"""\
A="open
 30  61 * * * x
0 4 * * * fine
0 0 31 2 * never
@fortnightly y
"""


def test_a_crontab_is_tested_line_by_line_with_the_place_of_each_fault(
    cronherd: Shell, fleet: FakeFleet, tmp_path: Path
):
    (tmp_path / "tab").write_bytes(FAULTY)
    said = cronherd("crontab", "-T", "tab")
    assert said.code == 1
    places = [line for line in said.out.splitlines() if line.startswith("tab:")]
    assert places[0] == "tab:1:3: the quote of the value is not closed"
    assert places[1].startswith("tab:2:6: hour (field 2): '61' is outside 0-23")
    assert places[2].startswith("tab:3: At 04:00 every day. Next: 2026-11-22 04:00:00 UTC.")
    assert places[3].startswith("tab:4:5: day of month (field 3)")
    assert places[4].startswith("tab:5:1: '@fortnightly' is not a known name")
    assert said.err == "1 of 5 lines can be read\n"
    assert not fleet.jobs
    lines = json.loads(cronherd("crontab", "-T", "tab", "-o", "json").out)["lines"]
    assert [(line["line"], line["column"]) for line in lines if line["fault"]] == [
        (1, 3), (2, 6), (4, 5), (5, 1),
    ]  # fmt: skip


def test_a_crontab_without_a_fault_passes(cronherd: Shell):
    said = cronherd("crontab", "-T", "-", "--system", given=b"0 4 * * * root x\n")
    assert said.code == 0
    assert said.out.startswith("standard input:1: At 04:00 every day.")
    assert cronherd("crontab").code == 2
    assert cronherd("crontab", "-l", "-T", "-").code == 2
