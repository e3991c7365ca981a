"""What the lines of a crontab become."""

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.crontab import Kind, parse_crontab
from cronherd.domain.imported import (
    Imported,
    LineState,
    Sheet,
    base_of,
    choose_names,
    definition_of_entry,
    file_notes,
    report,
    source_of,
)
from cronherd.domain.job import name_key


def take(text: str, kind: Kind = Kind.USER, *, commented: bool = False) -> list[Imported]:
    crontab = parse_crontab(text, kind, commented=commented)
    return [
        definition_of_entry(entry, node="web-1", timezone="Europe/Berlin", agent_user="cron")
        for entry in crontab.entries
    ]


def sheet(base: str, *names: str) -> Sheet:
    jobs = [
        Imported(line=n, text="", definition={"name": name, "command": "x"})
        for n, name in enumerate(names)
    ]
    return Sheet(source=f"crontab:web-1:/{base}", base=base, jobs=tuple(jobs))


def names_of(sheets: tuple[Sheet, ...]) -> list[list[str]]:
    return [[job.name for job in one.jobs] for one in sheets]


def test_a_plain_line_runs_as_cron_would_have_run_it():
    (job,) = take("# Nightly backup\n30 2 * * * pg_dump shop\n")
    assert job.definition == {
        "name": "nightly-backup",
        "description": "Nightly backup",
        "command": "pg_dump shop",
        "schedule": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "overlap": "allow",
        "catchup": "none",
        "run_on": {"node": "web-1"},
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": "~",
    }
    assert job.notes == ()


def test_settings_become_shell_environment_directory_and_mail():
    (job,) = take(
        "SHELL=/bin/bash\nHOME=/srv\nPATH=/opt/bin\nMAILTO=ops@example.org\nLOGNAME=x\nA=1\n"
        "CRON_TZ=Asia/Tokyo\n0 4 * * * ./run\n"
    )
    found = job.definition
    assert (found["shell"], found["cwd"], found["mailto"]) == (
        "/bin/bash",
        "/srv",
        "ops@example.org",
    )
    assert found["env"] == {"PATH": "/opt/bin", "HOME": "/srv", "A": "1"}
    assert found["timezone"] == "Asia/Tokyo"
    assert job.notes == ()


def test_a_zone_is_noted_once_at_its_setting_and_changes_no_job():
    crontab = parse_crontab("CRON_TZ=Asia/Tokyo\nA=1\n0 4 * * * a\n0 5 * * * b\n", Kind.USER)
    jobs = [
        definition_of_entry(entry, node="n", timezone="UTC", agent_user="cron")
        for entry in crontab.entries
    ]
    zone, plain, *both = report(crontab, jobs, {})
    assert "follow CRON_TZ" in zone.notes[0]
    assert [(line.state, line.notes) for line in both] == [(LineState.IMPORTED, ())] * 2
    assert [line.matters for line in (zone, plain, *both)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("@daily a\n", ()),
        ('MAILTO=""\n@daily a\n', ()),
        ("MAILTO=a\nMAILTO=b\nMAILTO=a\n@daily a\n",
         ("MAILTO=a, b: mailed by nodes with an alerts.relay",)),
    ],
)  # fmt: skip
def test_a_receiver_of_mail_is_noted_once_for_the_file(text: str, notes: tuple[str, ...]):
    assert file_notes(parse_crontab(text, Kind.USER)) == notes


def test_an_empty_mailto_is_kept_because_it_means_no_mail():
    assert take('MAILTO=""\n0 4 * * * ./run\n')[0].definition["mailto"] == ""


def test_what_follows_a_percent_sign_is_standard_input():
    (job,) = take("0 4 * * * cat%one%two\n")
    assert (job.definition["command"], job.definition["stdin"]) == ("cat", "one\ntwo\n")


def test_a_job_of_another_user_is_imported_disabled_with_the_reason():
    own, other = take("0 4 * * * cron a\n0 5 * * * root b\n", Kind.SYSTEM)
    assert "enabled" not in own.definition
    assert own.definition["user"] == "cron"
    assert other.definition["enabled"] is False
    assert "runs as cron and cannot become another user" in other.notes[0]


def test_a_commented_line_is_imported_disabled():
    (job,) = take("# 0 4 * * * /usr/bin/report\n", commented=True)
    assert job.definition["enabled"] is False
    assert job.notes == ("it is commented out: imported as disabled",)


@pytest.mark.parametrize(
    "line", ["@daily a", "0 0 1 * Mon a", "0-30/5 4 * * * a", "*/5 * * * * a%b", "0 4 * * 7 a"]
)
def test_every_definition_is_one_that_a_fleet_takes(line: str):
    (job,) = take(f"{line}\n")
    assert read_job(job.definition, timezone="UTC").name == job.name


def test_the_report_has_every_line_that_is_not_blank():
    crontab = parse_crontab("# x\n\nA=1\n0 4 * * * a\n0 5 * * * b\n@never c\n", Kind.USER)
    jobs = [
        definition_of_entry(entry, node="n", timezone="UTC", agent_user="cron")
        for entry in crontab.entries
    ]
    lines = report(crontab, jobs, {5: ("the fleet says no", "a hint")})
    assert [(line.line, line.state) for line in lines] == [
        (1, LineState.COMMENT),
        (3, LineState.SETTING),
        (4, LineState.IMPORTED),
        (5, LineState.REFUSED),
        (6, LineState.REFUSED),
    ]
    assert lines[3].notes == ("the fleet says no",)
    assert lines[4].hint


def test_a_changed_meaning_is_said():
    crontab = parse_crontab("0 4 * * * root a\n", Kind.SYSTEM)
    jobs = [definition_of_entry(crontab.entries[0], node="n", timezone="UTC", agent_user="cron")]
    (line,) = report(crontab, jobs, {})
    assert line.state is LineState.CHANGED


# ------------------------------------------------------------------ names


def test_names_that_only_one_file_has_stay():
    assert names_of(choose_names([sheet("a", "x"), sheet("b", "y")], {})) == [["x"], ["y"]]


def test_names_that_collide_get_the_base_name_of_their_file():
    found = choose_names([sheet("a", "x", "y"), sheet("b", "X")], {})
    assert names_of(found) == [["a-x", "y"], ["b-X"]]


def test_files_of_one_base_name_still_differ():
    found = choose_names([sheet("a", "x"), sheet("a", "x")], {})
    assert names_of(found) == [["a-x"], ["a-x-2"]]


def test_a_second_import_keeps_the_names_of_the_first():
    sheets = [sheet("a", "x"), sheet("b", "x")]
    known = {name_key(job.name): one.source for one in choose_names(sheets, {}) for job in one.jobs}
    assert names_of(choose_names([sheets[0]], known)) == [["a-x"]]
    assert names_of(choose_names(sheets[::-1], known)) == [["b-x"], ["a-x"]]


def test_a_file_imported_alone_keeps_its_name_when_a_second_one_joins():
    sheets = [sheet("a", "x"), sheet("b", "x")]
    assert names_of(choose_names(sheets, {"x": sheets[0].source})) == [["x"], ["b-x"]]


def test_a_job_of_somebody_else_is_never_taken_over():
    assert names_of(choose_names([sheet("a", "x")], {"x": "command"})) == [["a-x"]]


def test_sources_and_base_names_tell_the_file():
    assert source_of("web-1", "/etc/cron.d/My Jobs") == "crontab:web-1:/etc/cron.d/My Jobs"
    assert base_of("/etc/cron.d/My Jobs.cron") == "my-jobs-cron"
    assert (base_of("-"), base_of("/…")) == ("stdin", "crontab")
