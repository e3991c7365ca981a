"""`cronherd import gearman`: what became of each task of an old conf.json."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronherd.cli.gearman_import import _read
from cronherd.domain.errors import Invalid
from tests.engine.host import Host

CONF = """{
  "job_servers": [{"server": "one", "port": "4730"}, {"server": "two"}],
  "jobs": [
    {"task1": "/srv/a.sh"},
    {"task 2": "/srv/b.sh -v",
     "task/3": "/srv/c.sh"},
    {"empty": ""},
    {"task1": "/srv/newer.sh"}, {"jobs": "/srv/jobs.sh"}
  ],
  "debug": "true", "colour": "red"
}"""
REPORT = """{0}
  note: 'colour' is not known and left out
  note: debug: cronherd keeps the outcome and the times of each run anyway
    4  task1 replaced: the same task comes again, and counts
    5  task 2 imported: new
    6  task/3 refused: 'task/3' cannot be a job's name
    7  empty refused: the task 'empty' has no script
    8  task1 imported: new
    8  jobs imported: new
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    made.furnish()
    yield made
    made.clear_away()


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "conf.json"
    path.write_text(CONF)
    return path


def definition(host: Host, name: str) -> object:
    shown = json.loads(host.say("job", "show", name, "-o", "json").stdout)
    return {key: shown["definition"].get(key) for key in ("command", "gearman", "overlap")}


def test_each_task_is_reported_and_becomes_a_job(host: Host, conf: Path):
    tried = host.say("import", "gearman", str(conf), "--dry-run")
    assert tried.stdout == REPORT.format(conf)
    assert tried.stderr.endswith("3 jobs to import, 2 refused; nothing was done\n")
    assert json.loads(host.say("job", "list", "-o", "json").stdout)["items"] == []
    done = host.say("import", "gearman", str(conf), "--yes")
    assert (done.returncode, "3 jobs imported, 2 refused" in done.stderr) == (0, True)
    assert definition(host, "task1") == {
        "command": "/srv/newer.sh", "gearman": None, "overlap": "allow",
    }  # fmt: skip


def test_the_same_file_again_updates_its_jobs(host: Host, conf: Path):
    host.say("import", "gearman", str(conf), "--yes")
    conf.write_text(CONF.replace("newer", "newest"))
    said = host.say("import", "gearman", str(conf), "--yes").stdout
    assert "task1 imported: changed" in said
    assert "task 2 imported: as it is" in said


def test_tasks_may_stay_with_their_workers(host: Host, conf: Path):
    host.say("import", "gearman", str(conf), "--through-gearman", "--yes")
    gearman = {"function": "task 2", "servers": ["one:4730", "two:4730"]}
    assert definition(host, "task 2") == {
        "command": None, "gearman": gearman, "overlap": "allow",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "relative"),
    [
        ("./report --all", True), ("scripts/report", True), ("'../a b/report' x", True),
        ("/srv/report", False), ("report", False), ("~/report", False), ("$HOME/report", False),
        ("A=b/c report", False), ("cat a/b", False),
    ],
)  # fmt: skip
def test_a_script_beside_its_conf_is_found_there(
    tmp_path: Path,
    script: str,
    relative: bool,  # noqa: FBT001 - of the table
):
    """Workers of old run where their conf.json is."""
    path = tmp_path / "conf.json"
    raw = json.dumps({"job_servers": [{"server": "a"}], "jobs": [{"t": script}]}).encode()
    (line,), _ = _read(raw, path, through=False)
    assert line.definition is not None
    assert line.definition.get("cwd") == (str(tmp_path) if relative else None)
    (line,), _ = _read(raw, path, through=True)
    assert line.definition is not None
    assert "cwd" not in line.definition


def test_a_job_of_somebody_else_is_left_alone(host: Host, conf: Path, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text("jobs: {task1: {command: mine}}\n")
    host.say("apply", "-f", str(other), "--yes")
    said = host.say("import", "gearman", str(conf), "--yes").stdout
    assert "task1 refused: the job 'task1' belongs to" in said
    assert definition(host, "task1") == {"command": "mine", "gearman": None, "overlap": None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "line 1, column 2: is not JSON"),
        ('{"job_servers": [{"server": "a"}], "jobs": []}', "has no tasks"),
        ('{"jobs": [{"a": "/b"}]}', "job_servers: must be a list"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(Invalid) as caught:
        _read(text.encode(), tmp_path / "conf.json", through=False)
    assert sentence in str(caught.value)
