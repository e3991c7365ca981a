"""The frame holds: version, weight of an import, layers, development door, pins."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cronherd
from tests.conftest import BACK_ENDS, describe_back_ends
from tests.import_rules import parse_rules

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")

LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run(['--no-logo'])"


def run_python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


# ------------------------------------------------------------------ version and weight


def test_the_version_is_said_once():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "src/cronherd/__init__.py"
    assert importlib.metadata.version("cronherd") == cronherd.__version__


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a statement brings into a fresh Python, standard library aside."""
    code = f"""if True:
        import json, sys
        before = set(sys.modules)
        {statement}
        print(json.dumps(sorted(set(sys.modules) - before)))"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    tops = {name.split(".")[0] for name in json.loads(done.stdout)}
    return tops - sys.stdlib_module_names


def test_importing_cronherd_does_nothing():
    assert loaded_by("import cronherd") == {"cronherd"}


def test_the_weight_of_an_import_is_seen():
    assert "fastapi" in loaded_by("import fastapi")


@pytest.mark.parametrize("module", ["domain", "engine", "supervisor", "supervise", "wiring"])
def test_an_agent_without_a_page_loads_neither_fastapi_nor_alembic(module: str):
    if importlib.util.find_spec(f"cronherd.{module}") is None:
        pytest.skip(f"cronherd.{module} is not built yet")
    loaded = loaded_by(f"import cronherd.{module}")
    assert not loaded & {"fastapi", "starlette", "uvicorn", "alembic"}


# ------------------------------------------------------------------ layers


def test_the_layers_hold():
    done = run_python(LINT_IMPORTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


BAD_IMPORTS = {
    "domain": "import cronherd.store",
    "store": "from cronherd import supervisor",
    "engine": "from cronherd.store import sqlite",
    "service": "def f() -> None:\n    import cronherd.engine",
    "supervisor": "from cronherd.domain import job",
    "api": "from cronherd.cli import main",
    "cli": "import cronherd.store.base",
    "unheard_of": "x = 1",
}
BAD_LIBRARIES = {
    "domain": "import pydantic",
    "supervisor": "import psutil",
    "engine": "import sqlalchemy",
    "service": "import fastapi",
    "client": "import alembic.command",
}


def write_house(folder: Path) -> None:
    """A small project with the true contracts, whose every import is allowed."""
    for room in ("domain", "store", "supervisor", "engine", "api", "cli"):
        (folder / "cronherd" / room).mkdir(parents=True)
        (folder / "cronherd" / room / "__init__.py").touch()
    (folder / "cronherd" / "__init__.py").touch()
    files = {
        "domain/job": "import oncalendar",
        "store/base": "import cronherd.domain.job",
        "store/sqlite": "import sqlalchemy\nimport cronherd.store.base",
        "engine/worker": "import cronherd.store.base\nimport cronherd.domain.job",
        "service": "import cronherd.store.base",
        "api/jobs": "import fastapi\nimport cronherd.service",
        "cli/main": "import click\nimport cronherd.client",
        "client": "import json",
        "wiring": "import cronherd.store.sqlite, cronherd.engine.worker, cronherd.api.jobs",
    }
    for name, text in files.items():
        (folder / "cronherd" / f"{name}.py").write_text(text + "\n")
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"))
    (folder / "tests").mkdir()
    rules = (ROOT / "tests" / "import_rules.py").read_text("utf-8")
    (folder / "tests" / "import_rules.py").write_text(rules)


def test_the_contract_allows_the_house_as_drawn(tmp_path: Path):
    write_house(tmp_path)
    done = run_python(LINT_IMPORTS, tmp_path)
    assert "1 kept, 0 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("room", "line"), [*BAD_IMPORTS.items(), *BAD_LIBRARIES.items()])
def test_the_contract_breaks_on_a_forbidden_import(tmp_path: Path, room: str, line: str):
    write_house(tmp_path)
    package = tmp_path / "cronherd" / room
    bad = package / "bad.py" if package.is_dir() else package.with_suffix(".py")
    bad.write_text(line + "\n")
    done = run_python(LINT_IMPORTS, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout
    assert f"cronherd.{room}" in done.stdout


def test_an_import_rule_must_be_readable():
    with pytest.raises(ValueError, match="write 'room -> room, room'"):
        parse_rules(["domain"])
    with pytest.raises(ValueError, match="one line per room"):
        parse_rules(["domain ->", "domain -> store"])


def test_no_import_is_excused():
    assert "ignore_imports" not in PYPROJECT["tool"]["importlinter"]["contracts"][0]
    assert len(PYPROJECT["tool"]["importlinter"]["contracts"]) == 1


# ------------------------------------------------------------------ the development door


def imported_by(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or ".").split(".")[0])
    return found


def test_dev_py_needs_only_the_standard_library():
    imported = imported_by(ast.parse((ROOT / "dev.py").read_text("utf-8")))
    assert imported
    assert imported <= sys.stdlib_module_names


def test_a_foreign_import_in_dev_py_would_be_seen():
    assert imported_by(ast.parse("def f():\n    import pytest")) == {"pytest"}


def test_dev_py_checks_the_layers_as_this_test_does():
    assert LINT_IMPORTS in (ROOT / "dev.py").read_text("utf-8")


def test_dev_py_stays_small():
    assert len((ROOT / "dev.py").read_text("utf-8").splitlines()) <= 400


def test_the_last_line_names_each_back_end_or_none():
    assert describe_back_ends(Counter()) == "back ends exercised: none"
    assert describe_back_ends(Counter(sqlite=2)) == "back ends exercised: SQLite (2 tests)"
    line = describe_back_ends(Counter(sqlite=2), {"mariadb"})
    assert line == "back ends exercised: SQLite (2 tests); not exercised: MariaDB"
    with pytest.raises(ValueError, match="add abacus to BACK_ENDS"):
        describe_back_ends(Counter(abacus=1))
    assert "sqlite" in BACK_ENDS


# ------------------------------------------------------------------ pins


def pins() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    return {
        canonicalize_name(name): version for name, _, version in (x.partition("==") for x in lines)
    }


def test_each_pin_is_a_name_and_a_version():
    for line in CONSTRAINTS.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line), line


def direct_requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for group in [*groups, PYPROJECT["build-system"]["requires"]] for line in group]
    return [Requirement(line) for line in lines if not line.startswith("cronherd[")]


def installed_requirements(asked: Requirement) -> list[Requirement]:
    """What an installed distribution asks for on this machine, with the extras asked for."""
    try:
        lines = importlib.metadata.requires(asked.name) or []
    except importlib.metadata.PackageNotFoundError:
        return []  # the build back end lives in pip's own temporary environment
    wanted = [Requirement(line) for line in lines]
    extras = ["", *asked.extras]
    return [
        r
        for r in wanted
        if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def test_every_dependency_is_pinned_however_deep():
    pinned, seen, waiting = pins(), set[str](), direct_requirements()
    assert len(waiting) > 20
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        assert name in pinned, f"{name} is not in constraints.txt"
        assert wanted.specifier.contains(pinned[name], prereleases=True), f"{wanted} and its pin"
        if name not in seen:
            seen.add(name)
            waiting += installed_requirements(wanted)
    assert len(seen) > 30
    assert "psycopg-binary" in seen  # behind an extra
