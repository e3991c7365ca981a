"""ONE Config: the order of its layers, where each value came from, and each refusal."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tzlocal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronherd.config import layers
from cronherd.config import load as configuration
from cronherd.config.load import Config, load_config
from cronherd.config.settings import config_schema, list_settings, mask
from cronherd.domain.errors import CronherdError, Invalid, InvalidInput
from cronherd.domain.rate import Rate


@pytest.fixture(autouse=True)
def no_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layers, "SYSTEM_FOLDER", tmp_path / "etc")


@pytest.fixture
def cwd(tmp_path: Path):
    folder = tmp_path / "cwd"
    folder.mkdir()
    return folder


def load(
    cwd: Path,
    environ: Any = None,
    flags: Any = None,
    config: Path | None = None,
    home: Path | None = None,
) -> Config:
    return load_config(
        config=config, environ=environ or {}, overrides=flags or {}, cwd=cwd, home=home
    )


def write(folder: Path, text: str, name: str = "cronherd.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(cwd: Path, text: str = "", environ: Any = None, flags: Any = None) -> list[str]:
    write(cwd, text)
    with pytest.raises(InvalidInput) as caught:
        load(cwd, environ, flags)
    return str(caught.value).split("\n")


def test_it_runs_without_any_configuration(cwd: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration, "_host_name", lambda: "box")
    monkeypatch.setattr(configuration, "_host_zone", lambda: "Europe/Berlin")
    empty = load(cwd)
    assert (empty.node.name, empty.timezone, empty.database) == ("box", "Europe/Berlin", None)
    assert (empty.jobs, empty.sources, empty.defaults) == ((), (), {})
    assert {shown.origin for shown in empty.describe().values()} == {"default"}
    write(cwd, "node:\njobs:\ndefaults:\ndatabase:\n")
    assert dataclasses.replace(load(cwd), sources=()) == empty


def test_it_obeys_flags_before_environment_before_files(cwd: Path):
    write(cwd, "log_level: error\ndrain_timeout: 1m\nledger_age: 10d\ntimezone: UTC\n")
    write(cwd, "ledger_age: 20d\n", "cronherd.d/a.yaml")
    environ = {"CRONHERD_LOG_LEVEL": "warning", "CRONHERD_DRAIN_TIMEOUT": "2m"}
    loaded = load(cwd, environ, {"log_level": "debug", "database": None})
    shown = {name: (part.value, part.origin) for name, part in loaded.describe().items()}
    assert shown["log_level"] == ("debug", "flag --log-level")
    assert shown["drain_timeout"] == ("2m", "env CRONHERD_DRAIN_TIMEOUT")
    assert shown["ledger_age"] == ("20d", "cronherd.d/a.yaml:1:1")
    assert shown["timezone"] == ("UTC", "cronherd.yaml:4:1")
    assert shown["database"] == (None, "default")


def test_it_merges_mappings_and_replaces_lists(cwd: Path):
    write(cwd, "node: {labels: {a: 1, b: 2}, capacity: 5}\njobs: [{name: x, command: y}]\n")
    write(cwd, "node: {labels: {b: 3}}\n", "cronherd.d/2.yaml")
    write(cwd, "jobs: [{name: z, command: y}]\nnode: {capacity: }", "cronherd.d/1.yaml")
    write(cwd, "not: [read", "cronherd.d/x.yml")
    write(cwd, "not: [read", "cronherd.d/.x.yaml")
    loaded = load(cwd)
    assert loaded.node.labels == {"a": "1", "b": "3"}
    assert loaded.node.capacity is None
    assert [job.label for job in loaded.jobs] == ["z"]
    assert loaded.jobs[0].where() == "cronherd.d/1.yaml:1:8: jobs.z"
    assert [path.name for path in loaded.sources] == ["cronherd.yaml", "1.yaml", "2.yaml"]


def test_it_merges_jobs_that_are_a_mapping(cwd: Path):
    write(cwd, "jobs: {a: {command: x, grace: 5s}, b: {command: y}}\n")
    write(cwd, "jobs:\n  a: {grace: 6s}\n", "cronherd.d/a.yaml")
    first, second = load(cwd).jobs
    assert first.raw == {"name": "a", "command": "x", "grace": "6s"}
    assert first.where(("grace",)) == "cronherd.d/a.yaml:2:7: jobs.a.grace"
    assert second.where() == "cronherd.yaml:1:36: jobs.b"


def test_it_takes_the_first_place_that_has_a_file(cwd: Path, tmp_path: Path):
    home = tmp_path / "home"
    write(tmp_path / "etc", "log_level: error")
    assert load(cwd, home=home).log_level == "error"
    write(home / ".config" / "cronherd", "log_level: warning")
    assert load(cwd, home=home).log_level == "warning"
    assert load(cwd).log_level == "error"
    write(cwd, "log_level: debug")
    assert load(cwd, home=home).log_level == "debug"
    named = write(tmp_path / "named", "drain_timeout: 5s", "x.yaml")
    assert load(cwd, home=home, config=named).log_level == "info"
    assert load(cwd, config=Path("cronherd.yaml")).log_level == "debug"


def test_it_refuses_a_named_file_that_is_missing(cwd: Path):
    with pytest.raises(InvalidInput, match=r"^none\.yaml: there is no such file$"):
        load(cwd, config=Path("none.yaml"))


def test_it_expands_variables_outside_jobs_and_defaults(cwd: Path):
    write(
        cwd,
        "node: {name: '${HOST:-box}-1', capacity: '${CAP}', labels: {a: $$x, b: $HOME}}\n"
        "database: sqlite:///${EMPTY:-a}/b.db\n"
        "jobs: [{name: a, command: 'echo ${X} $$'}]\n"
        "defaults: {cwd: '/${Y}'}\n",
    )
    loaded = load(cwd, {"CAP": "64", "EMPTY": ""})
    assert (loaded.node.name, loaded.node.capacity) == ("box-1", 64)
    assert loaded.node.labels == {"a": "$x", "b": "$HOME"}
    assert loaded.database == "sqlite:///a/b.db"
    assert loaded.jobs[0].raw == {"name": "a", "command": "echo ${X} $$"}
    assert loaded.defaults == {"cwd": "/${Y}"}


def test_it_reads_the_environment_by_section(cwd: Path):
    environ = {
        "CRONHERD_DATABASE": "sqlite:////srv/x.db",
        "CRONHERD_NODE__NAME": "123",
        "CRONHERD_NODE__CAPACITY": "64",
        "CRONHERD_NODE__LABELS": "{zone: eu, rack: 1}",
        "CRONHERD_NODE__LABELS__ZONE": "us",
        "CRONHERD_DEFAULTS__MAX_RUNNING": "4",
        "CRONHERD_TIMEZONE": "",
        "CRONHERD_TOKEN": "secret",
        "CRONHERD_NODE": "n1",
        "CRONHERD_RUN_ID": "x",
        "CRONHERD_TIMEOUT": "x",
    }
    loaded = load(cwd, environ)
    assert loaded.database == "sqlite:////srv/x.db"
    assert loaded.node == configuration.Node(
        name="123", labels={"zone": "us", "rack": "1"}, capacity=64
    )
    assert loaded.defaults == {"max_running": 4}
    assert loaded.describe()["defaults.max_running"].origin == "env CRONHERD_DEFAULTS__MAX_RUNNING"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "CRONHERD_NODE__CAPACTY",
            "3",
            "env CRONHERD_NODE__CAPACTY: node.capacty: unknown setting (did you mean 'capacity'?)",
        ),
        ("CRONHERD_FOO__BAR", "1", "env CRONHERD_FOO__BAR: foo: unknown setting"),
        (
            "CRONHERD_LOG_LEVL",
            "1",
            "env CRONHERD_LOG_LEVL: unknown setting (did you mean 'CRONHERD_LOG_LEVEL'?)",
        ),
        (
            "CRONHERD_DATABASE_URL",
            "x",
            "env CRONHERD_DATABASE_URL: unknown setting (did you mean 'CRONHERD_DATABASE'?)",
        ),
        ("CRONHERD_JOBS__A", "x", "env CRONHERD_JOBS__A: jobs are not read from the environment"),
        (
            "CRONHERD_NODE__LABELS",
            "[a",
            "env CRONHERD_NODE__LABELS:2:1: a ',' or a closing ']' is missing",
        ),
        (
            "CRONHERD_NODE__CAPACITY",
            "many",
            (
                "env CRONHERD_NODE__CAPACITY: node.capacity: must be a whole number from 1 to "
                "10000, not 'many' (or one of cpu_full, cpu_half, cpu_quarter)"
            ),
        ),
    ],
)
def test_it_refuses_the_environment_by_name(cwd: Path, name: str, value: Any, sentence: str):
    assert refused(cwd, environ={name: value}) == [sentence]


def test_it_refuses_a_flag_by_name(cwd: Path):
    assert refused(cwd, flags={"node.capacity": "0"}) == [
        (
            "flag --node-capacity: node.capacity: must be a whole number from 1 to 10000, "
            "not the number 0 (or one of cpu_full, cpu_half, cpu_quarter)"
        )
    ]


def test_it_tells_every_fault_with_its_place(cwd: Path):
    assert refused(
        cwd,
        "timezon: UTC\nnode: {name: a b, capacity: true, lables: {}}\nlog_level: loud\n"
        "defaults: {tiemout: 3}\njobs: 5\ndrain_timeout: -5s\n",
    ) == [
        "cronherd.yaml:1:1: timezon: unknown setting (did you mean 'timezone'?)",
        (
            "cronherd.yaml:2:8: node.name: 'a b' cannot be a node's name "
            "(letters, digits and _ . - in between, at most 120)"
        ),
        (
            "cronherd.yaml:2:19: node.capacity: must be a whole number from 1 to 10000, not true "
            "(or one of cpu_full, cpu_half, cpu_quarter)"
        ),
        "cronherd.yaml:2:35: node.lables: unknown setting (did you mean 'labels'?)",
        "cronherd.yaml:3:1: log_level: must be one of debug, info, warning, error, not 'loud'",
        "cronherd.yaml:4:12: defaults.tiemout: unknown setting (did you mean 'timeout'?)",
        "cronherd.yaml:5:1: jobs: must be a list of jobs, not the number 5",
        "cronherd.yaml:6:1: drain_timeout: '-5s' is not a duration (write 90s, 10m, 1h30m or 1d)",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "cronherd.yaml: must be a mapping of settings, not a list"),
        ("a: [", "cronherd.yaml:2:1: is not YAML here (check indentation and quotes)"),
        (
            "node: {name: '${NOBODY}'}",
            (
                "cronherd.yaml:1:8: node.name: the environment has no NOBODY "
                "(set it, or write ${NOBODY:-default})"
            ),
        ),
        (
            "timezone: ${",
            (
                "cronherd.yaml:1:1: timezone: '${' does not begin a variable "
                "(write ${NAME}, or $$ for a $)"
            ),
        ),
        ("node: 5", "cronherd.yaml:1:1: node: must be a mapping of settings, not the number 5"),
        ("defaults: [a]", "cronherd.yaml:1:1: defaults: must be a mapping of settings, not a list"),
    ],
)
def test_it_refuses_a_file_with_its_place(cwd: Path, text: str, sentence: str):
    assert refused(cwd, text) == [sentence]


@pytest.mark.parametrize("url", ["sqlite:///rel.db", "sqlite:///var/a.db", "sqlite:////abs/a.db"])
def test_it_takes_the_url_of_an_sqlite_file(cwd: Path, url: str):
    assert load(cwd, flags={"database": url}).database == url


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("postgresql://a@h/db", "postgresql://a@h/db"),
        ("postgres://h:5433/db?sslmode=verify-full", "postgresql://h:5433/db?sslmode=verify-full"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("mysql://a@h/db", "mysql://a@h/db"),
        ("MariaDB://h/db?unix_socket=/run/s", "mysql://h/db?unix_socket=/run/s"),
    ],
)
def test_it_takes_the_url_of_a_server(cwd: Path, url: str, meant: str):
    assert load(cwd, flags={"database": url}).database == meant


def test_a_password_on_the_command_line_is_refused_and_not_shown(cwd: Path):
    with pytest.raises(InvalidInput) as caught:
        load(cwd, flags={"database": "postgresql://a:hunter2@h/db"})
    assert caught.value.code == "password_in_argv"
    assert "hunter2" not in str(caught.value)
    told = load(cwd, environ={"CRONHERD_DATABASE": "postgresql://a:hunter2@h/db"})
    assert "hunter2" not in str(told.describe())


def test_the_password_file_is_the_one_named_else_the_credential(cwd: Path):
    (cwd / "database-password").write_text("secret")
    credentials = {"CREDENTIALS_DIRECTORY": str(cwd)}
    assert load(cwd, environ=credentials).database_password_file == cwd / "database-password"
    named = load(cwd, environ=credentials, flags={"database_password_file": "/etc/pw"})
    assert named.database_password_file == Path("/etc/pw")
    assert load(cwd).database_password_file is None
    with pytest.raises(InvalidInput, match="absolute"):
        load(cwd, flags={"database_password_file": "pw"})


def test_the_key_of_the_secrets_is_the_file_named_else_the_credential(cwd: Path):
    credentials = {"CREDENTIALS_DIRECTORY": str(cwd)}
    assert load(cwd, environ=credentials).secret_key_file is None
    (cwd / "cronherd-secret-key").write_text("key")
    found = load(cwd, environ=credentials)
    assert found.secret_key_file == cwd / "cronherd-secret-key"
    assert found.describe()["secret_key_file"].value == str(cwd / "cronherd-secret-key")
    named = load(cwd, environ=credentials, flags={"secret_key_file": "/etc/key"})
    assert named.secret_key_file == Path("/etc/key")
    with pytest.raises(InvalidInput, match="absolute"):
        load(cwd, flags={"secret_key_file": "key"})


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql+psycopg://a@h/db", "bad_url"),
        ("oracle://a@h/db", "bad_url"),
        ("postgresql://h", "bad_url"),
        ("postgresql://h/a/b", "bad_url"),
        ("postgresql://h:port/db", "bad_url"),
        ("mysql://h/db?sslmode=require", "bad_url"),
        ("mysql://h/db#1", "bad_url"),
        ("var/cronherd.db", "bad_url"),
        ("sqlite://", "bad_url"),
        ("sqlite:///", "bad_url"),
        ("sqlite:///:memory:", "bad_url"),
        ("sqlite://var/a.db", "bad_url"),
        ("sqlite:///a.db?mode=ro", "bad_url"),
    ],
)
def test_it_refuses_other_databases(cwd: Path, url: str, code: str):
    with pytest.raises(InvalidInput) as caught:
        load(cwd, flags={"database": url})
    assert caught.value.code == code
    assert caught.value.hint or caught.value.errors[0].hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://cron:p@ss@db/x", "postgresql://cron:***@db/x"),
        ("mysql://:pw@db/x", "mysql://:***@db/x"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_it_masks_the_password_of_a_url(url: str, shown: str):
    assert mask(url) == shown


def test_it_falls_back_to_utc_on_a_host_without_a_zone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tzlocal, "get_localzone_name", lambda: "localtime")
    assert configuration._host_zone() == "UTC"

    def fail() -> str:
        raise LookupError

    monkeypatch.setattr(tzlocal, "get_localzone_name", fail)
    assert configuration._host_zone() == "UTC"


def test_it_asks_for_a_name_when_the_hosts_own_will_not_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration, "read_node_name", lambda _: _refuse())
    with pytest.raises(Invalid) as caught:
        configuration._host_name()
    assert str(caught.value) == "node.name: '(none)' cannot be a node's name (set node.name)"


def _refuse() -> str:
    raise Invalid("'(none)' cannot be a node's name")


def test_it_lists_each_setting_with_a_sentence():
    rows = {row.name: row for row in list_settings()}
    assert {"database", "node.capacity", "defaults", "jobs"} <= rows.keys()
    assert rows["drain_timeout"].default == "30s"
    assert all(row.description.endswith(".") for row in rows.values())


def test_it_publishes_a_schema_of_files():
    properties = config_schema()["properties"]
    assert properties["jobs"]["items"]["required"] == ["name"]
    assert "required" not in properties["jobs"]["additionalProperties"]
    for form in ("items", "additionalProperties"):
        one_of = properties["jobs"][form]["oneOf"]
        assert one_of == [{"required": [key]} for key in ("command", "task", "gearman")]
    assert "timeout" in properties["defaults"]["properties"]
    assert "command" not in properties["defaults"]["properties"]


WORDS = st.sampled_from(
    ["node", "jobs", "defaults", "labels", "name", ": ", "\n  ", "\n", "- ", "{", "}", "${", "x"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(WORDS, max_size=15).map("".join) | st.text(max_size=30))
def test_it_never_raises_anything_but_sentences(cwd: Path, text: str):
    (cwd / "cronherd.yaml").write_text(text, errors="replace")
    try:
        load(cwd)
    except CronherdError as error:
        assert str(error)  # noqa: PT017 - both ways are right


def test_it_reads_how_fast_missed_slots_are_made_up_for(cwd: Path):
    (cwd / "cronherd.yaml").write_text("catchup_rate: 600 / m\nnode: {catchup_rate: 5/s}\n")
    config = load(cwd)
    assert (config.catchup_rate, config.node.catchup_rate) == (
        Rate(600, 60_000_000),
        Rate(5, 1_000_000),
    )
    assert config.describe()["catchup_rate"].value == "600/m"


@pytest.mark.parametrize("rate", ["0/m", "60", "60/d", "-1/s", "1.5/s", "٣/m", "99999999/s"])
def test_a_rate_that_is_none_is_refused(cwd: Path, rate: str):
    (cwd / "cronherd.yaml").write_text(f"catchup_rate: '{rate}'\n")
    with pytest.raises(InvalidInput) as caught:
        load(cwd)
    assert caught.value.errors[0].code == "bad_rate"
