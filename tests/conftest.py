"""What every test shares: the tier, and the last line that names the back ends exercised."""

from collections import Counter

import pytest

TIERS = ("commit", "full")

# Back ends in the order they are named. Servers join here when their fixtures exist: a fixture that
# starts one says so with record_property("back_end", name), and the last line counts it.
BACK_ENDS = {"sqlite": "SQLite"}

_EXERCISED = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier",
        choices=TIERS,
        default="commit",
        help="commit: what each change must pass; full: the long forms as well",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_EXERCISED] = Counter()
    config.pluginmanager.register(_BackEnds(config), "cronherd-back-ends")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--tier") == "full":
        return
    long_form = pytest.mark.skip(reason="a long form: run with --tier full")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(long_form)


def back_end_of(report: pytest.TestReport) -> str | None:
    """The back end a passed test ran on; a store test that names none ran on embedded SQLite."""
    named = dict(report.user_properties).get("back_end")
    if named is not None:
        return str(named)
    return "sqlite" if report.nodeid.startswith("tests/store/") else None


def describe_back_ends(exercised: Counter[str]) -> str:
    named = [
        f"{title} ({exercised[key]} tests)" for key, title in BACK_ENDS.items() if exercised[key]
    ]
    unknown = sorted(set(exercised) - set(BACK_ENDS))
    if unknown:
        raise ValueError(f"add {', '.join(unknown)} to BACK_ENDS in tests/conftest.py")
    return f"back ends exercised: {', '.join(named) or 'none'}"


class _BackEnds:
    """Counts on the controlling process only: workers send their reports there."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        back_end = back_end_of(report) if report.when == "call" and report.passed else None
        if back_end is not None:
            self._config.stash[_EXERCISED][back_end] += 1


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it here and not in the summary: pytest's own count comes after the summary."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None or config.option.collectonly:
        return
    reporter.write_line(describe_back_ends(config.stash[_EXERCISED]))
