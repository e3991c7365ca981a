"""`cronherd import distributed-cron` (D1.12): the old job table in real servers, row by row."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Shell
from tests.cli.fakes import FakeFleet
from tests.servers.databases import SESSIONS

KINDS = ("mariadb", "postgresql")
NewDatabase = Callable[[str], str]
TABLE = {
    "mariadb": """
CREATE TABLE job (
  id INT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT,
  description VARCHAR(100) NOT NULL DEFAULT 'Yet another cron',
  command VARCHAR(2000) NOT NULL DEFAULT 'echo "I forgot to put in a command."',
  active TINYINT(1) NOT NULL DEFAULT 1,
  start_anchor TIME NULL, stop_anchor TIME NULL,
  frequency INT UNSIGNED NOT NULL DEFAULT 60, max_run_time INT UNSIGNED NOT NULL DEFAULT 1,
  last_start DATETIME NULL, last_end DATETIME NULL,
  last_status VARCHAR(32) DEFAULT 'Never ran.', last_worker VARCHAR(64) DEFAULT 'Never ran.'
) CHARACTER SET utf8
""",
    "postgresql": """
CREATE TABLE job (
  id SERIAL PRIMARY KEY,
  description VARCHAR(100) NOT NULL DEFAULT 'Yet another cron',
  command VARCHAR(2000) NOT NULL DEFAULT 'echo "I forgot to put in a command."',
  active SMALLINT NOT NULL DEFAULT 1,
  start_anchor TIME NULL, stop_anchor TIME NULL,
  frequency INT NOT NULL DEFAULT 60, max_run_time INT NOT NULL DEFAULT 1,
  last_start TIMESTAMP NULL, last_end TIMESTAMP NULL,
  last_status VARCHAR(32) DEFAULT 'Never ran.', last_worker VARCHAR(64) DEFAULT 'Never ran.'
)
""",
}
INSERT = """
INSERT INTO job
(id, description, command, active, start_anchor, stop_anchor, frequency, max_run_time)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
ROWS: Sequence[tuple[object, ...]] = (
    (1, "Nightly report", "/srv/report 'a b' 100%", 1, "23:00", None, 30, 20),
    (2, "Nightly report", "/srv/report 'a b' 100%", 1, None, "03:00", 30, 20),
    (3, "<b>Über</b> clean", "cd /tmp && ls | wc -l", 1, "09:00", "17:00", 60, 30),
    (4, "switched off", "true", 0, None, None, 60, 1),
    (5, "over midnight", "true", 1, "22:00", "02:00", 10, 5),
    (6, "no time at all", "true", 1, "12:00", "12:00", 10, 5),
    (7, "edited by hand", "true", 1, None, None, 0, 0),
    (9, "only blanks", "   ", 1, None, None, 60, 1),
)
REPORT = """\
{shown} (table job, in UTC, for any node)
  note: a command that outlasts its max_run_time is ended, with all it started: there it went on
  note: an exit code other than 0 is a failure: there 1 was a success
    1  imported: 'nightly-report-1'
         hint: rows 1 and 2 are one job with window: 23:00-03:00
    2  imported: 'nightly-report-2'
         hint: rows 1 and 2 are one job with window: 23:00-03:00
    3  imported: 'b-uber-b-clean-3'
    4  imported with a changed meaning: 'switched-off-4'
         it is not active: imported as disabled
    5  imported with a changed meaning: 'over-midnight-5'
         it never ran, as 02:00 is before 22:00: here 22:00-02:00 is one window over midnight; \
imported as disabled
    6  not supported: true
         it never ran: from 12:00 to 12:00 is no time
         hint: set its anchors in the table
    7  imported with a changed meaning: 'edited-by-hand-7'
         its frequency of 0 minutes is taken as 1 minute
         its max_run_time is 0, which is no limit
    8  imported with a changed meaning: 'echo-i-forgot-8'
         it has the command of a row without one: imported as disabled
    9  not supported: no command
         command: is empty
"""


def make_table(url: str, kind: str) -> None:
    session = SESSIONS[kind](url)
    session.run(TABLE[kind])
    for row in ROWS:
        session.run(INSERT, row)
    session.run("INSERT INTO job (id) VALUES (8)")
    session.close()


def change(url: str, kind: str, *statements: str) -> None:
    session = SESSIONS[kind](url)
    for statement in statements:
        session.run(statement)
    session.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(kind: str, empty_database: NewDatabase) -> str:
    """The URL of an old database with its table."""
    url = empty_database(kind)
    make_table(url, kind)
    return url


def shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"


def test_each_row_is_reported_and_becomes_a_job(cronherd: Shell, old: str):
    words = ("import", "distributed-cron", "--database", old)
    tried = cronherd(*words, "--dry-run")
    assert tried.err == "7 jobs to import, 2 rows not supported; nothing was done\n"
    assert (tried.code, tried.out) == (0, REPORT.format(shown=shown(old)))
    assert tried.err == "7 jobs to import, 2 rows not supported; nothing was done\n"
    assert cronherd("job", "list", "-o", "name").out == ""
    done = cronherd(*words, "--yes")
    assert done.err.startswith("7 jobs imported, 2 rows not supported\n")
    job = json.loads(cronherd("job", "show", "nightly-report-1", "-o", "json").out)
    assert job["definition"] == {
        "name": "nightly-report-1",
        "description": "Nightly report",
        "command": "/srv/report 'a b' 100%",
        "schedule": "every 30m",
        "timezone": "UTC",
        "window": "23:00-24:00",
        "timeout": "20m",
    }


def test_the_same_table_again_updates_its_jobs(
    cronherd: Shell, fleet: FakeFleet, kind: str, old: str
):
    """A row keeps its job, by its id, whatever its description says now."""
    words = ("import", "distributed-cron", "--database", old, "--yes")
    cronherd(*words)
    names = cronherd("job", "list", "-o", "name").out
    change(
        old,
        kind,
        "UPDATE job SET description = 'Report', frequency = 45 WHERE id = 1",
        "DELETE FROM job WHERE id = 7",
    )
    again = cronherd(*words)
    assert "    1  imported: 'nightly-report-1' (updated)\n" in again.out
    assert "    3  imported: 'b-uber-b-clean-3' (unchanged)\n" in again.out
    assert again.out.endswith(
        "    -  not in the table any more: 'edited-by-hand-7' stays as it is\n"
    )
    assert cronherd("job", "list", "-o", "name").out == names
    assert fleet.jobs["nightly-report-1"]["definition"]["schedule"] == "every 45m"


def test_a_job_of_somebody_else_is_left_alone(cronherd: Shell, fleet: FakeFleet, old: str):
    fleet.create_job({"name": "nightly-report-1", "command": "mine"}, "me")
    said = cronherd("import", "distributed-cron", "--database", old, "--yes")
    assert "    1  imported: 'distributed-cron-nightly-report-1'\n" in said.out
    assert fleet.jobs["nightly-report-1"]["definition"]["command"] == "mine"


def test_an_import_for_review_runs_nothing_and_tells_programs_all(cronherd: Shell, old: str):
    words = ("import", "distributed-cron", "--database", old, "--disabled", "--yes", "-o", "json")
    said = json.loads(cronherd(*words).out)
    assert [line["line"] for line in said["lines"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert {line["state"] for line in said["lines"]} == {"imported", "changed", "refused"}
    assert said["source"] == f"distributed-cron:{shown(old).partition('://')[2]}"
    listed = json.loads(cronherd("job", "list", "-o", "json").out)["items"]
    assert {job["enabled"] for job in listed} == {False}


def test_the_zone_of_the_anchors_may_be_said(cronherd: Shell, old: str):
    words = ("import", "distributed-cron", "--database", old, "--dry-run", "-o", "json")
    assert json.loads(cronherd(*words, "--timezone", "Europe/Berlin").out)["timezone"] == (
        "Europe/Berlin"
    )


ODD = """
CREATE TABLE job (id INT, description INT, command INT, active VARCHAR(9), start_anchor INT,
stop_anchor INT, frequency INT, max_run_time INT)
"""
MISSING = "description, command, active, start_anchor, stop_anchor, max_run_time"
SPOILED = {
    "no table": (("DROP TABLE job",), "has no table 'job'"),
    "another table": (
        ("DROP TABLE job", "CREATE TABLE job (id INT, frequency INT)"),
        f"the table 'job' has no column {MISSING}",
    ),
    "another kind of value": (
        ("DROP TABLE job", ODD, "INSERT INTO job (id, active) VALUES (4, 'yes')"),
        "row 4: active is 'yes', and not a number",
    ),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_table_of_another_kind_is_said_to_be_one(
    cronherd: Shell, kind: str, old: str, spoiled: str
):
    statements, sentence = SPOILED[spoiled]
    change(old, kind, *statements)
    said = cronherd("import", "distributed-cron", "--database", old, "--yes")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("cronherd: ")
    assert sentence in said.err


def test_who_may_only_read_imports_and_who_may_not_is_told(
    cronherd: Shell, kind: str, old: str, tmp_path: Path
):
    user = urlsplit(old).path.strip("/") + "_u"
    (tmp_path / "pw").write_text("s3cret\n")
    there = old.partition("@")[2]
    scheme = old.partition("://")[0]
    make = {
        "mariadb": (f"CREATE USER {user} IDENTIFIED BY 's3cret'", "CREATE TABLE other (id INT)",
                    f"GRANT SELECT ON other TO {user}"),
        "postgresql": (f"CREATE ROLE {user} LOGIN PASSWORD 's3cret'",),
    }  # fmt: skip
    clear = {
        "mariadb": (f"DROP USER {user}",),
        "postgresql": (f"REVOKE ALL ON job FROM {user}", f"DROP ROLE {user}"),
    }
    url, password = f"{scheme}://{user}@{there}", str(tmp_path / "pw")
    words = ("import", "distributed-cron", "--database", url, "--password-file", password)
    change(old, kind, *make[kind])
    try:
        refused = cronherd(*words, "--dry-run")
        change(old, kind, f"GRANT SELECT ON job TO {user}")
        done = cronherd(*words, "--dry-run")
    finally:
        change(old, kind, *clear[kind])
    assert (refused.code, "the table 'job' may not be read" in refused.err) == (1, True)
    assert "grant SELECT on job" in refused.err
    assert (done.code, "7 jobs to import" in done.err) == (0, True)


def test_a_user_or_a_database_that_is_not_there_is_refused(cronherd: Shell, old: str):
    for url in (old.replace("://", "://nobody:wrong@", 1).replace("@root@", "@")
                .replace("@cronherd@", "@"), f"{old}_not_there"):  # fmt: skip
        said = cronherd("import", "distributed-cron", "--database", url)
        assert (said.code, "the database refuses us" in said.err) == (1, True), said.err
        assert "wrong" not in said.err


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://a@127.0.0.1:1/old", "cannot be reached"),
        ("postgresql://a@127.0.0.1:1/old", "cannot be reached"),
        ("sqlite:///old.db", "is not the URL of a database server"),
        ("dbi:mysql:database=old", "is not the URL of a database server"),
        ("mysql://a:secret@127.0.0.1", "names one database"),
        ("mysql://a@127.0.0.1:port/old", "is not the URL of a server"),
    ],
)
def test_what_cannot_be_reached_is_told_in_a_sentence(cronherd: Shell, url: str, sentence: str):
    said = cronherd("import", "distributed-cron", "--database", url)
    assert (said.code, sentence in said.err) == (1, True), said.err
    assert "secret" not in said.err


def test_a_zone_that_is_none_is_refused_before_anybody_is_asked(cronherd: Shell):
    words = ("import", "distributed-cron", "--database", "mysql://a@127.0.0.1:1/old")
    said = cronherd(*words, "--timezone", "Berlin")
    assert (said.code, "unknown time zone 'Berlin'" in said.err) == (1, True)


def test_a_password_file_that_is_not_there_is_named(cronherd: Shell):
    words = ("import", "distributed-cron", "--database", "mysql://a@127.0.0.1:1/old")
    said = cronherd(*words, "--password-file", "pw")
    assert (said.code, "pw: cannot be read" in said.err) == (1, True)


def test_an_empty_table_is_nothing_to_import(cronherd: Shell, kind: str, old: str):
    change(old, kind, "DELETE FROM job")
    said = cronherd("import", "distributed-cron", "--database", old, "--yes")
    assert (said.code, said.err) == (
        0, "0 jobs to import, 0 rows not supported; nothing was done\n",
    )  # fmt: skip
