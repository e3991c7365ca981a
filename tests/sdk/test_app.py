"""Code that is loaded: found as its own program finds it, and every fault has its line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cronherd.definition.jobs import build_jobs
from cronherd.domain.errors import Invalid
from cronherd.sdk.app import is_app, load_app

Write = Callable[[str, str], None]
HEAD = "from cronherd import Scheduler, task\nschedule = Scheduler()\n"


@pytest.fixture(autouse=True)
def loaded() -> Iterator[None]:
    """Modules of one test are none of the next one's."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("app"):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_a_schedule_is_found_by_its_module_and_name(write: Write, tmp_path: Path):
    write("app1/__init__.py", "")
    write("app1/jobs.py", f"{HEAD}def f(): pass\nschedule.call(f).daily()\nprint('loud')\n")
    for target in ("app1.jobs", "app1.jobs:schedule"):
        app = load_app(target)
        assert app.source == "code:app1.jobs:schedule"
        (job,) = build_jobs(app.definitions(), timezone="UTC")
        assert (job.task, job.cwd) == ("app1.jobs:f", str(tmp_path))


def test_what_it_prints_is_no_data(write: Write, capfd: pytest.CaptureFixture[str]):
    write("app2.py", f"{HEAD}print('loud')\n")
    load_app("app2:schedule")
    assert capfd.readouterr() == ("", "loud\n")


def test_a_function_may_give_it(write: Write):
    write("app3.py", "from cronherd import Scheduler\ndef make():\n    return Scheduler()\n")
    assert load_app("app3:make").definitions() == ()


FAULTS = {
    "import nowhere_at_all": (1, "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "x = 1\nx.y": (2, "AttributeError"),
    "def f():\n    raise ValueError('no')\nf()": (2, "ValueError: no"),
    "x = 1\nx = = 2": (2, "SyntaxError"),
    "import sys\nsys.exit(3)": (2, "SystemExit: 3"),
    f"{HEAD}schedule.command('x').daily(\n).hourly()": (4, "hourly() is a second frequency"),
    f"{HEAD}@task\ndef a(): pass\n@task(name='a')\ndef b(): pass": (5, "the task 'a' is"),
    f"{HEAD}task(lambda: 1)": (3, "@task stands before a function"),
}


@pytest.mark.parametrize(("number", "text"), list(enumerate(FAULTS)))
def test_what_it_raises_has_its_line(write: Write, number: int, text: str):
    line, words = FAULTS[text]
    write(f"app_bad{number}.py", text)
    with pytest.raises(Invalid) as caught:
        load_app(f"app_bad{number}:schedule")
    assert words in str(caught.value)
    assert caught.value.where == f"app_bad{number}.py:{line}"


def test_what_is_not_there_is_said(write: Write, tmp_path: Path):
    write("app4.py", "schedule = 3\n")
    for target, words in {
        "app_nowhere:x": f"there is no module 'app_nowhere' in {tmp_path}",
        "app4:other": "'app4' has no 'other' (write schedule = Scheduler() in it)",
        "./app4": "'./app4' is not the name of a module",
        "app4-x:y": "'app4-x' is not the name of a module",
        "app4": "'app4:schedule' is no Scheduler but int",
    }.items():
        with pytest.raises(Invalid) as caught:
            load_app(target)
        assert words in str(caught.value)


def test_a_scheduler_of_another_name_is_offered(write: Write):
    write("app5.py", "from cronherd import Scheduler\nJobs = Scheduler()\n")
    with pytest.raises(Invalid, match=r"'app5' has no 'schedule' \(write app5:Jobs\)"):
        load_app("app5")


def test_a_file_is_no_app(write: Write):
    write("app:x", "")
    assert [is_app(text) for text in ("a.b:c", "a:b.c", "app:x", "a.yaml", "/a:b", "a:", "-")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip


def test_task_is_a_decorator_whoever_imported_what_before():
    code = """
from cronherd.task import Context
from cronherd import task
import cronherd.task
@task
def one() -> None: ...
@task(name="zwei")
def two(context: Context) -> None: ...
from cronherd.task import find, registered, task as named
@named(name="three")
def three() -> None: ...
assert [known.name for known in registered()] == ["one", "three", "zwei"]
assert find(two).target == "__main__:two" and find("one").function is one
assert cronherd.task.Context is Context
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_to_import_cronherd_loads_nothing():
    code = "import sys; old = set(sys.modules); import cronherd; print(set(sys.modules) - old)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "{'cronherd'}\n"
    code = "import sys, cronherd.task; print(sorted(m for m in sys.modules if 'cronherd' in m))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "['cronherd', 'cronherd.task']\n"
