"""What every test shares: the tier, real servers, and the last line that names the back ends."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.databases import Databases
from tests.servers.engines import ServerMissing
from tests.servers.handles import Keeper, PrivateServer, Servers, private_server

TIERS = ("commit", "full")
LASTING = ("torture", "browser", "engine")
"""Folders whose tests mostly wait, the longest a minute."""

# Back ends in the order they are named. A fixture that needs one says so with `needing_server`, and
# the last line counts it.
BACK_ENDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
BACK_ENDS |= {"redis": "Redis", "redis_tls": "Redis with TLS", "memcached": "Memcached"}
BACK_ENDS |= {"gearman": "Gearman"}

_EXERCISED = pytest.StashKey[Counter[str]]()
_MISSED = pytest.StashKey[set[str]]()
_KEEPER = pytest.StashKey[Keeper]()
_ADDRESS = "cronherd_keeper"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier",
        choices=TIERS,
        default="commit",
        help="commit: what each change must pass; full: the long forms as well",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Whoever starts the tests may ignore signals, as nohup does, and what they start would too.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.pluginmanager.has_plugin("hypothesispytest"):
        be_patient()
    config.stash[_EXERCISED] = Counter()
    config.stash[_MISSED] = set()
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_KEEPER] = Keeper()
    config.pluginmanager.register(_BackEnds(config), "cronherd-back-ends")


def be_patient() -> None:
    """A slow example says that the machine is busy; what hangs is ended by its time limit."""
    from hypothesis import HealthCheck, settings  # noqa: PLC0415 - only where it is loaded anyway

    slow = [HealthCheck.too_slow]
    settings.register_profile("patient", settings(), deadline=None, suppress_health_check=slow)
    settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Workers of pytest-xdist share the servers of the process that started them."""
    node.workerinput[_ADDRESS] = node.config.stash[_KEEPER].address


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    draw_forward(items)
    if config.getoption("--tier") == "full":
        return
    long_form = pytest.mark.skip(reason="a long form: run with --tier full")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(long_form)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is read now stays to the end: to look through it for garbage takes time for nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def draw_forward(items: list[pytest.Item]) -> None:
    """Let no test that lasts come last, when other workers have nothing left to do meanwhile."""
    place = {
        item: number * (0.8 if item.path.parent.name in LASTING else 1)
        for number, item in enumerate(items)
    }
    items.sort(key=place.__getitem__)


def back_ends_of(report: pytest.TestReport) -> set[str]:
    """What a test ran on; a store test that names nothing ran on embedded SQLite."""
    named = {str(value) for key, value in report.user_properties if key == "back_end"}
    return named or ({"sqlite"} if report.nodeid.startswith("tests/store/") else set())


def describe_back_ends(exercised: Counter[str], missed: AbstractSet[str] = frozenset()) -> str:
    """The last line. `missed` are back ends whose server could not be had."""
    named = [
        f"{title} ({exercised[key]} tests)" for key, title in BACK_ENDS.items() if exercised[key]
    ]
    missing = [title for key, title in BACK_ENDS.items() if key in missed]
    unknown = sorted({*exercised, *missed} - set(BACK_ENDS))
    if unknown:
        raise ValueError(f"add {', '.join(unknown)} to BACK_ENDS in tests/conftest.py")
    line = f"back ends exercised: {', '.join(named) or 'none'}"
    return f"{line}; not exercised: {', '.join(missing)}" if missing else line


class _BackEnds:
    """Counts on the controlling process only: workers send their reports there."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            return
        missed = {str(value) for key, value in report.user_properties if key == "back_end_missed"}
        self._config.stash[_MISSED].update(missed)
        if report.when == "call" and report.passed:
            self._config.stash[_EXERCISED].update(back_ends_of(report))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it here and not in the summary: pytest's own count comes after the summary."""
    keeper = config.stash.get(_KEEPER, None)
    if keeper is not None:
        keeper.close()
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None or config.option.collectonly:
        return
    missed = config.stash[_MISSED]
    reporter.write_line(describe_back_ends(config.stash[_EXERCISED], missed))


# ------------------------------------------------------------------ real servers


Record = Callable[[str, object], None]


@contextmanager
def needing_server(back_end: str, record_property: Record) -> Iterator[None]:
    """Without its server a test is skipped, and with CI=true it fails; the last line names both."""
    record_property("back_end", back_end)
    try:
        yield
    except ServerMissing as error:
        record_property("back_end_missed", back_end)
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _same_folder() -> Iterator[None]:
    """What spawns here and now leaves the process in `/`, and paths are told from where one is."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """The session's servers, each started when it is first asked for."""
    config = request.config
    if hasattr(config, "workerinput"):
        return Servers(config.workerinput[_ADDRESS])
    return Servers(config.stash[_KEEPER].address)


@pytest.fixture(scope="session")
def _databases(servers: Servers) -> Iterator[Callable[[str], Databases]]:
    made: dict[str, Databases] = {}

    def of(kind: str) -> Databases:
        if kind not in made:
            made[kind] = Databases(kind, servers.url(kind))
        return made[kind]

    yield of
    for each in made.values():
        each.close()


@pytest.fixture
def empty_database(
    _databases: Callable[[str], Databases], record_property: Record
) -> Callable[[str], str]:
    """empty_database("postgresql"): the URL of a new, empty database on the session's server."""

    def make(kind: str) -> str:
        with needing_server(kind, record_property):
            return _databases(kind).fresh()

    return make


@pytest.fixture
def own_server(record_property: Record) -> Iterator[Callable[[str], PrivateServer]]:
    """own_server("mariadb"): a server of this test alone, to freeze, kill and start again."""
    with ExitStack() as running:

        def start(kind: str) -> PrivateServer:
            with needing_server(kind, record_property):
                return running.enter_context(private_server(kind))

        yield start
